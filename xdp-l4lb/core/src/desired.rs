//! What the balancer is asked to do, checked once at the border.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use types::{BackendAddr, ObjectName, Vip};

/// Names one set of frontends that share their backends: an object and one of its ports.
///
/// Ports of one object with equal backends belong under one key (the first port's): they then share
/// one slot table and its backend ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// The Service object.
    pub object: ObjectName,
    /// The port's name, or its number where it has none. Kubernetes names are never all digits.
    pub port: Arc<str>,
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.object, self.port)
    }
}

/// What differs since the planner was last told; `None` removes a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// The services that changed.
    pub services: BTreeMap<ServiceKey, Option<Service>>,
}

/// A balanced service: the frontends it is dialled at and the backends behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Addresses, ports and protocols that clients dial. A frontend belongs to one service.
    pub frontends: BTreeSet<Vip>,
    /// The backends, by identity.
    pub backends: BTreeMap<BackendAddr, Backend>,
    /// How long a flow may be silent before it can be taken for ended (T in the design).
    pub idle: Duration,
    /// What happens to the frontends while no backend can serve.
    pub when_empty: WhenEmpty,
    /// How many slots the table has.
    pub table_size: TableSize,
    /// How long a backend that fails its checks keeps its established flows. Zero: none.
    pub unhealthy_grace: Duration,
    /// How backends are checked; `None` trusts [`Backend::state`] alone.
    pub check: Option<Check>,
}

impl Service {
    /// The idle time of a service that does not set one.
    pub const DEFAULT_IDLE: Duration = Duration::from_secs(3600);
}

impl Default for Service {
    fn default() -> Self {
        Self {
            frontends: BTreeSet::new(),
            backends: BTreeMap::new(),
            idle: Self::DEFAULT_IDLE,
            when_empty: WhenEmpty::Withdraw,
            table_size: TableSize::Auto,
            unhealthy_grace: Duration::ZERO,
            check: None,
        }
    }
}

/// One backend of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its share of new flows, relative to the others. Zero is maintenance: no new flows.
    pub weight: u16,
    /// Whether it takes new flows.
    pub state: BackendState,
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            weight: 1,
            state: BackendState::Active,
        }
    }
}

/// What the source says about a backend. One that is not listed is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackendState {
    /// Takes new flows.
    Active,
    /// Keeps its flows; takes new ones only when no backend is active (terminating, but serving).
    /// With weight zero it takes none (terminating, and not serving any more).
    Draining,
}

/// What a frontend without a backend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhenEmpty {
    /// The VIP is not ready, so nobody announces it from here, unless a backend still keeps flows.
    Withdraw,
    /// The VIP stays announced, and its packets are dropped and answered with ICMP "port
    /// unreachable" (RFC 792, RFC 4443), as far as the rate limit allows.
    Refuse,
}

/// How many slots a service's table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableSize {
    /// A power of two by the number of backends and their weights.
    Auto,
    /// One of Cilium's primes, rounded up to a power of two by repeating its first slots.
    Fixed(PrimeSize),
}

/// One of the ten table sizes that Cilium accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrimeSize(u32);

/// Not one of Cilium's table sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not a Maglev table size: expected 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, \
     65521 or 131071"
)]
pub struct BadTableSize(u32);

impl PrimeSize {
    /// The accepted sizes: the largest primes below the powers of two from 2^8 to 2^17.
    pub const ALL: [u32; 10] = [
        251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131_071,
    ];

    /// The number of slots.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for PrimeSize {
    type Error = BadTableSize;

    fn try_from(size: u32) -> Result<Self, BadTableSize> {
        if Self::ALL.contains(&size) {
            Ok(Self(size))
        } else {
            Err(BadTableSize(size))
        }
    }
}

/// How a service's backends are probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What a probe does.
    pub kind: CheckKind,
    /// The port to probe, where it is not the backend's own.
    pub port: Option<u16>,
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// How long a probe may take.
    pub timeout: Duration,
    /// Successes in a row that bring a backend up. The first result of all needs only one.
    pub rise: NonZeroU8,
    /// Failures in a row that take a backend down.
    pub fall: NonZeroU8,
}

/// What a probe does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// Opens a connection and closes it.
    Tcp,
    /// Sends `GET path` and reads the status line.
    Http {
        /// Starts with a slash.
        path: Arc<str>,
        /// The Host header; the backend's address where there is none.
        host: Option<Arc<str>>,
        /// The lowest and the highest status that is a success.
        status: (u16, u16),
    },
}

/// What the checks say about a backend of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// The backend answers.
    Up,
    /// The backend failed its checks.
    Down,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ciliums_ten_primes_are_fixed_sizes() {
        for size in PrimeSize::ALL {
            assert_eq!(PrimeSize::try_from(size).map(PrimeSize::get), Ok(size));
        }
        for size in [0, 64, 250, 16384, 131_072] {
            assert_eq!(PrimeSize::try_from(size), Err(BadTableSize(size)));
        }
    }
}
