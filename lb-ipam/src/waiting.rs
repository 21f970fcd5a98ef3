//! Services that lack an address, by what would help them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;

use types::{Family, ObjectName};

/// What a service waits for. One that waits for a pool to be made has no need listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Any address of the family from this pool, which is full.
    Pool(ObjectName, Family),
    /// This address, which is taken.
    Address(IpAddr),
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    needs: BTreeMap<ObjectName, Vec<Need>>,
    for_pool: BTreeMap<(ObjectName, Family), BTreeSet<ObjectName>>,
    for_address: BTreeMap<IpAddr, BTreeSet<ObjectName>>,
}

impl Waiting {
    /// Every service that waits.
    pub(crate) fn all(&self) -> impl Iterator<Item = &ObjectName> {
        self.needs.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.needs.len()
    }

    /// Those that wait for one address.
    pub(crate) fn for_address(&self, addr: IpAddr) -> impl Iterator<Item = &ObjectName> {
        self.for_address.get(&addr).into_iter().flatten()
    }

    /// The next one after `last` that waits for any address of a pool.
    pub(crate) fn next_for_pool(
        &self,
        pool: &(ObjectName, Family),
        last: Option<&ObjectName>,
    ) -> Option<&ObjectName> {
        next_after(self.for_pool.get(pool)?, last)
    }

    pub(crate) fn add(&mut self, service: &ObjectName, needs: Vec<Need>) {
        self.remove(service);
        for need in &needs {
            self.queue(need).insert(service.clone());
        }
        self.needs.insert(service.clone(), needs);
    }

    pub(crate) fn remove(&mut self, service: &ObjectName) {
        for need in self.needs.remove(service).unwrap_or_default() {
            let queue = self.queue(&need);
            queue.remove(service);
            if queue.is_empty() {
                match need {
                    Need::Pool(pool, family) => drop(self.for_pool.remove(&(pool, family))),
                    Need::Address(addr) => drop(self.for_address.remove(&addr)),
                }
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn queue(&mut self, need: &Need) -> &mut BTreeSet<ObjectName> {
        match need {
            Need::Pool(pool, family) => self.for_pool.entry((pool.clone(), *family)).or_default(),
            Need::Address(addr) => self.for_address.entry(*addr).or_default(),
        }
    }
}

/// The first of `names` after `last`.
pub(crate) fn next_after<'a>(
    names: &'a BTreeSet<ObjectName>,
    last: Option<&ObjectName>,
) -> Option<&'a ObjectName> {
    let after = last.map_or(Bound::Unbounded, Bound::Excluded);
    names
        .range::<ObjectName, _>((after, Bound::Unbounded))
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_waits_for_its_latest_needs_only() {
        let mut waiting = Waiting::default();
        let web = ObjectName::new("shop", "web");
        let blue = (ObjectName::of_cluster("blue"), Family::V4);
        let addr = "192.0.2.1".parse().unwrap();

        waiting.add(&web, vec![Need::Pool(blue.0.clone(), blue.1)]);
        waiting.add(&web, vec![Need::Address(addr)]);

        assert_eq!(waiting.next_for_pool(&blue, None), None);
        assert_eq!(waiting.for_address(addr).collect::<Vec<_>>(), [&web]);
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn nothing_is_left_of_a_service_that_waits_no_more() {
        let mut waiting = Waiting::default();
        let web = ObjectName::new("shop", "web");
        let blue = ObjectName::of_cluster("blue");
        let addr = "192.0.2.1".parse().unwrap();
        waiting.add(
            &web,
            vec![Need::Pool(blue, Family::V6), Need::Address(addr)],
        );

        waiting.remove(&web);

        assert_eq!(waiting.all().next(), None);
        assert!(waiting.for_pool.is_empty() && waiting.for_address.is_empty());
    }

    #[test]
    fn a_queue_is_walked_by_namespace_and_name() {
        let mut waiting = Waiting::default();
        let names = ["a/z", "b/a", "b/b"].map(|name| {
            let (namespace, name) = name.split_once('/').unwrap();
            ObjectName::new(namespace, name)
        });
        let blue = (ObjectName::of_cluster("blue"), Family::V4);
        for name in names.iter().rev() {
            waiting.add(name, vec![Need::Pool(blue.0.clone(), blue.1)]);
        }

        let mut walked = Vec::new();
        while let Some(next) = waiting.next_for_pool(&blue, walked.last()) {
            walked.push(next.clone());
        }

        assert_eq!(walked, names);
    }
}
