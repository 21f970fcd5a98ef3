//! How long to wait after failures.

use std::time::Duration;

/// The first pause after a failure; each further one in a row doubles it.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(300);

/// The pause after that many failures in a row.
pub(crate) fn after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    LONGEST.min(FIRST * 2_u32.pow(doublings))
}
