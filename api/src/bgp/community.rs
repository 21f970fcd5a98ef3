//! BGP communities: text to numbers.

use std::fmt;
use std::str::FromStr;

/// A community of three numbers (RFC 8092), written `A:B:C`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity {
    /// Whose community it is.
    pub global: u32,
    /// The first number it is free to choose.
    pub local1: u32,
    /// The second.
    pub local2: u32,
}

/// The communities of the IANA registry that have names here.
pub(crate) const WELL_KNOWN: [(&str, u32); 14] = [
    ("internet", 0),
    ("planned-shut", 0xffff_0000),
    ("accept-own", 0xffff_0001),
    ("route-filter-translated-v4", 0xffff_0002),
    ("route-filter-v4", 0xffff_0003),
    ("route-filter-translated-v6", 0xffff_0004),
    ("route-filter-v6", 0xffff_0005),
    ("llgr-stale", 0xffff_0006),
    ("no-llgr", 0xffff_0007),
    ("blackhole", 0xffff_029a),
    ("no-export", 0xffff_ff01),
    ("no-advertise", 0xffff_ff02),
    ("no-export-subconfed", 0xffff_ff03),
    ("no-peer", 0xffff_ff04),
];

/// A community of RFC 1997: a number, or `A:B` with two halves of 16 bits.
pub(crate) struct Standard(pub(crate) u32);

#[derive(Debug, thiserror::Error)]
#[error(
    "\"{0}\" is not a community: expected A:B with halves of 16 bits, or one number of 32 bits"
)]
pub(crate) struct BadStandard(String);

#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not a large community: expected A:B:C, each of 32 bits")]
pub(crate) struct BadLarge(String);

impl FromStr for Standard {
    type Err = BadStandard;

    fn from_str(text: &str) -> Result<Self, BadStandard> {
        let number = match text.split_once(':') {
            Some((high, low)) => decimal::<u16>(high)
                .zip(decimal::<u16>(low))
                .map(|(high, low)| u32::from(high) << 16 | u32::from(low)),
            None => decimal(text),
        };
        number.map(Self).ok_or_else(|| BadStandard(text.to_owned()))
    }
}

impl LargeCommunity {
    pub(crate) fn read(text: &str) -> Result<Self, BadLarge> {
        let bad = || BadLarge(text.to_owned());
        let parts: Option<Vec<u32>> = text.split(':').map(decimal).collect();
        let parts: [u32; 3] = parts.ok_or_else(bad)?.try_into().map_err(|_| bad())?;
        let [global, local1, local2] = parts;
        Ok(Self {
            global,
            local1,
            local2,
        })
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}

/// Rust's own parser takes a plus sign, which other routers do not.
fn decimal<N: FromStr>(text: &str) -> Option<N> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_are_numbers_of_the_right_width() {
        let standard = |text: &str| text.parse::<Standard>().map(|s| s.0).ok();

        assert_eq!(standard("65000:100"), Some(65000 << 16 | 100));
        assert_eq!(standard("4294967295"), Some(u32::MAX));
        for bad in [
            "65536:1",
            "1:65536",
            "4294967296",
            "1:2:3",
            "",
            ":",
            "+1:2",
            "a:b",
        ] {
            assert_eq!(standard(bad), None, "{bad}");
        }
        assert_eq!(
            LargeCommunity::read("4294967295:1:2").unwrap().to_string(),
            "4294967295:1:2"
        );
        for bad in ["1:2", "1:2:3:4", "4294967296:0:0", "1::2", "-1:2:3"] {
            assert!(LargeCommunity::read(bad).is_err(), "{bad}");
        }
    }
}
