//! Address families and prefixes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// An IP address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "ipv4")]
    V4,
    /// IPv6.
    #[serde(rename = "ipv6")]
    V6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    #[must_use]
    pub const fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The number of bits in an address: 32 or 128.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        })
    }
}

/// An IP prefix whose host bits are zero.
///
/// Ordered by family (IPv4 first), then address, then length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// Why text or a length does not name a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPrefix {
    /// More bits than an address of the family has.
    #[error("prefix length {len} is larger than {max}")]
    TooLong {
        /// What was given.
        len: u8,
        /// 32 or 128.
        max: u8,
    },
    /// Not ADDRESS/LENGTH.
    #[error("\"{0}\" is not a prefix: expected ADDRESS/LENGTH")]
    Syntax(String),
    /// Bits are set past the length.
    #[error("{given} has host bits set; did you mean {meant}?")]
    HostBits {
        /// What was given.
        given: String,
        /// The same with the host bits cleared.
        meant: Prefix,
    },
}

impl Prefix {
    /// The prefix of `len` bits that holds `addr`; host bits are cleared.
    ///
    /// # Errors
    /// If `len` is larger than the family's address.
    pub fn containing(addr: IpAddr, len: u8) -> Result<Self, BadPrefix> {
        let max = Family::of(addr).bits();
        if len > max {
            return Err(BadPrefix::TooLong { len, max });
        }
        let net = IpNet::new(addr, len).map_err(|_| BadPrefix::TooLong { len, max })?;
        Ok(Self {
            addr: net.network(),
            len,
        })
    }

    /// The /32 or /128 of one address.
    #[must_use]
    pub const fn host(addr: IpAddr) -> Self {
        Self {
            addr,
            len: Family::of(addr).bits(),
        }
    }

    /// The first address.
    #[must_use]
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The length in bits: 0 to 32 or 0 to 128.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a prefix length is not a container's"
    )]
    pub const fn len(&self) -> u8 {
        self.len
    }

    /// The address family.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.addr)
    }

    /// The last address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        let host = u32::from(self.family().bits() - self.len);
        match self.addr {
            IpAddr::V4(addr) => {
                let mask = u32::MAX.checked_shr(32 - host).unwrap_or(0);
                Ipv4Addr::from(u32::from(addr) | mask).into()
            }
            IpAddr::V6(addr) => {
                let mask = u128::MAX.checked_shr(128 - host).unwrap_or(0);
                Ipv6Addr::from(u128::from(addr) | mask).into()
            }
        }
    }

    /// Whether `addr` is in this prefix.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        Self::containing(addr, self.len).is_ok_and(|prefix| prefix == *self)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        let syntax = || BadPrefix::Syntax(text.to_owned());
        let (addr, len) = text.split_once('/').ok_or_else(syntax)?;
        let addr: IpAddr = addr.parse().map_err(|_| syntax())?;
        let prefix = Self::containing(addr, len.parse().map_err(|_| syntax())?)?;
        if prefix.addr == addr {
            Ok(prefix)
        } else {
            Err(BadPrefix::HostBits {
                given: text.to_owned(),
                meant: prefix,
            })
        }
    }
}

impl TryFrom<String> for Prefix {
    type Error = BadPrefix;

    fn try_from(text: String) -> Result<Self, BadPrefix> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> String {
        prefix.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn host_bits_are_refused_in_text_and_cleared_by_containing() {
        let meant: Prefix = "10.0.0.0/24".parse().unwrap();

        let parsed = "10.0.0.1/24".parse::<Prefix>();

        assert_eq!(
            parsed,
            Err(BadPrefix::HostBits {
                given: "10.0.0.1/24".into(),
                meant
            })
        );
        assert_eq!(
            Prefix::containing("10.0.0.1".parse().unwrap(), 24),
            Ok(meant)
        );
    }

    #[test]
    fn the_whole_address_space_is_a_prefix() {
        assert_eq!(
            "0.0.0.0/0".parse::<Prefix>().unwrap().last().to_string(),
            "255.255.255.255"
        );
        assert!(
            "::/0"
                .parse::<Prefix>()
                .unwrap()
                .contains("ffff::1".parse().unwrap())
        );
        assert!(
            !"::/0"
                .parse::<Prefix>()
                .unwrap()
                .contains("10.0.0.1".parse().unwrap())
        );
    }

    #[test]
    fn lengths_past_the_family_are_refused() {
        assert_eq!(
            "10.0.0.0/33".parse::<Prefix>(),
            Err(BadPrefix::TooLong { len: 33, max: 32 })
        );
        assert!("2001:db8::/129".parse::<Prefix>().is_err());
        assert!("10.0.0.0".parse::<Prefix>().is_err());
    }

    proptest! {
        #[test]
        fn a_prefix_contains_exactly_first_to_last(bits: u128, other: u128, len in 0u8..=128) {
            let prefix = Prefix::containing(Ipv6Addr::from(bits).into(), len).unwrap();
            let other = IpAddr::from(Ipv6Addr::from(other));

            prop_assert!(prefix.contains(prefix.last()));
            prop_assert_eq!(
                prefix.contains(other),
                prefix.addr() <= other && other <= prefix.last()
            );
        }

        #[test]
        fn text_goes_there_and_back(bits: u32, len in 0u8..=32) {
            let prefix = Prefix::containing(Ipv4Addr::from(bits).into(), len).unwrap();

            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
        }
    }
}
