//! The benchmark's state as aya takes it, and this thread's priority.

use integration_common::Bench;
use nix::errno::Errno;
use nix::libc;

/// A value that aya may copy to and from the kernel as bytes.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Shared(pub(super) Bench);

// SAFETY: `Bench` is a `Layout`: `repr(C)`, without padding, valid for every bit pattern.
#[expect(unsafe_code, reason = "aya asks for its own marker")]
unsafe impl aya::Pod for Shared {}

/// Runs the calling thread before every ordinary one, until it ends. A kernel that has such
/// threads still gives a twentieth of the time to the others.
pub(super) fn go_first() -> nix::Result<()> {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters are valid for the call, which keeps nothing; 0 is this thread.
    #[expect(unsafe_code, reason = "nix has no wrapper")]
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
    Errno::result(result).map(drop)
}
