//! What a node announces where another program forwards.

use std::collections::BTreeMap;

use api::Kind;
use desired::{Facts, Forwarding, Role};
use serde_json::{Value, json};
use types::{Family, ObjectName};

use crate::manifests::{
    advertisement, cilium, cluster, node, peer, peer_config, service, slice, with,
};
use crate::world::{World, facts};

const NOTHING: [&str; 0] = [];

#[test]
fn with_policy_cluster_every_node_announces_endpoints_or_not() {
    let mut world = announcing(json!({}));
    let with_endpoints = world.routes("tor", Family::V4);

    world.remove(Kind::EndpointSlice, ObjectName::new("default", "web-1"));

    assert_eq!(with_endpoints, ["192.0.2.1/32"]);
    assert_eq!(world.routes("tor", Family::V4), ["192.0.2.1/32"]);
    assert!(
        world.applied.services.is_empty(),
        "nothing is balanced here"
    );
}

#[test]
fn without_endpoints_the_flag_and_the_annotation_decide() {
    let ending = json!({"conditions": {"ready": false, "serving": true, "terminating": true}});
    let ended = json!({"conditions": {"ready": false, "serving": false, "terminating": true}});
    let unready = json!({"conditions": {"ready": false}});
    for (announce_empty, annotation, endpoint, announced) in [
        (true, None, None, true),
        (false, None, None, false),
        (false, None, Some(json!({})), true),
        (false, None, Some(ending), true),
        (false, None, Some(ended), false),
        (false, None, Some(unready), false),
        (true, Some("withdraw"), None, false),
        (true, Some("withdraw"), Some(json!({})), true),
        (false, Some("refuse"), None, true),
    ] {
        let mut world = World::knowing(Facts {
            announce_empty,
            ..facts(Role::Standalone, Forwarding::Elsewhere)
        })
        .told(objects(json!({})));
        let mut value = service(json!({}), &["192.0.2.1"]);
        if let Some(annotation) = annotation {
            value["metadata"]["annotations"] = json!({"sluicegate.io/when-empty": annotation});
        }
        world.put(value);

        let endpoints: Vec<(&str, Value)> =
            endpoint.iter().map(|e| ("10.1.0.1", e.clone())).collect();
        world.put(slice("web-1", "IPv4", &endpoints));

        let expected: &[&str] = if announced { &["192.0.2.1/32"] } else { &[] };
        let told = world.routes("tor", Family::V4);
        assert_eq!(
            told, expected,
            "{announce_empty} {annotation:?} {endpoint:?}"
        );
    }
}

#[test]
fn with_policy_local_a_node_announces_while_a_ready_endpoint_is_on_it() {
    let mut world = announcing(json!({"externalTrafficPolicy": "Local"}));
    let aggregate =
        json!({"service": {"addresses": ["LoadBalancerIP"], "aggregationLengthIPv4": 24}});
    world.put(advertisement("ad", "tor", aggregate));
    let here = |conditions: Value| json!({"nodeName": "edge1", "conditions": conditions});
    let there = json!({"nodeName": "edge2"});

    for (endpoint, announced) in [
        (there.clone(), false),
        (here(json!({})), true),
        (here(json!({"ready": false})), false),
        (here(json!({"ready": true})), true),
        (
            here(json!({"ready": false, "serving": true, "terminating": true})),
            false,
        ),
        (json!({}), false),
    ] {
        let endpoints = [("10.1.0.1", endpoint.clone()), ("10.1.0.2", there.clone())];
        world.put(slice("web-1", "IPv4", &endpoints));

        // Aggregation does not count: another node may have the other half.
        let expected: &[&str] = if announced { &["192.0.2.1/32"] } else { &[] };
        assert_eq!(world.routes("tor", Family::V4), expected, "{endpoint}");
    }
}

#[test]
fn each_family_of_a_local_service_goes_by_its_own_endpoints() {
    let mut world = announcing(json!({"externalTrafficPolicy": "Local"}));
    world.put(service(
        json!({"externalTrafficPolicy": "Local"}),
        &["192.0.2.1", "2001:db8::1"],
    ));
    let here = json!({"nodeName": "edge1"});

    world.put(slice("web-6", "IPv6", &[("fd01::1", here.clone())]));
    let only_v6 = [Family::V4, Family::V6].map(|family| world.routes("tor", family));
    world.put(slice("web-1", "IPv4", &[("10.1.0.1", here)]));

    assert_eq!(only_v6, [vec![], vec!["2001:db8::1/128".to_owned()]]);
    assert_eq!(world.routes("tor", Family::V4), ["192.0.2.1/32"]);
}

#[test]
fn each_kind_of_address_has_its_own_rules() {
    let spec = json!({
        "clusterIP": "10.96.0.1", "externalIPs": ["198.51.100.1"], "internalTrafficPolicy": "Local",
    });
    let mut world = announcing(spec.clone());
    let all = json!({"service": {"addresses": ["LoadBalancerIP", "ClusterIP", "ExternalIP"]}});
    world.put(advertisement("ad", "tor", all));
    let like = |more: Value| service(with(spec.clone(), "", more), &["192.0.2.1"]);

    // No endpoint is here, so the cluster address is not announced.
    assert_eq!(
        world.routes("tor", Family::V4),
        ["192.0.2.1/32", "198.51.100.1/32"]
    );
    world.put(slice(
        "web-1",
        "IPv4",
        &[("10.1.0.1", json!({"nodeName": "edge1"}))],
    ));
    assert_eq!(
        world.routes("tor", Family::V4),
        ["10.96.0.1/32", "192.0.2.1/32", "198.51.100.1/32"]
    );
    // The class says who announces what was given, and nothing of the other addresses.
    world.put(like(json!({"loadBalancerClass": "io.cilium/l2-announcer"})));
    assert_eq!(
        world.routes("tor", Family::V4),
        ["10.96.0.1/32", "198.51.100.1/32"]
    );
    world.put(like(
        json!({"loadBalancerClass": "io.cilium/bgp-control-plane"}),
    ));
    assert_eq!(world.routes("tor", Family::V4).len(), 3);
    // An address that is left from another type is nobody's.
    world.put(like(json!({"type": "ClusterIP"})));
    assert_eq!(
        world.routes("tor", Family::V4),
        ["10.96.0.1/32", "198.51.100.1/32"]
    );
    world.put(like(
        json!({"type": "ExternalName", "externalName": "example.org"}),
    ));
    assert_eq!(world.routes("tor", Family::V4), NOTHING);
}

#[test]
fn a_node_that_is_excluded_announces_no_service_and_keeps_its_pods() {
    let label = "node.kubernetes.io/exclude-from-external-load-balancers";
    for forwarding in [Forwarding::Elsewhere, Forwarding::Balancer] {
        let mut world =
            World::knowing(facts(Role::Standalone, forwarding)).told(objects(json!({})));
        world.all_ready();
        world.put(pods("pods"));
        let before = world.routes("tor", Family::V4);

        world.put(with_pods(node(
            "edge1",
            json!({label: "false"}),
            &["10.0.0.9"],
        )));
        let excluded = (world.routes("tor", Family::V4), world.desired.remark());
        world.put(with_pods(node("edge1", json!({}), &["10.0.0.9"])));

        assert_eq!(before, ["192.0.2.1/32"]);
        assert_eq!(excluded.0, ["10.8.1.0/24"]);
        assert_eq!(
            excluded.1.unwrap(),
            format!("the label {label} keeps addresses of Services from being announced")
        );
        assert_eq!(
            world.routes("tor", Family::V4),
            ["10.8.1.0/24", "192.0.2.1/32"]
        );
        assert_eq!(world.desired.remark(), None);
    }
}

#[test]
fn a_cordoned_node_goes_on_and_says_so() {
    let mut world = announcing(json!({}));
    let mut cordoned = node("edge1", json!({}), &["10.0.0.9"]);
    cordoned["spec"] = json!({"unschedulable": true});

    let changes = world.put(cordoned);

    assert_eq!(changes.bgp, desired::BgpChanges::default());
    assert_eq!(world.routes("tor", Family::V4), ["192.0.2.1/32"]);
    assert_eq!(
        world.desired.remark().unwrap(),
        "the node is cordoned; addresses of Services with traffic policy Cluster stay announced, \
         those with Local as long as there are ready endpoints on it"
    );
}

#[test]
fn prefixes_of_pods_are_announced_with_what_the_advertisement_says() {
    let mut world = announcing(json!({}));
    world.put(with_pods(node("edge1", json!({}), &["10.0.0.9"])));
    world.remove(Kind::CiliumBGPAdvertisement, ObjectName::of_cluster("ad"));

    world.put(pods("one"));
    let mut tagged = pods("two");
    tagged["spec"]["advertisements"][0]["attributes"] =
        json!({"localPreference": 200, "communities": {"standard": ["7"]}});
    world.put(tagged);
    let both = [Family::V4, Family::V6].map(|family| world.routes("tor", family));
    world.remove(Kind::CiliumBGPAdvertisement, ObjectName::of_cluster("two"));
    let one = world.routes("tor", Family::V4);
    world.put(node("edge1", json!({}), &["10.0.0.9"]));

    assert_eq!(
        both,
        [["10.8.1.0/24 7 pref 200"], ["fd08:1::/64 7 pref 200"]]
    );
    assert_eq!(one, ["10.8.1.0/24"]);
    assert_eq!(world.routes("tor", Family::V4), NOTHING);
}

#[test]
fn addresses_of_an_interface_are_announced_while_it_is_up() {
    let mut world = announcing(json!({}));
    world.put(labelled(cilium(
        "CiliumBGPAdvertisement",
        "ad",
        json!({"advertisements": [{"advertisementType": "Interface", "interface": {"name": "lo"}}]}),
    )));
    let addresses = [
        "127.0.0.1",
        "::1",
        "192.0.2.77",
        "2001:db8::77",
        "fe80::1",
        "ff02::1",
        "::ffff:192.0.2.78",
    ];
    let addresses = addresses.map(|addr| addr.parse().unwrap());
    let lo = ("lo".to_owned(), addresses.into());
    let eth0 = || ("eth0".to_owned(), ["10.0.0.9".parse().unwrap()].into());
    let before = world.routes("tor", Family::V4);

    world.connect(BTreeMap::new(), [lo, eth0()].into());
    let up = [Family::V4, Family::V6].map(|family| world.routes("tor", family));
    world.connect(BTreeMap::new(), [eth0()].into());

    assert_eq!(before, NOTHING);
    assert_eq!(up, [["192.0.2.77/32"], ["2001:db8::77/128"]]);
    assert_eq!(world.routes("tor", Family::V6), NOTHING);
}

#[test]
fn a_prefix_of_pods_and_one_of_a_service_are_one_route() {
    let mut world = announcing(json!({}));
    let mut place = node("edge1", json!({}), &["10.0.0.9"]);
    place["spec"] = json!({"podCIDRs": ["192.0.2.1/32"]});
    world.put(place);
    let mut pods = pods("pods");
    pods["spec"]["advertisements"][0]["attributes"] = json!({"localPreference": 50});
    world.put(pods);
    let tagged = json!({"attributes": {"communities": {"standard": ["7"]}}});
    world.put(advertisement("ad", "tor", tagged));
    let both = world.routes("tor", Family::V4);

    world.remove(Kind::Service, ObjectName::new("default", "web"));

    assert_eq!(both, ["192.0.2.1/32 7 pref 50"]);
    assert_eq!(world.routes("tor", Family::V4), ["192.0.2.1/32 pref 50"]);
}

#[test]
fn addresses_that_the_balancer_has_not_are_named_where_it_forwards() {
    let condition = "sluicegate.io/NotEnforced";
    let all = json!({"service": {"addresses": ["LoadBalancerIP", "ExternalIP"]}});
    let said = |forwarding| {
        let world = World::knowing(facts(Role::Operator, forwarding)).told([advertisement(
            "ad",
            "tor",
            all.clone(),
        )]);
        world.says(Kind::CiliumBGPAdvertisement, "ad", condition)
    };

    assert_eq!(said(Forwarding::Elsewhere), None);
    assert_eq!(
        said(Forwarding::Balancer).as_deref(),
        Some(
            "True FieldsNotEnforced: spec.advertisements[0].service.addresses: only LoadBalancerIP is announced, \
             as the others are not balanced here"
        )
    );
}

#[test]
fn annotations_for_the_balancer_are_named_where_another_program_forwards() {
    let annotations = json!({
        "sluicegate.io/health-check": "tcp", "sluicegate.io/idle-timeout": "10m", "sluicegate.io/quarantine": "1s",
        "sluicegate.io/maglev-table-size": "251", "sluicegate.io/when-empty": "refuse",
    });
    let value = service(json!({"sessionAffinity": "ClientIP"}), &["192.0.2.1"]);
    let value = with(value, "/metadata", json!({"annotations": annotations}));
    let said = |forwarding| {
        let world = World::knowing(facts(Role::Operator, forwarding)).told([value.clone()]);
        world.says(Kind::Service, "web", "sluicegate.io/NotEnforced")
    };

    assert_eq!(
        said(Forwarding::Elsewhere).as_deref(),
        Some(
            "True FieldsNotEnforced: metadata.annotations[\"sluicegate.io/health-check\"]: another program balances; \
             metadata.annotations[\"sluicegate.io/idle-timeout\"]: another program balances; \
             metadata.annotations[\"sluicegate.io/quarantine\"]: another program balances; \
             metadata.annotations[\"sluicegate.io/maglev-table-size\"]: another program balances"
        )
    );
    assert_eq!(
        said(Forwarding::Balancer).as_deref(),
        Some(
            "True FieldsNotEnforced: spec.sessionAffinity: connections of one client are spread over the backends"
        )
    );
}

/// A Service `web` whose address this node announces to the peer `tor`; an endpoint is elsewhere.
fn announcing(spec: Value) -> World {
    World::knowing(facts(Role::Standalone, Forwarding::Elsewhere)).told(objects(spec))
}

fn objects(spec: Value) -> [Value; 6] {
    [
        service(spec, &["192.0.2.1"]),
        slice(
            "web-1",
            "IPv4",
            &[("10.1.0.1", json!({"nodeName": "edge2"}))],
        ),
        cluster("c", json!(null), json!([peer("tor", "tor")])),
        peer_config("tor", json!({})),
        advertisement("ad", "tor", json!({})),
        node("edge1", json!({}), &["10.0.0.9"]),
    ]
}

fn pods(name: &str) -> Value {
    let spec = json!({"advertisements": [{"advertisementType": "PodCIDR"}]});
    labelled(cilium("CiliumBGPAdvertisement", name, spec))
}

fn labelled(advertisement: Value) -> Value {
    with(advertisement, "/metadata", json!({"labels": {"to": "tor"}}))
}

fn with_pods(node: Value) -> Value {
    let cidrs = json!({"podCIDRs": ["10.8.1.0/24", "fd08:1::/64"]});
    with(node, "", json!({"spec": cidrs}))
}
