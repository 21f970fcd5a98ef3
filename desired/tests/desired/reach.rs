//! How far the balancer of a cluster's node goes: traffic policies and hints.

use desired::{Forwarding, Role};
use serde_json::{Value, json};
use types::Family;

use crate::manifests::{advertisement, cilium, node, peer, peer_config, service, slice};
use crate::world::{World, facts};

#[test]
fn with_policy_local_only_backends_on_the_node_are_used() {
    let local = json!({"externalTrafficPolicy": "Local"});
    let here = json!({"nodeName": "edge1"});
    let there = json!({"nodeName": "edge2"});
    let mut world = balancing(local, &[("10.1.0.1", here), ("10.1.0.2", there.clone())]);
    world.all_ready();
    let both = (backends(&world), world.routes("tor", Family::V4));

    world.put(slice("web-1", "IPv4", &[("10.1.0.2", there)]));
    // The planner says so when it has heard of it; here it has not.
    let none = (backends(&world), world.routes("tor", Family::V4));

    assert_eq!(
        both,
        (vec!["10.1.0.1 100".into()], vec!["192.0.2.1/32".into()])
    );
    assert_eq!(none, (vec![], vec![]));
}

#[test]
fn a_node_on_its_own_balances_to_everywhere() {
    let world = World::with([
        service(json!({"externalTrafficPolicy": "Local"}), &["192.0.2.1"]),
        slice(
            "web-1",
            "IPv4",
            &[
                ("10.1.0.1", json!({"nodeName": "edge1"})),
                (
                    "10.1.0.2",
                    json!({"nodeName": "edge2", "hints": {"forZones": [{"name": "z2"}]}}),
                ),
            ],
        ),
    ]);

    assert_eq!(backends(&world), ["10.1.0.1 100", "10.1.0.2 100"]);
}

#[test]
fn hints_count_if_every_endpoint_has_one_and_one_is_for_us() {
    let zones = |names: &[&str]| hint("forZones", names);
    let nodes = |names: &[&str]| hint("forNodes", names);
    let both = json!({"hints": {"forZones": [{"name": "z1"}], "forNodes": [{"name": "edge2"}]}});
    let unready = json!({"conditions": {"ready": false}});
    let ending = json!({"conditions": {"ready": false, "serving": true, "terminating": true}});
    let everywhere = ["10.1.0.1 100", "10.1.0.2 100"];
    let first = ["10.1.0.1 100", "10.1.0.2 0"];
    for (one, two, expected) in [
        (zones(&["z1"]), zones(&["z2"]), &first[..]),
        (zones(&["z1", "z2"]), zones(&["z2"]), &first),
        (zones(&["z3"]), zones(&["z2"]), &everywhere),
        (zones(&["z1"]), json!({}), &everywhere),
        (json!({}), json!({}), &everywhere),
        // One that takes no connections needs no hint, and one that ends stays the last resort.
        (zones(&["z1"]), unready, &["10.1.0.1 100"]),
        (zones(&["z1"]), ending, &everywhere),
        (nodes(&["edge1"]), nodes(&["edge2"]), &first),
        (nodes(&["edge3"]), nodes(&["edge2"]), &everywhere),
        // The node's hints go before its zone's, and are passed over where they lead nowhere.
        (
            hints(&["z2"], &["edge1"]),
            hints(&["z1"], &["edge2"]),
            &first,
        ),
        (both, hints(&["z2"], &["edge2"]), &first),
    ] {
        let world = balancing(
            json!({}),
            &[("10.1.0.1", one.clone()), ("10.1.0.2", two.clone())],
        );

        assert_eq!(backends(&world), expected, "{one} {two}");
    }
}

#[test]
fn a_node_that_changes_its_zone_goes_elsewhere() {
    let endpoints = [
        ("10.1.0.1", hint("forZones", &["z1"])),
        ("10.1.0.2", hint("forZones", &["z2"])),
    ];
    let mut world = balancing(json!({}), &endpoints);

    world.put(in_zone("z2"));
    let moved = backends(&world);
    world.put(node("edge1", json!({}), &["10.0.0.9"]));

    assert_eq!(moved, ["10.1.0.1 0", "10.1.0.2 100"]);
    assert_eq!(backends(&world), ["10.1.0.1 100", "10.1.0.2 100"]);
}

#[test]
fn hints_do_not_count_where_the_policy_is_local() {
    let endpoint = |node: &str| json!({"nodeName": node, "hints": {"forZones": [{"name": "z2"}]}});
    let endpoints = [
        ("10.1.0.1", endpoint("edge1")),
        ("10.1.0.2", endpoint("edge2")),
    ];

    let world = balancing(json!({"externalTrafficPolicy": "Local"}), &endpoints);

    assert_eq!(backends(&world), ["10.1.0.1 100"]);
}

/// A Service `web` that this node, in zone z1, balances to those endpoints and announces.
fn balancing(spec: Value, endpoints: &[(&str, Value)]) -> World {
    World::knowing(facts(Role::Agent, Forwarding::Balancer)).told([
        service(spec, &["192.0.2.1"]),
        slice("web-1", "IPv4", endpoints),
        in_zone("z1"),
        peer_config("tor", json!({})),
        advertisement("ad", "tor", json!({})),
        cilium(
            "CiliumBGPNodeConfig",
            "edge1",
            json!({"bgpInstances": [{"name": "main", "localASN": 65001, "peers": [peer("tor", "tor")]}]}),
        ),
    ])
}

fn in_zone(zone: &str) -> Value {
    let labels = json!({"topology.kubernetes.io/zone": zone});
    node("edge1", labels, &["10.0.0.9"])
}

fn hint(kind: &str, names: &[&str]) -> Value {
    let names: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    json!({"hints": {kind: names}})
}

fn hints(zones: &[&str], nodes: &[&str]) -> Value {
    let [zones, nodes] = [zones, nodes].map(|names| {
        let names = names.iter().map(|name| json!({"name": name}));
        names.collect::<Value>()
    });
    json!({"hints": {"forZones": zones, "forNodes": nodes}})
}

/// The backends' addresses with their weights.
fn backends(world: &World) -> Vec<String> {
    let services = world.applied.services.values();
    let backends = services.flat_map(|service| &service.backends);
    backends
        .map(|(at, backend)| format!("{} {}", at.addr, backend.weight))
        .collect()
}
