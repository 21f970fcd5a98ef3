//! NOTIFICATION: why a session ends.

use std::borrow::Cow;
use std::fmt;

use crate::fields::Fields;
use crate::header::{begin, end};
use crate::subcode::{
    CeaseSubcode, FsmSubcode, HeaderSubcode, OpenSubcode, RefreshSubcode, UpdateSubcode,
};
use crate::{HEADER_LEN, MessageKind, MessageLimit};

/// The longest text a shutdown carries (RFC 9003 §2).
const MAX_TEXT: usize = 255;
/// What fits after the header, the code and the subcode.
const MAX_DATA: usize = MessageLimit::Standard.octets() - HEADER_LEN - 2;

/// An error code with its subcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Code 1.
    Header(HeaderSubcode),
    /// Code 2.
    Open(OpenSubcode),
    /// Code 3.
    Update(UpdateSubcode),
    /// Code 4.
    HoldTimerExpired,
    /// Code 5.
    Fsm(FsmSubcode),
    /// Code 6.
    Cease(CeaseSubcode),
    /// Code 7.
    RouteRefresh(RefreshSubcode),
    /// A code without a name here.
    Other {
        /// The error code.
        code: u8,
        /// Its subcode.
        subcode: u8,
    },
}

/// A NOTIFICATION, as received or to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification<'a> {
    /// Why.
    pub code: ErrorCode,
    /// What goes with the code.
    pub data: Cow<'a, [u8]>,
}

impl ErrorCode {
    /// Cease/Administrative Shutdown.
    pub const ADMINISTRATIVE_SHUTDOWN: Self = Self::Cease(CeaseSubcode::AdministrativeShutdown);
    /// Cease/Administrative Reset.
    pub const ADMINISTRATIVE_RESET: Self = Self::Cease(CeaseSubcode::AdministrativeReset);
    /// Cease/Peer De-configured.
    pub const PEER_DECONFIGURED: Self = Self::Cease(CeaseSubcode::PeerDeconfigured);
    /// Cease/Connection Collision Resolution.
    pub const COLLISION: Self = Self::Cease(CeaseSubcode::CollisionResolution);
    /// OPEN error/Bad Peer AS.
    pub const BAD_PEER_AS: Self = Self::Open(OpenSubcode::BadPeerAs);

    /// The code and the subcode on the wire.
    #[must_use]
    pub const fn numbers(self) -> (u8, u8) {
        match self {
            Self::Header(subcode) => (1, subcode.code()),
            Self::Open(subcode) => (2, subcode.code()),
            Self::Update(subcode) => (3, subcode.code()),
            Self::HoldTimerExpired => (4, 0),
            Self::Fsm(subcode) => (5, subcode.code()),
            Self::Cease(subcode) => (6, subcode.code()),
            Self::RouteRefresh(subcode) => (7, subcode.code()),
            Self::Other { code, subcode } => (code, subcode),
        }
    }

    /// The code that two numbers name.
    #[must_use]
    pub fn from_numbers(code: u8, subcode: u8) -> Self {
        match (code, subcode) {
            (1, _) => Self::Header(subcode.into()),
            (2, _) => Self::Open(subcode.into()),
            (3, _) => Self::Update(subcode.into()),
            (4, 0) => Self::HoldTimerExpired,
            (5, _) => Self::Fsm(subcode.into()),
            (6, _) => Self::Cease(subcode.into()),
            (7, _) => Self::RouteRefresh(subcode.into()),
            _ => Self::Other { code, subcode },
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(subcode) => write!(f, "message header error: {subcode}"),
            Self::Open(subcode) => write!(f, "OPEN error: {subcode}"),
            Self::Update(subcode) => write!(f, "UPDATE error: {subcode}"),
            Self::HoldTimerExpired => f.write_str("hold timer expired"),
            Self::Fsm(subcode) => write!(f, "state machine error: {subcode}"),
            Self::Cease(subcode) => write!(f, "cease: {subcode}"),
            Self::RouteRefresh(subcode) => write!(f, "ROUTE-REFRESH error: {subcode}"),
            Self::Other { code, subcode } => write!(f, "error {code}, subcode {subcode}"),
        }
    }
}

impl<'a> Notification<'a> {
    /// A NOTIFICATION with data.
    #[must_use]
    pub fn new(code: ErrorCode, data: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            code,
            data: data.into(),
        }
    }

    /// A NOTIFICATION that carries a text for the other side's operator (RFC 9003).
    ///
    /// The text is cut to 255 octets at a character's end.
    #[must_use]
    pub fn with_text(code: ErrorCode, text: &str) -> Notification<'static> {
        let text = text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or("");
        // The line above leaves at most 255 octets.
        let mut data = vec![u8::try_from(text.len()).unwrap_or(u8::MAX)];
        data.extend_from_slice(text.as_bytes());
        Notification::new(code, data)
    }

    /// A hard reset that holds the real reason (RFC 8538 §3).
    #[must_use]
    pub fn hard_reset(reason: &Notification<'_>) -> Notification<'static> {
        let (code, subcode) = reason.code.numbers();
        let mut data = vec![code, subcode];
        data.extend_from_slice(&reason.data);
        Notification::new(ErrorCode::Cease(CeaseSubcode::HardReset), data)
    }

    /// Reads what follows the header; `None` if the code or the subcode is missing.
    #[must_use]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let code = ErrorCode::from_numbers(fields.u8()?, fields.u8()?);
        Some(Self::new(code, fields.0))
    }

    /// Appends the message. Data that does not fit into one is cut.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = begin(out, MessageKind::Notification);
        let (code, subcode) = self.code.numbers();
        out.extend_from_slice(&[code, subcode]);
        out.extend(self.data.iter().take(MAX_DATA));
        end(out, start);
    }

    /// The text for an operator, where there is a valid one (RFC 9003).
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self.code {
            ErrorCode::Cease(
                CeaseSubcode::AdministrativeShutdown | CeaseSubcode::AdministrativeReset,
            ) => std::str::from_utf8(Fields(&self.data).slice_u8()?)
                .ok()
                .filter(|text| !text.is_empty()),
            ErrorCode::Header(_)
            | ErrorCode::Open(_)
            | ErrorCode::Update(_)
            | ErrorCode::HoldTimerExpired
            | ErrorCode::Fsm(_)
            | ErrorCode::Cease(_)
            | ErrorCode::RouteRefresh(_)
            | ErrorCode::Other { .. } => None,
        }
    }

    /// The reason inside a hard reset (RFC 8538 §3).
    #[must_use]
    pub fn reset_reason(&self) -> Option<Notification<'_>> {
        if self.code == ErrorCode::Cease(CeaseSubcode::HardReset) {
            Notification::parse(&self.data)
        } else {
            None
        }
    }

    /// The same, owning its data.
    #[must_use]
    pub fn into_owned(self) -> Notification<'static> {
        Notification {
            code: self.code,
            data: Cow::Owned(self.data.into_owned()),
        }
    }
}

impl From<ErrorCode> for Notification<'static> {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, Vec::new())
    }
}

impl fmt::Display for Notification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        match (self.text(), self.reset_reason()) {
            (Some(text), _) => write!(f, " ({text:?})"),
            (None, Some(reason)) => write!(f, " ({})", reason.code),
            (None, None) => Ok(()),
        }
    }
}
