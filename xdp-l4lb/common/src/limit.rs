//! How many ICMP errors a CPU may send.

use crate::layout::TokenBucket;

/// Tokens of one packet.
const PACKET: u64 = 1_000_000_000;

impl TokenBucket {
    /// Takes one packet's tokens; false if there are not enough. `now` is in nanoseconds, `rate` in
    /// packets a second. What one second brings may be saved up.
    #[inline(always)]
    pub fn take(&mut self, now: u64, rate: u32) -> bool {
        let most = rate as u64 * PACKET;
        // A second fills it, so longer ones need not be multiplied.
        let passed = now.saturating_sub(self.filled).min(PACKET);
        let tokens = self
            .tokens
            .saturating_add(passed.saturating_mul(rate as u64))
            .min(most);
        self.filled = now;
        let enough = tokens >= PACKET;
        self.tokens = if enough { tokens - PACKET } else { tokens };
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_one_second_saved_up(
            rate in 0..2000u32,
            steps in prop::collection::vec(0..20_000_000u64, 1..2000),
        ) {
            let mut bucket = TokenBucket::default();
            let mut now = 5_000_000_000;
            let (start, mut taken) = (now, 0u64);

            for step in steps {
                now += step;
                taken += u64::from(bucket.take(now, rate));
            }

            let seconds = (now - start).div_ceil(PACKET) + 1;
            prop_assert!(taken <= u64::from(rate) * seconds, "{taken}");
        }
    }

    #[test]
    fn a_rate_of_zero_allows_nothing() {
        let mut bucket = TokenBucket::default();

        assert!(!bucket.take(u64::MAX, 0));
    }

    #[test]
    fn a_full_bucket_gives_a_second_of_packets_and_then_waits() {
        let mut bucket = TokenBucket::default();
        let now = 10 * PACKET;

        assert!((0..100).all(|_| bucket.take(now, 100)));
        assert!(!bucket.take(now, 100));
        assert!(bucket.take(now + PACKET / 100, 100));
    }
}
