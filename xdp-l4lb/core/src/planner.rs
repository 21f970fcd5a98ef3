//! Turns desired services, health and routes into ordered stores, and nothing more than what changed.
//!
//! Events only note what has to be looked at. [`Planner::plan`] hands out the next steps; the shell
//! carries them out in order and calls it again until it gives none. One writer, one store a step:
//!
//! ```text
//!  on_change, on_health, on_next_hop, ... --> dirty services --> plan --> steps --> tables
//!                                                  ^               ^                  |
//!                      on_flows (a scan, in chunks)+---------------+--- Tables: slots, touched
//! ```
//!
//! What packets may still see is not reused before [`GRACE`] has passed since it was replaced, and
//! backend ids and record indexes not before a whole scan of the flows met none of them.

mod claims;
mod collect;
mod flows;
mod frontends;
mod members;
mod restore;
mod service;
mod state;
mod status;
mod tables;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use types::{BackendAddr, Vip};
use xdp_l4lb_common::layout::VipTable;

use crate::desired::{Delta, Health, ServiceKey};
use crate::placement::VipPlacement;
use crate::pools::{IndexPool, RegionPool};
use crate::steps::{Capacity, Step, Tables};
use collect::Collector;
use state::{Deferred, Graveyard, Inventory, Placed, TableId};

pub use status::{Fault, Role, ServiceStatus};

/// How long a packet may take from its first load to its last: programs run for microseconds, and
/// nothing that they saw is reused for a second.
pub const GRACE: Duration = Duration::from_secs(1);

/// How often the epoch advances: idle times are whole seconds.
const EPOCH: Duration = Duration::from_secs(1);

/// How long to wait before steps that failed are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Services that one call of `plan` looks at, so that a full pass does not hold up the rest.
const BATCH: usize = 256;

/// What does not change while the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The sizes of the kernel's tables.
    pub capacity: Capacity,
    /// As in `config`: private to the node.
    pub vip_seed: u64,
    /// As in `config`: the same on every node.
    pub flow_seed: u64,
    /// Seed of the Maglev tables: the same on every node.
    pub maglev_seed: u64,
}

/// The plan step of the balancer.
#[derive(Debug)]
pub struct Planner {
    settings: Settings,
    synced: bool,
    epoch: u32,
    /// When to advance the epoch; the first call of `plan` starts the clock.
    epoch_due: Option<Duration>,
    services: BTreeMap<ServiceKey, Placed>,
    /// Who wants a frontend, sorted: the first has it.
    claims: BTreeMap<Vip, Vec<ServiceKey>>,
    /// Who could not use a backend because its address is a VIP's or the node's own.
    refused: BTreeMap<IpAddr, BTreeSet<ServiceKey>>,
    local: BTreeSet<IpAddr>,
    held: Inventory,
    pools: Pools,
    graveyard: Graveyard,
    dirty: BTreeSet<ServiceKey>,
    /// Tables whose slots cannot be read back before the steps of this call are done.
    written: BTreeSet<TableId>,
    /// Services that have to be looked at again then.
    again: BTreeSet<ServiceKey>,
    /// Services of which only readiness may have changed.
    recheck: BTreeSet<ServiceKey>,
    /// Services of which something did not fit.
    starved: BTreeSet<ServiceKey>,
    /// Frontends in the kernel that nobody claims.
    loose: BTreeSet<Vip>,
    /// Tables that lost their service before they had a frontend.
    doomed: Vec<TableId>,
    /// Addresses whose way changed.
    ways: BTreeSet<IpAddr>,
    /// What the steps just handed out will leave behind.
    later: Vec<Deferred>,
    deferred: BTreeMap<Duration, Vec<Deferred>>,
    /// Ends of quarantines.
    quarantines: BTreeSet<(Duration, ServiceKey)>,
    /// Steps that failed, with those behind them, and when to try again.
    undone: Option<(Duration, Vec<Step>)>,
    collector: Collector,
    /// Steps that follow from what was read back.
    repairs: Vec<Step>,
}

/// What can be given out of the kernel's tables.
#[derive(Debug)]
struct Pools {
    vips: VipPlacement,
    records: IndexPool,
    ids: IndexPool,
    regions: RegionPool,
    /// Whether no packet reads the other half of the buckets.
    may_rebuild: bool,
}

impl Planner {
    /// A planner for empty tables. For tables that may not be empty, see [`Planner::restore`].
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let Capacity {
            buckets,
            services,
            slots,
            backends,
        } = settings.capacity;
        Self {
            settings,
            synced: false,
            epoch: 1,
            epoch_due: None,
            services: BTreeMap::new(),
            claims: BTreeMap::new(),
            refused: BTreeMap::new(),
            local: BTreeSet::new(),
            held: Inventory::default(),
            pools: Pools {
                vips: VipPlacement::new(settings.vip_seed, buckets, VipTable::NONE),
                records: IndexPool::new(services),
                ids: IndexPool::new(backends),
                regions: RegionPool::new(slots),
                may_rebuild: true,
            },
            graveyard: Graveyard::default(),
            dirty: BTreeSet::new(),
            written: BTreeSet::new(),
            again: BTreeSet::new(),
            recheck: BTreeSet::new(),
            starved: BTreeSet::new(),
            loose: BTreeSet::new(),
            doomed: Vec::new(),
            ways: BTreeSet::new(),
            later: Vec::new(),
            deferred: BTreeMap::new(),
            quarantines: BTreeSet::new(),
            undone: None,
            collector: Collector::new(slots, backends),
            repairs: Vec::new(),
        }
    }

    /// Desired services changed. The cost is that of the services named.
    pub fn on_change(&mut self, delta: Delta) {
        self.claim_all(delta);
    }

    /// Everything desired has been told once: what nobody claimed by now may be removed.
    pub fn on_synced(&mut self) {
        self.synced = true;
        self.loose = self
            .held
            .frontends
            .keys()
            .filter(|vip| !self.claims.contains_key(vip))
            .copied()
            .collect();
        self.dirty.extend(self.services.keys().cloned());
    }

    /// A check of a service's backend came to a verdict.
    pub fn on_health(
        &mut self,
        now: Duration,
        key: &ServiceKey,
        backend: &BackendAddr,
        health: Health,
    ) {
        let Some(placed) = self.services.get_mut(key) else {
            return;
        };
        if let Some(until) = placed.judge(now, backend, health) {
            self.quarantines
                .extend(until.map(|until| (until, key.clone())));
            self.dirty.insert(key.clone());
        }
    }

    /// The node's own addresses changed. A backend must not be one of them.
    pub fn on_local_addrs(&mut self, addrs: BTreeSet<IpAddr>) {
        let old = std::mem::replace(&mut self.local, addrs);
        for addr in old.symmetric_difference(&self.local.clone()) {
            self.doubt(*addr);
        }
    }

    /// The next steps, in order; none if there is nothing to do before [`Self::next_deadline`].
    ///
    /// Whoever calls this again says that the steps of the last call are done, or has handed back
    /// the rest of them by [`Self::on_failed`].
    #[must_use]
    pub fn plan(&mut self, now: Duration, tables: &impl Tables) -> Vec<Step> {
        match self.undone.take() {
            Some((at, steps)) if at <= now => return self.again(steps),
            waiting @ Some(_) => {
                self.undone = waiting;
                return Vec::new();
            }
            None => {}
        }
        let mut out = std::mem::take(&mut self.repairs);
        self.ripen(now, &mut out);
        self.tick(now, &mut out);
        self.end_quarantines(now);
        self.publish_ways(&mut out);
        for vip in std::mem::take(&mut self.loose) {
            self.remove_frontend(&vip, &mut out);
        }
        for name in std::mem::take(&mut self.doomed) {
            self.dissolve(name, &mut out);
        }
        while out.is_empty() && !self.dirty.is_empty() {
            for _ in 0..BATCH {
                let Some(key) = self.dirty.pop_first() else {
                    break;
                };
                self.recheck.remove(&key);
                self.reconcile(&key, tables, &mut out);
            }
        }
        self.written.clear();
        self.dirty.append(&mut self.again);
        for key in std::mem::take(&mut self.recheck) {
            self.announce(&key, &mut out);
        }
        if out.is_empty() {
            self.collect(now, tables, &mut out);
        }
        out
    }

    /// The first of `rest` failed, and the others were not tried. They are handed out again later.
    pub fn on_failed(&mut self, now: Duration, rest: Vec<Step>) {
        self.undone = Some((now + RETRY, rest));
    }

    /// Steps that failed, as of now: an idle window that starts again starts now.
    fn again(&self, mut steps: Vec<Step>) -> Vec<Step> {
        for step in &mut steps {
            if let Step::StoreSlots { epoch, .. } | Step::WriteSlots { epoch, .. } = step {
                *epoch = self.epoch;
            }
        }
        steps
    }

    /// When to call [`Self::plan`] again although nothing happened.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        if let Some((at, _)) = &self.undone {
            return Some(*at);
        }
        let at_once = !self.dirty.is_empty() || !self.later.is_empty() || !self.ways.is_empty();
        if at_once || !self.loose.is_empty() || !self.recheck.is_empty() || !self.doomed.is_empty()
        {
            return Some(Duration::ZERO);
        }
        [
            Some(self.epoch_due.unwrap_or(Duration::ZERO)),
            self.deferred.keys().next().copied(),
            self.quarantines.first().map(|(at, _)| *at),
            self.collect_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The steps of the last call are done, so their grace begins; and some graces end.
    fn ripen(&mut self, now: Duration, out: &mut Vec<Step>) {
        if !self.later.is_empty() {
            let left = std::mem::take(&mut self.later);
            self.deferred.entry(now + GRACE).or_default().extend(left);
        }
        while let Some(entry) = self.deferred.first_entry()
            && *entry.key() <= now
        {
            for deferred in entry.remove() {
                self.free(deferred, out);
            }
        }
    }

    fn free(&mut self, deferred: Deferred, out: &mut Vec<Step>) {
        match deferred {
            Deferred::FreeRegion { base, log2 } => self.pools.regions.give_back(base, log2),
            Deferred::ClearVip { table, place } => self.clear_copy(table, place, out),
            Deferred::AllowRebuild => self.pools.may_rebuild = true,
            Deferred::CondemnRecord(record) => {
                self.graveyard.records.insert(record);
            }
            Deferred::FreeRecord(record) => self.free_record(record, out),
            Deferred::CondemnId(id) => {
                self.graveyard.ids.insert(id);
            }
            Deferred::LingerId(id) => {
                self.graveyard.lingering.insert(id);
            }
            Deferred::FreeId(id) => self.free_id(id, out),
        }
        // Whatever did not fit may fit now.
        self.dirty.append(&mut self.starved);
    }

    /// Advances the epoch by one, however late: idle times may only seem shorter than they are.
    fn tick(&mut self, now: Duration, out: &mut Vec<Step>) {
        let due = *self.epoch_due.get_or_insert(now);
        if due <= now {
            self.epoch = self.epoch.checked_add(1).unwrap_or(1);
            self.epoch_due = Some(now + EPOCH);
            out.push(Step::StoreEpoch(self.epoch));
        }
    }

    fn end_quarantines(&mut self, now: Duration) {
        while let Some((until, _)) = self.quarantines.first()
            && *until <= now
            && let Some((_, key)) = self.quarantines.pop_first()
        {
            if let Some(placed) = self.services.get_mut(&key) {
                placed.expire(now);
                self.dirty.insert(key);
            }
        }
    }
}
