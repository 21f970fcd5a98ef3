//! Decides which service gets which address.
//!
//! One change is settled in four steps, each over the services concerned by namespace and name:
//!
//! 1. addresses that a service may not have any more are released;
//! 2. addresses that a service's status shows, and that it may have, are its own;
//! 3. what is still missing is allocated: of the pools by name, the blocks as written, the first free
//!    address. Services that wait for an address that became free take their turn among the others;
//! 4. what differs from what was said before leaves as actions.
//!
//! Pools are used by name, not by age: nodes that read the same directory see the same names, while
//! the age of a file is each node's own.
//!
//! Without a pool the allocator is dormant: it says nothing about any service, since another program
//! may be in charge. It wakes with the first pool, and goes back to sleep once it has released
//! what the last one had given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use types::{Family, ObjectName};

use crate::action::{Action, PoolConditions, Satisfaction};
use crate::desired::{Delta, Inputs, Pool, Service};
use crate::entry::Entry;
use crate::pools::{Offer, Pools};
use crate::selector::Subject;
use crate::waiting::{Need, Waiting, next_after};
use crate::wants::{Shortage, Wants};

/// The index over pools, services and addresses in use.
#[derive(Debug)]
pub struct Allocator {
    /// IPv4 before IPv6.
    enabled: Vec<Family>,
    inputs: Inputs,
    awake: bool,
    pools: Pools,
    services: BTreeMap<ObjectName, Entry>,
    waiting: Waiting,
    /// Services to be looked at.
    dirty: BTreeSet<ObjectName>,
    /// Addresses released and not yet offered to those that wait.
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
    /// An allocator that knows of nothing yet. `enabled` are the families of the cluster or node.
    #[must_use]
    pub fn new(enabled: &[Family]) -> Self {
        let enabled = Family::BOTH
            .into_iter()
            .filter(|family| enabled.contains(family))
            .collect();
        Self {
            enabled,
            inputs: Inputs::default(),
            awake: false,
            pools: Pools::default(),
            services: BTreeMap::new(),
            waiting: Waiting::default(),
            dirty: BTreeSet::new(),
            freed: Vec::new(),
        }
    }

    /// Takes in what changed, and returns what is to be written: services by namespace and name, then
    /// pools by name.
    pub fn on_change(&mut self, delta: Delta) -> Vec<Action> {
        for (name, pool) in delta.pools {
            self.set_pool(&name, pool);
        }
        for (name, service) in delta.services {
            self.set_service(name, service);
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
        let actions = self.settle();
        if self.pools.is_empty() && self.inputs == Inputs::Complete {
            self.fall_asleep();
        }
        actions
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
                addresses: &told.addresses,
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

    fn set_pool(&mut self, name: &ObjectName, pool: Option<Pool>) {
        let Some(spans) = self.pools.set(name, pool) else {
            return;
        };
        let holders = spans
            .iter()
            .flat_map(|span| self.pools.holders_within(*span));
        self.dirty.extend(holders.cloned());
        self.dirty.extend(self.waiting.all().cloned());
    }

    fn set_service(&mut self, name: ObjectName, service: Option<Service>) {
        let Some(service) = service else {
            self.forget(&name);
            return;
        };
        let is_known = self.services.contains_key(&name);
        if matches!(service, Service::Foreign { marked: false, .. }) && !is_known {
            return;
        }
        let entry = self.services.entry(name.clone());
        let entry = entry.or_insert_with(|| Entry::new(service.clone()));
        if !entry.is_content_with(&service) {
            self.dirty.insert(name);
        }
        entry.service = service;
    }

    fn forget(&mut self, name: &ObjectName) {
        self.waiting.remove(name);
        self.dirty.remove(name);
        let Some(entry) = self.services.remove(name) else {
            return;
        };
        for addr in entry.held {
            self.pools.release(addr);
            self.freed.push(addr);
        }
    }

    fn look_at_all(&mut self) {
        self.dirty = self.services.keys().cloned().collect();
    }

    fn settle(&mut self) -> Vec<Action> {
        let dirty = std::mem::take(&mut self.dirty);
        for name in &dirty {
            self.release_what_is_lost(name);
        }
        for name in &dirty {
            self.keep_what_is_shown(name);
        }
        let touched = self.serve_in_turn(dirty);
        let mut actions = Vec::new();
        for name in &touched {
            self.speak_of(name, &mut actions);
        }
        actions.append(&mut self.pools.news());
        actions
    }

    fn fall_asleep(&mut self) {
        self.awake = false;
        self.waiting.clear();
        for entry in self.services.values_mut() {
            entry.told = None;
        }
    }

    /// Step 1.
    fn release_what_is_lost(&mut self, name: &ObjectName) {
        let Some(entry) = self.services.get_mut(name) else {
            return;
        };
        let lost: Vec<IpAddr> = match &entry.service {
            Service::Request(request) => {
                let wants = Wants::new(request, &self.enabled);
                let subject = Subject::new(name, request);
                let pools = &self.pools;
                // What a refused pool selects and holds is not known.
                let may_judge = self.inputs == Inputs::Complete;
                entry
                    .held
                    .extract_if(.., |addr| {
                        !wants.accept(*addr) || may_judge && !pools.covers(*addr, subject)
                    })
                    .collect()
            }
            // They stay listed, since the action will name them.
            Service::Foreign { .. } => entry.held.clone(),
            Service::Unreadable { .. } => Vec::new(),
        };
        for addr in lost {
            self.pools.release(addr);
            self.freed.push(addr);
        }
    }

    /// Step 2.
    fn keep_what_is_shown(&mut self, name: &ObjectName) {
        let Some(entry) = self.services.get_mut(name) else {
            return;
        };
        let pools = &self.pools;
        let mut shown: Vec<IpAddr> = match &entry.service {
            Service::Request(request) => {
                let missing = Wants::new(request, &self.enabled).missing(&entry.held);
                let subject = Subject::new(name, request);
                let may_judge = self.inputs == Inputs::Complete;
                let keeps = |addr: &IpAddr| {
                    missing.accept(*addr) && (!may_judge || pools.covers(*addr, subject))
                };
                request.current.iter().copied().filter(keeps).collect()
            }
            Service::Unreadable { current } => current.clone(),
            Service::Foreign { .. } => Vec::new(),
        };
        shown.retain(|addr| self.pools.take(*addr, name));
        entry.held.append(&mut shown);
    }

    /// Step 3, for those concerned and for those that wait for what became free.
    fn serve_in_turn(&mut self, dirty: BTreeSet<ObjectName>) -> BTreeSet<ObjectName> {
        let mut turn = dirty;
        let mut roomy = BTreeSet::new();
        for addr in std::mem::take(&mut self.freed) {
            if self.pools.is_free(addr) {
                turn.extend(self.waiting.for_address(addr).cloned());
                let pools = self.pools.names_at(addr).cloned();
                roomy.extend(pools.map(|pool| (pool, Family::of(addr))));
            }
        }
        let mut last: Option<ObjectName> = None;
        loop {
            // Who waits for a pool with room gets an address of it, so nobody is served in vain.
            roomy.retain(|(pool, family)| self.pools.has_free(pool, *family));
            let next = roomy
                .iter()
                .filter_map(|pool| self.waiting.next_for_pool(pool, last.as_ref()))
                .chain(next_after(&turn, last.as_ref()))
                .min()
                .cloned();
            let Some(next) = next else {
                return turn;
            };
            self.serve(&next);
            turn.insert(next.clone());
            last = Some(next);
        }
    }

    /// Allocates what a service lacks.
    fn serve(&mut self, name: &ObjectName) {
        let Some(entry) = self.services.get_mut(name) else {
            return;
        };
        let Service::Request(request) = &entry.service else {
            self.waiting.remove(name);
            return;
        };
        let wants = Wants::new(request, &self.enabled);
        let subject = Subject::new(name, request);
        let missing = wants.missing(&entry.held);
        let mut shortage = Shortage::default();
        let mut found = Vec::new();
        if wants.is_hopeless() {
            shortage.note(Satisfaction::NoPool, []);
        }
        for addr in missing.addresses {
            match self.pools.check(addr, subject) {
                Ok(()) => found.push(addr),
                Err(refusal) => shortage.note_refusal(addr, refusal),
            }
        }
        for family in missing.families {
            match self.pools.offer(family, subject) {
                Offer::Address(addr) => found.push(addr),
                Offer::Full(pools) => shortage.note(
                    Satisfaction::OutOfAddresses,
                    pools.into_iter().map(|pool| Need::Pool(pool, family)),
                ),
                Offer::NoPool => shortage.note(Satisfaction::NoPool, []),
            }
        }
        found.retain(|addr| self.pools.take(*addr, name));
        entry.held.append(&mut found);
        wants.sort(&mut entry.held);
        entry.satisfaction = shortage.first.unwrap_or(Satisfaction::Satisfied);
        match shortage.first {
            Some(_) => self.waiting.add(name, shortage.needs),
            None => self.waiting.remove(name),
        }
    }

    /// Step 4.
    fn speak_of(&mut self, name: &ObjectName, actions: &mut Vec<Action>) {
        let Some(entry) = self.services.get_mut(name) else {
            return;
        };
        match &entry.service {
            Service::Request(_) => entry.speak(name, actions),
            Service::Foreign { current, marked } => {
                if *marked || entry.told.is_some() {
                    let shown = current.iter().filter(|addr| self.pools.has(**addr));
                    let given: BTreeSet<IpAddr> = entry.held.iter().chain(shown).copied().collect();
                    actions.push(Action::ClearService {
                        service: name.clone(),
                        addresses: given.into_iter().collect(),
                    });
                }
                self.services.remove(name);
            }
            Service::Unreadable { .. } => {}
        }
    }
}
