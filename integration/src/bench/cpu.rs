//! A thread that keeps one CPU to itself while it measures nanoseconds.

use std::thread;

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::sys;

/// Runs `work` on a thread of its own, on the last CPU that this program may use and before what
/// else wants that one. Without the right to go first it says so and measures all the same.
pub(super) fn alone(work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    thread::scope(|scope| {
        let measuring = scope.spawn(|| {
            let cpu = stay_on_last()?;
            match sys::go_first() {
                Ok(()) => println!("\nmeasuring on CPU {cpu}, before other programs"),
                Err(error) => {
                    println!("\nmeasuring on CPU {cpu}, disturbed by other programs: {error}");
                }
            }
            work()
        });
        match measuring.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The first CPU takes most interrupts, so the last it is.
fn stay_on_last() -> Result<usize> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).context("asking for this thread's CPUs")?;
    let last = (0..CpuSet::count())
        .rev()
        .find(|cpu| allowed.is_set(*cpu) == Ok(true))
        .context("this thread may run nowhere")?;
    let mut only = CpuSet::new();
    only.set(last).context("naming a CPU")?;
    sched_setaffinity(this, &only).with_context(|| format!("staying on CPU {last}"))?;
    Ok(last)
}
