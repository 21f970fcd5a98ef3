//! What the BGP speaker is told.

use std::time::Duration;

use api::Kind;
use bgp_speaker_core::desired::{ExportChange, Peer};
use desired::{Facts, Reason};
use serde_json::{Value, json};
use types::{Family, ObjectName, Vip};

use crate::manifests::{
    advertisement, cilium, cluster, named_service, node, peer, peer_config, service, slice,
};
use crate::world::World;

#[test]
fn a_peer_has_what_its_config_says() {
    let mut config = peer_config(
        "tor",
        json!({
            "timers": {"holdTimeSeconds": 3, "keepAliveTimeSeconds": 1, "connectRetryTimeSeconds": 5},
            "transport": {"peerPort": 1179}, "ebgpMultihop": 4, "authSecretRef": "tor", "gracefulRestart": {"enabled": true},
        }),
    );
    config["metadata"]["name"] = json!("tor");
    let world = World::with([
        cluster(
            "c",
            json!(null),
            json!([{"name": "tor", "peerASN": 0, "peerAddress": "fe80::1%eth0", "peerConfigRef": {"name": "tor"}}]),
        ),
        config,
        secret(&json!({"password": "hunter2"})),
        node("edge1", json!({}), &["fd00::9", "10.0.0.9"]),
    ]);

    let instance = world.applied.instances.values().next().unwrap();
    let peer = only_peer(&world).unwrap();

    assert_eq!(instance.router_id.to_string(), "10.0.0.9");
    assert_eq!(
        (instance.local_asn.get(), instance.local_port),
        (65001, None)
    );
    assert_eq!(
        (peer.address.to_string().as_str(), peer.scope.as_deref()),
        ("fe80::1", Some("eth0"))
    );
    assert_eq!((peer.port, peer.asn, peer.ebgp_multihop), (1179, None, 4));
    assert_eq!(
        (peer.timers.hold.secs(), peer.timers.keepalive),
        (3, Duration::from_secs(1))
    );
    assert_eq!(peer.graceful_restart, Some(Duration::from_secs(120)));
    assert_eq!(peer.password.as_ref().unwrap().expose(), b"hunter2");
    assert!(peer.families.values().all(Option::is_some) && peer.families.len() == 2);
}

#[test]
fn a_peer_without_a_config_has_the_defaults_and_no_routes() {
    let peers = json!([{"name": "tor", "peerAddress": "192.0.2.254"}]);
    let world = World::with([
        cluster("c", json!(null), peers),
        node("edge1", json!({}), &["10.0.0.9"]),
    ]);

    let peer = only_peer(&world).unwrap();

    assert_eq!(
        *peer,
        Peer {
            families: [(Family::V4, None), (Family::V6, None)].into(),
            ..Peer::new("192.0.2.254".parse().unwrap())
        }
    );
}

#[test]
fn what_cannot_run_is_left_out_with_its_reason() {
    let mut world = World::with([
        cilium(
            "CiliumBGPClusterConfig",
            "c",
            json!({"bgpInstances": [
                {"name": "asn-less"},
                {"name": "main", "localASN": 65001, "peers": [
                    {"name": "address-less"}, peer("config-less", "none"), peer("secret-less", "tor"),
                ]},
            ]}),
        ),
        peer_config("tor", json!({"authSecretRef": "tor"})),
    ]);
    let reasons = |world: &World| {
        let left_out = world.desired.left_out().iter();
        left_out
            .map(|left| format!("{} {:?}: {}", left.instance, left.peer, left.reason))
            .collect::<Vec<_>>()
    };
    let without_address = reasons(&world);

    world.put(node("edge1", json!({}), &["10.0.0.9"]));

    let no_router_id = "main None: no router ID is configured and the node has no IPv4 address";
    assert_eq!(
        without_address,
        ["asn-less None: localASN is not set", no_router_id]
    );
    assert_eq!(
        reasons(&world),
        [
            "asn-less None: localASN is not set",
            "main Some(\"address-less\"): peerAddress is not set",
            "main Some(\"config-less\"): CiliumBGPPeerConfig none is not there",
            "main Some(\"secret-less\"): Secret tor with a password is not there",
        ]
    );
    assert_eq!(only_peer(&world), None);
    world.put(secret(&json!({"password": "x"})));
    assert!(only_peer(&world).is_some());
}

#[test]
fn a_router_id_is_configured_or_the_nodes_or_made_up() {
    let facts = |configured: Option<&str>, spare: Option<&str>| {
        let id = |text: &str| {
            text.parse::<std::net::Ipv4Addr>()
                .unwrap()
                .try_into()
                .unwrap()
        };
        Facts {
            router_id: configured.map(id),
            spare_router_id: spare.map(id),
            ..Facts::new("edge1".parse().unwrap())
        }
    };
    for (facts, address, expected) in [
        (facts(Some("1.1.1.1"), None), "10.0.0.9", Some("1.1.1.1")),
        (facts(None, Some("2.2.2.2")), "10.0.0.9", Some("10.0.0.9")),
        (facts(None, Some("2.2.2.2")), "fd00::9", Some("2.2.2.2")),
        (facts(None, None), "fd00::9", None),
    ] {
        let mut world = World::knowing(facts);
        world.put(cluster("c", json!(null), json!([])));
        world.put(node("edge1", json!({}), &[address]));
        world.sync(Kind::ALL);

        let id = world
            .applied
            .instances
            .values()
            .next()
            .map(|i| i.router_id.to_string());
        assert_eq!(id.as_deref(), expected);
        let left_out = world.desired.left_out().first().map(|left| &left.reason);
        assert_eq!(left_out, expected.is_none().then_some(&Reason::NoRouterId));
    }
}

#[test]
fn a_vip_is_announced_when_it_is_ready_and_not_before() {
    let mut world = flowing(json!({}));
    let vip: Vip = "192.0.2.1:80/TCP".parse().unwrap();
    let before = world.routes("tor", Family::V4);

    world.ready([(vip, true)]);
    let ready = (
        world.routes("tor", Family::V4),
        world.routes("tor", Family::V6),
    );
    world.ready([(vip, false)]);

    assert_eq!(before, Vec::<String>::new());
    assert_eq!(ready, (vec!["192.0.2.1/32".to_owned()], Vec::new()));
    assert_eq!(world.routes("tor", Family::V4), Vec::<String>::new());
}

#[test]
fn a_service_of_several_ports_is_announced_while_any_of_them_is_ready() {
    let ports = json!([{"name": "a", "port": 80}, {"name": "b", "port": 443}]);
    let mut world = flowing(json!({"ports": ports}));
    let [a, b] = ["192.0.2.1:80/TCP", "192.0.2.1:443/TCP"].map(|text| text.parse::<Vip>().unwrap());

    world.ready([(a, true), (b, true)]);
    world.ready([(a, false)]);

    assert_eq!(world.routes("tor", Family::V4), ["192.0.2.1/32"]);
    world.ready([(b, false)]);
    assert_eq!(world.routes("tor", Family::V4), Vec::<String>::new());
}

#[test]
fn a_change_of_an_advertisement_is_a_change_of_routes_alone() {
    let mut world = flowing(json!({}));
    world.all_ready();

    let changes = world.put(advertisement(
        "ad",
        "tor",
        json!({"attributes": {"communities": {"standard": ["7"]}}}),
    ));
    let tagged = world.routes("tor", Family::V4);
    let elsewhere = world.put(advertisement("ad", "other", json!({})));
    let gone = world.routes("tor", Family::V4);
    world.put(advertisement(
        "ad",
        "tor",
        json!({"selector": {"matchLabels": {"team": "b"}}}),
    ));
    let unmatched = world.routes("tor", Family::V4);
    world.put(advertisement("ad", "tor", json!({})));
    let back = world.routes("tor", Family::V4);
    world.remove(Kind::CiliumBGPAdvertisement, ObjectName::of_cluster("ad"));

    assert!(changes.bgp.instances.is_empty() && elsewhere.bgp.instances.is_empty());
    assert_eq!(tagged, ["192.0.2.1/32 7"]);
    assert_eq!((gone, unmatched), (Vec::new(), Vec::new()));
    assert_eq!(back, ["192.0.2.1/32"]);
    assert_eq!(world.routes("tor", Family::V4), Vec::<String>::new());
}

#[test]
fn a_selector_that_is_not_there_announces_nothing() {
    let mut world = flowing(json!({}));
    world.all_ready();

    world.put(advertisement("ad", "tor", json!({"selector": null})));
    let no_service = world.routes("tor", Family::V4);
    world.put(advertisement("ad", "tor", json!({})));
    world.put(cilium(
        "CiliumBGPPeerConfig",
        "tor",
        json!({"families": [{"afi": "ipv4", "safi": "unicast"}]}),
    ));

    assert_eq!(no_service, Vec::<String>::new());
    assert_eq!(
        only_peer(&world).unwrap().families,
        [(Family::V4, None)].into()
    );
    assert!(world.applied.exports.is_empty());
}

#[test]
fn advertisements_of_one_prefix_unite_communities_and_the_largest_preference_wins() {
    let mut world = flowing(json!({}));
    world.put(named_service("api", json!({}), &["192.0.2.2"]));
    let with = |community: &str, preference: Value, length: Value| {
        json!({
            "service": {"addresses": ["LoadBalancerIP"], "aggregationLengthIPv4": length},
            "attributes": {"localPreference": preference, "communities": {"standard": [community]}},
        })
    };
    world.put(advertisement("ad", "tor", with("1", json!(50), json!(24))));
    world.put(advertisement(
        "more",
        "tor",
        with("2", json!(200), json!(24)),
    ));

    world.all_ready();
    let aggregated = world.routes("tor", Family::V4);
    world.remove(Kind::CiliumBGPAdvertisement, ObjectName::of_cluster("more"));
    let fewer = world.routes("tor", Family::V4);
    world.remove(Kind::Service, ObjectName::new("default", "web"));

    assert_eq!(aggregated, ["192.0.2.0/24 1 2 pref 200"]);
    assert_eq!(fewer, ["192.0.2.0/24 1 pref 50"]);
    assert_eq!(
        world.routes("tor", Family::V4),
        ["192.0.2.0/24 1 pref 50"],
        "another service is below it"
    );
}

#[test]
fn a_shorter_prefix_is_announced_before_the_longer_ones_go() {
    let mut world = flowing(json!({}));
    world.all_ready();

    let aggregate =
        json!({"service": {"addresses": ["LoadBalancerIP"], "aggregationLengthIPv4": 0}});
    let changes = world.put(advertisement("ad", "tor", aggregate));

    let [
        ExportChange::Announce { prefix: new, .. },
        ExportChange::Withdraw { prefix: old, .. },
    ] = &changes.bgp.exports[..]
    else {
        panic!("{:?}", changes.bgp.exports);
    };
    assert_eq!(
        (new.to_string(), old.to_string()),
        ("0.0.0.0/0".to_owned(), "192.0.2.1/32".to_owned())
    );
}

#[test]
fn a_local_policy_announces_hosts_where_an_active_backend_is() {
    let mut world = flowing(json!({"externalTrafficPolicy": "Local"}));
    let on = |node: &str, conditions: Value| {
        slice(
            "web-1",
            "IPv4",
            &[
                (
                    "10.1.0.1",
                    json!({"nodeName": node, "conditions": conditions}),
                ),
                ("10.1.0.9", json!({"nodeName": "edge2"})),
            ],
        )
    };
    let aggregate =
        json!({"service": {"addresses": ["LoadBalancerIP"], "aggregationLengthIPv4": 24}});
    world.put(advertisement("ad", "tor", aggregate));
    world.all_ready();

    for (endpoints, announced) in [
        (on("edge1", json!({})), true),
        (on("edge2", json!({})), false),
        (
            on(
                "edge1",
                json!({"ready": false, "serving": true, "terminating": true}),
            ),
            false,
        ),
        (on("edge1", json!({"ready": true})), true),
    ] {
        world.put(endpoints.clone());
        let expected: &[&str] = if announced { &["192.0.2.1/32"] } else { &[] };
        assert_eq!(world.routes("tor", Family::V4), expected, "{endpoints}");
    }
}

#[test]
fn peers_with_the_same_config_name_the_same_routes() {
    let mut world = flowing(json!({}));
    world.put(cluster(
        "c",
        json!(null),
        json!([peer("tor", "tor"), peer("other", "tor")]),
    ));

    let instance = world.applied.instances.values().next().unwrap();
    let families: Vec<_> = instance.peers.values().map(|peer| &peer.families).collect();

    assert_eq!(families[0], families[1]);
    assert_eq!(world.applied.instances.len(), 1);
}

#[test]
fn a_peer_that_changes_its_config_keeps_its_old_routes_until_it_has_the_new_ones() {
    let mut world = flowing(json!({}));
    world.put(advertisement("ad2", "tor2", json!({})));
    world.put(peer_config("tor2", json!({})));
    world.all_ready();

    let changes = world.put(cluster("c", json!(null), json!([peer("tor", "tor2")])));

    assert_eq!(world.routes("tor", Family::V4), ["192.0.2.1/32"]);
    assert!(matches!(
        changes.bgp.exports[..],
        [ExportChange::Announce { .. }]
    ));
    assert_eq!(changes.bgp.instances.len(), 1);
    assert_eq!(changes.bgp.cleared.len(), 2);
}

#[test]
fn a_node_that_is_deselected_runs_no_instance() {
    let mut world = flowing(json!({}));
    let rack = json!({"matchLabels": {"rack": "r1"}});
    world.put(node("edge1", json!({"rack": "r1"}), &["10.0.0.9"]));
    world.put(cluster("c", rack, json!([peer("tor", "tor")])));
    let selected = world.applied.instances.len();

    let changes = world.put(node("edge1", json!({"rack": "r2"}), &["10.0.0.9"]));

    assert_eq!((selected, world.applied.instances.len()), (1, 0));
    assert_eq!(
        changes.bgp.instances.into_values().collect::<Vec<_>>(),
        [None]
    );
    assert_eq!(changes.bgp.exports, []);
    assert_eq!(changes.bgp.cleared.len(), 2);
}

#[test]
fn addresses_of_foreign_classes_are_not_announced() {
    let mut world = flowing(json!({}));
    world.all_ready();
    world.put(service(
        json!({"loadBalancerClass": "io.cilium/l2-announcer"}),
        &["192.0.2.1"],
    ));

    assert_eq!(world.routes("tor", Family::V4), Vec::<String>::new());
    world.put(service(
        json!({"loadBalancerClass": "io.cilium/bgp-control-plane"}),
        &["192.0.2.1"],
    ));
    assert_eq!(world.routes("tor", Family::V4), ["192.0.2.1/32"]);
}

/// A service `web` whose address goes to the peer `tor` of this node as soon as it is ready.
fn flowing(spec: Value) -> World {
    World::with([
        service(spec, &["192.0.2.1"]),
        slice("web-1", "IPv4", &[("10.1.0.1", json!({}))]),
        cluster("c", json!(null), json!([peer("tor", "tor")])),
        peer_config("tor", json!({})),
        advertisement("ad", "tor", json!({})),
        node("edge1", json!({}), &["10.0.0.9"]),
    ])
}

fn secret(data: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tor", "namespace": "kube-system"}, "stringData": data,
    })
}

fn only_peer(world: &World) -> Option<&Peer> {
    world
        .applied
        .instances
        .values()
        .flat_map(|instance| instance.peers.values())
        .next()
}
