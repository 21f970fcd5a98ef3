//! The ordinary packet: TCP or UDP, whole, without options or extension headers, in the frame's
//! first part. Everything else is left to the general path, which decides these the same way.

use bpf_common::{DropReason, Packet};
use wire::{Ethernet, Ipv4, Ipv6, Tcp, Udp, ethertype, part};

use crate::access::Maps;
use crate::forward::{Inner, Obstacle, forward};
use crate::hash::{AddrWords, Flow, filter_place_of, flow_hash};
use crate::layout::{Counter, PROTO_TCP, PROTO_UDP};
use crate::lookup::{ADDRESS_ONLY, Glance, glance, tail};
use crate::steer::{Stage, choose};
use crate::verdict::Fast;

/// Where a frame says what it holds.
const ETHERTYPE: usize = 12;
/// IPv4's first byte, without options.
const PLAIN_V4: u8 = 0x45;

/// Addresses and lengths out of an IP header.
struct Ends {
    src: AddrWords,
    dst: AddrWords,
    proto: u8,
    /// Bytes of the IP header.
    header: usize,
    inner: Inner,
    /// TTL or hop limit.
    hops: u8,
}

/// Decides ordinary packets.
#[inline(always)]
pub fn fast(maps: &impl Maps, packet: &impl Packet) -> Fast {
    let Some(kind) = packet.read::<ETHERTYPE, 2>() else {
        return Fast::Unsure;
    };
    // The two ways differ in constants, so each is compiled on its own.
    match u16::from_be_bytes(kind) {
        ethertype::IPV4 => match ends_v4(packet) {
            Some(ends) => balance::<{ Ethernet::LEN + Ipv4::LEN }>(maps, packet, &ends),
            None => Fast::Unsure,
        },
        ethertype::IPV6 => match ends_v6(packet) {
            Some(ends) => balance::<{ Ethernet::LEN + Ipv6::LEN }>(maps, packet, &ends),
            None => Fast::Unsure,
        },
        _ => Fast::Unsure,
    }
}

#[inline(always)]
fn ends_v4(packet: &impl Packet) -> Option<Ends> {
    let bytes = packet.read::<{ Ethernet::LEN }, { Ipv4::LEN }>()?;
    let [first, ..] = bytes;
    if first != PLAIN_V4 {
        return None;
    }
    let ip = Ipv4::parse(bytes).ok()?;
    if ip.is_fragment() {
        return None;
    }
    Some(Ends {
        src: AddrWords::v4(ip.src),
        dst: AddrWords::v4(ip.dst),
        proto: ip.proto,
        header: Ipv4::LEN,
        inner: Inner {
            len: ip.total_len as usize,
            traffic_class: ip.traffic_class,
            v6: false,
        },
        hops: ip.ttl,
    })
}

#[inline(always)]
fn ends_v6(packet: &impl Packet) -> Option<Ends> {
    let ip = Ipv6::parse(packet.read::<{ Ethernet::LEN }, { Ipv6::LEN }>()?).ok()?;
    let dst = AddrWords::new(ip.dst);
    // No VIP is v4-mapped; what is would be taken for IPv4.
    if dst.hi == 0 {
        return None;
    }
    Some(Ends {
        src: AddrWords::new(ip.src),
        dst,
        proto: ip.next_header,
        header: Ipv6::LEN,
        inner: Inner {
            len: ip.payload_len as usize + Ipv6::LEN,
            traffic_class: ip.traffic_class,
            v6: true,
        },
        hops: ip.hop_limit,
    })
}

/// `L4` is where the transport header is.
#[inline(always)]
fn balance<const L4: usize>(maps: &impl Maps, packet: &impl Packet, ends: &Ends) -> Fast {
    let (word, bit) = filter_place_of(ends.dst);
    if maps.no_vip(word) & bit != 0 {
        return Fast::Pass(Counter::PassedNoVip);
    }
    let header = match ends.proto {
        PROTO_TCP => Tcp::LEN,
        PROTO_UDP => Udp::LEN,
        _ => return Fast::Unsure,
    };
    let Some(ports) = packet.read::<L4, 4>() else {
        return Fast::Unsure;
    };
    let flow = Flow {
        client: ends.src,
        vip: ends.dst,
        client_port: u16::from_ne_bytes(part::<0, _, _>(&ports)),
        vip_port: u16::from_ne_bytes(part::<2, _, _>(&ports)),
        proto: ends.proto,
    };
    let holds_header = ends.inner.len >= ends.header + header;
    let whole = Ethernet::LEN + ends.inner.len <= packet.first_len();
    let found = match glance(maps, flow.vip, tail(flow.vip_port, flow.proto)) {
        Glance::Found(found) => found,
        Glance::Nothing => {
            return match glance(maps, flow.vip, ADDRESS_ONLY) {
                Glance::Found(_) if whole && holds_header => Fast::Drop(DropReason::UnservedPort),
                Glance::Found(_) | Glance::Unclear => Fast::Unsure,
                Glance::Nothing => Fast::Pass(Counter::PassedNoVip),
            };
        }
        Glance::Unclear => return Fast::Unsure,
    };
    if !whole || !holds_header || ends.hops == 0 {
        return Fast::Unsure;
    }
    let hash = flow_hash(maps.flow_seed(), &flow);
    let stage = || {
        packet
            .read::<L4, { Tcp::LEN }>()
            .map(|tcp| Stage::of(&Tcp::parse(tcp)))
    };
    let service = (found.index, found.service.table);
    let Some(id) = choose(maps, service, hash, &flow, stage) else {
        return Fast::Unsure;
    };
    match forward(maps, packet, ends.inner, (found.index, id, hash)) {
        Ok(forward) => Fast::Forward(forward),
        Err(Obstacle::Drop(reason)) => Fast::Drop(reason),
        Err(Obstacle::Nobody | Obstacle::TooBig(_)) => Fast::Unsure,
    }
}
