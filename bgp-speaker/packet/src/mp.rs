//! MP_REACH_NLRI and MP_UNREACH_NLRI: routes of any family (RFC 4760).

use types::Family;

use crate::fields::Fields;
use crate::{AfiSafi, NextHop, Nlri};

/// MP_REACH_NLRI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach<'a> {
    /// Routes of a family that is known here.
    Known { next_hop: NextHop, nlri: Nlri<'a> },
    /// Of another: not looked at.
    Foreign,
}

/// MP_UNREACH_NLRI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreach<'a> {
    /// Routes of a family that is known here.
    Known(Nlri<'a>),
    /// Of another: not looked at.
    Foreign,
}

impl<'a> Reach<'a> {
    /// `None` if the routes cannot be found or read.
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(value);
        let family = AfiSafi::from_octets(fields.take()?).family();
        let next_hop = fields.slice_u8()?;
        // RFC 4760 §3: reserved, to be ignored.
        fields.u8()?;
        let Some(family) = family else {
            return Some(Self::Foreign);
        };
        let next_hop = NextHop::parse(next_hop)?;
        if family == Family::V6 && matches!(next_hop, NextHop::V4(_)) {
            return None;
        }
        let nlri = Nlri::parse(family, fields.0).ok()?;
        Some(Self::Known { next_hop, nlri })
    }
}

impl<'a> Unreach<'a> {
    /// `None` if the routes cannot be found or read.
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(value);
        let Some(family) = AfiSafi::from_octets(fields.take()?).family() else {
            return Some(Self::Foreign);
        };
        Nlri::parse(family, fields.0).ok().map(Self::Known)
    }
}
