//! Decides which service gets which address.
//!
//! One change is settled in steps, each over the services concerned by age, namespace and name:
//!
//! 1. addresses that a service may not have any more are released; where it is the pools that left it,
//!    only after a grace that is said in its notices;
//! 2. of services that may no longer share an address, the younger one loses it;
//! 3. addresses that a service's status shows, and that it may have, are its own;
//! 4. what is still missing is allocated: an address that waits for the service, one that it may share,
//!    or, of the pools by priority and name, the blocks as written, the first free address. Services that
//!    wait for an address that became free take their turn among the others;
//! 5. what differs from what was said before leaves as actions.
//!
//! Pools are used by name, not by age: nodes that read the same directory see the same names, while
//! the age of a file is each node's own.
//!
//! Without a pool the allocator is dormant: it says nothing about any service, since another program
//! may be in charge. It wakes with the first pool, and goes back to sleep once it has released
//! what the last one had given. Addresses that no pool has, and that it never gave, are another
//! program's: they stay.

mod figures;
mod judge;
mod settle;
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use types::{Family, ObjectName};

use crate::action::{Action, PoolConditions, Satisfaction};
use crate::desired::{Delta, Inputs, Pool, Time};
use crate::entry::Entry;
use crate::pools::Pools;
use crate::request::Service;
use crate::waiting::Waiting;

pub use figures::Figures;
pub use why::{Explanation, Verdict};

/// The index over pools, services and addresses in use.
#[derive(Clone, Debug)]
pub struct Allocator {
    /// IPv4 before IPv6.
    enabled: Vec<Family>,
    grace: Duration,
    inputs: Inputs,
    awake: bool,
    pools: Pools,
    services: BTreeMap<ObjectName, Entry>,
    waiting: Waiting,
    /// Services to be looked at.
    dirty: BTreeSet<ObjectName>,
    /// Services whose status has addresses of other programs.
    with_foreign: BTreeSet<ObjectName>,
    /// When services lose addresses that no pool has for them.
    leaving: BTreeSet<(Time, ObjectName, IpAddr)>,
    /// Addresses that lost a holder, and that those that wait for them were not told of.
    freed: Vec<IpAddr>,
}

/// What a service has, for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation<'a> {
    /// Which service.
    pub service: &'a ObjectName,
    /// Its addresses, in the order of its status.
    pub addresses: &'a [IpAddr],
    /// What its condition says.
    pub satisfaction: Satisfaction,
}

impl Allocator {
    /// For how long a service keeps an address that no pool has for it any more, if not told: time to
    /// undo a mistake.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(60);

    /// An allocator that knows of nothing yet. `enabled` are the families of the cluster or node.
    #[must_use]
    pub fn new(enabled: &[Family]) -> Self {
        let enabled = Family::BOTH
            .into_iter()
            .filter(|family| enabled.contains(family))
            .collect();
        Self {
            enabled,
            grace: Self::DEFAULT_GRACE,
            inputs: Inputs::default(),
            awake: false,
            pools: Pools::default(),
            services: BTreeMap::new(),
            waiting: Waiting::default(),
            dirty: BTreeSet::new(),
            with_foreign: BTreeSet::new(),
            leaving: BTreeSet::new(),
            freed: Vec::new(),
        }
    }

    /// Takes in what changed, which may be nothing but the time, and returns what is to be written:
    /// services by age, namespace and name, then pools by name.
    pub fn on_change(&mut self, now: Time, delta: Delta) -> Vec<Action> {
        self.on_time(now);
        self.grace = delta.grace.unwrap_or(self.grace);
        for (name, pool) in delta.pools {
            self.set_pool(now, &name, pool);
        }
        for (name, service) in delta.services {
            self.set_service(now, name, service);
        }
        if let Some(inputs) = delta.inputs.filter(|inputs| *inputs != self.inputs) {
            self.inputs = inputs;
            self.look_at_all();
        }
        if self.inputs == Inputs::Incomplete {
            return Vec::new();
        }
        if !self.awake && !self.pools.is_empty() {
            self.awake = true;
            self.look_at_all();
        }
        if !self.awake {
            self.dirty.clear();
            self.freed.clear();
            return Vec::new();
        }
        let actions = self.settle(now);
        if self.pools.is_empty() && self.inputs == Inputs::Complete && self.leaving.is_empty() {
            self.fall_asleep();
        }
        actions
    }

    /// When to call [`on_change`](Self::on_change) if nothing changes before, if at all.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let leaving = self.leaving.first().map(|(until, ..)| *until);
        // What is not known for sure takes nothing away.
        let leaving = leaving.filter(|_| self.inputs == Inputs::Complete);
        let reserved = self.pools.reservations().next_deadline();
        leaving.into_iter().chain(reserved).min()
    }

    /// Whether there is no pool, so that no service is touched.
    #[must_use]
    pub const fn is_dormant(&self) -> bool {
        !self.awake
    }

    /// Every service that the allocator answers for, by namespace and name.
    pub fn allocations(&self) -> impl Iterator<Item = Allocation<'_>> {
        self.services.iter().filter_map(|(service, entry)| {
            let told = entry.told.as_ref()?;
            Some(Allocation {
                service,
                addresses: &told.held,
                satisfaction: told.satisfaction,
            })
        })
    }

    /// Every pool by name, with what its conditions say.
    pub fn pools(&self) -> impl Iterator<Item = (&ObjectName, PoolConditions)> {
        self.pools
            .iter()
            .map(|(name, state)| (name, state.conditions()))
    }

    /// How many services lack an address.
    #[must_use]
    pub fn unsatisfied(&self) -> usize {
        self.waiting.len()
    }

    fn on_time(&mut self, now: Time) {
        let due = self.leaving.iter().take_while(|(until, ..)| *until <= now);
        self.dirty
            .extend(due.map(|(_, service, _)| service.clone()));
        self.freed.append(&mut self.pools.expire(now));
    }

    fn set_pool(&mut self, now: Time, name: &ObjectName, pool: Option<Pool>) {
        let Some(mut concerned) = self.pools.set(now, name, pool) else {
            return;
        };
        self.freed.append(&mut concerned.freed);
        let holders = concerned
            .spans
            .iter()
            .flat_map(|span| self.pools.holders_within(*span));
        self.dirty.extend(holders.cloned());
        self.dirty.extend(self.waiting.all().cloned());
        self.dirty.extend(self.with_foreign.iter().cloned());
    }

    fn set_service(&mut self, now: Time, name: ObjectName, service: Option<Service>) {
        let Some(service) = service else {
            self.forget(now, &name);
            return;
        };
        match self.services.get_mut(&name) {
            Some(entry) => {
                if entry.replace(service) {
                    self.dirty.insert(name);
                }
            }
            None => {
                if matches!(&service, Service::Foreign(shown) if !shown.marked) {
                    return;
                }
                self.services.insert(name.clone(), Entry::new(service));
                self.dirty.insert(name);
            }
        }
    }

    /// A service is gone. Its addresses may wait for it.
    fn forget(&mut self, now: Time, name: &ObjectName) {
        self.waiting.remove(name);
        self.dirty.remove(name);
        self.with_foreign.remove(name);
        let Some(entry) = self.services.remove(name) else {
            return;
        };
        for addr in entry.held {
            self.pools.release(addr, name);
            match entry.notices.leaving.get(&addr) {
                Some(until) => drop(self.leaving.remove(&(*until, name.clone(), addr))),
                None => self.freed.append(&mut self.pools.reserve(now, addr, name)),
            }
            self.freed.push(addr);
        }
    }

    fn look_at_all(&mut self) {
        self.dirty = self.services.keys().cloned().collect();
    }

    fn fall_asleep(&mut self) {
        self.awake = false;
        self.waiting.clear();
        self.with_foreign.clear();
        for entry in self.services.values_mut() {
            *entry = Entry::new(entry.service.clone());
        }
    }
}
