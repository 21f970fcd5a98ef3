//! A message of any type.

use crate::{
    Frame, HeaderError, MessageKind, Notification, Open, OpenError, RefreshError, RouteRefresh,
    Update, UpdateError,
};

/// A message, parsed in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The first of a session.
    Open(Open<'a>),
    /// Routes; [`Update::read`] has their meaning.
    Update(Update<'a>),
    /// The last of a session.
    Notification(Notification<'a>),
    /// Nothing new.
    Keepalive,
    /// The peer wants routes again.
    RouteRefresh(RouteRefresh),
}

/// Why a message cannot be read. Each ends the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The header is wrong.
    #[error("reading the header")]
    Header(#[from] HeaderError),
    /// The OPEN is wrong.
    #[error("reading an OPEN")]
    Open(#[from] OpenError),
    /// The UPDATE is wrong.
    #[error("reading an UPDATE")]
    Update(#[from] UpdateError),
    /// The ROUTE-REFRESH is wrong.
    #[error("reading a ROUTE-REFRESH")]
    RouteRefresh(#[from] RefreshError),
}

impl<'a> Message<'a> {
    /// Reads a frame's body.
    ///
    /// # Errors
    /// If it is malformed in a way that ends the session.
    pub fn parse(frame: Frame<'a>) -> Result<Self, MessageError> {
        match frame.kind {
            MessageKind::Open => Ok(Self::Open(Open::parse(frame.body)?)),
            MessageKind::Update => Ok(Self::Update(Update::parse(frame.body)?)),
            MessageKind::Notification => Notification::parse(frame.body)
                .map(Self::Notification)
                .ok_or(HeaderError::BadLength(0).into()),
            MessageKind::Keepalive => Ok(Self::Keepalive),
            MessageKind::RouteRefresh => Ok(Self::RouteRefresh(RouteRefresh::parse(frame.body)?)),
        }
    }

    /// What type of message this is.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Open(_) => MessageKind::Open,
            Self::Update(_) => MessageKind::Update,
            Self::Notification(_) => MessageKind::Notification,
            Self::Keepalive => MessageKind::Keepalive,
            Self::RouteRefresh(_) => MessageKind::RouteRefresh,
        }
    }
}

impl From<MessageError> for Notification<'static> {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Header(error) => error.into(),
            MessageError::Open(error) => error.into(),
            MessageError::Update(error) => error.into(),
            MessageError::RouteRefresh(error) => error.into(),
        }
    }
}
