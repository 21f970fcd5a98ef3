//! IPv6 and its extension headers (RFC 8200).

use crate::array::{part, put};

/// Extension headers that are walked before a packet is given up.
pub const MAX_EXTENSIONS: usize = 6;

/// Values of the next header field.
pub mod next_header {
    /// Options for every hop.
    pub const HOP_BY_HOP: u8 = 0;
    /// A route.
    pub const ROUTING: u8 = 43;
    /// A part of a packet.
    pub const FRAGMENT: u8 = 44;
    /// Authentication.
    pub const AUTHENTICATION: u8 = 51;
    /// Options for the destination.
    pub const DESTINATION: u8 = 60;
    /// ICMPv6.
    pub const ICMP: u8 = 58;
    /// An IPv4 packet.
    pub const IPV4: u8 = 4;
    /// An IPv6 packet.
    pub const IPV6: u8 = 41;
}

/// The fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// DSCP, six bits; ECN, two.
    pub traffic_class: u8,
    /// Twenty bits.
    pub flow_label: u32,
    /// Bytes behind the fixed header.
    pub payload_len: u16,
    /// What follows.
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Who sent it.
    pub src: [u8; 16],
    /// Who it is for.
    pub dst: [u8; 16],
}

/// Not IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIpv6;

/// A walk over extension headers: where it is, and what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Kind of the header at [`at`](Self::at).
    pub next_header: u8,
    /// Its place.
    pub at: usize,
}

/// What the extension headers lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper {
    /// The upper layer's protocol, or the first header that cannot be walked.
    pub proto: u8,
    /// Where it starts.
    pub at: usize,
}

/// Why the upper layer was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkError {
    /// The packet ends inside a header.
    Truncated,
    /// A fragment: even its first part is not walked into.
    Fragment,
    /// More than [`MAX_EXTENSIONS`] headers.
    TooMany,
}

impl Ipv6 {
    /// Bytes of the fixed header.
    pub const LEN: usize = 40;
    /// Every link carries packets of this size (RFC 8200 §5).
    pub const MIN_MTU: u16 = 1280;

    /// Parses the fixed header.
    ///
    /// # Errors
    ///
    /// [`BadIpv6`].
    #[inline(always)]
    pub const fn parse(header: [u8; Self::LEN]) -> Result<Self, BadIpv6> {
        let first = u32::from_be_bytes(part::<0, _, _>(&header));
        if first >> 28 != 6 {
            return Err(BadIpv6);
        }
        let [next_header, hop_limit] = part::<6, _, _>(&header);
        let [_, traffic_class, ..] = (first >> 4).to_be_bytes();
        Ok(Self {
            traffic_class,
            flow_label: first & 0xf_ffff,
            payload_len: u16::from_be_bytes(part::<4, _, _>(&header)),
            next_header,
            hop_limit,
            src: part::<8, _, _>(&header),
            dst: part::<24, _, _>(&header),
        })
    }

    /// The header's bytes. Only the low twenty bits of the flow label are used.
    #[must_use]
    #[inline(always)]
    pub const fn write(&self) -> [u8; Self::LEN] {
        let first = 6 << 28 | (self.traffic_class as u32) << 20 | self.flow_label & 0xf_ffff;
        let mut header = [0; Self::LEN];
        put::<0, _, _>(&mut header, first.to_be_bytes());
        put::<4, _, _>(&mut header, self.payload_len.to_be_bytes());
        put::<6, _, _>(&mut header, [self.next_header, self.hop_limit]);
        put::<8, _, _>(&mut header, self.src);
        put::<24, _, _>(&mut header, self.dst);
        header
    }
}

impl Walk {
    /// Walks to the upper layer. `load` reads eight bytes at a place in the packet.
    ///
    /// # Errors
    ///
    /// [`WalkError`].
    #[inline(always)]
    pub fn upper(self, load: impl Fn(usize) -> Option<[u8; 8]>) -> Result<Upper, WalkError> {
        let Self {
            next_header: mut proto,
            mut at,
        } = self;
        for _ in 0..=MAX_EXTENSIONS {
            let unit = match proto {
                next_header::HOP_BY_HOP | next_header::ROUTING | next_header::DESTINATION => 8,
                next_header::AUTHENTICATION => 4,
                next_header::FRAGMENT => return Err(WalkError::Fragment),
                _ => return Ok(Upper { proto, at }),
            };
            let [next, len, ..] = load(at).ok_or(WalkError::Truncated)?;
            // RFC 4302 §2.2: authentication counts in units of four bytes, less two; RFC 8200 §4:
            // the others in units of eight, less one.
            at += if unit == 4 {
                (len as usize + 2) * 4
            } else {
                (len as usize + 1) * 8
            };
            proto = next;
        }
        Err(WalkError::TooMany)
    }
}
