//! A clock that counts while the process or the machine is suspended.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The time since the machine started. A lease runs out also while its holder is frozen.
pub(crate) fn now() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME)
        .expect("Linux has this clock since 2.6.39, and the pointer is valid");
    Duration::from(time)
}
