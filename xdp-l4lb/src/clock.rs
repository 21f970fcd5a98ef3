//! The clock that the planner's times are of.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Time since the machine was booted, sleep included: the same for an agent and its successor.
pub(crate) fn now() -> Duration {
    match clock_gettime(ClockId::CLOCK_BOOTTIME) {
        Ok(time) => Duration::from(time),
        // The clock exists on every kernel that has XDP; without one no time passes.
        Err(_) => Duration::ZERO,
    }
}
