//! IPv4 (RFC 791).

use crate::Checksum;
use crate::array::{part, put};

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
        let [version, traffic_class, ..] = header;
        let [ttl, proto] = part::<8, _, _>(&header);
        let header_len = (version & 0xf) * 4;
        let total_len = u16::from_be_bytes(part::<2, _, _>(&header));
        if version >> 4 != 4 || header_len < 20 || total_len < header_len as u16 {
            return Err(BadIpv4);
        }
        Ok(Self {
            traffic_class,
            header_len,
            total_len,
            id: u16::from_be_bytes(part::<4, _, _>(&header)),
            fragment: u16::from_be_bytes(part::<6, _, _>(&header)),
            ttl,
            proto,
            checksum: part::<10, _, _>(&header),
            src: part::<12, _, _>(&header),
            dst: part::<16, _, _>(&header),
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
        let first = [0x45, self.traffic_class];
        let len = self.total_len.to_be_bytes();
        let id = self.id.to_be_bytes();
        let fragment = self.fragment.to_be_bytes();
        let hops = [self.ttl, self.proto];
        let checksum = Checksum::EMPTY
            .word(first)
            .word(len)
            .word(id)
            .word(fragment)
            .word(hops)
            .double(self.src)
            .double(self.dst)
            .finish();
        let mut header = [0; Self::LEN];
        put::<0, _, _>(&mut header, first);
        put::<2, _, _>(&mut header, len);
        put::<4, _, _>(&mut header, id);
        put::<6, _, _>(&mut header, fragment);
        put::<8, _, _>(&mut header, hops);
        put::<10, _, _>(&mut header, checksum);
        put::<12, _, _>(&mut header, self.src);
        put::<16, _, _>(&mut header, self.dst);
        header
    }
}
