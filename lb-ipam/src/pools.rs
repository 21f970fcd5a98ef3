//! All pools and the addresses in use: which pool may serve whom, and who conflicts with whom.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use types::{Family, ObjectName};

use crate::action::{Action, Conflict};
use crate::desired::{Pool, Range};
use crate::holders::Holders;
use crate::pool::PoolState;
use crate::segments::{BlockRef, Segments};
use crate::selector::Subject;
use crate::span::Span;

#[derive(Debug, Default)]
pub(crate) struct Pools {
    by_name: BTreeMap<ObjectName, PoolState>,
    segments: Segments,
    holders: Holders,
    /// Pools by a label, and its value, that every service they select has.
    anchored: BTreeMap<Arc<str>, BTreeMap<Arc<str>, BTreeSet<ObjectName>>>,
    /// Pools that may select services with any labels.
    unanchored: BTreeSet<ObjectName>,
    /// Pools about which there may be something new to say.
    touched: BTreeSet<ObjectName>,
}

/// Why a requested address cannot be had. Of several pools the last of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    NoPool,
    Mismatch,
    Taken,
}

/// What came of asking for any address of a family.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Address(IpAddr),
    /// These pools would serve and are full.
    Full(Vec<ObjectName>),
    NoPool,
}

impl Pools {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ObjectName, &PoolState)> {
        self.by_name.iter()
    }

    /// Puts a pool in the place of the one of that name, or removes it. Returns the addresses that
    /// the old or the new one holds, or `None` if nothing changes.
    pub(crate) fn set(&mut self, name: &ObjectName, pool: Option<Pool>) -> Option<Vec<Span>> {
        if self.by_name.get(name).map(|state| &state.pool) == pool.as_ref() {
            return None;
        }
        let old = self.by_name.remove(name);
        let mut spans = Vec::new();
        if let Some(old) = &old {
            spans.extend(old.spans());
            self.unindex(name, old);
        }
        if let Some(pool) = pool {
            let mut state = PoolState::new(pool);
            state.told = old.and_then(|old| old.told);
            spans.extend(state.spans());
            self.index(name, &state);
            self.by_name.insert(name.clone(), state);
            self.recount(name);
        }
        self.settle_conflicts(name, &spans);
        Some(spans)
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

    /// Whether the pool has an address of the family to give.
    pub(crate) fn has_free(&self, pool: &ObjectName, family: Family) -> bool {
        self.by_name
            .get(pool)
            .is_some_and(|state| state.has_free(family))
    }

    pub(crate) fn names_at(&self, addr: IpAddr) -> impl Iterator<Item = &ObjectName> {
        self.states_at(addr).map(|(name, _)| name)
    }

    pub(crate) fn holders_within(&self, span: Span) -> impl Iterator<Item = &ObjectName> {
        self.holders.within(span).map(|(_, service)| service)
    }

    /// Whether the service may be given this very address.
    pub(crate) fn check(&self, addr: IpAddr, subject: Subject<'_>) -> Result<(), Refusal> {
        let mut refusal = Refusal::NoPool;
        for (_, state) in self.states_at(addr).filter(|(_, state)| state.gives()) {
            if !state.pool.selector.matches(subject) {
                refusal = refusal.max(Refusal::Mismatch);
            } else if self.is_free(addr) && state.may_give(addr) {
                return Ok(());
            } else {
                refusal = Refusal::Taken;
            }
        }
        Err(refusal)
    }

    /// The first free address for the service, of the pools by name.
    pub(crate) fn offer(&self, family: Family, subject: Subject<'_>) -> Offer {
        let mut full = Vec::new();
        for name in self.candidates(subject) {
            let Some(state) = self.by_name.get(name) else {
                continue;
            };
            if !state.gives() || !state.has_family(family) || !state.pool.selector.matches(subject)
            {
                continue;
            }
            if let Some(addr) = state.first_free(family, &self.holders) {
                return Offer::Address(addr);
            }
            full.push(name.clone());
        }
        if full.is_empty() {
            Offer::NoPool
        } else {
            Offer::Full(full)
        }
    }

    /// Lets the service hold an address. `false` if that is in use.
    pub(crate) fn take(&mut self, addr: IpAddr, service: &ObjectName) -> bool {
        let taken = self.holders.take(addr, service);
        if taken {
            self.note(addr, true);
        }
        taken
    }

    pub(crate) fn release(&mut self, addr: IpAddr) {
        if self.holders.release(addr) {
            self.note(addr, false);
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
        news
    }

    fn states_at(&self, addr: IpAddr) -> impl Iterator<Item = (&ObjectName, &PoolState)> {
        self.segments
            .at(addr)
            .filter_map(|block| Some((&block.pool, self.by_name.get(&block.pool)?)))
    }

    /// The pools that may select the service, by name.
    fn candidates(&self, subject: Subject<'_>) -> BTreeSet<&ObjectName> {
        let anchored = subject
            .labels()
            .filter_map(|(key, value)| self.anchored.get(key)?.get(value))
            .flatten();
        self.unanchored.iter().chain(anchored).collect()
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

    fn recount(&mut self, name: &ObjectName) {
        let Some(state) = self.by_name.get_mut(name) else {
            return;
        };
        for span in state.merged_spans() {
            for (addr, _) in self.holders.within(span) {
                let within: Vec<usize> = self
                    .segments
                    .at(addr)
                    .filter(|block| block.pool == *name)
                    .map(|block| block.index)
                    .collect();
                state.note(addr, &within, true);
            }
        }
    }

    fn index(&mut self, name: &ObjectName, state: &PoolState) {
        for (span, block) in blocks(name, state) {
            self.segments.add(span, &block);
        }
        let Some(anchors) = state.pool.selector.anchors() else {
            self.unanchored.insert(name.clone());
            return;
        };
        for (key, value) in anchors {
            let values = self.anchored.entry(key.into()).or_default();
            values.entry(value.into()).or_default().insert(name.clone());
        }
    }

    fn unindex(&mut self, name: &ObjectName, state: &PoolState) {
        for (span, block) in blocks(name, state) {
            self.segments.remove(span, &block);
        }
        self.unanchored.remove(name);
        for (key, value) in state.pool.selector.anchors().unwrap_or_default() {
            let Some(values) = self.anchored.get_mut(key) else {
                continue;
            };
            if let Some(pools) = values.get_mut(value) {
                pools.remove(name);
                if pools.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.anchored.remove(key);
            }
        }
    }

    /// Decides again about the pool and those that it overlaps or did overlap.
    fn settle_conflicts(&mut self, name: &ObjectName, spans: &[Span]) {
        let mut concerned: BTreeSet<ObjectName> = spans
            .iter()
            .flat_map(|span| self.segments.over(*span))
            .map(|block| block.pool.clone())
            .collect();
        concerned.insert(name.clone());
        for name in concerned {
            let conflict = self.conflict_of(&name);
            if let Some(state) = self.by_name.get_mut(&name) {
                state.conflict = conflict;
                self.touched.insert(name);
            }
        }
    }

    /// The oldest pool that the pool overlaps, if it is older than it; else the pool itself.
    fn conflict_of(&self, name: &ObjectName) -> Option<Conflict> {
        let state = self.by_name.get(name)?;
        let overlaps = blocks(name, state).flat_map(|(own, block)| {
            self.segments
                .over(own)
                .into_iter()
                .filter(move |other| **other != block)
                .map(move |other| (own, other))
        });
        let (own, other) = overlaps
            .filter_map(|(own, other)| Some((own, other, self.age(&other.pool)?)))
            .filter(|(_, _, age)| *age <= (state.pool.created, name))
            .min_by_key(|(_, _, age)| *age)
            .map(|(own, other, _)| (own, other))?;
        let other_span = self.by_name.get(&other.pool)?.span(other.index)?;
        Some(Conflict {
            own: Range::from(own),
            other: Range::from(other_span),
            pool: other.pool.clone(),
        })
    }

    /// Orders pools from the oldest to the youngest.
    fn age(&self, name: &ObjectName) -> Option<(u64, &ObjectName)> {
        let (name, state) = self.by_name.get_key_value(name)?;
        Some((state.pool.created, name))
    }
}

fn blocks<'a>(
    name: &'a ObjectName,
    state: &'a PoolState,
) -> impl Iterator<Item = (Span, BlockRef)> + 'a {
    state.spans().enumerate().map(|(index, span)| {
        let pool = name.clone();
        (span, BlockRef { pool, index })
    })
}
