//! How long a lease lasts, and when its holder must stop.

use std::time::Duration;

/// The durations of an election; valid by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    lease: Duration,
    renew: Duration,
    retry: Duration,
}

/// Why durations cannot be the terms of an election.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTerms {
    /// A lease object has whole seconds.
    #[error("the lease duration must be whole seconds, at least one, and is {0:?}")]
    Fraction(Duration),
    /// Nobody could write between the last renewal and the end of the lease.
    #[error("the renew deadline, {renew:?}, must be at most 7/8 of the lease duration, {lease:?}")]
    Renew {
        /// The renew deadline.
        renew: Duration,
        /// The lease duration.
        lease: Duration,
    },
    /// One renewal that fails would end the term.
    #[error(
        "the retry period, {retry:?}, must be above zero and at most half of {renew:?}, the renew deadline"
    )]
    Retry {
        /// The retry period.
        retry: Duration,
        /// The renew deadline.
        renew: Duration,
    },
}

impl Terms {
    /// A lease of `lease`; its holder starts no write `renew` after it asked for the last renewal that
    /// was granted; it renews, and others look, every `retry`.
    ///
    /// # Errors
    /// If those durations leave no time between them.
    pub fn new(lease: Duration, renew: Duration, retry: Duration) -> Result<Self, BadTerms> {
        if lease.is_zero() || lease.subsec_nanos() != 0 {
            return Err(BadTerms::Fraction(lease));
        }
        if renew > lease * 7 / 8 {
            return Err(BadTerms::Renew { renew, lease });
        }
        if retry.is_zero() || retry > renew / 2 {
            return Err(BadTerms::Retry { retry, renew });
        }
        Ok(Self {
            lease,
            renew,
            retry,
        })
    }

    /// How long the lease lasts after each renewal.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// For how long after a renewal its holder starts writes.
    #[must_use]
    pub fn renew(&self) -> Duration {
        self.renew
    }

    /// The time between two looks at the lease.
    #[must_use]
    pub fn retry(&self) -> Duration {
        self.retry
    }

    /// How long one write may take: the last one that is started ends before the lease can be
    /// another's, by the margin.
    #[must_use]
    pub fn write_limit(&self) -> Duration {
        self.lease - self.renew - self.margin()
    }

    /// More than clocks drift apart while a lease lasts, and more than an answer takes.
    pub(crate) fn margin(&self) -> Duration {
        self.lease / 16
    }

    /// How long one request about the lease may take.
    #[must_use]
    pub fn request_limit(&self) -> Duration {
        self.renew / 2
    }
}

impl Default for Terms {
    /// As Kubernetes' own programs have them.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_write_ends_before_the_lease_does() {
        let terms = Terms::default();

        assert!(terms.renew() + terms.write_limit() < terms.lease());
        assert!(terms.write_limit() >= Duration::from_secs(4));
    }

    #[test]
    fn the_defaults_are_valid() {
        let own = Terms::default();

        assert_eq!(Terms::new(own.lease, own.renew, own.retry), Ok(own));
    }

    #[test]
    fn durations_without_time_between_them_are_refused() {
        let millis = Duration::from_millis;

        for (lease, renew, retry) in [
            (0, 0, 0),
            (1500, 1000, 100),
            (15_000, 14_000, 2_000),
            (15_000, 10_000, 6_000),
            (15_000, 10_000, 0),
        ] {
            let terms = Terms::new(millis(lease), millis(renew), millis(retry));
            assert!(terms.is_err(), "{lease} {renew} {retry}");
        }
    }
}
