//! Where routes lead.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::fields::{Fields, exact};

/// A route's next hop, of whichever family (RFC 4271 §5.1.3, RFC 2545, RFC 8950).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address and, on a shared link, the link-local one beside it.
    V6 {
        /// The first address: global, but for peers that have none.
        global: Ipv6Addr,
        /// The second, where there is one.
        link_local: Option<Ipv6Addr>,
    },
}

impl NextHop {
    /// Reads a next hop of 4, 16 or 32 octets.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        match bytes.len() {
            4 => exact::<4>(bytes).map(|octets| Self::V4(octets.into())),
            16 | 32 => Some(Self::V6 {
                global: fields.take::<16>()?.into(),
                link_local: fields
                    .take::<16>()
                    .map(Ipv6Addr::from)
                    // Some send 32 octets and leave the second half zero.
                    .filter(|addr| !addr.is_unspecified()),
            }),
            _ => None,
        }
    }

    /// The first address.
    #[must_use]
    pub const fn addr(&self) -> IpAddr {
        match self {
            Self::V4(addr) => IpAddr::V4(*addr),
            Self::V6 { global, .. } => IpAddr::V6(*global),
        }
    }

    /// Whether a packet could be sent there: neither zero, loopback, multicast nor class E.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        match self {
            Self::V4(addr) => {
                let [first, ..] = addr.octets();
                !(first == 0 || addr.is_loopback() || first >= 224)
            }
            Self::V6 { global, link_local } => {
                // A peer without a global address may leave the first one zero.
                (!global.is_unspecified() || link_local.is_some())
                    && !global.is_loopback()
                    && !global.is_multicast()
            }
        }
    }

    /// How many octets it takes in MP_REACH_NLRI.
    pub(crate) const fn wire_len(&self) -> usize {
        match self {
            Self::V4(_) => 4,
            Self::V6 {
                link_local: None, ..
            } => 16,
            Self::V6 {
                link_local: Some(_),
                ..
            } => 32,
        }
    }

    /// Appends it as MP_REACH_NLRI has it, without its length.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::V4(addr) => out.extend_from_slice(&addr.octets()),
            Self::V6 { global, link_local } => {
                out.extend_from_slice(&global.octets());
                if let Some(addr) = link_local {
                    out.extend_from_slice(&addr.octets());
                }
            }
        }
    }
}

impl From<IpAddr> for NextHop {
    fn from(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => Self::V4(addr),
            IpAddr::V6(global) => Self::V6 {
                global,
                link_local: None,
            },
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.addr(), f)
    }
}
