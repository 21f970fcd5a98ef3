//! Which Services the allocator is told of, and how.

use api::{Delta, Kind, Object};
use desired::{DefaultIpam, Desired, Facts, IpamOptions, Role};
use lb_ipam::{Grant, Service, Traffic};
use serde_json::{Value, json};
use types::ObjectName;

use crate::world::object;

#[test]
fn the_class_of_a_service_says_who_gives_its_addresses() {
    let plain = IpamOptions::default();
    let with_l2 = IpamOptions { l2: true, ..plain };
    let without_bgp = IpamOptions {
        bgp: false,
        ..plain
    };
    let by_nodes = IpamOptions {
        default: DefaultIpam::NodeIpam,
        ..plain
    };
    let by_nobody = IpamOptions {
        default: DefaultIpam::Nobody,
        ..plain
    };
    let (bgp, l2) = ("io.cilium/bgp-control-plane", "io.cilium/l2-announcer");
    let rows = [
        (plain, None, true),
        (by_nodes, None, false),
        (by_nobody, None, false),
        (by_nobody, Some(bgp), true),
        (plain, Some(bgp), true),
        (without_bgp, Some(bgp), false),
        (plain, Some(l2), false),
        (with_l2, Some(l2), true),
        (with_l2, Some("io.cilium/node"), false),
        (with_l2, Some("example.org/other"), false),
    ];
    for (options, class, is_given) in rows {
        let spec = json!({"type": "LoadBalancer", "loadBalancerClass": class});
        let told = told(options, &service(spec, &json!({})));

        let is_request = matches!(told, Some(Service::Request(_)));
        assert_eq!(is_request, is_given, "{class:?} with {options:?}");
        assert_eq!(matches!(told, Some(Service::Foreign(_))), !is_given);
    }
    let off = IpamOptions {
        enabled: false,
        ..plain
    };
    let balanced = service(json!({"type": "LoadBalancer"}), &json!({}));
    assert_eq!(told(off, &balanced), None);
}

#[test]
fn a_service_is_told_with_its_terms_of_sharing_and_its_notices() {
    let mut value = service(
        json!({
            "type": "LoadBalancer", "externalTrafficPolicy": "Local", "selector": {"app": "web"},
            "ports": [{"name": "web", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}],
        }),
        &json!({
            "lbipam.cilium.io/sharing-key": "key",
            "lbipam.cilium.io/sharing-cross-namespace": "*",
        }),
    );
    value["status"] = json!({
        "loadBalancer": {"ingress": [{"ip": "10.0.0.1"}, {"hostname": "a.example"}]},
        "conditions": [
            {"type": "cilium.io/IPAMRequestSatisfied", "status": "True"},
            {"type": "sluicegate.io/AddressesLeaving", "status": "True",
             "message": "10.0.0.1 until 1970-01-01T00:01:00Z (why)"},
            {"type": "sluicegate.io/ForeignAddresses", "status": "True",
             "message": "192.0.2.1 (why)"},
        ],
    });

    let Some(Service::Request(request)) = told(IpamOptions::default(), &value) else {
        panic!("not a request");
    };

    let sharing = request.sharing.expect("terms");
    assert_eq!((&*sharing.key, &sharing.grant), ("key", &Grant::All));
    assert_eq!(sharing.listeners.len(), 2);
    let pods = [("app".into(), "web".into())].into();
    let permits_others = false;
    let local = Traffic::Local {
        pods,
        permits_others,
    };
    assert_eq!(sharing.traffic, local);
    assert!(request.shown.marked);
    assert_eq!(request.shown.addresses.len(), 1);
    let leaving = request.shown.notices.leaving;
    let until = leaving.values().map(std::time::Duration::as_secs);
    assert_eq!(until.collect::<Vec<_>>(), [60]);
    assert_eq!(request.shown.notices.foreign.len(), 1);
    assert_eq!(request.created, 0);
}

#[test]
fn an_operator_goes_by_age_and_nodes_by_name() {
    let mut value = service(json!({"type": "LoadBalancer"}), &json!({}));
    if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
        let created = json!("1970-01-01T00:01:00Z");
        metadata.insert("creationTimestamp".to_owned(), created);
    }
    let created = |role| {
        let facts = Facts {
            role,
            ..Facts::new("edge".parse().unwrap())
        };
        let Some(Service::Request(request)) = told_with(facts, &value) else {
            panic!("not a request");
        };
        request.created
    };

    assert_eq!(created(Role::Operator), 60);
    assert_eq!(created(Role::Standalone), 0);
}

#[test]
fn a_pool_is_told_with_its_annotations_and_what_it_keeps() {
    let pool = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumLoadBalancerIPPool",
        "metadata": {"name": "blue", "annotations": {
            "sluicegate.io/pool-priority": "7",
            "sluicegate.io/namespace-quota": "shop=3,*=1",
            "sluicegate.io/reserve": "1h",
        }},
        "spec": {"blocks": [{"cidr": "10.0.0.0/24"}]},
        "status": {"conditions": [
            {"type": "sluicegate.io/Reservations", "status": "True",
             "message": "10.0.0.1 for shop/web until 1970-01-01T00:01:00Z"},
        ]},
    });
    let mut desired = Desired::new(Facts::new("edge".parse().unwrap()));

    let changes = desired.on_change(&delta([object(pool)]));

    let pool = changes.ipam.pools[&ObjectName::of_cluster("blue")].as_ref();
    let pool = pool.expect("a pool");
    assert_eq!(pool.priority, 7);
    assert_eq!(pool.quotas.by_namespace["shop"], 3);
    assert_eq!(pool.quotas.others, Some(1));
    assert_eq!(pool.reserve.map(|time| time.as_secs()), Some(3600));
    let [kept] = &pool.reserved[..] else {
        panic!("{:?}", pool.reserved);
    };
    assert_eq!(kept.service, ObjectName::new("shop", "web"));
}

fn told(options: IpamOptions, value: &Value) -> Option<Service> {
    let facts = Facts {
        ipam: options,
        ..Facts::new("edge".parse().expect("a name"))
    };
    told_with(facts, value)
}

fn told_with(facts: Facts, value: &Value) -> Option<Service> {
    let mut desired = Desired::new(facts);
    let delta = Delta {
        synced: [Kind::Service].into(),
        ..delta([object(value.clone())])
    };
    let mut changes = desired.on_change(&delta);
    changes
        .ipam
        .services
        .remove(&ObjectName::new("shop", "web"))?
}

fn delta(objects: impl IntoIterator<Item = Object>) -> Delta {
    let objects = objects.into_iter();
    let by_key = objects.map(|object| (object.key(), Some(object)));
    Delta {
        objects: by_key.collect(),
        ..Delta::default()
    }
}

fn service(mut spec: Value, annotations: &Value) -> Value {
    if let Value::Object(fields) = &mut spec {
        let ports = fields.entry("ports");
        ports.or_insert_with(|| json!([{"port": 80}]));
    }
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "shop", "name": "web", "annotations": annotations},
        "spec": spec,
    })
}
