//! Address families as BGP numbers them.

use std::fmt;

use types::Family;

/// SAFI 1: unicast.
const UNICAST: u8 = 1;

/// An address family and a subsequent one, whether known here or not (RFC 4760).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AfiSafi {
    /// The address family: 1 is IPv4, 2 is IPv6.
    pub afi: u16,
    /// The subsequent address family: 1 is unicast.
    pub safi: u8,
}

impl AfiSafi {
    /// IPv4 unicast.
    pub const IPV4_UNICAST: Self = Self {
        afi: 1,
        safi: UNICAST,
    };
    /// IPv6 unicast.
    pub const IPV6_UNICAST: Self = Self {
        afi: 2,
        safi: UNICAST,
    };

    /// The family whose unicast routes this names, if it is one of the two.
    #[must_use]
    pub const fn family(self) -> Option<Family> {
        match self {
            Self::IPV4_UNICAST => Some(Family::V4),
            Self::IPV6_UNICAST => Some(Family::V6),
            Self { .. } => None,
        }
    }

    pub(crate) const fn from_octets(octets: [u8; 3]) -> Self {
        let [high, low, safi] = octets;
        Self {
            afi: u16::from_be_bytes([high, low]),
            safi,
        }
    }

    pub(crate) const fn octets(self) -> [u8; 3] {
        let [high, low] = self.afi.to_be_bytes();
        [high, low, self.safi]
    }
}

impl From<Family> for AfiSafi {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => Self::IPV4_UNICAST,
            Family::V6 => Self::IPV6_UNICAST,
        }
    }
}

impl fmt::Display for AfiSafi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family() {
            Some(family) => write!(f, "{family}/unicast"),
            None => write!(f, "{}/{}", self.afi, self.safi),
        }
    }
}

/// A set of unicast families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    /// No family.
    pub const NONE: Self = Self {
        v4: false,
        v6: false,
    };
    /// IPv4 and IPv6.
    pub const BOTH: Self = Self { v4: true, v6: true };

    /// Whether `family` is in the set.
    #[must_use]
    pub const fn contains(self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    /// Whether the set has no family.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        !self.v4 && !self.v6
    }

    /// Adds `family`.
    pub fn insert(&mut self, family: Family) {
        match family {
            Family::V4 => self.v4 = true,
            Family::V6 => self.v6 = true,
        }
    }

    /// Takes `family` out.
    pub fn remove(&mut self, family: Family) {
        match family {
            Family::V4 => self.v4 = false,
            Family::V6 => self.v6 = false,
        }
    }

    /// What both sets have.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self {
            v4: self.v4 && other.v4,
            v6: self.v6 && other.v6,
        }
    }

    /// The families, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::BOTH
            .into_iter()
            .filter(move |&family| self.contains(family))
    }
}

impl FromIterator<Family> for Families {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        let mut set = Self::NONE;
        families.into_iter().for_each(|family| set.insert(family));
        set
    }
}
