//! Cluster duties as a library: drives the address allocator and writes statuses.
//!
//! What is to be said about objects comes in with the objects as the source shows them; what differs
//! is written. The decisions are two pure parts: the allocator of `lb_ipam`, and an outbox that knows
//! for every object what it should say, what it says, and when to try again.

mod deeds;
mod duty;
mod election;
mod operator;
mod outbox;
mod pause;
mod registrar;
mod runner;
mod seen;
mod summary;
mod tally;
mod term;
mod wish;

pub use duty::{Input, Report};
pub use election::{BadTerms, Fence, Fenced, Terms};
pub use operator::{Operator, OperatorHandle};
pub use runner::{Options, Runner, Standing, View, World};
pub use summary::Summary;
pub use tally::{Ending, Tally};
pub use term::Duties;
