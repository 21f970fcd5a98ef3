//! The BGP speaker's sockets, timers and thread.
//!
//! All thinking is in `bgp-speaker-core`; this crate turns the world into its events and its
//! actions into effects. It does so on a thread of its own with a single-threaded runtime: one
//! loop owns the core and every socket, so nothing is locked and nothing is late because of
//! somebody else's task.

mod addresses;
mod connection;
mod driver;
mod handle;
mod linger;
mod listener;
mod sockets;
mod sys;
mod view;
mod wait;

pub use handle::{Exit, RouteQuery, Speaker, Stopped};
pub use view::{FamilyStatus, PeerStatus, RouteStatus};
