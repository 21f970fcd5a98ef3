//! TCP (RFC 9293) and UDP (RFC 768).

use crate::array::{part, put};

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
        let [offset, flags] = part::<12, _, _>(&header);
        Self {
            src_port: u16::from_be_bytes(part::<0, _, _>(&header)),
            dst_port: u16::from_be_bytes(part::<2, _, _>(&header)),
            seq: u32::from_be_bytes(part::<4, _, _>(&header)),
            ack: u32::from_be_bytes(part::<8, _, _>(&header)),
            header_len: (offset >> 4) * 4,
            flags,
            window: u16::from_be_bytes(part::<14, _, _>(&header)),
            checksum: part::<16, _, _>(&header),
            urgent: u16::from_be_bytes(part::<18, _, _>(&header)),
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
        let mut header = [0; Self::LEN];
        put::<0, _, _>(&mut header, self.src_port.to_be_bytes());
        put::<2, _, _>(&mut header, self.dst_port.to_be_bytes());
        put::<4, _, _>(&mut header, self.seq.to_be_bytes());
        put::<8, _, _>(&mut header, self.ack.to_be_bytes());
        put::<12, _, _>(&mut header, [(self.header_len / 4) << 4, self.flags]);
        put::<14, _, _>(&mut header, self.window.to_be_bytes());
        put::<16, _, _>(&mut header, self.checksum);
        put::<18, _, _>(&mut header, self.urgent.to_be_bytes());
        header
    }
}

impl Udp {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// Every header is valid.
    #[must_use]
    #[inline(always)]
    pub const fn parse(header: [u8; Self::LEN]) -> Self {
        Self {
            src_port: u16::from_be_bytes(part::<0, _, _>(&header)),
            dst_port: u16::from_be_bytes(part::<2, _, _>(&header)),
            len: u16::from_be_bytes(part::<4, _, _>(&header)),
            checksum: part::<6, _, _>(&header),
        }
    }

    /// The header's bytes.
    #[must_use]
    pub const fn write(&self) -> [u8; Self::LEN] {
        let mut header = [0; Self::LEN];
        put::<0, _, _>(&mut header, self.src_port.to_be_bytes());
        put::<2, _, _>(&mut header, self.dst_port.to_be_bytes());
        put::<4, _, _>(&mut header, self.len.to_be_bytes());
        put::<6, _, _>(&mut header, self.checksum);
        header
    }
}
