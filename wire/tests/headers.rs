//! Every header against another implementation, and against its own writer.

use pnet_packet::arp::ArpPacket;
use pnet_packet::ethernet::EthernetPacket;
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;
use pnet_packet::tcp::TcpPacket;
use pnet_packet::udp::UdpPacket;
use pnet_packet::vlan::VlanPacket;
use proptest::array::{uniform14, uniform20, uniform28};
use proptest::prelude::*;
use wire::{Arp, Ethernet, Icmp, Ipv4, Ipv6, Tcp, Udp, Upper, VlanTag, Walk, WalkError};

/// An array of forty random bytes.
fn forty() -> impl Strategy<Value = [u8; 40]> {
    (uniform20(any::<u8>()), uniform20(any::<u8>()))
        .prop_map(|(a, b)| [a, b].concat().try_into().expect("twice twenty"))
}

proptest! {
    #[test]
    fn ethernet(bytes in uniform14(any::<u8>())) {
        let ours = Ethernet::parse(bytes);
        let theirs = EthernetPacket::new(&bytes).unwrap();

        prop_assert_eq!(ours.dst, theirs.get_destination().octets());
        prop_assert_eq!(ours.src, theirs.get_source().octets());
        prop_assert_eq!(ours.ethertype, theirs.get_ethertype().0);
        prop_assert_eq!(ours.write(), bytes);
    }

    #[test]
    fn vlan(bytes: [u8; 4]) {
        let ours = VlanTag::parse(bytes);
        let theirs = VlanPacket::new(&bytes).unwrap();

        prop_assert_eq!(ours.id(), theirs.get_vlan_identifier());
        prop_assert_eq!(ours.ethertype, theirs.get_ethertype().0);
        prop_assert_eq!(ours.write(), bytes);
    }

    #[test]
    fn arp(mut bytes in uniform28(any::<u8>()), valid: bool, reply: bool) {
        if valid {
            bytes[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1 + u8::from(reply)]);
        }
        let theirs = ArpPacket::new(&bytes).unwrap();

        match Arp::parse(bytes) {
            Ok(ours) => {
                prop_assert_eq!(ours.sender_ip, theirs.get_sender_proto_addr().octets());
                prop_assert_eq!(ours.target_ip, theirs.get_target_proto_addr().octets());
                prop_assert_eq!(ours.sender_mac, theirs.get_sender_hw_addr().octets());
                prop_assert_eq!(ours.target_mac, theirs.get_target_hw_addr().octets());
                prop_assert_eq!(ours.write(), bytes);
            }
            Err(_) => prop_assert!(!valid),
        }
    }

    #[test]
    fn ipv4(mut bytes in uniform20(any::<u8>()), plain: bool) {
        if plain {
            bytes[0] = 0x45;
            bytes[2] |= 1;
        }
        let theirs = Ipv4Packet::new(&bytes).unwrap();
        let header_len = u16::from(theirs.get_header_length()) * 4;

        let Ok(ours) = Ipv4::parse(bytes) else {
            prop_assert!(
                theirs.get_version() != 4 || header_len < 20 || theirs.get_total_length() < header_len
            );
            return Ok(());
        };

        prop_assert_eq!(u16::from(ours.header_len), header_len);
        prop_assert_eq!(ours.total_len, theirs.get_total_length());
        prop_assert_eq!(ours.traffic_class, theirs.get_dscp() << 2 | theirs.get_ecn());
        prop_assert_eq!(ours.id, theirs.get_identification());
        prop_assert_eq!(ours.dont_fragment(), theirs.get_flags() & 2 != 0);
        prop_assert_eq!(
            ours.is_fragment(), theirs.get_flags() & 1 != 0 || theirs.get_fragment_offset() != 0
        );
        prop_assert_eq!(ours.ttl, theirs.get_ttl());
        prop_assert_eq!(ours.proto, theirs.get_next_level_protocol().0);
        prop_assert_eq!(ours.checksum, theirs.get_checksum().to_be_bytes());
        prop_assert_eq!(ours.src, theirs.get_source().octets());
        prop_assert_eq!(ours.dst, theirs.get_destination().octets());
        if plain {
            let written = ours.write();
            let sum = pnet_packet::ipv4::checksum(&Ipv4Packet::new(&written).unwrap());
            prop_assert_eq!(&written[..10], &bytes[..10]);
            prop_assert_eq!(&written[10..12], &sum.to_be_bytes());
            prop_assert_eq!(&written[12..], &bytes[12..]);
        }
    }

    #[test]
    fn ipv6(mut bytes in forty(), valid: bool) {
        if valid {
            bytes[0] = 0x60 | bytes[0] & 0xf;
        }
        let theirs = Ipv6Packet::new(&bytes).unwrap();

        match Ipv6::parse(bytes) {
            Ok(ours) => {
                prop_assert_eq!(ours.traffic_class, theirs.get_traffic_class());
                prop_assert_eq!(ours.flow_label, theirs.get_flow_label());
                prop_assert_eq!(ours.payload_len, theirs.get_payload_length());
                prop_assert_eq!(ours.next_header, theirs.get_next_header().0);
                prop_assert_eq!(ours.hop_limit, theirs.get_hop_limit());
                prop_assert_eq!(ours.src, theirs.get_source().octets());
                prop_assert_eq!(ours.dst, theirs.get_destination().octets());
                prop_assert_eq!(ours.write(), bytes);
            }
            Err(_) => prop_assert!(theirs.get_version() != 6),
        }
    }

    #[test]
    fn tcp(bytes in uniform20(any::<u8>())) {
        let ours = Tcp::parse(bytes);
        let theirs = TcpPacket::new(&bytes).unwrap();

        prop_assert_eq!(ours.src_port, theirs.get_source());
        prop_assert_eq!(ours.dst_port, theirs.get_destination());
        prop_assert_eq!(ours.seq, theirs.get_sequence());
        prop_assert_eq!(ours.ack, theirs.get_acknowledgement());
        prop_assert_eq!(ours.header_len, theirs.get_data_offset() * 4);
        prop_assert_eq!(ours.flags, theirs.get_flags());
        prop_assert_eq!(ours.opens(), theirs.get_flags() & 0x12 == 2);
        prop_assert_eq!(ours.window, theirs.get_window());
        prop_assert_eq!(ours.checksum, theirs.get_checksum().to_be_bytes());
        prop_assert_eq!(ours.urgent, theirs.get_urgent_ptr());
        let mut expected = bytes;
        expected[12] &= 0xf0;
        prop_assert_eq!(ours.write(), expected);
    }

    #[test]
    fn udp_and_icmp(bytes: [u8; 8]) {
        let ours = Udp::parse(bytes);
        let theirs = UdpPacket::new(&bytes).unwrap();

        prop_assert_eq!(ours.src_port, theirs.get_source());
        prop_assert_eq!(ours.dst_port, theirs.get_destination());
        prop_assert_eq!(ours.len, theirs.get_length());
        prop_assert_eq!(ours.checksum, theirs.get_checksum().to_be_bytes());
        prop_assert_eq!(ours.write(), bytes);
        prop_assert_eq!(Icmp::parse(bytes).write(), bytes);
    }

    #[test]
    fn a_walk_over_any_bytes_ends(first: u8, bytes in prop::collection::vec(0u8..70, 0..200)) {
        let end = Walk { next_header: first, at: 0 }.upper(|at| read(&bytes, at));

        if let Ok(Upper { at, .. }) = end {
            prop_assert!(at <= bytes.len() + 2048);
        }
    }
}

#[test]
fn a_walk_steps_over_options_routes_and_authentication() {
    let mut bytes = vec![43, 0, 0, 0, 0, 0, 0, 0]; // hop-by-hop options, 8 bytes
    bytes.extend([51, 1, 0, 0, 0, 0, 0, 0].iter().chain(&[0; 8])); // routing, 16 bytes
    bytes.extend([6, 4].iter().chain(&[0; 22])); // authentication, 24 bytes

    let end = from(0).upper(|at| read(&bytes, at));

    assert_eq!(end, Ok(Upper { proto: 6, at: 48 }));
}

#[test]
fn a_walk_stops_at_fragments_at_the_end_and_at_too_many_headers() {
    let endless = [0; 100];

    assert_eq!(from(44).upper(|_| None), Err(WalkError::Fragment));
    assert_eq!(from(60).upper(|_| None), Err(WalkError::Truncated));
    assert_eq!(
        from(0).upper(|at| read(&endless, at)),
        Err(WalkError::TooMany)
    );
}

fn from(next_header: u8) -> Walk {
    Walk { next_header, at: 0 }
}

fn read(bytes: &[u8], at: usize) -> Option<[u8; 8]> {
    bytes.get(at..)?.first_chunk().copied()
}
