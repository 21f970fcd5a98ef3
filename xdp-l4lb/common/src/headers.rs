//! Reads the headers of any packet, wherever they lie in a frame.
//!
//! In the kernel each of these is a function of its own, whose stack is free again when it returns;
//! such a function returns one word, so what it finds goes through a reference.

use bpf_common::{DropReason, Packet};
use wire::{Ethernet, Ipv4, Ipv6, VlanTag, Walk, WalkError, ethertype};

use crate::forward::Inner;
use crate::hash::AddrWords;

/// VLAN tags that are looked behind.
const TAGS: usize = 2;

/// The headers of an IP packet up to the transport's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Headers {
    pub(crate) src: AddrWords,
    pub(crate) dst: AddrWords,
    pub(crate) inner: Inner,
    /// Where the transport header is in the frame.
    pub(crate) at: usize,
    /// What it is.
    pub(crate) proto: u8,
    /// TTL or hop limit.
    pub(crate) hops: u8,
    /// Neither options nor extension headers.
    pub(crate) plain: bool,
    /// Why the transport header cannot be read.
    pub(crate) fault: Option<DropReason>,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// It ends before its addresses.
    Truncated,
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// An IP packet behind a VLAN tag.
    Tagged,
    /// An IP packet.
    Ip,
}

impl Headers {
    /// Nothing read yet.
    pub(crate) const NONE: Self = Self {
        src: AddrWords { hi: 0, lo: 0 },
        dst: AddrWords { hi: 0, lo: 0 },
        inner: Inner {
            len: 0,
            traffic_class: 0,
            v6: false,
        },
        at: 0,
        proto: 0,
        hops: 0,
        plain: false,
        fault: None,
    };
}

/// Reads a frame's headers.
#[inline(always)]
pub(crate) fn frame(packet: &impl Packet, headers: &mut Headers) -> Kind {
    let Some(header) = packet.load::<{ Ethernet::LEN }>(0) else {
        return Kind::Truncated;
    };
    let mut ethertype = Ethernet::parse(header).ethertype;
    let mut at = Ethernet::LEN;
    for _ in 0..TAGS {
        if !matches!(ethertype, ethertype::VLAN | ethertype::PROVIDER_VLAN) {
            break;
        }
        let Some(tag) = packet.load::<{ VlanTag::LEN }>(at) else {
            return Kind::Truncated;
        };
        ethertype = VlanTag::parse(tag).ethertype;
        at += VlanTag::LEN;
    }
    let read = match ethertype {
        ethertype::IPV4 => ipv4(packet, at, headers),
        ethertype::IPV6 => ipv6(packet, at, headers),
        _ => return Kind::NotIp,
    };
    match read {
        false => Kind::Truncated,
        true if at > Ethernet::LEN => Kind::Tagged,
        true => Kind::Ip,
    }
}

/// Reads the IPv4 packet at `at`; false if the frame ends inside the fixed header.
#[inline(never)]
pub(crate) fn ipv4<P: Packet>(packet: &P, at: usize, headers: &mut Headers) -> bool {
    let Some(bytes) = packet.load::<{ Ipv4::LEN }>(at) else {
        return false;
    };
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = bytes;
    // Whatever else is wrong, the address says whether anyone but the stack cares.
    headers.src = AddrWords::v4([s0, s1, s2, s3]);
    headers.dst = AddrWords::v4([d0, d1, d2, d3]);
    headers.inner.v6 = false;
    let Ok(ip) = Ipv4::parse(bytes) else {
        headers.fault = Some(DropReason::Malformed);
        return true;
    };
    headers.inner.len = ip.total_len as usize;
    headers.inner.traffic_class = ip.traffic_class;
    headers.at = at + ip.header_len as usize;
    headers.proto = ip.proto;
    headers.hops = ip.ttl;
    headers.plain = ip.header_len == 20;
    headers.fault = if ip.is_fragment() {
        Some(DropReason::Fragment)
    } else {
        None
    };
    true
}

/// Reads the IPv6 packet at `at`; false if the frame ends inside the fixed header, or if it is no
/// IPv6.
#[inline(never)]
pub(crate) fn ipv6<P: Packet>(packet: &P, at: usize, headers: &mut Headers) -> bool {
    let Some(bytes) = packet.load::<{ Ipv6::LEN }>(at) else {
        return false;
    };
    let Ok(ip) = Ipv6::parse(bytes) else {
        return false;
    };
    headers.src = AddrWords::new(ip.src);
    headers.dst = AddrWords::new(ip.dst);
    headers.inner = Inner {
        len: ip.payload_len as usize + Ipv6::LEN,
        traffic_class: ip.traffic_class,
        v6: true,
    };
    headers.hops = ip.hop_limit;
    let walk = Walk {
        next_header: ip.next_header,
        at: at + Ipv6::LEN,
    };
    match walk.upper(|at| packet.load(at)) {
        Ok(upper) => {
            headers.proto = upper.proto;
            headers.at = upper.at;
            headers.plain = upper.at == at + Ipv6::LEN;
            headers.fault = None;
        }
        Err(WalkError::Truncated) => headers.fault = Some(DropReason::Malformed),
        Err(WalkError::Fragment) => headers.fault = Some(DropReason::Fragment),
        Err(WalkError::TooMany) => headers.fault = Some(DropReason::ExtensionHeaders),
    }
    true
}
