//! ARP for IPv4 over Ethernet (RFC 826).

/// Ethernet, IPv4, and the lengths of their addresses.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// What is asked or said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target's address?
    Request,
    /// The sender has its address.
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Asked or said.
    pub operation: Operation,
    /// The sender's station.
    pub sender_mac: [u8; 6],
    /// The sender's address.
    pub sender_ip: [u8; 4],
    /// The target's station; zero in a request.
    pub target_mac: [u8; 6],
    /// The target's address.
    pub target_ip: [u8; 4],
}

/// Not ARP for IPv4 over Ethernet, or neither request nor reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadArp;

impl Arp {
    /// Bytes of the packet.
    pub const LEN: usize = 28;

    /// Parses a packet.
    ///
    /// # Errors
    ///
    /// [`BadArp`].
    pub const fn parse(packet: [u8; Self::LEN]) -> Result<Self, BadArp> {
        let [p0, p1, p2, p3, p4, p5, o0, o1, rest @ ..] = packet;
        if !matches!([p0, p1, p2, p3, p4, p5], ETHERNET_IPV4) {
            return Err(BadArp);
        }
        let operation = match u16::from_be_bytes([o0, o1]) {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(BadArp),
        };
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = rest;
        Ok(Self {
            operation,
            sender_mac: [a, b, c, d, e, f],
            sender_ip: [g, h, i, j],
            target_mac: [k, l, m, n, o, p],
            target_ip: [q, r, s, t],
        })
    }

    /// The packet's bytes.
    #[must_use]
    pub const fn write(&self) -> [u8; Self::LEN] {
        let [p0, p1, p2, p3, p4, p5] = ETHERNET_IPV4;
        let operation = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        let [a, b, c, d, e, f] = self.sender_mac;
        let [g, h, i, j] = self.sender_ip;
        let [k, l, m, n, o, p] = self.target_mac;
        let [q, r, s, t] = self.target_ip;
        [
            p0, p1, p2, p3, p4, p5, 0, operation, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p,
            q, r, s, t,
        ]
    }
}
