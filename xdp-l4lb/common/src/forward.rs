//! The way to a backend and the outer header.

use bpf_common::{DropReason, Packet};
use wire::{Ethernet, Ipv4, Ipv6, ethertype, next_header, put};

use crate::access::Maps;
use crate::hash::AddrWords;
use crate::layout::{BACKEND_LIVE, BACKEND_OFF_LINK};
use crate::steer::NOBODY;

/// TTL and hop limit of outer headers.
const HOPS: u8 = 64;

/// Bytes in front of the inner packet once it is encapsulated in IPv4.
pub const HEAD_V4: usize = Ethernet::LEN + Ipv4::LEN;
/// Bytes in front of the inner packet once it is encapsulated in IPv6.
pub const HEAD_V6: usize = Ethernet::LEN + Ipv6::LEN;

/// The client's packet, as far as the outer header depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// Bytes from the IP header on, as that header says.
    pub len: usize,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// IPv6, not IPv4.
    pub v6: bool,
}

/// How the frame leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Through the interface it came from.
    Back,
    /// Through this one.
    Through(u32),
}

/// Encapsulate and send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Index of the service, for its counter.
    pub service: u32,
    /// The backend's id, for its counter.
    pub backend: u32,
    /// Where to.
    pub addr: AddrWords,
    /// What is encapsulated. Bytes of the frame behind it are cut off.
    pub inner: Inner,
    /// How it leaves.
    pub exit: Exit,
    /// The next station.
    pub dst_mac: [u8; 6],
    /// The interface's own.
    pub src_mac: [u8; 6],
    /// The flow's hash.
    pub hash: u64,
}

/// Why a packet cannot go to its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// There is no backend.
    Nobody,
    /// The client's packets must not be longer than this.
    TooBig(u16),
    /// There is, but the packet cannot go there.
    Drop(DropReason),
}

/// Finds the way to backend `id`.
#[inline(always)]
pub(crate) fn forward(
    maps: &impl Maps,
    packet: &impl Packet,
    inner: Inner,
    (service, id, hash): (u32, u32, u64),
) -> Result<Forward, Obstacle> {
    if id == NOBODY {
        return Err(Obstacle::Nobody);
    }
    let backend = maps
        .backend(id)
        .ok_or(Obstacle::Drop(DropReason::NoTable))?;
    if !backend.mode.has(BACKEND_LIVE) {
        return Err(Obstacle::Drop(DropReason::BackendGone));
    }
    let overhead: u16 = if backend.addr.as_v4().is_some() {
        20
    } else {
        40
    };
    let mtu = backend.mode.mtu();
    if inner.len + overhead as usize > mtu as usize {
        return Err(Obstacle::TooBig(mtu.saturating_sub(overhead)));
    }
    let hop = backend.next_hop;
    if hop.link() == 0 {
        return Err(Obstacle::Drop(DropReason::NoNextHop));
    }
    let port = maps
        .link(hop.link())
        .ok_or(Obstacle::Drop(DropReason::NoDevice))?;
    let back = port.ifindex == packet.ingress();
    // The router that sent it knows the way, and which of several it was does not matter then.
    let dst_mac = if back && backend.mode.has(BACKEND_OFF_LINK) {
        packet
            .read::<6, 6>()
            .or_else(|| packet.load(6))
            .ok_or(Obstacle::Drop(DropReason::Malformed))?
    } else if hop.has_mac() {
        hop.mac()
    } else {
        return Err(Obstacle::Drop(DropReason::NoNextHop));
    };
    Ok(Forward {
        service,
        backend: id,
        addr: backend.addr,
        inner,
        exit: if back {
            Exit::Back
        } else {
            Exit::Through(port.ifindex)
        },
        dst_mac,
        src_mac: port.mac,
        hash,
    })
}

impl Forward {
    /// The new front of a frame that goes to an IPv4 backend: pushed by [`Ipv4::LEN`].
    ///
    /// "Don't fragment" is always set: nobody would put the fragments together, and the length was
    /// checked against the path's MTU.
    #[must_use]
    #[inline(always)]
    pub fn head_v4(&self, src: [u8; 4], dst: [u8; 4]) -> [u8; HEAD_V4] {
        let outer = Ipv4 {
            traffic_class: self.inner.traffic_class,
            header_len: 20,
            total_len: short(self.inner.len) + 20,
            id: 0,
            fragment: Ipv4::DONT_FRAGMENT,
            ttl: HOPS,
            proto: self.inner_protocol(),
            checksum: [0; 2],
            src,
            dst,
        };
        let mut head = [0; HEAD_V4];
        put::<0, _, _>(&mut head, self.ethernet(ethertype::IPV4));
        put::<{ Ethernet::LEN }, _, _>(&mut head, outer.write());
        head
    }

    /// The new front of a frame that goes to an IPv6 backend: pushed by [`Ipv6::LEN`].
    #[must_use]
    #[inline(always)]
    pub fn head_v6(&self, prefix: [u8; 8]) -> [u8; HEAD_V6] {
        let src = AddrWords {
            hi: u64::from_ne_bytes(prefix),
            // The low half of the hash, which chose the slot, is left out. One bit is always set,
            // as the address without any is every router's (RFC 4291 §2.6.1).
            lo: self.hash >> 32 | 1 << 63,
        };
        let outer = Ipv6 {
            traffic_class: self.inner.traffic_class,
            flow_label: short_label(self.hash),
            payload_len: short(self.inner.len),
            next_header: self.inner_protocol(),
            hop_limit: HOPS,
            src: src.bytes(),
            dst: self.addr.bytes(),
        };
        let mut head = [0; HEAD_V6];
        put::<0, _, _>(&mut head, self.ethernet(ethertype::IPV6));
        put::<{ Ethernet::LEN }, _, _>(&mut head, outer.write());
        head
    }

    /// Bytes of the frame before it is pushed, without what a link appended.
    #[must_use]
    #[inline(always)]
    pub const fn frame_len(&self) -> usize {
        Ethernet::LEN + self.inner.len
    }

    #[inline(always)]
    const fn ethernet(&self, ethertype: u16) -> [u8; Ethernet::LEN] {
        Ethernet {
            dst: self.dst_mac,
            src: self.src_mac,
            ethertype,
        }
        .write()
    }

    #[inline(always)]
    const fn inner_protocol(&self) -> u8 {
        if self.inner.v6 {
            next_header::IPV6
        } else {
            next_header::IPV4
        }
    }
}

/// A length that is below a path's MTU.
#[inline(always)]
const fn short(len: usize) -> u16 {
    let [low, high, ..] = len.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// The hash's highest twenty bits.
#[inline(always)]
const fn short_label(hash: u64) -> u32 {
    let [a, b, c, ..] = (hash >> 44).to_le_bytes();
    u32::from_le_bytes([a, b, c, 0])
}
