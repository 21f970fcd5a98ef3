//! What happens to a packet.

use bpf_common::DropReason;

use crate::answer::Answer;
use crate::forward::Forward;
use crate::layout::Counter;

/// What the program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To the stack, counted.
    Pass(Counter),
    /// Away, counted.
    Drop(DropReason),
    /// To a backend.
    Forward(Forward),
    /// Back to the sender, counted.
    Answer(Answer, Counter),
}

/// What the fast path made of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fast {
    /// To the stack, counted.
    Pass(Counter),
    /// Away, counted.
    Drop(DropReason),
    /// To a backend.
    Forward(Forward),
    /// The general path has to decide, from the start: what was written so far it writes again.
    Unsure,
}
