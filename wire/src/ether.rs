//! Ethernet and VLAN tags (IEEE 802.3, 802.1Q).

use crate::array::{part, put};

/// Values of the type field.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// A customer's VLAN tag follows.
    pub const VLAN: u16 = 0x8100;
    /// A provider's VLAN tag follows.
    pub const PROVIDER_VLAN: u16 = 0x88a8;
}

/// An Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// Who it is for.
    pub dst: [u8; 6],
    /// Who sent it.
    pub src: [u8; 6],
    /// What follows.
    pub ethertype: u16,
}

/// A VLAN tag, from behind the type field that announced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// Priority, three bits; drop eligible, one; VLAN id, twelve.
    pub control: u16,
    /// What follows.
    pub ethertype: u16,
}

impl Ethernet {
    /// Bytes of the header.
    pub const LEN: usize = 14;

    /// Every header is valid.
    #[must_use]
    #[inline(always)]
    pub const fn parse(header: [u8; Self::LEN]) -> Self {
        Self {
            dst: part::<0, _, _>(&header),
            src: part::<6, _, _>(&header),
            ethertype: u16::from_be_bytes(part::<12, _, _>(&header)),
        }
    }

    /// The header's bytes.
    #[must_use]
    #[inline(always)]
    pub const fn write(&self) -> [u8; Self::LEN] {
        let mut header = [0; Self::LEN];
        put::<0, _, _>(&mut header, self.dst);
        put::<6, _, _>(&mut header, self.src);
        put::<12, _, _>(&mut header, self.ethertype.to_be_bytes());
        header
    }
}

impl VlanTag {
    /// Bytes of the tag.
    pub const LEN: usize = 4;

    /// Every tag is valid.
    #[must_use]
    #[inline(always)]
    pub const fn parse(tag: [u8; Self::LEN]) -> Self {
        Self {
            control: u16::from_be_bytes(part::<0, _, _>(&tag)),
            ethertype: u16::from_be_bytes(part::<2, _, _>(&tag)),
        }
    }

    /// The VLAN.
    #[must_use]
    pub const fn id(self) -> u16 {
        self.control & 0xfff
    }

    /// The tag's bytes.
    #[must_use]
    pub const fn write(self) -> [u8; Self::LEN] {
        let [a, b] = self.control.to_be_bytes();
        let [c, d] = self.ethertype.to_be_bytes();
        [a, b, c, d]
    }
}
