//! Peers that depend on this node's routes and addresses.

use std::collections::BTreeMap;

use api::Kind;
use bgp_speaker_core::desired::Peer;
use serde_json::{Value, json};
use types::Family;

use crate::manifests::{cilium, cluster, node, peer_config, with};
use crate::world::World;

#[test]
fn a_default_gateway_is_the_peer_of_its_family() {
    let mut world = with_peer(
        json!({"autoDiscovery": {"mode": "DefaultGateway", "defaultGateway": {"addressFamily": "ipv4"}}}),
        json!({}),
    );
    let without = left_out(&world);

    world.connect(
        [(Family::V6, "fd00::1".parse().unwrap())].into(),
        BTreeMap::new(),
    );
    let other = left_out(&world);
    world.connect(
        [(Family::V4, "10.0.0.254".parse().unwrap())].into(),
        BTreeMap::new(),
    );
    let found = only_peer(&world).unwrap().address;
    world.connect(
        [(Family::V4, "10.0.0.253".parse().unwrap())].into(),
        BTreeMap::new(),
    );

    assert_eq!(without, ["there is no default gateway of ipv4"]);
    assert_eq!(other, without);
    assert_eq!(found.to_string(), "10.0.0.254");
    assert_eq!(only_peer(&world).unwrap().address.to_string(), "10.0.0.253");
    world.connect(BTreeMap::new(), BTreeMap::new());
    assert_eq!(only_peer(&world), None);
}

#[test]
fn a_peer_that_has_an_address_is_not_looked_for() {
    let discovery = json!({"mode": "DefaultGateway", "defaultGateway": {"addressFamily": "ipv4"}});
    let world = with_peer(
        json!({"peerAddress": "192.0.2.254", "autoDiscovery": discovery}),
        json!({}),
    );

    assert_eq!(
        only_peer(&world).unwrap().address.to_string(),
        "192.0.2.254"
    );
}

#[test]
fn a_source_interface_gives_the_only_address_of_the_peers_family() {
    let mut world = with_peer(
        json!({"peerAddress": "192.0.2.254"}),
        json!({"transport": {"sourceInterface": "lo"}}),
    );
    let mut source = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|addr| addr.parse().unwrap());
        world.connect(
            BTreeMap::new(),
            [("lo".to_owned(), addresses.collect())].into(),
        );
        let found = only_peer(&world).and_then(|peer| peer.local_address);
        found.map_or_else(|| left_out(&world).join(""), |addr| addr.to_string())
    };

    assert_eq!(
        source(&["127.0.0.1", "2001:db8::1", "169.254.0.1"]),
        "lo has no address to take as the source"
    );
    assert_eq!(
        source(&["127.0.0.1", "2001:db8::1", "10.0.0.9"]),
        "10.0.0.9"
    );
    assert_eq!(
        source(&["10.0.0.8", "10.0.0.9"]),
        "lo has several addresses to take as the source"
    );
}

#[test]
fn an_override_gives_the_sessions_own_address() {
    let differs = |addr: &str| {
        let peers = json!([{"name": "tor", "localAddress": addr}]);
        cilium(
            "CiliumBGPNodeConfigOverride",
            "edge1",
            json!({"bgpInstances": [{"name": "main", "peers": peers}]}),
        )
    };
    let mut world = with_peer(
        json!({"peerAddress": "192.0.2.254"}),
        json!({"transport": {"sourceInterface": "lo"}}),
    );

    world.put(differs("10.0.0.7"));
    let from = only_peer(&world).unwrap().local_address;
    world.put(differs("fd00::7"));

    assert_eq!(from, "10.0.0.7".parse().ok());
    assert_eq!(
        left_out(&world),
        ["the local address fd00::7 is not of the peer's family"]
    );
}

#[test]
fn an_override_gives_a_node_on_its_own_its_number_and_identifier() {
    let mut world = with_peer(json!({"peerAddress": "192.0.2.254"}), json!({}));
    world.put(cilium(
        "CiliumBGPNodeConfigOverride",
        "edge1",
        json!({"bgpInstances": [{"name": "main", "routerID": "10.9.9.9", "localASN": 65009, "localPort": 179}]}),
    ));

    let instance = world.applied.instances.values().next().unwrap();

    assert_eq!(instance.router_id.to_string(), "10.9.9.9");
    assert_eq!(
        (instance.local_asn.get(), instance.local_port),
        (65009, Some(179))
    );
    assert!(world.applied.node_configs.is_empty());
}

/// A node on its own with one peer `tor` like that, and that in its CiliumBGPPeerConfig.
fn with_peer(more: Value, config: Value) -> World {
    let peer = json!({"name": "tor", "peerConfigRef": {"name": "tor"}});
    let peer = with(peer, "", more);
    let mut world = World::with([
        cluster("c", json!(null), json!([peer])),
        peer_config("tor", config),
        node("edge1", json!({}), &["10.0.0.9"]),
    ]);
    world.sync(Kind::ALL);
    world
}

fn only_peer(world: &World) -> Option<&Peer> {
    let instances = world.applied.instances.values();
    instances
        .flat_map(|instance| instance.peers.values())
        .next()
}

fn left_out(world: &World) -> Vec<String> {
    let left_out = world.desired.left_out().iter();
    left_out.map(|left| left.reason.to_string()).collect()
}
