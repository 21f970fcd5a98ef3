//! Counts the slots in change, some services at a time.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use xdp_l4lb_core::desired::ServiceKey;
use xdp_l4lb_core::{Planner, Tables};

/// Services looked at in one go: a few milliseconds with large tables.
const BATCH: usize = 512;

/// Services of which slots are in change.
#[derive(Debug, Default)]
pub(crate) struct Census {
    open: BTreeMap<ServiceKey, Open>,
    /// Where to go on.
    after: Option<ServiceKey>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    slots: u32,
    since: Duration,
}

impl Census {
    /// Looks at the next services.
    pub(crate) fn go_on(&mut self, now: Duration, planner: &Planner, tables: &impl Tables) {
        let from = self.after.take();
        let keys: Vec<_> = planner
            .services()
            .filter(|key| from.as_ref().is_none_or(|from| *key > from))
            .take(BATCH)
            .cloned()
            .collect();
        let end = if keys.len() == BATCH {
            keys.last().cloned()
        } else {
            None
        };
        let seen = (from, end.clone());
        let mut found = BTreeMap::new();
        for key in keys {
            let status = planner.status(&key);
            let regions = status.iter().flat_map(|status| &status.tables);
            let slots = regions.map(|table| {
                let range = table.base()..table.base().saturating_add(table.len());
                range.filter(|index| tables.slot(*index).is_open()).count()
            });
            let slots = u32::try_from(slots.sum::<usize>()).unwrap_or(u32::MAX);
            if slots > 0 {
                found.insert(key, slots);
            }
        }
        self.record(now, seen, &found);
        self.after = end;
    }

    /// All slots in change.
    pub(crate) fn open_slots(&self) -> u32 {
        self.open.values().map(|open| open.slots).sum()
    }

    /// For how long the oldest change has been seen.
    pub(crate) fn oldest(&self, now: Duration) -> Option<Duration> {
        let since = self.open.values().map(|open| open.since).min()?;
        Some(now.saturating_sub(since))
    }

    /// `found` is all there is behind the first key, up to the second.
    fn record(
        &mut self,
        now: Duration,
        (from, to): (Option<ServiceKey>, Option<ServiceKey>),
        found: &BTreeMap<ServiceKey, u32>,
    ) {
        let lower = from.map_or(Bound::Unbounded, Bound::Excluded);
        let upper = to.map_or(Bound::Unbounded, Bound::Included);
        let over: Vec<_> = self
            .open
            .range((lower, upper))
            .filter(|(key, _)| !found.contains_key(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            self.open.remove(&key);
        }
        for (key, slots) in found {
            self.open
                .entry(key.clone())
                .or_insert(Open {
                    slots: 0,
                    since: now,
                })
                .slots = *slots;
        }
    }
}

#[cfg(test)]
mod tests {
    use types::ObjectName;

    use super::*;

    #[test]
    fn a_change_is_as_old_as_its_first_sighting_and_ends_when_it_is_not_found() {
        let mut census = Census::default();
        let all = || (None, None);
        census.record(
            at(10),
            all(),
            &BTreeMap::from([(key("a"), 3), (key("b"), 1)]),
        );
        census.record(at(15), all(), &BTreeMap::from([(key("a"), 2)]));

        assert_eq!(census.open_slots(), 2);
        assert_eq!(census.oldest(at(20)), Some(at(10)));

        census.record(at(21), all(), &BTreeMap::new());
        assert_eq!(census.oldest(at(22)), None);
    }

    #[test]
    fn what_lies_outside_the_part_looked_at_stays() {
        let mut census = Census::default();
        census.record(
            at(1),
            (None, None),
            &BTreeMap::from([(key("a"), 1), (key("c"), 1)]),
        );

        census.record(at(2), (Some(key("a")), Some(key("b"))), &BTreeMap::new());
        assert_eq!(census.open_slots(), 2);
        census.record(at(2), (Some(key("b")), None), &BTreeMap::new());
        assert_eq!(census.open_slots(), 1);
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn key(name: &str) -> ServiceKey {
        ServiceKey {
            object: ObjectName::of_cluster(name),
            port: "http".into(),
        }
    }
}
