//! Reads the headers of any IP packet, wherever they lie in a frame.

use bpf_common::{DropReason, Packet};
use wire::{Ipv4, Ipv6, Walk, WalkError};

use crate::forward::Inner;
use crate::hash::AddrWords;

/// The headers of an IP packet up to the transport's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Headers {
    pub(crate) src: AddrWords,
    pub(crate) dst: AddrWords,
    pub(crate) inner: Inner,
    /// TTL or hop limit.
    pub(crate) hops: u8,
    /// Where the transport header is in the frame, and what it is; or why there is none.
    pub(crate) transport: Result<Transport, DropReason>,
    /// Neither options nor extension headers.
    pub(crate) plain: bool,
}

/// A transport header's kind and place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transport {
    pub(crate) proto: u8,
    pub(crate) at: usize,
}

/// The headers of the IPv4 packet at `at`; `None` if the frame ends inside the fixed one.
#[inline(always)]
pub(crate) fn ipv4(packet: &impl Packet, at: usize) -> Option<Headers> {
    let bytes = packet.load::<{ Ipv4::LEN }>(at)?;
    let Ok(ip) = Ipv4::parse(bytes) else {
        return Some(malformed_v4(bytes));
    };
    let transport = if ip.is_fragment() {
        Err(DropReason::Fragment)
    } else {
        Ok(Transport {
            proto: ip.proto,
            at: at + ip.header_len as usize,
        })
    };
    Some(Headers {
        src: AddrWords::v4(ip.src),
        dst: AddrWords::v4(ip.dst),
        inner: Inner {
            len: ip.total_len as usize,
            traffic_class: ip.traffic_class,
            v6: false,
        },
        hops: ip.ttl,
        transport,
        plain: ip.header_len == 20,
    })
}

/// The headers of the IPv6 packet at `at`; `None` if the frame ends inside the fixed one, or if it
/// is no IPv6.
#[inline(always)]
pub(crate) fn ipv6(packet: &impl Packet, at: usize) -> Option<Headers> {
    let ip = Ipv6::parse(packet.load::<{ Ipv6::LEN }>(at)?).ok()?;
    let walk = Walk {
        next_header: ip.next_header,
        at: at + Ipv6::LEN,
    };
    let transport = match walk.upper(|at| packet.load(at)) {
        Ok(upper) => Ok(Transport {
            proto: upper.proto,
            at: upper.at,
        }),
        Err(WalkError::Truncated) => Err(DropReason::Malformed),
        Err(WalkError::Fragment) => Err(DropReason::Fragment),
        Err(WalkError::TooMany) => Err(DropReason::ExtensionHeaders),
    };
    Some(Headers {
        src: AddrWords::new(ip.src),
        dst: AddrWords::new(ip.dst),
        inner: Inner {
            len: ip.payload_len as usize + Ipv6::LEN,
            traffic_class: ip.traffic_class,
            v6: true,
        },
        hops: ip.hop_limit,
        transport,
        plain: transport.is_ok_and(|upper| upper.at == at + Ipv6::LEN),
    })
}

/// The address says whether anyone but the stack cares.
#[inline(always)]
fn malformed_v4(bytes: [u8; Ipv4::LEN]) -> Headers {
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = bytes;
    Headers {
        src: AddrWords::v4([s0, s1, s2, s3]),
        dst: AddrWords::v4([d0, d1, d2, d3]),
        inner: Inner {
            len: 0,
            traffic_class: 0,
            v6: false,
        },
        hops: 0,
        transport: Err(DropReason::Malformed),
        plain: false,
    }
}
