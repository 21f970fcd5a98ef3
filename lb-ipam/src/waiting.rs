//! Services that lack an address, by what would help them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use types::{Family, ObjectName};

use crate::holders::Rank;

/// What a service waits for. One that waits for a pool to be made has no need listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Any address of the family from this pool, which is full.
    Pool(ObjectName, Family),
    /// That this namespace may have more of this pool's addresses.
    Quota(ObjectName, Arc<str>),
    /// This address, which is taken.
    Address(IpAddr),
    /// An address that it may share with services of this key.
    Key(Arc<str>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    needs: BTreeMap<ObjectName, (Rank, Vec<Need>)>,
    queues: BTreeMap<Need, BTreeSet<Rank>>,
}

impl Waiting {
    /// Every service that waits.
    pub(crate) fn all(&self) -> impl Iterator<Item = &ObjectName> {
        self.needs.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.needs.len()
    }

    /// Those that wait for the same.
    pub(crate) fn queue(&self, need: &Need) -> impl Iterator<Item = &Rank> {
        self.queues.get(need).into_iter().flatten()
    }

    /// The next one after `last` that waits for the same.
    pub(crate) fn next_in(&self, need: &Need, last: Option<&Rank>) -> Option<&Rank> {
        next_after(self.queues.get(need)?, last)
    }

    pub(crate) fn add(&mut self, rank: &Rank, needs: Vec<Need>) {
        self.remove(&rank.name);
        for need in &needs {
            let queue = self.queues.entry(need.clone()).or_default();
            queue.insert(rank.clone());
        }
        self.needs.insert(rank.name.clone(), (rank.clone(), needs));
    }

    pub(crate) fn remove(&mut self, service: &ObjectName) {
        let Some((rank, needs)) = self.needs.remove(service) else {
            return;
        };
        for need in needs {
            if let Some(queue) = self.queues.get_mut(&need) {
                queue.remove(&rank);
                if queue.is_empty() {
                    self.queues.remove(&need);
                }
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The first of `ranks` after `last`.
pub(crate) fn next_after<'a>(ranks: &'a BTreeSet<Rank>, last: Option<&Rank>) -> Option<&'a Rank> {
    let after = last.map_or(Bound::Unbounded, Bound::Excluded);
    ranks.range::<Rank, _>((after, Bound::Unbounded)).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_waits_for_its_latest_needs_only() {
        let mut waiting = Waiting::default();
        let web = rank(0, "web");
        let blue = Need::Pool(ObjectName::of_cluster("blue"), Family::V4);
        let addr = Need::Address("192.0.2.1".parse().unwrap());

        waiting.add(&web, vec![blue.clone()]);
        waiting.add(&web, vec![addr.clone()]);

        assert_eq!(waiting.next_in(&blue, None), None);
        assert_eq!(waiting.queue(&addr).collect::<Vec<_>>(), [&web]);
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn nothing_is_left_of_a_service_that_waits_no_more() {
        let mut waiting = Waiting::default();
        let web = rank(7, "web");
        let needs = vec![
            Need::Pool(ObjectName::of_cluster("blue"), Family::V6),
            Need::Address("192.0.2.1".parse().unwrap()),
            Need::Quota(ObjectName::of_cluster("blue"), "shop".into()),
            Need::Key("key".into()),
        ];
        waiting.add(&web, needs);

        waiting.remove(&web.name);

        assert_eq!(waiting.all().next(), None);
        assert!(waiting.queues.is_empty());
    }

    #[test]
    fn a_queue_is_walked_by_age_and_then_by_name() {
        let mut waiting = Waiting::default();
        let ranks = [rank(1, "z"), rank(2, "a"), rank(2, "b")];
        let blue = Need::Pool(ObjectName::of_cluster("blue"), Family::V4);
        for rank in ranks.iter().rev() {
            waiting.add(rank, vec![blue.clone()]);
        }

        let mut walked = Vec::new();
        while let Some(next) = waiting.next_in(&blue, walked.last()) {
            walked.push(next.clone());
        }

        assert_eq!(walked, ranks);
    }

    fn rank(created: u64, name: &str) -> Rank {
        Rank {
            created,
            name: ObjectName::new("shop", name),
        }
    }
}
