//! Autonomous system numbers and router identifiers.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An autonomous system number of four octets (RFC 6793), never zero (RFC 7607).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Asn(u32);

/// Why a number is not an autonomous system number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAsn {
    /// RFC 7607: zero must not be used.
    #[error("AS number 0 is reserved")]
    Zero,
    /// Neither asplain nor asdot notation (RFC 5396).
    #[error("\"{0}\" is not an AS number: expected 1 to 4294967295, or HIGH.LOW")]
    Syntax(String),
}

impl Asn {
    /// AS_TRANS stands for a number that two octets cannot hold (RFC 6793 §9).
    pub const TRANS: Asn = Asn(23456);

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number as two octets, or AS_TRANS where it needs four (RFC 6793 §4.2.2).
    #[must_use]
    pub fn two_octets(self) -> u16 {
        u16::try_from(self.0).unwrap_or(23456)
    }
}

impl TryFrom<u32> for Asn {
    type Error = BadAsn;

    fn try_from(number: u32) -> Result<Self, BadAsn> {
        if number == 0 {
            Err(BadAsn::Zero)
        } else {
            Ok(Self(number))
        }
    }
}

impl From<Asn> for u32 {
    fn from(asn: Asn) -> u32 {
        asn.0
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Asn {
    type Err = BadAsn;

    fn from_str(text: &str) -> Result<Self, BadAsn> {
        let syntax = || BadAsn::Syntax(text.to_owned());
        let number = match text.split_once('.') {
            Some((high, low)) => {
                let high: u16 = high.parse().map_err(|_| syntax())?;
                let low: u16 = low.parse().map_err(|_| syntax())?;
                (u32::from(high) << 16) | u32::from(low)
            }
            None => text.parse().map_err(|_| syntax())?,
        };
        Self::try_from(number)
    }
}

/// A BGP identifier: four octets, not zero, written like an IPv4 address (RFC 6286).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Ipv4Addr", into = "Ipv4Addr")]
pub struct RouterId(Ipv4Addr);

/// RFC 6286 §2.1: a BGP identifier is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("router ID 0.0.0.0 is not allowed")]
pub struct BadRouterId;

impl RouterId {
    /// The identifier's four octets as an address.
    #[must_use]
    pub const fn addr(self) -> Ipv4Addr {
        self.0
    }
}

impl TryFrom<Ipv4Addr> for RouterId {
    type Error = BadRouterId;

    fn try_from(addr: Ipv4Addr) -> Result<Self, BadRouterId> {
        if addr.is_unspecified() {
            Err(BadRouterId)
        } else {
            Ok(Self(addr))
        }
    }
}

impl TryFrom<u32> for RouterId {
    type Error = BadRouterId;

    fn try_from(bits: u32) -> Result<Self, BadRouterId> {
        Self::try_from(Ipv4Addr::from(bits))
    }
}

impl From<RouterId> for Ipv4Addr {
    fn from(id: RouterId) -> Ipv4Addr {
        id.0
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asplain_and_asdot_name_the_same_number() {
        assert_eq!("65536".parse::<Asn>(), "1.0".parse::<Asn>());
        assert_eq!("4294967295".parse::<Asn>().map(Asn::get), Ok(u32::MAX));
    }

    #[test]
    fn zero_and_words_are_not_as_numbers() {
        assert_eq!("0".parse::<Asn>(), Err(BadAsn::Zero));
        assert!("4294967296".parse::<Asn>().is_err());
        assert!("1.65536".parse::<Asn>().is_err());
        assert!("rack".parse::<Asn>().is_err());
    }

    #[test]
    fn a_number_of_four_octets_becomes_as_trans_in_two() {
        assert_eq!(Asn(65001).two_octets(), 65001);
        assert_eq!(Asn(4_200_000_000).two_octets(), 23456);
    }

    #[test]
    fn a_router_id_is_never_zero() {
        assert_eq!(RouterId::try_from(0), Err(BadRouterId));
        assert_eq!(
            RouterId::try_from(0x0a00_0001).unwrap().to_string(),
            "10.0.0.1"
        );
    }
}
