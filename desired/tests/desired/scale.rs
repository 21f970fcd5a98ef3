//! One change costs what it concerns, however much else there is.

use std::time::{Duration, Instant};

use desired::{Forwarding, Role};
use serde_json::{Value, json};

use crate::manifests::{
    advertisement, cilium, cluster, named_service, node, peer, peer_config, slice, with,
};
use crate::world::{World, facts, object};

const FEW: usize = 60;
const MANY: usize = 6000;

/// A pass over everything would cost a hundred times as much; a larger map costs a little more.
const MOST: u32 = 12;

#[test]
fn a_change_costs_no_more_among_many_services_and_nodes() {
    for (role, forwarding) in [
        (Role::Standalone, Forwarding::Balancer),
        (Role::Agent, Forwarding::Elsewhere),
        (Role::Agent, Forwarding::Balancer),
        (Role::Operator, Forwarding::Elsewhere),
    ] {
        let mut few = filled(role, forwarding, FEW);
        let mut many = filled(role, forwarding, MANY);
        for (what, change) in CHANGES {
            let [few, many] = [&mut few, &mut many].map(|world| cost(world, *change));

            let most = few.max(Duration::from_micros(20)) * MOST;
            assert!(
                many < most,
                "{role:?} {forwarding:?} {what}: {few:?}, then {many:?}"
            );
        }
    }
}

type Change = fn(u8) -> Value;

/// Each turns something of one Service or node into one thing and back.
const CHANGES: &[(&str, Change)] = &[
    ("a slice", |turn| {
        endpoint(7, if turn == 0 { "10.1.0.1" } else { "10.1.0.2" })
    }),
    ("a service", |turn| {
        one_service(7, if turn == 0 { "Local" } else { "Cluster" })
    }),
    ("a heartbeat", |turn| {
        let version = json!({"resourceVersion": turn.to_string()});
        with(one_node(7), "/metadata", version)
    }),
    ("a heartbeat of this node", |turn| {
        let value = node("edge1", json!({}), &["10.0.0.9"]);
        let version = json!({"resourceVersion": turn.to_string()});
        with(value, "/metadata", version)
    }),
];

/// What the cheapest of several changes costs.
fn cost(world: &mut World, change: Change) -> Duration {
    let turns = [0, 1].map(|turn| {
        let object = object(change(turn));
        api::Delta {
            objects: [(object.key(), Some(object))].into(),
            ..api::Delta::default()
        }
    });
    let costs = (0..20).flat_map(|_| &turns).map(|delta| {
        let begun = Instant::now();
        let changes = world.desired.on_change(delta);
        let cost = begun.elapsed();
        drop(changes);
        cost
    });
    costs.min().expect("several")
}

fn filled(role: Role, forwarding: Forwarding, services: usize) -> World {
    let given = (0..services)
        .flat_map(|number| [one_service(number, "Cluster"), endpoint(number, "10.1.0.1")]);
    let nodes = (0..services / 15 + 10).map(one_node);
    let rest = [
        node("edge1", json!({}), &["10.0.0.9"]),
        cluster("c", json!(null), json!([peer("tor", "tor")])),
        peer_config("tor", json!({})),
        advertisement("ad", "tor", json!({})),
        cilium(
            "CiliumBGPNodeConfig",
            "edge1",
            json!({"bgpInstances": [{"name": "main", "localASN": 65001, "peers": [peer("tor", "tor")]}]}),
        ),
    ];
    let mut world = World::knowing(facts(role, forwarding));
    let objects = given.chain(nodes).chain(rest).map(object);
    world.tell(&api::Delta {
        objects: objects.map(|object| (object.key(), Some(object))).collect(),
        refused: std::collections::BTreeMap::new(),
        shown: std::collections::BTreeMap::new(),
        synced: api::Kind::ALL.into(),
    });
    world.all_ready();
    world
}

fn one_service(number: usize, policy: &str) -> Value {
    let address = format!("192.0.{}.{}", 2 + number / 250, number % 250);
    let spec = json!({"externalTrafficPolicy": policy});
    named_service(&format!("s{number}"), spec, &[&address])
}

fn endpoint(number: usize, address: &str) -> Value {
    let endpoints = [(address, json!({"nodeName": "edge1"}))];
    let value = slice(&format!("s{number}-1"), "IPv4", &endpoints);
    let service = json!({"kubernetes.io/service-name": format!("s{number}")});
    with(value, "/metadata/labels", service)
}

fn one_node(number: usize) -> Value {
    node(&format!("n{number}"), json!({"rack": "r1"}), &["10.0.1.9"])
}
