//! ROUTE-REFRESH: ask for a family's routes again (RFC 2918, RFC 7313).

use crate::fields::Fields;
use crate::header::{begin, end};
use crate::subcode::RefreshSubcode;
use crate::{AfiSafi, ErrorCode, MessageKind, Notification};

/// What a ROUTE-REFRESH says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshKind {
    /// Send everything again.
    Request,
    /// Everything follows (RFC 7313).
    Begin,
    /// That was everything (RFC 7313).
    End,
    /// To be ignored (RFC 7313 §5).
    Other(u8),
}

/// A ROUTE-REFRESH for one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRefresh {
    /// The family.
    pub family: AfiSafi,
    /// A request, or the bounds of an answer.
    pub kind: RefreshKind,
}

/// The message is not four octets long (RFC 7313 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ROUTE-REFRESH of {0} octets is not one of four")]
pub struct RefreshError(pub usize);

impl RouteRefresh {
    /// A request for the unicast routes of a family.
    #[must_use]
    pub fn request(family: types::Family) -> Self {
        Self {
            family: family.into(),
            kind: RefreshKind::Request,
        }
    }

    /// Reads what follows the header.
    ///
    /// # Errors
    /// If it is not exactly four octets.
    pub fn parse(body: &[u8]) -> Result<Self, RefreshError> {
        let mut fields = Fields(body);
        match (fields.u16(), fields.u8(), fields.u8(), fields.is_empty()) {
            (Some(afi), Some(kind), Some(safi), true) => Ok(Self {
                family: AfiSafi { afi, safi },
                kind: kind.into(),
            }),
            _ => Err(RefreshError(body.len())),
        }
    }

    /// Appends the message.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = begin(out, MessageKind::RouteRefresh);
        let [high, low] = self.family.afi.to_be_bytes();
        out.extend_from_slice(&[high, low, self.kind.code(), self.family.safi]);
        end(out, start);
    }
}

impl RefreshKind {
    const fn code(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Begin => 1,
            Self::End => 2,
            Self::Other(code) => code,
        }
    }
}

impl From<u8> for RefreshKind {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Request,
            1 => Self::Begin,
            2 => Self::End,
            _ => Self::Other(code),
        }
    }
}

impl From<RefreshError> for Notification<'static> {
    fn from(_: RefreshError) -> Self {
        ErrorCode::RouteRefresh(RefreshSubcode::InvalidLength).into()
    }
}
