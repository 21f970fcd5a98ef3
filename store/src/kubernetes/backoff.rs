//! For how long to wait before the next attempt. Never the same for two that failed together.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// After what may pass by itself: an API server that restarts.
pub(super) const BRISK: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
};

/// After what a person has to mend: a missing role, a missing definition.
pub(super) const CALM: Backoff = Backoff {
    first: Duration::from_secs(2),
    longest: Duration::from_secs(60),
};

/// What nobody asked for and everybody does at once is spread over this.
pub(super) const SPREAD: Duration = Duration::from_secs(1);

/// Doubles from the first pause to the longest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// The pause after so many failures in a row: from a quarter of it to all of it, as the random
    /// number says, so that those who lost the same server do not come back together.
    pub(super) fn pause(self, failures: u32, random: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let whole = self.longest.min(self.first * 2_u32.pow(doublings));
        let least = whole / 4;
        least + within(whole - least, random)
    }
}

/// A part of `whole`, as the random number says.
pub(super) fn within(whole: Duration, random: u64) -> Duration {
    let micros = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random % micros.saturating_add(1))
}

/// A number that nobody can foretell, good enough to spread clients.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_and_has_an_end() {
        let most: Vec<Duration> = (1..=8).map(|n| most(BRISK, n)).collect();

        assert_eq!(most, [1, 2, 4, 8, 16, 30, 30, 30].map(Duration::from_secs));
        assert!(BRISK.pause(u32::MAX, u64::MAX) <= Duration::from_secs(30));
    }

    #[test]
    fn clients_of_a_lost_server_do_not_come_back_together() {
        const CLIENTS: u64 = 1000;
        let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);

        for failures in [1, 3, 10] {
            let mut tenths = [0_u64; 10];
            for client in 0..CLIENTS {
                let pause = BRISK.pause(failures, spread(client));
                assert!(pause >= Duration::from_millis(250), "{pause:?}");
                let tenth = pause.as_micros() * 10 / (most(BRISK, failures).as_micros() + 1);
                tenths[usize::try_from(tenth).unwrap()] += 1;
            }

            let busiest = tenths.into_iter().max().unwrap();
            assert!(busiest < CLIENTS / 5, "{failures} failures: {tenths:?}");
        }
    }

    #[test]
    fn two_numbers_differ() {
        assert_ne!(random(), random());
    }

    /// The longest pause that any random number gives.
    fn most(backoff: Backoff, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        backoff.longest.min(backoff.first * 2_u32.pow(doublings))
    }
}
