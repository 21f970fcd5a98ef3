//! Which of several operators writes: the one that holds a lease.
//!
//! ```text
//!             free, given back, or not renewed for its whole duration
//!   standby ----------------------------------------------------------> leading
//!      ^                                                                   |
//!      +--- another holds it, or the last renewal is too long ago ---------+
//! ```
//!
//! Every operator judges by its own clock only: a standby counts from when it first saw the lease in
//! its present state, a leader from when it asked for the renewal that was granted last. The first is
//! never earlier than the second, so clocks that disagree do no harm:
//!
//! ```text
//!   leader   asks for a renewal   last write starts   last write ends
//!            |----- renew --------|----- limit -------|- margin -|
//!            |----------------------- lease ---------------------|
//!   standby      sees the renewal |-------------------- lease ---|--> takes it
//! ```

mod clock;
mod fence;
mod machine;
mod run;
mod terms;

pub use fence::{Fence, Fenced};
pub use terms::{BadTerms, Terms};

pub(crate) use run::{Elector, Turn};
