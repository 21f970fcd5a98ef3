//! What the allocator is told: pools, and the services that want addresses from them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use types::{Family, ObjectName, Prefix};

use crate::request::Service;
use crate::selector::Selector;
use crate::span::Span;

/// A point in time: how long after the start of 1970 (UTC). Reservations and notices outlive a process,
/// so no other clock will do.
pub type Time = Duration;

/// That much later, or up to a second more: a status has whole seconds.
pub(crate) fn after(now: Time, pause: Duration) -> Time {
    if pause.is_zero() {
        return now;
    }
    let at = now.saturating_add(pause);
    let rest = u64::from(at.subsec_nanos() > 0);
    Duration::from_secs(at.as_secs().saturating_add(rest))
}

/// A pool of addresses. Its name is its key in a [`Delta`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Seconds since the Unix epoch, from `metadata.creationTimestamp`; 0 where the source has none.
    /// Of two pools that overlap the younger one conflicts; where both are equally old, the later name.
    pub created: u64,
    /// In the order of the manifest, which is the order in which they are used.
    pub blocks: Vec<Block>,
    /// The services that may take addresses. The default selects every service.
    pub selector: Selector,
    /// Whether the first and last address of a CIDR block are given too (the default is yes).
    pub allow_first_last: bool,
    /// A disabled pool keeps what was given and gives nothing new.
    pub disabled: bool,
    /// Of several pools that would serve, the one with the highest priority does; then the first by name.
    pub priority: i32,
    /// How many of its addresses the services of a namespace may have.
    pub quotas: Quotas,
    /// For how long an address waits for its service when that is deleted; `None` if it does not.
    pub reserve: Option<Duration>,
    /// The addresses that wait, as the pool's status says. Read when the pool is first seen; after that
    /// the allocator knows better.
    pub reserved: Vec<Reservation>,
}

/// How many addresses of a pool the services of a namespace may have. What was given before stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// By namespace.
    pub by_namespace: BTreeMap<Arc<str>, u64>,
    /// For each of all others; `None` if there is no limit.
    pub others: Option<u64>,
}

/// An address that waits for its service to return.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reservation {
    /// The address.
    pub addr: IpAddr,
    /// The service that had it.
    pub service: ObjectName,
    /// When it waits no longer.
    pub until: Time,
}

/// One part of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// `cidr`: the addresses of a prefix.
    Cidr(Prefix),
    /// `start` and `stop`: the addresses from one to another.
    Range(Range),
}

/// The addresses from `start` to `stop`, both included: one family, `start` not after `stop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    start: IpAddr,
    stop: IpAddr,
}

/// Why two addresses are not a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRange {
    /// An IPv4 and an IPv6 address.
    #[error("start {start} and stop {stop} are not of one family")]
    Families {
        /// What was given.
        start: IpAddr,
        /// What was given.
        stop: IpAddr,
    },
    /// The wrong way round.
    #[error("start {start} is after stop {stop}")]
    Order {
        /// What was given.
        start: IpAddr,
        /// What was given.
        stop: IpAddr,
    },
}

/// How much of the desired state is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Inputs {
    /// Pools or services are not all listed yet: nothing is decided.
    #[default]
    Incomplete,
    /// All listed, but something was refused of which no good version is known, such as a pool: nothing
    /// is taken away because of what the pools say.
    Faulty,
    /// All listed and valid.
    Complete,
}

/// What differs since the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Pools by name; `None` if it is gone.
    pub pools: BTreeMap<ObjectName, Option<Pool>>,
    /// Services by namespace and name; `None` if the object is gone.
    pub services: BTreeMap<ObjectName, Option<Service>>,
    /// How much is known from now on; `None` if that has not changed.
    pub inputs: Option<Inputs>,
    /// For how long a service keeps an address that no pool has for it any more; `None` if that has not
    /// changed.
    pub grace: Option<Duration>,
}

impl Default for Pool {
    /// A pool without addresses, for any service.
    fn default() -> Self {
        Self {
            created: 0,
            blocks: Vec::new(),
            selector: Selector::default(),
            allow_first_last: true,
            disabled: false,
            priority: 0,
            quotas: Quotas::default(),
            reserve: None,
            reserved: Vec::new(),
        }
    }
}

impl Pool {
    /// Whether the manifest is the same; the status may differ.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        let manifest = |pool: &Self| {
            (
                pool.created,
                pool.allow_first_last,
                pool.disabled,
                pool.priority,
                pool.reserve,
            )
        };
        manifest(self) == manifest(other)
            && self.blocks == other.blocks
            && self.selector == other.selector
            && self.quotas == other.quotas
    }
}

impl Quotas {
    /// How many addresses the namespace may have.
    pub(crate) fn of(&self, namespace: &str) -> Option<u64> {
        self.by_namespace.get(namespace).copied().or(self.others)
    }
}

impl Block {
    /// All its addresses.
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Cidr(prefix) => Span::new(prefix.addr(), prefix.last()),
            Self::Range(range) => Span::new(range.start, range.stop),
        }
    }

    /// The addresses that may be given.
    pub(crate) fn usable(&self, allow_first_last: bool) -> Span {
        let span = self.span();
        match self {
            Self::Cidr(prefix)
                if !allow_first_last && prefix.family().bits() - prefix.len() > 1 =>
            {
                span.without_ends()
            }
            Self::Cidr(_) | Self::Range(_) => span,
        }
    }
}

impl Range {
    /// The addresses from `start` to `stop`.
    ///
    /// # Errors
    /// If they are not of one family, or `start` is after `stop`.
    pub fn new(start: IpAddr, stop: IpAddr) -> Result<Self, BadRange> {
        if Family::of(start) != Family::of(stop) {
            Err(BadRange::Families { start, stop })
        } else if start > stop {
            Err(BadRange::Order { start, stop })
        } else {
            Ok(Self { start, stop })
        }
    }

    /// A block with a `start` and no `stop` is one address.
    #[must_use]
    pub const fn single(addr: IpAddr) -> Self {
        Self {
            start: addr,
            stop: addr,
        }
    }

    /// The first address.
    #[must_use]
    pub const fn start(&self) -> IpAddr {
        self.start
    }

    /// The last address.
    #[must_use]
    pub const fn stop(&self) -> IpAddr {
        self.stop
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} - {}", self.start, self.stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_of_one_family_and_in_order() {
        let v4 = |text: &str| text.parse::<IpAddr>().unwrap();

        assert!(Range::new(v4("10.0.0.1"), v4("10.0.0.1")).is_ok());
        assert_eq!(
            Range::new(v4("10.0.0.2"), v4("10.0.0.1"))
                .unwrap_err()
                .to_string(),
            "start 10.0.0.2 is after stop 10.0.0.1"
        );
        assert_eq!(
            Range::new(v4("10.0.0.2"), v4("::1"))
                .unwrap_err()
                .to_string(),
            "start 10.0.0.2 and stop ::1 are not of one family"
        );
    }

    #[test]
    fn first_and_last_are_kept_back_only_where_a_prefix_has_more_than_two() {
        let usable = |text: &str| {
            let span = Block::Cidr(text.parse().unwrap()).usable(false);
            Range::from(span).to_string()
        };

        assert_eq!(usable("10.0.0.0/30"), "10.0.0.1 - 10.0.0.2");
        assert_eq!(usable("10.0.0.0/31"), "10.0.0.0 - 10.0.0.1");
        assert_eq!(usable("10.0.0.0/32"), "10.0.0.0 - 10.0.0.0");
        assert_eq!(usable("2001:db8::/126"), "2001:db8::1 - 2001:db8::2");
        assert_eq!(usable("2001:db8::/127"), "2001:db8:: - 2001:db8::1");
        assert_eq!(usable("2001:db8::/128"), "2001:db8:: - 2001:db8::");
    }
}
