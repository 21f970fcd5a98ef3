//! What every kernel program shares: the promise a table's layout makes, reads of a packet, and
//! why packets are dropped.
#![cfg_attr(not(test), no_std)]

mod drop_reason;
mod layout;
mod packet;

pub use drop_reason::DropReason;
pub use layout::Layout;
pub use packet::{Frame, Packet};
