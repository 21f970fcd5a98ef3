//! What a Service means.

use std::time::Duration;

use api::annotations::{HealthCheck, Probe, Sharing, SharingNamespaces, WhenEmpty};
use api::{Ingress, Object, TargetPort, Truth};
use serde_json::{Value, json};

use crate::{read, secs, service};

#[test]
fn annotations_say_how_a_service_is_checked() {
    let settings = |annotations: Value| {
        let mut value = service(json!({}));
        value["metadata"]["annotations"] = annotations;
        read_as!(Service, value).settings.clone()
    };
    let plain = settings(json!({"someone.else/else": "yes"}));
    let off = settings(
        json!({"sluicegate.io/health-check": "none", "sluicegate.io/health-check-rise": "7"}),
    );
    let http = settings(json!({
        "sluicegate.io/health-check": "http", "sluicegate.io/health-check-path": "/ready?full=1",
        "sluicegate.io/health-check-port": "8081", "sluicegate.io/health-check-interval": "500ms",
        "sluicegate.io/health-check-fall": "1",
        "sluicegate.io/when-empty": "refuse", "sluicegate.io/idle-timeout": "10m",
        "sluicegate.io/quarantine": "30s", "sluicegate.io/maglev-table-size": "16381",
    }));

    assert_eq!(
        (plain.health_check, plain.when_empty, plain.idle_timeout),
        (None, None, None)
    );
    assert_eq!(off.health_check, None);
    assert_eq!(
        http.health_check,
        Some(HealthCheck {
            probe: Probe::Http {
                path: "/ready?full=1".into()
            },
            port: Some(8081),
            interval: Duration::from_millis(500),
            timeout: Duration::from_millis(500),
            rise: 2,
            fall: 1,
        })
    );
    assert_eq!(
        (http.when_empty, http.idle_timeout),
        (Some(WhenEmpty::Refuse), Some(secs(600)))
    );
    assert_eq!(
        (plain.quarantine, plain.maglev_table_size),
        (Duration::ZERO, None)
    );
    assert_eq!(
        (http.quarantine, http.maglev_table_size),
        (secs(30), Some(16381))
    );
}

#[test]
fn addresses_are_asked_for_by_annotation_and_by_field() {
    let requested = |annotations: Value| {
        let mut value = service(json!({"loadBalancerIP": "192.0.2.1"}));
        value["metadata"]["annotations"] = annotations;
        let service = read_as!(Service, value);
        let addresses: Vec<String> = service.requested.iter().map(ToString::to_string).collect();
        addresses.join(" ")
    };

    assert_eq!(requested(json!({})), "192.0.2.1");
    assert_eq!(
        requested(json!({"lbipam.cilium.io/ips": "192.0.2.2, fd00::1,192.0.2.1"})),
        "192.0.2.2 fd00::1 192.0.2.1"
    );
    assert_eq!(
        requested(json!({"io.cilium/lb-ipam-ips": "192.0.2.3"})),
        "192.0.2.3 192.0.2.1"
    );
}

#[test]
fn annotations_that_only_cilium_acts_upon_are_named() {
    let mut value = service(json!({}));
    value["metadata"]["annotations"] = json!({
        "lbipam.cilium.io/sharing-kee": "a", "service.cilium.io/forwarding-mode": "dsr", "example.org/x": "y",
    });

    let service = read_as!(Service, value);

    let named: Vec<String> = service.unenforced.iter().map(ToString::to_string).collect();
    assert_eq!(
        named,
        [
            "metadata.annotations[\"lbipam.cilium.io/sharing-kee\"]: it changes nothing about which Services share addresses",
            "metadata.annotations[\"service.cilium.io/forwarding-mode\"]: it changes nothing",
        ]
    );
}

#[test]
fn every_field_of_a_service_that_is_not_acted_upon_is_named() {
    let Object::Service(service) = read(service(json!({
        "type": "LoadBalancer", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"],
        "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local", "healthCheckNodePort": 30100,
        "loadBalancerSourceRanges": ["10.0.0.0/8"], "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}, "trafficDistribution": "PreferClose",
        "allocateLoadBalancerNodePorts": true, "publishNotReadyAddresses": false,
        "ports": [
            {"name": "a", "port": 80, "targetPort": "http", "nodePort": 30000, "appProtocol": "http"},
            {"name": "b", "port": 53, "protocol": "UDP", "targetPort": 5353},
            {"name": "c", "port": 9, "protocol": "SCTP"},
        ],
    }))) else {
        panic!("another kind");
    };

    let named: Vec<String> = service
        .unenforced
        .iter()
        .map(|field| field.path.to_string())
        .collect();
    assert_eq!(
        named,
        [
            "spec.ports[0].nodePort",
            "spec.ports[2].protocol",
            "spec.externalTrafficPolicy",
            "spec.internalTrafficPolicy",
            "spec.healthCheckNodePort",
            "spec.loadBalancerSourceRanges",
            "spec.sessionAffinity",
            "spec.trafficDistribution",
        ]
    );
    assert_eq!(
        service.ports[0].target_port,
        Some(TargetPort::Name("http".into()))
    );
    assert_eq!(service.ports[1].target_port, Some(TargetPort::Number(5353)));
    assert_eq!(service.cluster_ips.len(), 2);
}

#[test]
fn a_service_of_a_cluster_is_read_with_nulls_and_statuses_of_others() {
    let mut value = service(json!({
        "clusterIP": "None", "ports": null, "selector": null, "externalIPs": ["192.0.2.77"], "loadBalancerIP": "",
    }));
    value["metadata"]["creationTimestamp"] = json!("2026-01-02T03:04:05Z");
    value["metadata"]["deletionTimestamp"] = json!(null);
    value["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
    value["status"] = json!({
        "loadBalancer": {"ingress": [{"hostname": "lb.example"}, {"ip": "192.0.2.1", "ipMode": "VIP"}]},
        "conditions": [{"type": "x", "status": "Unknown", "lastTransitionTime": "2026-01-02T03:04:05Z"}],
    });

    let Object::Service(service) = read(value) else {
        panic!("another kind")
    };

    assert!(service.headless && service.cluster_ips.is_empty());
    assert_eq!(
        service.meta.created.unwrap().to_string(),
        "2026-01-02T03:04:05Z"
    );
    assert_eq!(service.ingress[0], Ingress::Hostname("lb.example".into()));
    assert_eq!(
        service
            .ingress_ips()
            .map(|ip| ip.to_string())
            .collect::<Vec<_>>(),
        ["192.0.2.1"]
    );
    assert_eq!(service.conditions[0].status, Truth::Unknown);
}

#[test]
fn either_spelling_says_on_what_terms_addresses_are_shared() {
    let sharing = |annotations: Value| {
        let mut value = service(json!({}));
        value["metadata"]["annotations"] = annotations;
        read_as!(Service, value).sharing.clone()
    };
    let these = |namespaces: &[&str]| {
        SharingNamespaces::These(namespaces.iter().map(|name| (*name).to_owned()).collect())
    };

    assert_eq!(sharing(json!({"lbipam.cilium.io/sharing-key": " "})), None);
    assert_eq!(
        sharing(json!({"lbipam.cilium.io/sharing-cross-namespace": "*"})),
        None
    );
    assert_eq!(
        sharing(json!({
            "lbipam.cilium.io/sharing-key": "a", "io.cilium/lb-ipam-sharing-key": "b",
            "lbipam.cilium.io/sharing-cross-namespace": "shop, bank,",
            "lbipam.cilium.io/sharing-permit-different-pods": "true",
        })),
        Some(Sharing {
            key: "a".into(),
            namespaces: these(&["bank", "shop"]),
            permits_different_pods: true,
        })
    );
    assert_eq!(
        sharing(json!({
            "io.cilium/lb-ipam-sharing-key": "b",
            "io.cilium/lb-ipam-sharing-cross-namespace": "bank,*",
            "lbipam.cilium.io/sharing-permit-different-pods": "yes",
        })),
        Some(Sharing {
            key: "b".into(),
            namespaces: SharingNamespaces::All,
            permits_different_pods: false,
        })
    );
    assert_eq!(
        sharing(json!({"io.cilium/lb-ipam-sharing-key": "b"})).map(|sharing| sharing.namespaces),
        Some(these(&[]))
    );
}
