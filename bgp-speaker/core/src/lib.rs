//! BGP decisions: session state machine, collision, RIBs, export.
//!
//! A speaker is driven by a shell through these calls, `now` being the time since some
//! zero that outlives the process:
//!
//! ```text
//! Speaker::new(Start { seed, forwarding_preserved }) -> Speaker
//! on_event(now, Event, &mut Vec<Action>)
//! on_bytes(now, ConnectionId, &[u8], &mut Vec<Action>) -> usize   bytes used; give the rest again
//! next_deadline() -> Option<Duration>                             then Event::DeadlineReached
//! fill(ConnectionId, &mut Vec<u8>, limit) -> bool                 whether there is more to send
//! work(budget) -> bool                                            whether there is more to do
//! ```
//!
//! `fill` appends whole messages until the buffer is at least `limit` long. `work` does what can
//! wait, at most `budget` routes of it, and is called when nothing else is to be done.

pub mod desired;
mod fsm;
mod io;
mod negotiate;
mod rib;
mod speaker;

pub use fsm::Cause;
pub use io::{Action, ConnectionId, Dial, Ends, Event, NextHops, Notice, PeerKey};
pub use negotiate::Negotiated;
pub use rib::{Advertised, Route, Sizes};
pub use speaker::{FamilyView, LastError, PeerView, SessionState, Speaker, Start, Unreachable};
