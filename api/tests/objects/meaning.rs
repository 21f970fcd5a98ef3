//! What the other kinds mean, and what is true of all.

use api::{
    AddressType, Block, IpFamilyPolicy, Kind, Object, Statement, StatusPatch, Strictness,
    TrafficPolicy, Truth, keys,
};
use serde_json::{Value, json};
use types::{Family, Protocol};

use crate::{read, refused, service};

#[test]
fn a_dual_stack_service_and_its_pool_are_read_as_people_write_them() {
    let pool = read(json!({
        "apiVersion": "cilium.io/v2alpha1", "kind": "CiliumLoadBalancerIPPool",
        "metadata": {"name": "edge"},
        "spec": {
            "blocks": [
                {"cidr": "192.0.2.8/29"}, {"cidr": "2001:db8:1::0/64"}, {"start": "192.0.2.100"},
                {"start": "192.0.2.10", "stop": "192.0.2.20"}, {"cidr": "198.51.100.7/24"},
            ],
            "serviceSelector": {"matchLabels": {"team": "web"}},
        },
    }));
    let service = read(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "shop", "namespace": "front", "labels": {"team": "web"}},
        "spec": {
            "type": "LoadBalancer", "ipFamilyPolicy": "RequireDualStack",
            "ipFamilies": ["IPv4", "IPv6"], "selector": {"app": "shop"}, "ports": [{"port": 80}],
        },
    }));

    let (Object::CiliumLoadBalancerIPPool(pool), Object::Service(service)) = (pool, service) else {
        panic!("other kinds");
    };

    let bounds: Vec<String> = pool
        .blocks
        .iter()
        .map(Block::bounds)
        .map(|(first, last)| format!("{first} {last}"))
        .collect();
    assert_eq!(
        bounds,
        [
            "192.0.2.8 192.0.2.15",
            "2001:db8:1:: 2001:db8:1:0:ffff:ffff:ffff:ffff",
            "192.0.2.100 192.0.2.100",
            "192.0.2.10 192.0.2.20",
            "198.51.100.0 198.51.100.255",
        ]
    );
    assert!(pool.allow_first_last_ips && !pool.disabled && pool.selects(&service));
    assert_eq!(service.name().to_string(), "front/shop");
    assert_eq!(
        service.ip_family_policy,
        Some(IpFamilyPolicy::RequireDualStack)
    );
    assert_eq!(service.ip_families, Family::BOTH);
    assert_eq!(service.ports[0].protocol, Protocol::Tcp);
    assert_eq!(service.external_traffic_policy, TrafficPolicy::Cluster);
    assert_eq!(service.unenforced, []);
}

#[test]
fn endpoints_are_ready_and_serving_unless_they_say_otherwise() {
    let object = read(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"},
            "annotations": {"service.cilium.io/weight": "250"},
        },
        "addressType": "IPv6",
        "endpoints": [
            {"addresses": ["fd00::1"]},
            {"addresses": ["fd00::2"], "conditions": {"ready": false}},
            {"addresses": ["fd00::3"], "nodeName": "edge1", "zone": "a", "hints": {"forZones": [{"name": "a"}]},
             "conditions": {"ready": false, "serving": true, "terminating": true}},
        ],
        "ports": [{"name": "http", "port": 8080}, {"name": "sctp", "port": 9, "protocol": "SCTP"}],
    }));

    let Object::EndpointSlice(slice) = object else {
        panic!("another kind");
    };

    assert_eq!(slice.service.as_ref().unwrap().to_string(), "shop/web");
    assert_eq!(slice.address_type, AddressType::Ip(Family::V6));
    assert_eq!(slice.weight, 250);
    let states: Vec<_> = slice
        .endpoints
        .iter()
        .map(|e| (e.ready, e.serving, e.terminating))
        .collect();
    assert_eq!(
        states,
        [
            (true, true, false),
            (false, false, false),
            (false, true, true)
        ]
    );
    assert_eq!(slice.ports.len(), 1);
    assert_eq!(
        slice.unenforced[0].to_string(),
        "ports[1].protocol: SCTP is not balanced; the port is left out"
    );
}

#[test]
fn a_node_is_known_by_its_addresses_and_labels() {
    let object = read(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "edge1", "labels": {"rack": "r1"}},
        "spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24", "fd01::/64"], "taints": []},
        "status": {"addresses": [
            {"type": "Hostname", "address": "edge1"}, {"type": "ExternalIP", "address": "198.51.100.1"},
            {"type": "InternalIP", "address": "fd00::1"}, {"type": "InternalIP", "address": "10.0.0.1"},
        ], "nodeInfo": {"architecture": "amd64"}},
    }));

    let Object::Node(node) = object else {
        panic!("another kind");
    };

    assert_eq!(node.address(Family::V4), "10.0.0.1".parse().ok());
    assert_eq!(node.address(Family::V6), "fd00::1".parse().ok());
    assert_eq!(node.pod_cidrs.len(), 2);
    assert_eq!(node.extra_labels(), [(keys::HOSTNAME, "edge1")]);
}

#[test]
fn a_secret_never_shows_its_values() {
    let value = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "tor", "namespace": "kube-system", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{stringData: {password: hunter2}}",
        }},
        "type": "Opaque", "data": {"password": "aHVudGVyMQ=="}, "stringData": {"password": "hunter2"},
    });
    let mut wrong = value.clone();
    wrong["data"] = json!("hunter2");
    let mut encoded = value.clone();
    encoded["data"]["password"] = json!("hunter2!");

    let object = read(value);

    let shown = format!("{object:?} {:?} {:?}", refused(wrong), refused(encoded));
    assert!(!shown.contains("hunter2"), "{shown}");
    let Object::Secret(secret) = object else {
        panic!("another kind");
    };
    assert_eq!(secret.data["password"].expose(), b"hunter2");
}

#[test]
fn kinds_that_are_not_read_yet_are_refused_by_name() {
    for (version, kind) in [
        ("cilium.io/v2", "CiliumEgressGatewayPolicy"),
        ("cilium.io/v2alpha1", "CiliumL2AnnouncementPolicy"),
        ("v1", "Pod"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
    ] {
        let refusal = refused(
            json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": {}}),
        );

        assert_eq!(refusal.faults.len(), 1);
        assert_eq!(
            refusal.faults[0].to_string(),
            format!("kind: {kind} is not supported yet")
        );
        assert_eq!(refusal.to_string(), format!("{kind}/x"));
        assert_eq!(refusal.key(), None);
    }
}

#[test]
fn a_server_of_another_version_may_send_unknown_fields() {
    let value = service(json!({"newInKubernetes": {"x": 1}}));

    let lenient = Object::from_value(value.clone(), Strictness::Lenient).unwrap();

    assert_eq!(lenient.key().to_string(), "Service/default/web");
    assert_eq!(refused(value).key(), Some(lenient.key()));
}

#[test]
fn every_kind_knows_its_names() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_name(kind.as_str()), Some(kind));
        let version = kind.api_versions()[0];
        let group = version.split_once('/').map_or("", |(group, _)| group);
        assert_eq!(group, kind.group());
        assert_eq!(kind.plural(), format!("{}s", kind.as_str().to_lowercase()));
    }
}

#[test]
fn a_condition_keeps_its_time_until_its_truth_changes() {
    let patch = |truth, message: &str| StatusPatch {
        ingress: Some(vec!["192.0.2.1".parse().unwrap()]),
        conditions: [(
            "a/B".to_owned(),
            Some(Statement::new(truth, "why", message)),
        )]
        .into(),
        bgp: None,
    };
    let time = |text: &str| text.parse().unwrap();
    let mut status = json!({"conditions": [{"type": "z/Z", "status": "True", "reason": "r", "message": "m"}], "x": 1});

    assert!(patch(Truth::True, "one").apply(&mut status, time("2026-01-01T00:00:00Z")));
    assert!(!patch(Truth::True, "one").apply(&mut status, time("2026-01-02T00:00:00Z")));
    assert!(patch(Truth::True, "two").apply(&mut status, time("2026-01-03T00:00:00Z")));
    let kept = status["conditions"][0].clone();
    assert!(patch(Truth::False, "two").apply(&mut status, time("2026-01-04T00:00:00Z")));

    assert_eq!(kept["lastTransitionTime"], "2026-01-01T00:00:00Z");
    assert_eq!(kept["message"], "two");
    assert_eq!(
        status["conditions"][0]["lastTransitionTime"],
        "2026-01-04T00:00:00Z"
    );
    assert_eq!(status["conditions"][1]["type"], "z/Z");
    assert_eq!(
        status["loadBalancer"]["ingress"],
        json!([{"ip": "192.0.2.1"}])
    );
    assert_eq!(status["x"], 1);
    let removal = StatusPatch {
        ingress: None,
        conditions: [("a/B".to_owned(), None)].into(),
        bgp: None,
    };
    assert!(removal.apply(&mut status, time("2026-01-05T00:00:00Z")));
    assert_eq!(status["conditions"].as_array().unwrap().len(), 1);
}

#[test]
fn an_endpoint_says_for_whom_it_is_meant() {
    let slice = |hints: Value| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "web-1"},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.0.1"], "hints": hints}],
        })
    };
    let hints = |value: Value| {
        let slice = read_as!(EndpointSlice, slice(value));
        slice.endpoints[0].hints.clone()
    };

    let meant = hints(json!({
        "forZones": [{"name": "z1"}, {"name": "z2"}], "forNodes": [{"name": "edge1"}],
    }));

    let meant = meant.expect("hints");
    assert_eq!(meant.zones, ["z1", "z2"]);
    assert_eq!(meant.nodes, ["edge1".parse().unwrap()]);
    assert_eq!(hints(json!({})), None);
    assert_eq!(hints(json!({"forZones": []})), None);
    crate::table(&[(
        slice(json!({"forZones": [{}], "forNodes": [{"name": "Edge"}], "forPods": []})),
        &[
            "endpoints[0].hints.forPods: is not a known field",
            "endpoints[0].hints.forZones[0].name: is required",
            "endpoints[0].hints.forNodes[0].name: \"Edge\" is not a node name: expected lower-case letters, digits, \
             '-' and '.', starting and ending with a letter or digit, at most 253 characters",
        ],
    )]);
}

#[test]
fn a_node_says_where_it_is_and_whether_it_takes_pods_and_traffic() {
    let plain = read_as!(
        Node,
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "edge1"}})
    );
    let other = read_as!(
        Node,
        json!({
            "apiVersion": "v1", "kind": "Node", "spec": {"unschedulable": true},
            "metadata": {"name": "edge1", "labels": {
                "topology.kubernetes.io/zone": "z1",
                "node.kubernetes.io/exclude-from-external-load-balancers": "false",
            }},
        })
    );

    assert_eq!(
        (plain.zone(), plain.is_excluded(), plain.unschedulable),
        (None, false, false)
    );
    assert_eq!(
        (other.zone(), other.is_excluded(), other.unschedulable),
        (Some("z1"), true, true)
    );
}
