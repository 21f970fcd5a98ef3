//! What happens to each kind of packet, on the host; another implementation reads the results.

use crate::support::packets::{OURS, ROUTER, between, ip_of};
use crate::support::tables::Tables;
use crate::support::world::{
    CLIENT, CLIENT_6, CROSS, CROSS_6, FAMILIES, FAR, NEAR, VIP, VIP_6, World,
};
use crate::support::world::{corpus, error_about, port};
use crate::support::{Action, apply};
use bpf_common::DropReason;
use pnet_packet::Packet as _;
use pnet_packet::icmpv6::Icmpv6Packet;
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;
use wire::tcp_flags::{ACK, SYN};
use xdp_l4lb_common::layout::Counter;
use xdp_l4lb_common::{Answer, Exit, Fast, Forward, Frame, Verdict, Work, decide, fast, general};

#[test]
fn a_packet_is_encapsulated_whole_and_reaches_the_backends_station() {
    let world = World::new();
    let sent = between(CLIENT, VIP).tcp((40_000, port::WEB), ACK, 1, &[9; 33]);

    let (action, out) = sent_through(&world.tables, &sent);

    assert_eq!(action, Action::Transmit);
    assert_eq!(out[..6], NEAR);
    assert_eq!(out[6..12], OURS);
    let outer = Ipv4Packet::new(ip_of(&out)).unwrap();
    assert_eq!(outer.get_checksum(), pnet_packet::ipv4::checksum(&outer));
    assert_eq!(outer.get_destination().octets(), [10, 1, 0, 5]);
    assert_eq!(outer.get_source().octets()[..2], [10, 200]);
    assert_eq!(outer.get_next_level_protocol().0, 4);
    assert_eq!(outer.get_ttl(), 64);
    assert_eq!(outer.payload(), ip_of(&sent));
}

#[test]
fn each_family_travels_in_each_family() {
    let world = World::new();
    for (client, vip, outer_v6) in [
        (CLIENT, VIP, false),
        (CLIENT, CROSS, true),
        (CLIENT_6, VIP_6, true),
        (CLIENT_6, CROSS_6, false),
    ] {
        let sent = between(client, vip).tcp((40_000, port::WEB), ACK, 1, &[9; 33]);

        let (action, out) = sent_through(&world.tables, &sent);

        assert_eq!(action, Action::Transmit);
        let inner = if outer_v6 {
            let outer = Ipv6Packet::new(ip_of(&out)).unwrap();
            assert_eq!(outer.get_hop_limit(), 64);
            assert_eq!(
                outer.get_source().octets()[..8],
                [0xfd, 0, 0, 0, 0, 0, 0x20, 0]
            );
            assert_eq!(outer.get_next_header().0, if vip == CROSS { 4 } else { 41 });
            outer.payload().to_vec()
        } else {
            let outer = Ipv4Packet::new(ip_of(&out)).unwrap();
            assert_eq!(
                outer.get_next_level_protocol().0,
                if vip == CROSS_6 { 41 } else { 4 }
            );
            outer.payload().to_vec()
        };
        assert_eq!(inner, ip_of(&sent), "{vip}");
    }
}

#[test]
fn what_a_link_appended_does_not_travel_on() {
    let world = World::new();
    for (client, vip) in FAMILIES {
        let sent = between(client, vip).tcp((40_000, port::WEB), ACK, 1, &[]);
        let mut padded = sent.clone();
        padded.extend([0xee; 6]);

        assert_eq!(
            sent_through(&world.tables, &padded),
            sent_through(&world.tables, &sent)
        );
    }
}

#[test]
fn dscp_and_ecn_are_copied_outwards() {
    let world = World::new();
    for (client, vip) in FAMILIES {
        for class in [0, 0xb8, 0x02, 0x03, 0xff] {
            let mut from = between(client, vip);
            from.traffic_class = class;
            let (_, out) = sent_through(&world.tables, &from.udp((1, port::WEB), &[]));

            let outer = match vip {
                VIP => out[15],
                _ => Ipv6Packet::new(ip_of(&out)).unwrap().get_traffic_class(),
            };
            assert_eq!(outer, class);
        }
    }
}

#[test]
fn the_outer_source_follows_the_flow_and_not_the_flow_label() {
    let world = World::new();
    let source = |port: u16, label: u8| {
        let mut sent = between(CLIENT_6, VIP_6).udp((port, port::WEB), &[]);
        sent[17] = label;
        let (_, out) = sent_through(&world.tables, &sent);
        let outer = Ipv6Packet::new(ip_of(&out)).unwrap();
        (outer.get_source(), outer.get_flow_label())
    };

    assert_eq!(source(1, 0), source(1, 99));
    let all: std::collections::BTreeSet<_> = (1..200).map(|port| source(port, 0)).collect();
    assert!(all.len() > 195);
}

#[test]
fn the_next_hop_is_the_router_that_sent_it_or_the_backends_own() {
    let world = World::new();
    for (client, vip) in FAMILIES {
        let to = |port| forward(&world.tables, &between(client, vip).udp((1, port), &[]));

        assert_eq!(
            (to(port::WEB).exit, to(port::WEB).dst_mac),
            (Exit::Back, NEAR)
        );
        assert_eq!(
            (to(port::OFF_LINK).exit, to(port::OFF_LINK).dst_mac),
            (Exit::Back, ROUTER)
        );
        let elsewhere = to(port::ELSEWHERE);
        assert_eq!((elsewhere.exit, elsewhere.dst_mac), (Exit::Through(2), FAR));
        assert_eq!(elsewhere.src_mac, [2, 0, 0, 0, 0, 0xe2]);
    }
}

#[test]
fn what_cannot_be_forwarded_is_dropped_for_a_reason() {
    let world = World::new();
    let mut still = between(CLIENT, VIP);
    still.hops = 0;
    let mut fragment = between(CLIENT, VIP);
    fragment.fragment = 0x2000;
    let udp = |port| between(CLIENT, VIP).udp((1, port), &[0; 9]);
    let cut = &udp(port::WEB)[..40];

    for (frame, reason) in [
        (udp(port::GONE), DropReason::BackendGone),
        (udp(port::UNRESOLVED), DropReason::NoNextHop),
        (udp(port::NO_LINK), DropReason::NoDevice),
        (udp(port::UNSERVED), DropReason::UnservedPort),
        (udp(port::EMPTY), DropReason::UnservedPort),
        (
            between(CLIENT, VIP).tcp((1, port::EMPTY), SYN, 1, &[]),
            DropReason::NoBackend,
        ),
        (still.udp((1, port::WEB), &[]), DropReason::HopLimit),
        (fragment.udp((1, port::WEB), &[]), DropReason::Fragment),
        (cut.to_vec(), DropReason::Malformed),
        (
            between(CLIENT, VIP).frame(47, &[0; 30]),
            DropReason::UnsupportedProtocol,
        ),
        (
            between(CLIENT, VIP).icmp(13, 0, [0; 4], &[]),
            DropReason::UnsupportedIcmp,
        ),
        (
            between(CLIENT_6, VIP_6).extended(44, 17).udp((1, 80), &[]),
            DropReason::Fragment,
        ),
        (
            crate::support::packets::tagged(&udp(port::WEB), 1),
            DropReason::VlanTagged,
        ),
        (
            crate::support::packets::tagged(&udp(port::WEB), 2),
            DropReason::VlanTagged,
        ),
        (
            error_about(CLIENT, VIP, (port::UNSERVED, 1)),
            DropReason::UnrelatedIcmp,
        ),
    ] {
        assert_eq!(verdict(&world.tables, &frame), Verdict::Drop(reason));
    }
}

#[test]
fn what_is_for_no_vip_is_passed_whatever_it_is() {
    let world = World::new();
    let mut fragment = between(CLIENT, "192.0.2.99");
    fragment.fragment = 0x2000;
    for frame in [
        between(CLIENT, "192.0.2.99").udp((1, 80), &[]),
        between(CLIENT_6, "2001:db8:10::9").udp((1, 80), &[]),
        between(CLIENT, "192.0.2.99").icmp(8, 0, [0; 4], &[]),
        fragment.udp((1, 80), &[]),
        crate::support::packets::tagged(&between(CLIENT, "192.0.2.99").udp((1, 80), &[]), 1),
        between(CLIENT_6, "::ffff:192.0.2.10").udp((1, 80), &[]),
    ] {
        assert_eq!(
            verdict(&world.tables, &frame),
            Verdict::Pass(Counter::PassedNoVip)
        );
    }
    assert_eq!(
        verdict(&world.tables, &[0; 60]),
        Verdict::Pass(Counter::PassedNotIp)
    );
    assert_eq!(
        verdict(&world.tables, &[0; 13]),
        Verdict::Pass(Counter::PassedTruncated)
    );
}

#[test]
fn without_a_table_everything_is_passed() {
    let mut world = World::new();
    world.tables.config.vip_table = 0;

    for (name, frame) in corpus() {
        assert!(
            matches!(verdict(&world.tables, &frame), Verdict::Pass(_)),
            "{name}"
        );
    }
}

#[test]
fn a_vip_answers_ping() {
    let world = World::new();

    let (action, out) = sent_through(
        &world.tables,
        &between(CLIENT, VIP).icmp(8, 0, [0, 9, 0, 1], &[7; 56]),
    );

    assert_eq!(action, Action::Transmit);
    assert_eq!((&out[..6], &out[6..12]), (&ROUTER[..], &OURS[..]));
    let ip = Ipv4Packet::new(ip_of(&out)).unwrap();
    assert_eq!(ip.get_checksum(), pnet_packet::ipv4::checksum(&ip));
    assert_eq!(
        (
            ip.get_source().to_string(),
            ip.get_destination().to_string()
        ),
        (VIP.into(), CLIENT.into())
    );
    assert_eq!(
        ip.payload(),
        ip_of(&between(VIP, CLIENT).icmp(0, 0, [0, 9, 0, 1], &[7; 56]))
            .split_at(20)
            .1
    );

    let sent = between(CLIENT_6, VIP_6).icmp(128, 0, [0, 9, 0, 1], &[7; 56]);
    let (_, out) = sent_through(&world.tables, &sent);
    let ip = Ipv6Packet::new(ip_of(&out)).unwrap();
    assert_eq!(
        ip.payload(),
        &between(VIP_6, CLIENT_6).icmp(129, 0, [0, 9, 0, 1], &[7; 56])[54..]
    );
    assert_eq!(ip.get_destination().to_string(), CLIENT_6);
}

#[test]
fn too_big_a_packet_is_answered_with_the_size_that_fits() {
    let world = World::new();
    let big = between(CLIENT, VIP).tcp((1, port::NARROW), ACK, 1, &[5; 1000]);

    let (action, out) = sent_through(&world.tables, &big);

    assert_eq!(action, Action::Transmit);
    let ip = Ipv4Packet::new(ip_of(&out)).unwrap();
    assert_eq!(ip.get_checksum(), pnet_packet::ipv4::checksum(&ip));
    assert_eq!(ip.get_source().to_string(), VIP);
    assert_eq!(ip.get_destination().to_string(), CLIENT);
    assert_eq!(usize::from(ip.get_total_length()), out.len() - 14);
    assert_eq!(ip.payload()[..2], [3, 4]);
    assert_eq!(pnet_packet::util::checksum(ip.payload(), usize::MAX), 0);
    assert_eq!(ip.payload()[4..8], (576u32 - 20).to_be_bytes());
    assert_eq!(ip.payload()[8..], ip_of(&big)[..256]);
}

#[test]
fn too_big_an_ipv6_packet_is_answered_unless_it_is_as_small_as_packets_get() {
    let world = World::new();
    let of = |payload| between(CLIENT_6, VIP_6).tcp((1, port::NARROW), ACK, 1, &vec![5; payload]);
    let big = of(1400);

    let (action, out) = sent_through(&world.tables, &big);

    assert_eq!(action, Action::Transmit);
    let ip = Ipv6Packet::new(ip_of(&out)).unwrap();
    let icmp = Icmpv6Packet::new(ip.payload()).unwrap();
    assert_eq!((icmp.get_icmpv6_type().0, icmp.get_icmpv6_code().0), (2, 0));
    let sum = pnet_packet::icmpv6::checksum(&icmp, &ip.get_source(), &ip.get_destination());
    assert_eq!(icmp.get_checksum(), sum);
    assert_eq!(ip.payload()[4..8], 1280u32.to_be_bytes());
    assert_eq!(ip.payload()[8..], ip_of(&big)[..256]);
    assert_eq!(
        verdict(&world.tables, &of(1220)),
        Verdict::Drop(DropReason::TooBig)
    );
    assert!(matches!(
        verdict(&world.tables, &of(1180)),
        Verdict::Forward(_)
    ));
}

#[test]
fn a_service_without_backends_refuses_if_it_was_told_to() {
    let world = World::new();
    for (client, vip) in FAMILIES {
        for len in [0, 1, 2, 3, 64, 700] {
            let sent = between(client, vip).udp((1, port::REFUSING), &vec![1; len]);

            let (action, out) = sent_through(&world.tables, &sent);

            assert_eq!(action, Action::Transmit);
            let (kind, code, at) = if vip == VIP { (3, 3, 34) } else { (1, 4, 54) };
            assert_eq!(out[at..at + 2], [kind, code]);
            let quote = out[at + 8..].len();
            assert_eq!(out[at + 8..], ip_of(&sent)[..quote]);
            assert!(quote + 3 >= ip_of(&sent).len().min(256));
        }
    }
}

#[test]
fn errors_are_limited_and_go_to_hosts_only() {
    let world = World::new();
    let refused = |src| between(src, VIP).udp((1, port::REFUSING), &[]);
    let mut broadcast = refused(CLIENT);
    broadcast[0] = 0xff;

    for src in ["0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255"] {
        let expected = Verdict::Drop(DropReason::UnanswerableSource);
        assert_eq!(verdict(&world.tables, &refused(src)), expected);
    }
    assert_eq!(
        verdict(&world.tables, &broadcast),
        Verdict::Drop(DropReason::UnanswerableSource)
    );
    world.tables.errors.set(1);
    assert!(matches!(
        verdict(&world.tables, &refused(CLIENT)),
        Verdict::Answer(Answer::ErrorV4 { .. }, Counter::UnreachableSent)
    ));
    assert_eq!(
        verdict(&world.tables, &refused(CLIENT)),
        Verdict::Drop(DropReason::RateLimited)
    );
}

#[test]
fn an_icmp_error_goes_to_the_backend_of_the_flow_it_is_about() {
    let world = World::new();
    for (client, vip) in FAMILIES {
        for client_port in 1..50 {
            let flow = between(client, vip).tcp((client_port, port::WEB), ACK, 1, &[]);
            let error = error_about(client, vip, (port::WEB, client_port));

            let (of_flow, of_error) = (
                forward(&world.tables, &flow),
                forward(&world.tables, &error),
            );

            assert_eq!(
                (of_flow.hash, of_flow.backend),
                (of_error.hash, of_error.backend)
            );
            assert_eq!(of_error.frame_len(), error.len());
        }
    }
    assert_eq!(world.tables.counted.borrow()[&Counter::ErrorSteered], 98);
}

#[test]
fn the_fast_path_and_the_general_one_agree() {
    let world = World::new();
    for (name, frame) in corpus() {
        let (one, other) = (world.tables.clone(), world.tables.clone());
        let expected = match fast(&one, &whole(&frame)) {
            Fast::Unsure => continue,
            Fast::Pass(counter) => Verdict::Pass(counter),
            Fast::Drop(reason) => Verdict::Drop(reason),
            Fast::Forward(forward) => Verdict::Forward(forward),
        };

        let mut work = Work::NEW;
        general(&other, &whole(&frame), &mut work);

        assert_eq!(work.verdict, expected, "{name}");
        assert_eq!(one.flows, other.flows, "{name}");
        assert_eq!(one.touched, other.touched, "{name}");
    }
}

#[test]
fn a_frame_in_pieces_is_decided_as_a_whole_one() {
    let world = World::new();
    for (name, frame) in corpus() {
        for first in [0, 14, 20, 40, 60] {
            let pieces = Frame {
                bytes: &frame,
                first: first.min(frame.len()),
                ingress: 1,
            };

            let (one, other) = (world.tables.clone(), world.tables.clone());

            assert_eq!(
                decide(&one, &pieces),
                decide(&other, &whole(&frame)),
                "{name}"
            );
        }
    }
}

#[test]
fn packets_to_a_vip_are_never_passed() {
    let world = World::new();
    for (name, frame) in corpus() {
        let to_vip = frame.len() >= 54
            && !["nobody", "arp", "v4-mapped"]
                .iter()
                .any(|other| name.contains(other));
        if to_vip {
            assert!(
                !matches!(verdict(&world.tables, &frame), Verdict::Pass(_)),
                "{name}"
            );
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_decided(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let world = World::new();

        let verdict = verdict(&world.tables, &bytes);

        apply(&world.tables, &verdict, &bytes);
    }

    #[test]
    fn any_damage_to_a_packet_is_decided(
        which: proptest::sample::Index,
        damage in proptest::collection::vec((0..110usize, proptest::num::u8::ANY), 1..6),
    ) {
        let world = World::new();
        let all = corpus();
        let mut frame = which.get(&all).1.clone();
        for (at, value) in damage {
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }

        let verdict = verdict(&world.tables, &frame);

        apply(&world.tables, &verdict, &frame);
    }
}

fn whole(frame: &[u8]) -> Frame<'_> {
    Frame {
        bytes: frame,
        first: frame.len(),
        ingress: 1,
    }
}

fn verdict(tables: &Tables, frame: &[u8]) -> Verdict {
    decide(tables, &whole(frame))
}

fn sent_through(tables: &Tables, frame: &[u8]) -> (Action, Vec<u8>) {
    apply(tables, &verdict(tables, frame), frame)
}

fn forward(tables: &Tables, frame: &[u8]) -> Forward {
    let verdict = verdict(tables, frame);
    let Verdict::Forward(forward) = verdict else {
        panic!("{verdict:?}");
    };
    forward
}
