//! The header that every message has, and where a message ends in a stream.

use crate::fields::{Fields, fill_u16};
use crate::subcode::HeaderSubcode;
use crate::{ErrorCode, Notification};

/// Sixteen octets of ones (RFC 4271 §4.1).
pub const MARKER: [u8; 16] = [0xff; 16];
/// The length of a header: marker, length and type.
pub const HEADER_LEN: usize = 19;

/// Where the length is in a header.
const LEN_AT: usize = MARKER.len();

/// How long a message may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageLimit {
    /// 4096 octets (RFC 4271 §4.1).
    #[default]
    Standard,
    /// 65535 octets, where both sides offered it (RFC 8654).
    Extended,
}

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// Type 1.
    Open,
    /// Type 2.
    Update,
    /// Type 3.
    Notification,
    /// Type 4.
    Keepalive,
    /// Type 5 (RFC 2918).
    RouteRefresh,
}

/// One whole message of a stream, its header checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the body is.
    pub kind: MessageKind,
    /// What follows the header.
    pub body: &'a [u8],
}

/// What is wrong with a header (RFC 4271 §6.1). Each ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The marker is not all ones.
    #[error("the marker is not all ones")]
    NotSynchronized,
    /// Shorter or longer than a message, or this type of message, may be.
    #[error("a message of {0} octets is too short or too long")]
    BadLength(u16),
    /// No such message.
    #[error("message type {0} is unknown")]
    BadType(u8),
}

impl MessageLimit {
    /// The most octets a message may have, its header included.
    #[must_use]
    pub const fn octets(self) -> usize {
        match self {
            Self::Standard => 4096,
            Self::Extended => 65535,
        }
    }
}

impl MessageKind {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Update => 2,
            Self::Notification => 3,
            Self::Keepalive => 4,
            Self::RouteRefresh => 5,
        }
    }

    /// The lengths that a message of this type may have, header included.
    const fn lengths(self, limit: MessageLimit) -> (usize, usize) {
        match self {
            Self::Update => (23, limit.octets()),
            Self::Notification => (21, limit.octets()),
            Self::RouteRefresh => (23, limit.octets()),
            // RFC 8654 §4: these two keep the old limit.
            Self::Open => (29, MessageLimit::Standard.octets()),
            Self::Keepalive => (HEADER_LEN, HEADER_LEN),
        }
    }
}

impl TryFrom<u8> for MessageKind {
    type Error = HeaderError;

    fn try_from(code: u8) -> Result<Self, HeaderError> {
        match code {
            1 => Ok(Self::Open),
            2 => Ok(Self::Update),
            3 => Ok(Self::Notification),
            4 => Ok(Self::Keepalive),
            5 => Ok(Self::RouteRefresh),
            _ => Err(HeaderError::BadType(code)),
        }
    }
}

/// Cuts the first message off a stream; `None` if it is not whole yet.
///
/// # Errors
/// If the header is wrong: the stream cannot be read any further.
pub fn split(
    stream: &[u8],
    limit: MessageLimit,
) -> Result<Option<(Frame<'_>, &[u8])>, HeaderError> {
    let mut fields = Fields(stream);
    // RFC 4271 §6.1: the subcode follows the first field that is wrong, in this order.
    let Some(marker) = fields.take::<16>() else {
        return Ok(None);
    };
    if marker != MARKER {
        return Err(HeaderError::NotSynchronized);
    }
    let (Some(len), Some(kind)) = (fields.u16(), fields.u8()) else {
        return Ok(None);
    };
    let whole = usize::from(len);
    if !(HEADER_LEN..=limit.octets()).contains(&whole) {
        return Err(HeaderError::BadLength(len));
    }
    let kind = MessageKind::try_from(kind)?;
    let (least, most) = kind.lengths(limit);
    if !(least..=most).contains(&whole) {
        return Err(HeaderError::BadLength(len));
    }
    Ok(fields
        .slice(whole - HEADER_LEN)
        .map(|body| (Frame { kind, body }, fields.0)))
}

/// Appends a KEEPALIVE.
pub fn write_keepalive(out: &mut Vec<u8>) {
    let start = begin(out, MessageKind::Keepalive);
    end(out, start);
}

/// Appends a header whose length is still open, and says where the message starts.
pub(crate) fn begin(out: &mut Vec<u8>, kind: MessageKind) -> usize {
    let start = out.len();
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&[0, 0, kind.code()]);
    start
}

/// Closes the message that starts at `start`.
pub(crate) fn end(out: &mut [u8], start: usize) {
    let len = out.len() - start;
    fill_u16(out, start + LEN_AT, len);
}

impl From<HeaderError> for Notification<'static> {
    fn from(error: HeaderError) -> Self {
        let (subcode, data) = match error {
            HeaderError::NotSynchronized => (HeaderSubcode::NotSynchronized, Vec::new()),
            HeaderError::BadLength(len) => (HeaderSubcode::BadLength, len.to_be_bytes().to_vec()),
            HeaderError::BadType(kind) => (HeaderSubcode::BadType, vec![kind]),
        };
        Notification::new(ErrorCode::Header(subcode), data)
    }
}
