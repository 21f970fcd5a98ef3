//! The ordinary packet: TCP or UDP, whole, without options or extension headers, in the frame's
//! first part. Everything else is left to the general path, which decides these the same way.

use bpf_common::{DropReason, Packet};
use wire::{Ethernet, Ipv4, Ipv6, Tcp, Udp, ethertype};

use crate::access::Maps;
use crate::forward::{Inner, Obstacle, forward};
use crate::hash::{AddrWords, Flow, flow_hash};
use crate::layout::{Counter, PROTO_TCP, PROTO_UDP};
use crate::lookup::{ADDRESS_ONLY, find, tail};
use crate::steer::{Stage, choose};
use crate::verdict::Fast;

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
    let Some(header) = packet.read::<{ Ethernet::LEN }>(0) else {
        return Fast::Unsure;
    };
    let ethernet = Ethernet::parse(header);
    // The two ways differ in constants, so each is compiled on its own.
    match ethernet.ethertype {
        ethertype::IPV4 => match ends_v4(packet) {
            Some(ends) => balance::<{ Ethernet::LEN + Ipv4::LEN }>(maps, packet, &ethernet, &ends),
            None => Fast::Unsure,
        },
        ethertype::IPV6 => match ends_v6(packet) {
            Some(ends) => balance::<{ Ethernet::LEN + Ipv6::LEN }>(maps, packet, &ethernet, &ends),
            None => Fast::Unsure,
        },
        _ => Fast::Unsure,
    }
}

#[inline(always)]
fn ends_v4(packet: &impl Packet) -> Option<Ends> {
    let ip = Ipv4::parse(packet.read::<{ Ipv4::LEN }>(Ethernet::LEN)?).ok()?;
    if ip.header_len != 20 || ip.is_fragment() {
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
    let ip = Ipv6::parse(packet.read::<{ Ipv6::LEN }>(Ethernet::LEN)?).ok()?;
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
fn balance<const L4: usize>(
    maps: &impl Maps,
    packet: &impl Packet,
    ethernet: &Ethernet,
    ends: &Ends,
) -> Fast {
    let (ports, stage, header) = match ends.proto {
        PROTO_TCP => match packet.read::<{ Tcp::LEN }>(L4) {
            Some(bytes) => {
                let tcp = Tcp::parse(bytes);
                ((tcp.src_port, tcp.dst_port), Stage::of(&tcp), Tcp::LEN)
            }
            None => return Fast::Unsure,
        },
        PROTO_UDP => match packet.read::<{ Udp::LEN }>(L4) {
            Some(bytes) => {
                let udp = Udp::parse(bytes);
                let ports = (udp.src_port, udp.dst_port);
                (ports, Stage::Unknown, Udp::LEN)
            }
            None => return Fast::Unsure,
        },
        _ => return Fast::Unsure,
    };
    let flow = Flow {
        client: ends.src,
        vip: ends.dst,
        client_port: ports.0.to_be(),
        vip_port: ports.1.to_be(),
        proto: ends.proto,
    };
    let holds_header = ends.inner.len >= ends.header + header;
    let Some(found) = find(maps, flow.vip, tail(flow.vip_port, flow.proto)) else {
        return match find(maps, flow.vip, ADDRESS_ONLY) {
            Some(_) if holds_header => Fast::Drop(DropReason::UnservedPort),
            Some(_) => Fast::Unsure,
            None => Fast::Pass(Counter::PassedNoVip),
        };
    };
    let whole = Ethernet::LEN + ends.inner.len <= packet.first_len();
    if !whole || !holds_header || ends.hops == 0 {
        return Fast::Unsure;
    }
    let hash = flow_hash(maps.flow_seed(), &flow);
    let id = choose(maps, found.index, found.service.table, hash, &flow, stage);
    let to = (found.index, id, hash);
    match forward(maps, packet, ethernet.src, ends.inner, to) {
        Ok(forward) => Fast::Forward(forward),
        Err(Obstacle::Drop(reason)) => Fast::Drop(reason),
        Err(Obstacle::Nobody | Obstacle::TooBig(_)) => Fast::Unsure,
    }
}
