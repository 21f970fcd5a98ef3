//! Feeds the allocator random edits of pools and services and checks what must hold after each.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod cases;
mod random;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lb_ipam::{
    Action, Allocator, Block, Delta, Grant, Inputs, Notices, Pool, PoolConditions, Request,
    Reservation, Satisfaction, Service, Sharing, Shown, Time,
};
use proptest::prelude::*;
use random::{change, pool, request};
use rules::{addresses, ends, families, may_keep, selects, usable};
use types::{Family, ObjectName};

const GRACE: Duration = Duration::from_secs(10);

proptest! {
    #[test]
    fn random_edits_break_no_promise(changes in prop::collection::vec(change(), 1..40)) {
        let mut world = World::new();
        for change in changes {
            let before = world.said.ingress.clone();
            let pools = world.pools.clone();
            let edited = world.apply(change);

            world.check_company();
            world.check_nothing_idle();
            world.check_counts();
            world.check_quotas(&before, &pools);
            world.check_unaffected(&before, &edited);
            world.check_restart();
        }
    }

    #[test]
    fn fresh_allocators_agree_however_they_come_to_know(
        pools in prop::collection::btree_map(0u8..4, pool(), 1..4),
        services in prop::collection::btree_map(0u8..10, request(), 1..10),
        keys in prop::collection::vec(any::<u32>(), 14),
    ) {
        let mut one = World::new();
        let mut at_once = Change::default();
        at_once.pools.extend(pools.into_iter().map(|(name, pool)| (name, Some(pool))));
        at_once.services.extend(services.into_iter().map(|(name, request)| (name, Some(request))));
        one.apply(at_once.clone());

        let mut allocator = allocator();
        let mut parts: Vec<Delta> = at_once.delta(&Said::default()).split();
        let mut order: Vec<(u32, Delta)> = keys.into_iter().cycle().zip(parts.drain(..)).collect();
        order.sort_by_key(|(key, _)| *key);
        for (_, part) in order {
            prop_assert_eq!(allocator.on_change(one.now, part), []);
        }
        let mut said = Said::default();
        let complete = Delta { inputs: Some(Inputs::Complete), ..Delta::default() };
        said.hear(allocator.on_change(one.now, complete));

        prop_assert_eq!(said.in_short(), one.said.in_short());
    }
}

/// Some edits at once. Names are small numbers, so that edits meet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    /// How long after the change before, in seconds.
    after: u64,
    pools: BTreeMap<u8, Option<Pool>>,
    services: BTreeMap<u8, Option<Request>>,
}

/// What has been put in, and what came out.
pub(crate) struct World {
    allocator: Allocator,
    now: Time,
    pools: BTreeMap<ObjectName, Pool>,
    services: BTreeMap<ObjectName, Request>,
    said: Said,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    ingress: BTreeMap<ObjectName, Vec<IpAddr>>,
    conditions: BTreeMap<ObjectName, Satisfaction>,
    notices: BTreeMap<ObjectName, Notices>,
    pools: BTreeMap<ObjectName, PoolConditions>,
    reserved: BTreeMap<ObjectName, Vec<Reservation>>,
}

impl World {
    fn new() -> Self {
        let mut allocator = allocator();
        let complete = Delta {
            inputs: Some(Inputs::Complete),
            ..Delta::default()
        };
        allocator.on_change(Time::ZERO, complete);
        Self {
            allocator,
            now: Time::ZERO,
            pools: BTreeMap::new(),
            services: BTreeMap::new(),
            said: Said::default(),
        }
    }

    /// What a service was told that it has.
    fn addresses(&self, namespace: &str, name: &str) -> Vec<IpAddr> {
        let said = self.said.ingress.get(&ObjectName::new(namespace, name));
        said.cloned().unwrap_or_default()
    }

    /// Returns the services that were edited.
    fn apply(&mut self, change: Change) -> BTreeSet<ObjectName> {
        self.now += Duration::from_secs(change.after);
        let delta = change.delta(&self.said);
        for (name, pool) in delta.pools.clone() {
            if pool.is_none() {
                self.said.pools.remove(&name);
                self.said.reserved.remove(&name);
            }
            set(&mut self.pools, name, pool);
        }
        for (name, service) in delta.services.clone() {
            if service.is_none() {
                self.said.ingress.remove(&name);
                self.said.conditions.remove(&name);
                self.said.notices.remove(&name);
            }
            let request = service.map(|service| match service {
                Service::Request(request) => request,
                Service::Foreign { .. } | Service::Unreadable { .. } => unreachable!(),
            });
            set(&mut self.services, name, request);
        }
        let edited = delta.services.keys().cloned().collect();
        self.said.hear(self.allocator.on_change(self.now, delta));
        self.echo();
        assert!(self.pools.is_empty() || !self.allocator.is_dormant());
        assert!(
            self.allocator
                .next_deadline()
                .is_none_or(|due| due > self.now)
        );
        if !self.allocator.is_dormant() {
            let held = Said::of(&self.allocator, &self.said);
            assert_eq!(self.said, held, "actions differ from what is held");
        }
        edited
    }

    /// The source shows what was written, which is no news.
    fn echo(&mut self) {
        let services = self.services.iter().map(|(name, request)| {
            let request = Request {
                shown: self.said.shown(name),
                ..request.clone()
            };
            (name.clone(), Some(Service::Request(request)))
        });
        let echo = Delta {
            services: services.collect(),
            ..Delta::default()
        };
        let news = self.allocator.on_change(self.now, echo);
        let mut said = self.said.clone();
        said.hear(news);
        assert_eq!(said.in_short(), self.said.in_short(), "an echo is news");
        self.said = said;
    }

    /// An allocator that starts from the statuses as they are has nothing new to say.
    fn check_restart(&self) {
        let services = self.services.iter().map(|(name, request)| {
            let request = Request {
                shown: self.said.shown(name),
                ..request.clone()
            };
            (name.clone(), Some(Service::Request(request)))
        });
        let pools = self.pools.iter().map(|(name, pool)| {
            let reserved = self.said.reserved.get(name);
            let pool = Pool {
                reserved: reserved.cloned().unwrap_or_default(),
                ..pool.clone()
            };
            (name.clone(), Some(pool))
        });
        let everything = Delta {
            pools: pools.collect(),
            services: services.collect(),
            inputs: Some(Inputs::Complete),
            ..Delta::default()
        };
        if self.pools.is_empty() {
            assert_eq!(allocator().on_change(self.now, everything), []);
            return;
        }
        // What is shown already need not be said.
        let mut said = Said {
            notices: self.said.notices.clone(),
            reserved: self.said.reserved.clone(),
            ..Said::default()
        };
        said.hear(allocator().on_change(self.now, everything));
        assert_eq!(
            said.in_short(),
            self.said.in_short(),
            "a restart changes something"
        );
    }

    /// No address is held by two that may not share it, and each by who may have it.
    fn check_company(&self) {
        let mut seen: BTreeMap<IpAddr, Vec<&ObjectName>> = BTreeMap::new();
        for (name, addresses) in &self.said.ingress {
            for addr in addresses {
                let others = seen.entry(*addr).or_default();
                for other in &*others {
                    assert!(self.share(name, other), "{name} and {other} hold {addr}");
                }
                others.push(name);
                let request = &self.services[name];
                assert!(may_keep(request, *addr), "{name} does not want {addr}");
                let notices = self.said.notices.get(name);
                match notices.and_then(|notices| notices.leaving.get(addr)) {
                    Some(until) => assert!(*until > self.now && *until <= self.now + GRACE),
                    None => assert!(self.covers(name, *addr), "no pool has {addr} for {name}"),
                }
            }
        }
        let mut reserved = self.said.reserved.values().flatten();
        assert!(reserved.all(|kept| !seen.contains_key(&kept.addr) && kept.until > self.now));
    }

    /// Nobody lacks what could be had, and everybody says so truly.
    fn check_nothing_idle(&self) {
        if self.pools.is_empty() {
            return;
        }
        for (name, request) in &self.services {
            let held = &self.said.ingress[name];
            let lacks_requested = request.requested.iter().any(|addr| !held.contains(addr));
            let lacks_family = request.requested.is_empty()
                && families(request)
                    .iter()
                    .any(|family| !held.iter().any(|a| Family::of(*a) == *family));
            let satisfied = self.said.conditions[name] == Satisfaction::Satisfied;
            assert_eq!(satisfied, !lacks_requested && !lacks_family, "{name}");
            for (pool, addr) in self.givable(name) {
                let wanted = if request.requested.is_empty() {
                    let family = Family::of(addr);
                    families(request).contains(&family)
                        && !held.iter().any(|a| Family::of(*a) == family)
                } else {
                    request.requested.contains(&addr) && !held.contains(&addr)
                };
                assert!(
                    !wanted || !self.is_open(name, pool, addr),
                    "{name} could have {addr}"
                );
            }
        }
    }

    /// Whether nothing is against the service's having the address, which the pool could give.
    fn is_open(&self, name: &ObjectName, pool: &ObjectName, addr: IpAddr) -> bool {
        let mut holders = self.holders(addr);
        let mut reserved = self.said.reserved.values().flatten();
        let quota = self.pools[pool].quotas.clone();
        let limit = quota.by_namespace.get(&name.namespace).copied();
        let used = self.used_by(&name.namespace, pool, &self.said.ingress);
        let counts_already = self
            .holders(addr)
            .any(|other| other.namespace == name.namespace);
        holders.all(|other| self.share(name, other))
            && !reserved.any(|kept| kept.addr == addr && kept.service != *name)
            && (counts_already || limit.or(quota.others).is_none_or(|limit| used < limit))
    }

    /// What is given of a pool's addresses stays within the quota, but for what was given before.
    fn check_quotas(
        &self,
        before: &BTreeMap<ObjectName, Vec<IpAddr>>,
        pools: &BTreeMap<ObjectName, Pool>,
    ) {
        for (name, pool) in &self.pools {
            // What another pool gives counts too.
            if pools.get(name) != Some(pool) || self.conflicts(name) {
                continue;
            }
            for namespace in ["n0", "n1"] {
                let [was, is] =
                    [before, &self.said.ingress].map(|held| self.used_by(namespace, name, held));
                let limit = pool.quotas.by_namespace.get(namespace).copied();
                let limit = limit.or(pool.quotas.others).unwrap_or(u64::MAX);
                assert!(is <= limit.max(was), "{namespace} has {is} of {name}");
            }
        }
    }

    /// How many addresses of a pool the services of a namespace hold.
    fn used_by(
        &self,
        namespace: &str,
        pool: &ObjectName,
        held: &BTreeMap<ObjectName, Vec<IpAddr>>,
    ) -> u64 {
        let theirs = held
            .iter()
            .filter(|(name, _)| &*name.namespace == namespace);
        let theirs: BTreeSet<IpAddr> = theirs.flat_map(|(_, held)| held).copied().collect();
        let blocks = &self.pools[pool].blocks;
        let all: BTreeSet<IpAddr> = blocks.iter().flat_map(addresses).collect();
        all.intersection(&theirs).count() as u64
    }

    fn holders(&self, addr: IpAddr) -> impl Iterator<Item = &ObjectName> {
        let held = self.said.ingress.iter();
        held.filter(move |(_, held)| held.contains(&addr))
            .map(|(name, _)| name)
    }

    /// The sharing rules once more.
    fn share(&self, one: &ObjectName, other: &ObjectName) -> bool {
        let [Some(a), Some(b)] = [one, other].map(|name| self.services[name].sharing.as_ref())
        else {
            return false;
        };
        let grants = |from: &Sharing, to: &ObjectName| match &from.grant {
            Grant::All => true,
            Grant::These(namespaces) => namespaces.contains(&to.namespace),
        };
        a.key == b.key
            && (one.namespace == other.namespace || grants(a, other) && grants(b, one))
            && a.listeners.is_disjoint(&b.listeners)
            && a.traffic == b.traffic
    }

    fn check_counts(&self) {
        let reserved = self.said.reserved.values().flatten();
        let taken = self.said.ingress.values().flatten().copied();
        let taken: BTreeSet<IpAddr> = taken.chain(reserved.map(|kept| kept.addr)).collect();
        for (name, pool) in &self.pools {
            let told = &self.said.pools[name];
            let all: BTreeSet<IpAddr> = pool.blocks.iter().flat_map(addresses).collect();
            let usable: BTreeSet<IpAddr> = usable(pool).collect();
            let used = all.intersection(&taken).count() as u128;
            let available = usable.difference(&taken).count() as u128;
            assert_eq!(told.used.as_u128(), Some(used), "{name} used");
            assert_eq!(
                told.available.as_u128(),
                Some(available),
                "{name} available"
            );
            assert_eq!(told.total.as_u128(), Some(used + available), "{name} total");
            assert_eq!(
                told.conflict.is_some(),
                self.conflicts(name),
                "{name} conflict"
            );
        }
    }

    fn covers(&self, service: &ObjectName, addr: IpAddr) -> bool {
        self.pools.values().any(|pool| {
            selects(pool, &self.services[service])
                && pool
                    .blocks
                    .iter()
                    .any(|block| addresses(block).any(|a| a == addr))
        })
    }

    /// What the pools would give the service if nothing were taken.
    fn givable(&self, service: &ObjectName) -> impl Iterator<Item = (&ObjectName, IpAddr)> {
        self.pools
            .iter()
            .filter(|(name, pool)| {
                !pool.disabled && !self.conflicts(name) && selects(pool, &self.services[service])
            })
            .flat_map(|(name, pool)| usable(pool).map(move |addr| (name, addr)))
    }

    fn conflicts(&self, name: &ObjectName) -> bool {
        let pool = &self.pools[name];
        let overlap = |a: &Block, b: &Block| {
            let ((a, z), (first, last)) = (ends(a), ends(b));
            a <= last && first <= z
        };
        let meets = |other: &Pool| {
            let mut others = other.blocks.iter();
            others.any(|theirs| pool.blocks.iter().any(|own| overlap(own, theirs)))
        };
        let itself = (1..pool.blocks.len()).any(|i| {
            pool.blocks[..i]
                .iter()
                .any(|other| overlap(&pool.blocks[i], other))
        });
        let is_older =
            |(other, elder): &(&ObjectName, &Pool)| (elder.created, *other) < (pool.created, name);
        itself
            || self
                .pools
                .iter()
                .filter(is_older)
                .any(|(_, elder)| meets(elder))
    }

    /// Who was not edited, shares nothing and has a pool for each address still, keeps them all.
    fn check_unaffected(
        &self,
        before: &BTreeMap<ObjectName, Vec<IpAddr>>,
        edited: &BTreeSet<ObjectName>,
    ) {
        for (name, held) in before.iter().filter(|(name, _)| !edited.contains(name)) {
            if self.services[name].sharing.is_none()
                && held.iter().all(|addr| self.covers(name, *addr))
            {
                let now = &self.said.ingress[name];
                assert!(
                    held.iter().all(|addr| now.contains(addr)),
                    "{name}: {held:?} became {now:?}"
                );
            }
        }
    }
}

impl Said {
    /// What the allocator says that it has, as far as it can be asked; the rest as it was said.
    fn of(allocator: &Allocator, said: &Self) -> Self {
        let mut held = Self {
            notices: said.notices.clone(),
            reserved: said.reserved.clone(),
            ..Self::default()
        };
        for allocation in allocator.allocations() {
            let name = allocation.service.clone();
            held.ingress
                .insert(name.clone(), allocation.addresses.to_vec());
            held.conditions.insert(name, allocation.satisfaction);
        }
        held.pools = allocator
            .pools()
            .map(|(name, told)| (name.clone(), told))
            .collect();
        held
    }

    /// Without what keeps a service from an address that others have: that may be another reason by now.
    fn in_short(&self) -> Self {
        let mut said = self.clone();
        for satisfaction in said.conditions.values_mut() {
            *satisfaction = match *satisfaction {
                Satisfaction::OutOfAddresses
                | Satisfaction::QuotaUsedUp
                | Satisfaction::AlreadyAllocated(_)
                | Satisfaction::Incompatible(..) => Satisfaction::OutOfAddresses,
                said @ (Satisfaction::Satisfied
                | Satisfaction::NoPool
                | Satisfaction::NoPoolWith(_)
                | Satisfaction::SelectorMismatch(_)) => said,
            };
        }
        said
    }

    /// What the status of a service says.
    fn shown(&self, name: &ObjectName) -> Shown {
        Shown {
            addresses: self.ingress.get(name).cloned().unwrap_or_default(),
            marked: self.conditions.contains_key(name),
            notices: self.notices.get(name).cloned().unwrap_or_default(),
        }
    }

    fn hear(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::SetIngress { service, addresses } => {
                    self.ingress.insert(service, addresses);
                }
                Action::SetServiceCondition {
                    service,
                    satisfaction,
                } => {
                    self.conditions.insert(service, satisfaction);
                }
                Action::SetNotices { service, notices } => {
                    assert!(notices.foreign.is_empty());
                    set(
                        &mut self.notices,
                        service,
                        Some(notices).filter(|notices| !notices.is_empty()),
                    );
                }
                Action::SetPoolConditions { pool, conditions } => {
                    self.pools.insert(pool, conditions);
                }
                Action::SetReservations { pool, reservations } => {
                    let reservations = Some(reservations).filter(|kept| !kept.is_empty());
                    set(&mut self.reserved, pool, reservations);
                }
                Action::ClearService { .. } => unreachable!("no service leaves"),
            }
        }
    }
}

impl Change {
    /// The change as a source tells it: services with their status as last written.
    fn delta(self, said: &Said) -> Delta {
        let pools = self
            .pools
            .into_iter()
            .map(|(name, pool)| (ObjectName::of_cluster(&format!("p{name}")), pool));
        let services = self.services.into_iter().map(|(name, request)| {
            let name = ObjectName::new(&format!("n{}", name % 2), &format!("s{name}"));
            let service = request.map(|mut request| {
                request.shown = said.shown(&name);
                Service::Request(request)
            });
            (name, service)
        });
        Delta {
            pools: pools.collect(),
            services: services.collect(),
            ..Delta::default()
        }
    }
}

trait Split {
    fn split(self) -> Vec<Delta>;
}

impl Split for Delta {
    /// One delta for each object.
    fn split(self) -> Vec<Delta> {
        let pools = self.pools.into_iter().map(|pool| Delta {
            pools: [pool].into(),
            ..Delta::default()
        });
        let services = self.services.into_iter().map(|service| Delta {
            services: [service].into(),
            ..Delta::default()
        });
        pools.chain(services).collect()
    }
}

fn set<V>(map: &mut BTreeMap<ObjectName, V>, name: ObjectName, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(name, value)),
        None => drop(map.remove(&name)),
    }
}

fn allocator() -> Allocator {
    let mut allocator = Allocator::new(&Family::BOTH);
    let options = Delta {
        grace: Some(GRACE),
        ..Delta::default()
    };
    assert_eq!(allocator.on_change(Time::ZERO, options), []);
    allocator
}
