//! How fast requests may follow each other: decisions only.

use std::time::Duration;

/// Tokens that fill up with time; a request takes one.
#[derive(Debug)]
pub(super) struct Bucket {
    /// The time that one token takes.
    each: Duration,
    /// The time that the whole bucket takes.
    whole: Duration,
    /// When the bucket will be full.
    full_at: Duration,
    /// The server wants no request before.
    held_until: Duration,
}

impl Bucket {
    /// A full bucket of `burst` tokens, `per_second` of which come back in a second.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let each = Duration::from_secs(1) / per_second.max(1);
        Self {
            each,
            whole: each * burst.max(1),
            full_at: Duration::ZERO,
            held_until: Duration::ZERO,
        }
    }

    /// Takes a token, in advance if need be, and says when the request may go.
    pub(super) fn take(&mut self, now: Duration) -> Duration {
        self.full_at = self.full_at.max(now) + self.each;
        let at = self.full_at.saturating_sub(self.whole);
        at.max(now).max(self.held_until)
    }

    /// The server said so. After that requests come one by one: a burst was too much for it.
    pub(super) fn hold_until(&mut self, until: Duration) {
        self.held_until = self.held_until.max(until);
        self.full_at = self.full_at.max(self.held_until + self.whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let mut bucket = Bucket::new(10, 3);
        let now = Duration::from_secs(7);

        let at: Vec<u128> = (0..5)
            .map(|_| (bucket.take(now) - now).as_millis())
            .collect();

        assert_eq!(at, [0, 0, 0, 100, 200]);
    }

    #[test]
    fn a_rest_fills_the_bucket_and_no_more() {
        let mut bucket = Bucket::new(10, 3);
        for _ in 0..5 {
            bucket.take(Duration::ZERO);
        }
        let now = Duration::from_secs(60);

        let at: Vec<u128> = (0..4)
            .map(|_| (bucket.take(now) - now).as_millis())
            .collect();

        assert_eq!(at, [0, 0, 0, 100]);
    }

    #[test]
    fn nothing_goes_while_the_server_wants_nothing_and_then_one_by_one() {
        let mut bucket = Bucket::new(10, 3);
        bucket.hold_until(Duration::from_secs(5));
        bucket.hold_until(Duration::from_secs(2));

        let now = Duration::from_secs(1);
        let at: Vec<u128> = (0..3).map(|_| bucket.take(now).as_millis()).collect();
        assert_eq!(at, [5100, 5200, 5300]);
        let later = Duration::from_secs(6);
        assert_eq!(bucket.take(later), later);
    }
}
