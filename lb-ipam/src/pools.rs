//! All pools and the addresses in use: which pool may serve whom, and who conflicts with whom.

mod index;
mod offer;
mod reserve;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use types::ObjectName;

use crate::action::Action;
use crate::desired::{Pool, Time};
use crate::holders::{Holder, Holders, Left, Took};
use crate::pool::PoolState;
use crate::reservations::Reservations;
use crate::segments::{BlockRef, Segments};
use crate::selector::Subject;
use crate::span::Span;
use crate::waiting::Need;

pub(crate) use offer::{Offer, Refusal};

#[derive(Clone, Debug, Default)]
pub(crate) struct Pools {
    by_name: BTreeMap<ObjectName, PoolState>,
    segments: Segments,
    holders: Holders,
    reservations: Reservations,
    /// Pools by a label, and its value, that every service they select has.
    anchored: BTreeMap<Arc<str>, BTreeMap<Arc<str>, BTreeSet<Place>>>,
    /// Pools that may select services with any labels.
    unanchored: BTreeSet<Place>,
    /// Pools about which there may be something new to say.
    touched: BTreeSet<ObjectName>,
    /// Quotas that had been used up and are not any more; keys whose services share other addresses;
    /// addresses that are shared now.
    relieved: BTreeSet<Need>,
}

/// The order in which pools are tried: the highest priority first, then by name.
pub(crate) type Place = (Reverse<i32>, ObjectName);

/// What a new, different or missing pool concerns.
#[derive(Debug, Default)]
pub(crate) struct Concerned {
    /// The addresses that the old or the new one holds.
    pub(crate) spans: Vec<Span>,
    /// Addresses that no longer wait for a service.
    pub(crate) freed: Vec<IpAddr>,
}

impl Pools {
    /// Puts a pool in the place of the one of that name, or removes it. Returns what that concerns, or
    /// `None` if nothing changes.
    pub(crate) fn set(
        &mut self,
        now: Time,
        name: &ObjectName,
        pool: Option<Pool>,
    ) -> Option<Concerned> {
        let is_same = match (self.by_name.get(name), &pool) {
            (Some(state), Some(pool)) => state.pool.is_as(pool),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if is_same {
            return None;
        }
        let old = self.by_name.remove(name);
        let mut concerned = Concerned::default();
        if let Some(old) = &old {
            concerned.spans.extend(old.spans());
            self.unindex(name, old);
        }
        if let Some(mut pool) = pool {
            let shown = std::mem::take(&mut pool.reserved);
            let mut state = PoolState::new(pool);
            concerned.spans.extend(state.spans());
            let is_new = old.is_none();
            if let Some(old) = old {
                state.told = old.told;
                state.told_reserved = old.told_reserved;
            } else {
                state.told_reserved.clone_from(&shown);
            }
            self.index(name, &state);
            self.by_name.insert(name.clone(), state);
            self.recount(name);
            if is_new {
                self.restore(now, name, shown);
            }
        }
        concerned.freed = self.drop_reservations(name);
        self.settle_conflicts(name, &concerned.spans);
        Some(concerned)
    }

    pub(crate) fn holders(&self) -> &Holders {
        &self.holders
    }

    pub(crate) fn reservations(&self) -> &Reservations {
        &self.reservations
    }

    /// The services that hold an address in `span`.
    pub(crate) fn holders_within(&self, span: Span) -> impl Iterator<Item = &ObjectName> {
        let held = self.holders.within(span);
        held.flat_map(|(_, holders)| holders.iter().map(|holder| &holder.rank.name))
    }

    /// Lets the service hold an address, if it may.
    pub(crate) fn take(&mut self, addr: IpAddr, holder: &Holder) -> bool {
        let namespace = &holder.rank.name.namespace;
        let is_theirs = self.holders.has_namespace(addr, namespace);
        match self.holders.take(addr, holder) {
            Ok(Took::First) => self.note(addr, true),
            Ok(Took::Joined) => drop(self.reservations.remove(addr)),
            Err(_) => return false,
        }
        if let Some(sharing) = &holder.sharing {
            self.relieved.insert(Need::Key(Arc::clone(&sharing.key)));
            // It may have been reserved, and others that ask for it may share it now.
            self.relieved.insert(Need::Address(addr));
        }
        if !is_theirs {
            self.note_namespace(addr, namespace, true);
        }
        true
    }

    /// The service does not hold an address any more. Whether it did.
    pub(crate) fn release(&mut self, addr: IpAddr, service: &ObjectName) -> bool {
        let holders = self.holders.at(addr).iter();
        let mut sharing = holders.filter(|holder| holder.rank.name == *service);
        if let Some(sharing) = sharing.find_map(|holder| holder.sharing.as_ref()) {
            self.relieved.insert(Need::Key(Arc::clone(&sharing.key)));
        }
        match self.holders.release(addr, service) {
            None => return false,
            Some(Left::Free) => self.note(addr, false),
            Some(Left::Shared) => {}
        }
        if !self.holders.has_namespace(addr, &service.namespace) {
            self.note_namespace(addr, &service.namespace, false);
        }
        true
    }

    /// Puts what a service is now in the place of what it was when it took its addresses.
    pub(crate) fn update(&mut self, held: &[IpAddr], holder: &Holder) {
        for addr in held {
            self.holders.update(*addr, holder);
        }
        if let Some(sharing) = &holder.sharing {
            self.relieved.insert(Need::Key(Arc::clone(&sharing.key)));
        }
    }

    /// What else may have become possible since this was asked last: quotas that had been used up and
    /// are not any more, keys whose services share other addresses.
    pub(crate) fn take_relieved(&mut self) -> BTreeSet<Need> {
        std::mem::take(&mut self.relieved)
    }

    /// Whether a need of any address can be met at present.
    pub(crate) fn has_room(&self, need: &Need) -> bool {
        match need {
            Need::Pool(pool, family) => {
                let state = self.by_name.get(pool);
                state.is_some_and(|state| state.has_free(*family))
            }
            Need::Quota(pool, namespace) => {
                let state = self.by_name.get(pool);
                state.is_some_and(|state| !state.is_used_up(namespace))
            }
            Need::Address(addr) => {
                let holders = self.holders.at(*addr).iter();
                self.is_free(*addr) || holders.into_iter().any(|held| held.sharing.is_some())
            }
            Need::Key(_) => true,
        }
    }

    /// What is new to be said about pools.
    pub(crate) fn news(&mut self) -> Vec<Action> {
        let mut news = Vec::new();
        for name in std::mem::take(&mut self.touched) {
            let Some(state) = self.by_name.get_mut(&name) else {
                continue;
            };
            let conditions = state.conditions();
            if state.told.as_ref() != Some(&conditions) {
                state.told = Some(conditions.clone());
                news.push(Action::SetPoolConditions {
                    pool: name,
                    conditions,
                });
            }
        }
        for name in self.reservations.take_touched() {
            let reservations = self.reservations.in_pool(&name);
            let Some(state) = self.by_name.get_mut(&name) else {
                continue;
            };
            if state.told_reserved != reservations {
                state.told_reserved.clone_from(&reservations);
                news.push(Action::SetReservations {
                    pool: name,
                    reservations,
                });
            }
        }
        news
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ObjectName, &PoolState)> {
        self.by_name.iter()
    }

    /// Whether a pool that selects the service has the address, whether or not it gives new ones.
    pub(crate) fn covers(&self, addr: IpAddr, subject: Subject<'_>) -> bool {
        self.states_at(addr)
            .any(|(_, state)| state.pool.selector.matches(subject))
    }

    /// Whether any pool has the address.
    pub(crate) fn has(&self, addr: IpAddr) -> bool {
        self.segments.at(addr).next().is_some()
    }

    pub(crate) fn is_free(&self, addr: IpAddr) -> bool {
        self.holders.is_free(addr)
    }

    pub(crate) fn names_at(&self, addr: IpAddr) -> impl Iterator<Item = &ObjectName> {
        self.states_at(addr).map(|(name, _)| name)
    }

    fn states_at(&self, addr: IpAddr) -> impl Iterator<Item = (&ObjectName, &PoolState)> {
        self.segments
            .at(addr)
            .filter_map(|block| Some((&block.pool, self.by_name.get(&block.pool)?)))
    }

    /// Passes on to the pools with the address that it was taken or released.
    fn note(&mut self, addr: IpAddr, taken: bool) {
        let blocks: Vec<&BlockRef> = self.segments.at(addr).collect();
        for of_pool in blocks.chunk_by(|a, b| a.pool == b.pool) {
            let within: Vec<usize> = of_pool.iter().map(|block| block.index).collect();
            let Some(name) = of_pool.first().map(|block| &block.pool) else {
                continue;
            };
            if let Some(state) = self.by_name.get_mut(name) {
                state.note(addr, &within, taken);
            }
            if !self.touched.contains(name) {
                self.touched.insert(name.clone());
            }
        }
    }

    /// Passes on to the pools with the address that the services of a namespace have one more or less.
    fn note_namespace(&mut self, addr: IpAddr, namespace: &Arc<str>, more: bool) {
        let limited = self.states_at(addr).filter(|(_, state)| state.is_limited());
        let names: BTreeSet<ObjectName> = limited.map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(state) = self.by_name.get_mut(&name) else {
                continue;
            };
            let was_used_up = state.is_used_up(namespace);
            state.note_namespace(namespace, more);
            if was_used_up && !state.is_used_up(namespace) {
                self.relieved
                    .insert(Need::Quota(name, Arc::clone(namespace)));
            }
        }
    }

    fn recount(&mut self, name: &ObjectName) {
        let Some(state) = self.by_name.get_mut(name) else {
            return;
        };
        for span in state.merged_spans() {
            for (addr, holders) in self.holders.within(span) {
                let within: Vec<usize> = self
                    .segments
                    .at(addr)
                    .filter(|block| block.pool == *name)
                    .map(|block| block.index)
                    .collect();
                state.note(addr, &within, true);
                let namespaces = holders.iter().map(|holder| &holder.rank.name.namespace);
                let is_limited = state.is_limited();
                for namespace in namespaces.filter(|_| is_limited).collect::<BTreeSet<_>>() {
                    state.note_namespace(namespace, true);
                }
            }
        }
    }
}
