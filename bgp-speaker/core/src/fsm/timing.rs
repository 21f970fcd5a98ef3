//! How long the state machine waits, and how chance stretches it.

use std::time::Duration;

use crate::desired::Peer;
use crate::negotiate::Negotiated;

/// The first pause after a failed dial or a lost connection.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The first pause after an error.
const FIRST_HOLD: Duration = Duration::from_secs(5);
/// Pauses double this often at most; the connect retry time caps them before, as a rule.
const MOST_DOUBLINGS: u32 = 10;

/// One peer's pauses, and one throw of the dice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Never dial.
    pub(crate) passive: bool,
    /// The longest pause.
    pub(crate) connect_retry: Duration,
    /// Anything, evenly spread.
    pub(crate) random: u32,
}

impl Timing {
    /// RFC 4271 §8.2.2: a large hold time, of four minutes, until there is a negotiated one.
    pub(crate) const OPEN_PATIENCE: Duration = Duration::from_secs(240);
    /// How long a session must last for earlier failures to be forgotten.
    pub(crate) const STABLE: Duration = Duration::from_secs(60);

    /// The pauses of a peer.
    pub(crate) fn of(peer: &Peer, random: u32) -> Self {
        Self {
            passive: peer.passive,
            connect_retry: peer.timers.connect_retry,
            random,
        }
    }

    /// How long to wait for a dial to be answered.
    pub(crate) fn dial_patience(&self) -> Duration {
        self.stretch(self.connect_retry)
    }

    /// The pause before the next dial: it doubles up to the connect retry time.
    pub(crate) fn connect_retry(&self, failures: u32) -> Duration {
        self.stretch(self.doubled(FIRST_RETRY, failures))
    }

    /// The pause after an error.
    pub(crate) fn idle_hold(&self, failures: u32) -> Duration {
        // The first pause is what people see after a reset, so a quarter must do.
        let pause = self.doubled(FIRST_HOLD, failures).max(FIRST_HOLD);
        pause + self.part_of(pause / 4)
    }

    /// When a peer that says nothing is dead.
    pub(crate) fn hold_at(now: Duration, session: &Negotiated) -> Option<Duration> {
        Some(now + session.hold.duration()?)
    }

    /// When to send the next KEEPALIVE: after 75 to 100 percent of the pause (RFC 4271 §10).
    pub(crate) fn keepalive_at(&self, now: Duration, session: &Negotiated) -> Option<Duration> {
        session.hold.duration()?;
        let quarter = session.keepalive / 4;
        Some(now + session.keepalive - quarter + self.part_of(quarter))
    }

    fn doubled(&self, first: Duration, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(MOST_DOUBLINGS);
        (first * 2u32.pow(doublings)).min(self.connect_retry)
    }

    /// The pause, once to twice.
    fn stretch(&self, pause: Duration) -> Duration {
        pause + self.part_of(pause)
    }

    fn part_of(&self, whole: Duration) -> Duration {
        whole.mul_f64(f64::from(self.random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_stay_within_their_bounds(random: u32, failures: u32, retry in 1u64..4000) {
            let connect_retry = Duration::from_secs(retry);
            let timing = Timing { passive: false, connect_retry, random };

            let patience = timing.dial_patience();
            prop_assert!((connect_retry..=2 * connect_retry).contains(&patience));
            let pause = timing.connect_retry(failures);
            prop_assert!((FIRST_RETRY..=2 * connect_retry).contains(&pause));
            let hold = timing.idle_hold(failures);
            prop_assert!(hold >= FIRST_HOLD && hold <= connect_retry.max(FIRST_HOLD).mul_f64(1.25));
        }
    }

    #[test]
    fn pauses_double_until_the_connect_retry_time() {
        let timing = Timing {
            passive: false,
            connect_retry: Duration::from_secs(120),
            random: 0,
        };

        let pauses = [1, 2, 3, 8, 1000].map(|failures| timing.connect_retry(failures).as_secs());
        let holds = [1, 2, 3, 8, 1000].map(|failures| timing.idle_hold(failures).as_secs());

        assert_eq!(pauses, [1, 2, 4, 120, 120]);
        assert_eq!(holds, [5, 10, 20, 120, 120]);
    }
}
