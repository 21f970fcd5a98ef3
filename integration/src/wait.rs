//! Waiting for a condition, with a limit and the last reason when it never came true.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

const STEP: Duration = Duration::from_millis(20);

/// How long to wait for something before it counts as broken.
#[derive(Clone, Copy, Debug)]
pub struct Patience(pub Duration);

impl Patience {
    /// Enough for a program to start or a session to come up on a busy machine.
    pub const START: Self = Self(Duration::from_secs(20));
}

/// Calls `probe` until it succeeds, and returns what it found.
///
/// # Errors
/// The last error of `probe`, with `what` as context, when `patience` is over.
pub fn until<T>(what: &str, patience: Patience, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + patience.0;
    loop {
        match probe() {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() >= deadline => {
                return Err(error).with_context(|| format!("waited {:?} until {what}", patience.0));
            }
            Err(_) => sleep(STEP),
        }
    }
}
