//! IPv4 (RFC 791).

use crate::Checksum;

/// The fixed part of an IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// DSCP, six bits; ECN, two.
    pub traffic_class: u8,
    /// Bytes of the header with its options: 20 to 60.
    pub header_len: u8,
    /// Bytes of the packet, header included.
    pub total_len: u16,
    /// Groups fragments.
    pub id: u16,
    /// Reserved, "don't fragment" and "more fragments", one bit each; fragment offset, thirteen.
    pub fragment: u16,
    /// Hops left.
    pub ttl: u8,
    /// What follows.
    pub proto: u8,
    /// Over the header.
    pub checksum: [u8; 2],
    /// Who sent it.
    pub src: [u8; 4],
    /// Who it is for.
    pub dst: [u8; 4],
}

/// Not IPv4, or its lengths contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIpv4;

impl Ipv4 {
    /// Bytes of a header without options.
    pub const LEN: usize = 20;
    /// In [`Self::fragment`]: routers may not cut it.
    pub const DONT_FRAGMENT: u16 = 0x4000;
    /// In [`Self::fragment`]: set in every fragment, in one of its bits.
    const FRAGMENT_BITS: u16 = 0x3fff;

    /// Parses the fixed part. The checksum is not looked at.
    ///
    /// # Errors
    ///
    /// [`BadIpv4`].
    #[inline(always)]
    pub const fn parse(header: [u8; Self::LEN]) -> Result<Self, BadIpv4> {
        let [
            version,
            traffic_class,
            l0,
            l1,
            i0,
            i1,
            f0,
            f1,
            ttl,
            proto,
            c0,
            c1,
            rest @ ..,
        ] = header;
        let [s0, s1, s2, s3, d0, d1, d2, d3] = rest;
        let header_len = (version & 0xf) * 4;
        let total_len = u16::from_be_bytes([l0, l1]);
        if version >> 4 != 4 || header_len < 20 || total_len < header_len as u16 {
            return Err(BadIpv4);
        }
        Ok(Self {
            traffic_class,
            header_len,
            total_len,
            id: u16::from_be_bytes([i0, i1]),
            fragment: u16::from_be_bytes([f0, f1]),
            ttl,
            proto,
            checksum: [c0, c1],
            src: [s0, s1, s2, s3],
            dst: [d0, d1, d2, d3],
        })
    }

    /// Whether it is a part of a packet.
    #[must_use]
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        self.fragment & Self::FRAGMENT_BITS != 0
    }

    /// Whether routers may not cut it.
    #[must_use]
    pub const fn dont_fragment(&self) -> bool {
        self.fragment & Self::DONT_FRAGMENT != 0
    }

    /// The bytes of a header without options, with its checksum; the fields
    /// [`header_len`](Self::header_len) and [`checksum`](Self::checksum) are not used.
    #[must_use]
    #[inline(always)]
    pub const fn write(&self) -> [u8; Self::LEN] {
        let [l0, l1] = self.total_len.to_be_bytes();
        let [i0, i1] = self.id.to_be_bytes();
        let [f0, f1] = self.fragment.to_be_bytes();
        let [s0, s1, s2, s3] = self.src;
        let [d0, d1, d2, d3] = self.dst;
        let [c0, c1] = Checksum::EMPTY
            .double([0x45, self.traffic_class, l0, l1])
            .double([i0, i1, f0, f1])
            .word([self.ttl, self.proto])
            .double(self.src)
            .double(self.dst)
            .finish();
        [
            0x45,
            self.traffic_class,
            l0,
            l1,
            i0,
            i1,
            f0,
            f1,
            self.ttl,
            self.proto,
            c0,
            c1,
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
        ]
    }
}
