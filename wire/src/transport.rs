//! TCP (RFC 9293) and UDP (RFC 768).

/// Bits of [`Tcp::flags`].
pub mod tcp_flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Opens a connection.
    pub const SYN: u8 = 0x02;
    /// Ends it at once.
    pub const RST: u8 = 0x04;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
}

/// The fixed part of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// Number of the first byte.
    pub seq: u32,
    /// Number of the byte that is expected next.
    pub ack: u32,
    /// Bytes of the header with its options.
    pub header_len: u8,
    /// See [`tcp_flags`].
    pub flags: u8,
    /// Bytes the sender takes.
    pub window: u16,
    /// Over pseudo header, header and data.
    pub checksum: [u8; 2],
    /// End of urgent data.
    pub urgent: u16,
}

/// A UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// Bytes of header and data.
    pub len: u16,
    /// Over pseudo header, header and data.
    pub checksum: [u8; 2],
}

impl Tcp {
    /// Bytes of a header without options.
    pub const LEN: usize = 20;

    /// Any bytes give a header; its length may be wrong.
    #[must_use]
    #[inline(always)]
    pub const fn parse(header: [u8; Self::LEN]) -> Self {
        let [
            s0,
            s1,
            d0,
            d1,
            q0,
            q1,
            q2,
            q3,
            a0,
            a1,
            a2,
            a3,
            offset,
            flags,
            rest @ ..,
        ] = header;
        let [w0, w1, c0, c1, u0, u1] = rest;
        Self {
            src_port: u16::from_be_bytes([s0, s1]),
            dst_port: u16::from_be_bytes([d0, d1]),
            seq: u32::from_be_bytes([q0, q1, q2, q3]),
            ack: u32::from_be_bytes([a0, a1, a2, a3]),
            header_len: (offset >> 4) * 4,
            flags,
            window: u16::from_be_bytes([w0, w1]),
            checksum: [c0, c1],
            urgent: u16::from_be_bytes([u0, u1]),
        }
    }

    /// Whether it opens a connection from the sender's side.
    #[must_use]
    #[inline(always)]
    pub const fn opens(&self) -> bool {
        self.flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN
    }

    /// The fixed part's bytes.
    #[must_use]
    pub const fn write(&self) -> [u8; Self::LEN] {
        let [s0, s1] = self.src_port.to_be_bytes();
        let [d0, d1] = self.dst_port.to_be_bytes();
        let [q0, q1, q2, q3] = self.seq.to_be_bytes();
        let [a0, a1, a2, a3] = self.ack.to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        let [c0, c1] = self.checksum;
        let [u0, u1] = self.urgent.to_be_bytes();
        let offset = (self.header_len / 4) << 4;
        [
            s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, self.flags, w0, w1, c0, c1, u0,
            u1,
        ]
    }
}

impl Udp {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// Every header is valid.
    #[must_use]
    #[inline(always)]
    pub const fn parse(header: [u8; Self::LEN]) -> Self {
        let [s0, s1, d0, d1, l0, l1, c0, c1] = header;
        Self {
            src_port: u16::from_be_bytes([s0, s1]),
            dst_port: u16::from_be_bytes([d0, d1]),
            len: u16::from_be_bytes([l0, l1]),
            checksum: [c0, c1],
        }
    }

    /// The header's bytes.
    #[must_use]
    pub const fn write(&self) -> [u8; Self::LEN] {
        let [s0, s1] = self.src_port.to_be_bytes();
        let [d0, d1] = self.dst_port.to_be_bytes();
        let [l0, l1] = self.len.to_be_bytes();
        let [c0, c1] = self.checksum;
        [s0, s1, d0, d1, l0, l1, c0, c1]
    }
}
