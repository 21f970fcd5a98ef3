//! Sluicegate's own annotations on a CiliumLoadBalancerIPPool.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Annotations;
use crate::fault::Faults;

/// Which pool is tried first.
pub const POOL_PRIORITY: &str = "sluicegate.io/pool-priority";
/// How many of a pool's addresses a namespace may have.
pub const NAMESPACE_QUOTA: &str = "sluicegate.io/namespace-quota";
/// For how long an address waits for its Service.
pub const RESERVE: &str = "sluicegate.io/reserve";

/// All of them.
pub(super) const KNOWN: [&str; 3] = [POOL_PRIORITY, NAMESPACE_QUOTA, RESERVE];

const PRIORITIES: RangeInclusive<i64> = -1_000_000..=1_000_000;
const RESERVES: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(365 * 24 * 3600);

/// What Sluicegate's own annotations on a pool say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolSettings {
    /// Of several pools that would serve, the one with the highest priority does.
    pub priority: i32,
    /// How many addresses the Services of a namespace may have of it.
    pub quotas: BTreeMap<String, u64>,
    /// The same for each namespace that is not named; none means without limit.
    pub quota_of_others: Option<u64>,
    /// For how long an address waits for its Service when that is deleted; none means not at all.
    pub reserve: Option<Duration>,
}

impl PoolSettings {
    /// What they say; a fault for each that says nothing sensible.
    pub(crate) fn read(all: &BTreeMap<String, String>, faults: &mut Faults) -> Self {
        let mut annotations = Annotations { all, faults };
        let mut settings = Self {
            priority: annotations.number(POOL_PRIORITY, PRIORITIES, 0),
            reserve: annotations.duration(RESERVE, &RESERVES),
            ..Self::default()
        };
        settings.read_quotas(&mut annotations);
        settings
    }

    fn read_quotas(&mut self, annotations: &mut Annotations<'_>) {
        let Some(text) = annotations.all.get(NAMESPACE_QUOTA) else {
            return;
        };
        let parts = text.split(',').map(str::trim);
        for part in parts.filter(|part| !part.is_empty()) {
            let pair = part.split_once('=').and_then(|(namespace, limit)| {
                let limit: u64 = limit.trim().parse().ok()?;
                Some((namespace.trim(), limit))
            });
            let Some((namespace, limit)) = pair.filter(|(namespace, _)| !namespace.is_empty())
            else {
                let reason = format_args!("\"{part}\" is not a quota such as team-a=10 or *=5");
                annotations.fault(NAMESPACE_QUOTA, reason);
                continue;
            };
            let before = match namespace {
                "*" => self.quota_of_others.replace(limit),
                name => self.quotas.insert(name.to_owned(), limit),
            };
            if before.is_some() {
                let reason = format_args!("{namespace} is there twice");
                annotations.fault(NAMESPACE_QUOTA, reason);
            }
        }
    }
}
