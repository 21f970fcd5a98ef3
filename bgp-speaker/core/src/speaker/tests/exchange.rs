//! What is advertised, and what becomes of what is received.

use std::net::Ipv4Addr;

use bgp_speaker_packet::{
    Attributes, NextHop, PathAttributes, RouteRefresh, UpdateBuilder, write_end_of_rib,
};
use types::{Family, Prefix};

use super::remote::{LOCAL, World, asn, ends, key, offer, peer};
use crate::desired::{self, ExportChange, ExportId};
use crate::{Action, Event, NextHops, SessionState, Unreachable};

const EXPORT: ExportId = ExportId(1);

#[test]
fn an_external_peer_hears_our_as_and_no_local_preference() {
    let mut world = World::new([("tor", peer("10.0.0.2", 65000, 1))]);
    let rich = desired::Attributes {
        local_pref: Some(200),
        communities: [0xffff_0000, 65001 << 16 | 7].into(),
        large: [(65001, 1, 2)].into(),
        ..desired::Attributes::default()
    };
    announce(&mut world, "192.0.2.1/32", &rich);

    let connection = world.establish("tor", offer(65000, 2), ends());
    world.drain();

    let heard = &world.remotes[&connection].routes[&prefix("192.0.2.1/32")];
    assert_eq!(heard.next_hop, NextHop::V4("10.0.0.1".parse().unwrap()));
    assert_eq!(
        heard.attributes,
        written(&PathAttributes {
            as_path: vec![asn(LOCAL)],
            communities: vec![65001 << 16 | 7, 0xffff_0000],
            large_communities: vec![[65001, 1, 2]],
            ..PathAttributes::default()
        })
    );
}

#[test]
fn an_internal_peer_hears_a_local_preference_and_no_as() {
    let mut world = World::new([("rr", peer("10.0.0.2", LOCAL, 1))]);
    let liked = desired::Attributes {
        local_pref: Some(200),
        ..desired::Attributes::default()
    };
    announce(&mut world, "192.0.2.1/32", &liked);
    announce(&mut world, "192.0.2.2/32", &desired::Attributes::default());

    let connection = world.establish("rr", offer(LOCAL, 2), ends());
    world.drain();

    for (text, preference) in [("192.0.2.1/32", 200), ("192.0.2.2/32", 100)] {
        let heard = &world.remotes[&connection].routes[&prefix(text)];
        let expected = PathAttributes {
            local_pref: Some(preference),
            ..PathAttributes::default()
        };
        assert_eq!(heard.attributes, written(&expected), "{text}");
    }
}

#[test]
fn ipv6_routes_over_an_ipv4_session_lead_to_the_interfaces_ipv6_address() {
    let mut world = World::new([("tor", peer("10.0.0.2", 65000, 1))]);
    announce(
        &mut world,
        "2001:db8:f::1/128",
        &desired::Attributes::default(),
    );

    let connection = world.establish("tor", offer(65000, 2), ends());
    world.drain();

    let heard = &world.remotes[&connection].routes[&prefix("2001:db8:f::1/128")];
    assert_eq!(heard.next_hop.to_string(), "2001:db8::1");
}

#[test]
fn a_family_without_a_next_hop_is_not_advertised_until_there_is_one() {
    let mut world = World::new([("tor", peer("10.0.0.2", 65000, 1))]);
    announce(
        &mut world,
        "2001:db8:f::1/128",
        &desired::Attributes::default(),
    );
    let mut bare = ends();
    bare.next_hops = NextHops::default();

    let connection = world.establish("tor", offer(65000, 2), bare);
    world.event(Event::Ready);
    world.drain();
    assert!(world.remotes[&connection].routes.is_empty());
    assert!(!world.remotes[&connection].end_of_rib.contains(&Family::V6));
    let view = world.speaker.peers().next().unwrap().families[1];
    assert_eq!(view.unreachable, Some(Unreachable::NoIpv6));

    let next_hops = ends().next_hops;
    world.event(Event::NextHops {
        connection,
        next_hops,
    });
    world.drain();
    assert_eq!(world.remotes[&connection].routes.len(), 1);
    assert!(world.remotes[&connection].end_of_rib.contains(&Family::V6));

    let next_hops = NextHops::default();
    world.event(Event::NextHops {
        connection,
        next_hops,
    });
    world.drain();
    assert!(world.remotes[&connection].routes.is_empty());
}

#[test]
fn end_of_rib_waits_until_everything_is_in_place_and_follows_the_routes() {
    let mut world = World::new([("tor", peer("10.0.0.2", 65000, 1))]);
    announce(&mut world, "192.0.2.1/32", &desired::Attributes::default());
    let connection = world.establish("tor", offer(65000, 2), ends());
    world.drain();
    assert_eq!(world.remotes[&connection].routes.len(), 1);
    assert!(world.remotes[&connection].end_of_rib.is_empty());

    announce(&mut world, "192.0.2.2/32", &desired::Attributes::default());
    world.event(Event::Ready);
    world.pull(connection, 1);
    assert!(world.remotes[&connection].end_of_rib.is_empty());
    assert_eq!(world.remotes[&connection].routes.len(), 2);

    world.drain();
    assert_eq!(world.remotes[&connection].end_of_rib.len(), 2);
}

#[test]
fn what_is_received_is_counted_and_goes_nowhere() {
    let mut world = World::new([
        ("one", peer("10.0.0.2", 65000, 1)),
        ("two", peer("10.0.0.3", 65000, 1)),
    ]);
    let one = world.establish("one", offer(65000, 2), ends());
    let two = world.establish("two", offer(65000, 3), ends());

    world.bytes(one, &theirs(&["203.0.113.0/24", "198.51.100.0/24"]));
    let mut end = Vec::new();
    write_end_of_rib(&mut end, Family::V4);
    world.bytes(one, &end);
    world.drain();

    assert!(world.remotes[&two].routes.is_empty());
    let view = world.speaker.peers().next().unwrap().families[0];
    assert_eq!((view.received, view.advertised), (2, 0));
    assert!(view.end_of_rib_received);
    assert_eq!(
        world.speaker.available(&"main".into(), Family::V4).count(),
        0
    );
    let received: Vec<_> = world.speaker.received(&key("one"), Family::V4).collect();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].key.neighbor, Some(asn(65000)));
}

#[test]
fn the_tables_are_empty_when_the_sessions_are_gone() {
    let mut world = World::new([("tor", peer("10.0.0.2", 65000, 1))]);
    announce(&mut world, "192.0.2.1/32", &desired::Attributes::default());
    let connection = world.establish("tor", offer(65000, 2), ends());
    world.drain();
    world.bytes(connection, &theirs(&["203.0.113.0/24"]));
    world.bytes(connection, &theirs(&["203.0.113.0/24"]));
    assert_eq!(world.speaker.sizes().prefixes, 2);
    assert_eq!(world.speaker.sizes().attributes, 2);

    world.lose(connection);
    world.event(Event::Exports(vec![ExportChange::Clear(EXPORT)]));
    while world.speaker.work(1) {}

    assert_eq!(world.speaker.sizes(), crate::Sizes::default());
}

#[test]
fn a_route_refresh_brings_the_family_again() {
    let mut world = World::new([("tor", peer("10.0.0.2", 65000, 1))]);
    announce(&mut world, "192.0.2.1/32", &desired::Attributes::default());
    announce(
        &mut world,
        "2001:db8:f::1/128",
        &desired::Attributes::default(),
    );
    let connection = world.establish("tor", offer(65000, 2), ends());
    world.drain();
    world.remotes.get_mut(&connection).unwrap().routes.clear();

    let mut refresh = Vec::new();
    RouteRefresh::request(Family::V4).write(&mut refresh);
    world.bytes(connection, &refresh);
    world.drain();

    let again: Vec<_> = world.remotes[&connection].routes.keys().copied().collect();
    assert_eq!(again, [prefix("192.0.2.1/32")]);
}

#[test]
fn another_export_is_updates_only() {
    let mut world = World::new([("tor", peer("10.0.0.2", 65000, 1))]);
    announce(&mut world, "192.0.2.1/32", &desired::Attributes::default());
    world.event(Event::Exports(vec![ExportChange::Announce {
        export: ExportId(2),
        prefix: prefix("192.0.2.2/32"),
        attributes: desired::Attributes::default(),
    }]));
    let connection = world.establish("tor", offer(65000, 2), ends());
    world.drain();

    world.instance.peers = [("tor".into(), peer("10.0.0.2", 65000, 2))].into();
    world.configure();
    world.drain();

    let routes: Vec<_> = world.remotes[&connection].routes.keys().copied().collect();
    assert_eq!(routes, [prefix("192.0.2.2/32")]);
    let updates = world.remotes[&connection].updates;
    world.configure();
    world.drain();
    assert_eq!(
        world.remotes[&connection].updates, updates,
        "nothing had changed"
    );
}

#[test]
fn a_withdrawal_packed_for_one_peer_is_not_sent_to_another_that_lacks_the_route() {
    let other = |address, export| peer(address, 65000, export);
    let mut world = World::new([
        ("a", other("10.0.0.2", 1)),
        ("b", other("10.0.0.3", 2)),
        ("c", other("10.0.0.4", 1)),
    ]);
    let plain = desired::Attributes::default();
    let target = |world: &mut World, name: &str| {
        let moved = world.instance.peers.get_mut(&name.into()).unwrap();
        moved.families.insert(Family::V4, Some(ExportId(2)));
        world.configure();
        world.drain();
    };
    announce(&mut world, "192.0.2.1/32", &plain);
    world.establish("a", offer(65000, 2), ends());
    world.establish("b", offer(65000, 3), ends());
    world.drain();
    target(&mut world, "a");

    // The name of the first prefix is free now, and the second one gets it.
    let (export, gone) = (EXPORT, prefix("192.0.2.1/32"));
    world.event(Event::Exports(vec![ExportChange::Withdraw {
        export,
        prefix: gone,
    }]));
    announce(&mut world, "192.0.2.2/32", &plain);
    let connection = world.establish("c", offer(65000, 4), ends());
    world.drain();
    target(&mut world, "c");

    assert!(world.remotes[&connection].routes.is_empty());
}

#[test]
fn a_thousand_routes_are_one_message_and_equal_peers_share_it() {
    let peers = ["10.0.0.2", "10.0.0.3"].map(|address| peer(address, 65000, 1));
    let [one, two] = peers;
    let mut world = World::new([("one", one), ("two", two)]);
    let changes = (0..900u32).map(|host| ExportChange::Announce {
        export: EXPORT,
        prefix: Prefix::host(Ipv4Addr::from(0xc000_0200 + host * 256).into()),
        attributes: desired::Attributes::default(),
    });
    world.event(Event::Exports(changes.collect()));

    for name in ["one", "two"] {
        let connection = world.establish(name, offer(65000, 2), ends());
        world.drain();
        assert_eq!(world.remotes[&connection].routes.len(), 900);
        assert_eq!(world.remotes[&connection].updates, 2);
    }
}

#[test]
fn attributes_too_long_for_a_message_withdraw_the_route() {
    let mut world = World::new([("tor", peer("10.0.0.2", 65000, 1))]);
    announce(&mut world, "192.0.2.1/32", &desired::Attributes::default());
    let connection = world.establish("tor", offer(65000, 2), ends());
    world.drain();
    assert_eq!(world.remotes[&connection].routes.len(), 1);

    let long = desired::Attributes {
        communities: (0..2000).collect(),
        ..desired::Attributes::default()
    };
    announce(&mut world, "192.0.2.1/32", &long);
    world.drain();

    assert!(world.remotes[&connection].routes.is_empty());
    assert_eq!(
        world.speaker.peers().next().unwrap().families[0].advertised,
        0
    );
}

#[test]
fn routes_are_shown_as_each_peer_was_told_them() {
    let mut world = World::new([("tor", peer("10.0.0.2", 65000, 1))]);
    announce(&mut world, "192.0.2.1/32", &desired::Attributes::default());
    world.establish("tor", offer(65000, 2), ends());
    world.drain();

    let available: Vec<_> = world
        .speaker
        .available(&"main".into(), Family::V4)
        .collect();
    let advertised: Vec<_> = world.speaker.advertised(&key("tor"), Family::V4).collect();

    assert_eq!(available[0].next_hop, None);
    assert_eq!(available[0].since, Some(world.now));
    assert_eq!(advertised[0].next_hop.to_string(), "10.0.0.1");
    assert_eq!(advertised[0].attributes.as_path, [asn(LOCAL)]);
}

#[test]
fn a_malformed_update_ends_the_session_and_takes_its_routes() {
    let mut world = World::new([("tor", peer("10.0.0.2", 65000, 1))]);
    let connection = world.establish("tor", offer(65000, 2), ends());
    world.bytes(connection, &theirs(&["203.0.113.0/24"]));

    // An UPDATE whose withdrawn routes are longer than the message.
    let mut bad = vec![0xff; 16];
    bad.extend_from_slice(&[0, 23, 2, 0xff, 0xff, 0, 0]);
    world.bytes(connection, &bad);

    let view = world.speaker.peers().next().unwrap();
    assert_eq!(view.state, SessionState::Idle);
    let reason = &view.last_error.unwrap().reason;
    assert!(
        reason.contains("UPDATE error: malformed attribute list"),
        "{reason}"
    );
    assert!(world.log.contains(&Action::Close { connection }));
}

fn announce(world: &mut World, text: &str, attributes: &desired::Attributes) {
    world.event(Event::Exports(vec![ExportChange::Announce {
        export: EXPORT,
        prefix: prefix(text),
        attributes: attributes.clone(),
    }]));
}

/// An UPDATE of an external peer.
fn theirs(prefixes: &[&str]) -> Vec<u8> {
    let mut canonical = Vec::new();
    PathAttributes {
        as_path: vec![asn(65000)],
        ..PathAttributes::default()
    }
    .write(&mut canonical);
    let dialect = bgp_speaker_packet::Dialect {
        peering: bgp_speaker_packet::Peering::External,
        four_octet_as: true,
        families: bgp_speaker_packet::Families::BOTH,
        extended_next_hop: true,
        limit: bgp_speaker_packet::MessageLimit::Standard,
    };
    let next_hop = NextHop::V4("10.0.0.2".parse().unwrap());
    let attributes = Attributes::from_canonical(&canonical);
    let mut out = Vec::new();
    let mut update =
        UpdateBuilder::announce(&mut out, &dialect, Family::V4, attributes, &next_hop).unwrap();
    assert!(prefixes.iter().all(|text| update.push(&prefix(text))));
    update.finish();
    out
}

fn written(attributes: &PathAttributes) -> Vec<u8> {
    let mut out = Vec::new();
    attributes.write(&mut out);
    out
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}
