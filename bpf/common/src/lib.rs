//! What every kernel program shares: the promise a table's layout makes, and why packets are
//! dropped.
#![cfg_attr(not(test), no_std)]

mod drop_reason;
mod layout;

pub use drop_reason::DropReason;
pub use layout::Layout;
