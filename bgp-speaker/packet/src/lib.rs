//! BGP messages, attributes, capabilities and NLRI: parsed in place and written.
//!
//! A stream is cut into [`Frame`]s by [`split`], a frame is read as a [`Message`], and an UPDATE is
//! read once by [`Update::read`], which classifies faults as RFC 7606 wants, gives the prefixes as
//! iterators over the received bytes and writes the attributes in one canonical form. Nothing here
//! panics, whatever the bytes are, and nothing is copied that the caller did not ask for.

mod as_path;
mod attribute;
mod attributes;
mod builder;
mod canonical;
mod capability;
mod family;
mod fault;
mod fields;
mod header;
mod message;
mod mp;
mod next_hop;
mod nlri;
mod notification;
mod open;
mod refresh;
mod subcode;
mod update;

pub use as_path::{AsPath, Segment, SegmentKind};
pub use attribute::{AttributeCode, AttributeFlags, RawAttribute, RawAttributes};
pub use attributes::{Attribute, Attributes, DecisionKey, Origin, PathAttributes};
pub use builder::{PackError, UpdateBuilder, write_end_of_rib};
pub use capability::{Capabilities, Capability, ExtendedNextHop, GracefulFamily, GracefulRestart};
pub use family::{AfiSafi, Families};
pub use fault::{Fault, FaultReason, Severity};
pub use header::{
    Frame, HEADER_LEN, HeaderError, MARKER, MessageKind, MessageLimit, split, write_keepalive,
};
pub use message::{Message, MessageError};
pub use next_hop::NextHop;
pub use nlri::{Nlri, NlriError, Prefixes};
pub use notification::{ErrorCode, Notification};
pub use open::{Offer, Open, OpenError, VERSION};
pub use refresh::{RefreshError, RefreshKind, RouteRefresh};
pub use subcode::{
    CeaseSubcode, FsmSubcode, HeaderSubcode, OpenSubcode, RefreshSubcode, UpdateSubcode,
};
pub use update::{Announced, Dialect, Peering, Reading, Update, UpdateError};
