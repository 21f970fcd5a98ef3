//! ICMP (RFC 792) and ICMPv6 (RFC 4443).

use crate::array::{part, put};

/// Types and codes of ICMP.
pub mod icmp_v4 {
    /// Answer to an echo request.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Asks for an echo reply.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;
    /// Code of [`UNREACHABLE`]: nobody listens at the port.
    pub const PORT_UNREACHABLE: u8 = 3;
    /// Code of [`UNREACHABLE`]: fragmentation needed; the next hop's MTU is in the header.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
}

/// Types and codes of ICMPv6.
pub mod icmp_v6 {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big; the MTU is in the header.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Asks for an echo reply.
    pub const ECHO_REQUEST: u8 = 128;
    /// Answer to an echo request.
    pub const ECHO_REPLY: u8 = 129;
    /// Code of [`UNREACHABLE`]: nobody listens at the port.
    pub const PORT_UNREACHABLE: u8 = 4;
}

/// The header of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// What it says.
    pub kind: u8,
    /// What exactly.
    pub code: u8,
    /// Over the message, and in ICMPv6 over a pseudo header too.
    pub checksum: [u8; 2],
    /// Depends on the type.
    pub rest: [u8; 4],
}

impl Icmp {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// Every header is valid.
    #[must_use]
    #[inline(always)]
    pub const fn parse(header: [u8; Self::LEN]) -> Self {
        let [kind, code, ..] = header;
        Self {
            kind,
            code,
            checksum: part::<2, _, _>(&header),
            rest: part::<4, _, _>(&header),
        }
    }

    /// The header's bytes.
    #[must_use]
    #[inline(always)]
    pub const fn write(&self) -> [u8; Self::LEN] {
        let mut header = [0; Self::LEN];
        put::<0, _, _>(&mut header, [self.kind, self.code]);
        put::<2, _, _>(&mut header, self.checksum);
        put::<4, _, _>(&mut header, self.rest);
        header
    }
}
