//! The backend side: which packets are taken out of their outer header.
//!
//! Only those from configured balancers, for VIPs that this node serves. What is not encapsulated,
//! or has nothing to do with those VIPs, goes to the stack as it came.

use bpf_common::{DropReason, Packet};
use wire::{Ethernet, Ipv4, Ipv6, ethertype, next_header, part, put, replaced};

use crate::hash::AddrWords;
use crate::layout::DecapCounter;

/// Bytes of the inner IP header that are written again.
const INNER: usize = 12;
/// Bytes at the start of the frame once the outer header is gone.
pub const STRIPPED: usize = Ethernet::LEN + INNER;

/// The tables of the backend side.
pub trait Peers {
    /// Whether a configured balancer has this address.
    fn is_balancer(&self, addr: AddrWords) -> bool;

    /// Whether this node serves the address.
    fn is_owned(&self, addr: AddrWords) -> bool;
}

/// What the program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decap {
    /// To the stack as it came, counted.
    Pass(DecapCounter),
    /// Away, counted.
    Drop(DropReason),
    /// Take away `cut` bytes at the front, then start the frame with `head`; to the stack.
    Strip {
        /// Bytes of the outer header.
        cut: usize,
        /// Ethernet header and the start of the inner one.
        head: [u8; STRIPPED],
    },
}

/// An outer header without options.
struct Outer {
    src: AddrWords,
    proto: u8,
    ecn: u8,
    len: usize,
}

/// Decides any packet.
#[inline(always)]
pub fn decapsulate(peers: &impl Peers, packet: &impl Packet) -> Decap {
    let pass = Decap::Pass(DecapCounter::Passed);
    let Some(header) = packet.read::<0, { Ethernet::LEN }>() else {
        return pass;
    };
    let ethernet = Ethernet::parse(header);
    let Some(outer) = outer(packet, ethernet.ethertype) else {
        return pass;
    };
    match (outer.len, outer.proto) {
        (Ipv4::LEN, next_header::IPV4) => {
            inner_v4::<{ Ethernet::LEN + Ipv4::LEN }>(peers, packet, &ethernet, &outer)
        }
        (Ipv4::LEN, next_header::IPV6) => {
            inner_v6::<{ Ethernet::LEN + Ipv4::LEN }>(peers, packet, &ethernet, &outer)
        }
        (Ipv6::LEN, next_header::IPV4) => {
            inner_v4::<{ Ethernet::LEN + Ipv6::LEN }>(peers, packet, &ethernet, &outer)
        }
        (Ipv6::LEN, next_header::IPV6) => {
            inner_v6::<{ Ethernet::LEN + Ipv6::LEN }>(peers, packet, &ethernet, &outer)
        }
        _ => pass,
    }
}

#[inline(always)]
fn outer(packet: &impl Packet, ethertype: u16) -> Option<Outer> {
    match ethertype {
        ethertype::IPV4 => {
            let ip = Ipv4::parse(packet.read::<{ Ethernet::LEN }, _>()?).ok()?;
            // A balancer sends neither.
            if ip.is_fragment() || ip.header_len != 20 {
                return None;
            }
            Some(Outer {
                src: AddrWords::v4(ip.src),
                proto: ip.proto,
                ecn: ip.traffic_class & 3,
                len: Ipv4::LEN,
            })
        }
        ethertype::IPV6 => {
            let ip = Ipv6::parse(packet.read::<{ Ethernet::LEN }, _>()?).ok()?;
            Some(Outer {
                src: AddrWords::new(ip.src),
                proto: ip.next_header,
                ecn: ip.traffic_class & 3,
                len: Ipv6::LEN,
            })
        }
        _ => None,
    }
}

/// What the addresses say; `Ok` means that the packet is for this node.
#[inline(always)]
fn admit(peers: &impl Peers, outer: &Outer, vip: AddrWords) -> Result<(), Decap> {
    match (peers.is_owned(vip), peers.is_balancer(outer.src)) {
        (true, true) => Ok(()),
        (true, false) => Err(Decap::Drop(DropReason::UnknownBalancer)),
        (false, true) => Err(Decap::Drop(DropReason::NotOwned)),
        // Somebody else's tunnel.
        (false, false) => Err(Decap::Pass(DecapCounter::Passed)),
    }
}

#[inline(always)]
fn inner_v4<const AT: usize>(
    peers: &impl Peers,
    packet: &impl Packet,
    ethernet: &Ethernet,
    outer: &Outer,
) -> Decap {
    let Some(bytes) = packet.read::<AT, { Ipv4::LEN }>() else {
        return Decap::Pass(DecapCounter::Passed);
    };
    let Ok(ip) = Ipv4::parse(bytes) else {
        return Decap::Pass(DecapCounter::Passed);
    };
    if let Err(other) = admit(peers, outer, AddrWords::v4(ip.dst)) {
        return other;
    }
    let Some(ecn) = combined(ip.traffic_class & 3, outer.ecn) else {
        return Decap::Drop(DropReason::MarkedNotEct);
    };
    let mut inner = part::<0, INNER, _>(&bytes);
    let [version, class] = part::<0, 2, _>(&bytes);
    let marked = class & !3 | ecn;
    put::<0, _, _>(&mut inner, [version, marked]);
    put::<10, _, _>(
        &mut inner,
        replaced(ip.checksum, [version, class], [version, marked]),
    );
    strip(ethernet, ethertype::IPV4, outer.len, inner)
}

#[inline(always)]
fn inner_v6<const AT: usize>(
    peers: &impl Peers,
    packet: &impl Packet,
    ethernet: &Ethernet,
    outer: &Outer,
) -> Decap {
    let Some(bytes) = packet.read::<AT, { Ipv6::LEN }>() else {
        return Decap::Pass(DecapCounter::Passed);
    };
    let Ok(ip) = Ipv6::parse(bytes) else {
        return Decap::Pass(DecapCounter::Passed);
    };
    if let Err(other) = admit(peers, outer, AddrWords::new(ip.dst)) {
        return other;
    }
    let Some(ecn) = combined(ip.traffic_class & 3, outer.ecn) else {
        return Decap::Drop(DropReason::MarkedNotEct);
    };
    let mut inner = part::<0, INNER, _>(&bytes);
    let [version, class] = part::<0, 2, _>(&bytes);
    put::<0, _, _>(&mut inner, [version, class & !0x30 | ecn << 4]);
    strip(ethernet, ethertype::IPV6, outer.len, inner)
}

/// RFC 6040 §4.2, figure 4: the ECN field of the packet that goes on; `None` to drop it.
#[inline(always)]
const fn combined(inner: u8, outer: u8) -> Option<u8> {
    const NOT_ECT: u8 = 0;
    const ECT_1: u8 = 1;
    const ECT_0: u8 = 2;
    const CE: u8 = 3;
    match (inner, outer) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (_, CE) => Some(CE),
        (ECT_0, ECT_1) => Some(ECT_1),
        (inner, _) => Some(inner),
    }
}

#[inline(always)]
fn strip(ethernet: &Ethernet, ethertype: u16, cut: usize, inner: [u8; INNER]) -> Decap {
    let ethernet = Ethernet {
        ethertype,
        ..*ethernet
    };
    let mut head = [0; STRIPPED];
    put::<0, _, _>(&mut head, ethernet.write());
    put::<{ Ethernet::LEN }, _, _>(&mut head, inner);
    Decap::Strip { cut, head }
}
