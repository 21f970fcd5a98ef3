//! What the task does when something is due: asks, plans, stores, attaches, shows.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bpf_user::AttachMode;
use xdp_l4lb_core::Step;

use super::run::Runner;
use super::state::{State, forwards};
use crate::clock::now;
use crate::links::{Links, chain};
use crate::netlink::NetlinkError;
use crate::next_hops::{Hop, Unresolved};
use crate::tables::ApplyError;

/// Rounds of planning before other things get their turn.
const ROUNDS: usize = 16;

/// Of the time, the part that may go into publishing the state of many services: a tenth.
const PUBLISH_SHARE: u32 = 10;

impl Runner {
    pub(super) async fn read_addresses(&mut self) -> Result<(), NetlinkError> {
        let addrs = self.netlink.addresses().await?;
        self.planner.on_local_addrs(addrs);
        Ok(())
    }

    pub(super) async fn follow_ways(&mut self) {
        let now = now();
        if self.next_hops.deadline().is_some_and(|at| at <= now) {
            let outcome = self.next_hops.ask(&self.netlink).await;
            self.note("asking for routes", outcome);
        }
        let changes = self.next_hops.changes();
        if changes.is_empty() {
            return;
        }
        for (addr, found) in changes {
            let outcome = self.on_way(now, addr, found);
            self.note("the table of links", outcome);
        }
        let used = self
            .hops
            .values()
            .map(|hop| (hop.ifindex, hop.source))
            .collect();
        self.tables.retain_links(now, &used);
        self.todo.publish = true;
    }

    fn on_way(
        &mut self,
        now: Duration,
        addr: IpAddr,
        found: Result<Hop, Unresolved>,
    ) -> Result<(), ApplyError> {
        match found {
            Ok(hop) => {
                self.unresolved.remove(&addr);
                self.hops.insert(addr, hop);
                let way = self.tables.way(now, &hop)?;
                self.planner.on_next_hop(addr, Some(way));
            }
            // What the kernel's tables say is right until something else is known.
            Err(Unresolved::Pending) => {}
            Err(reason) => {
                self.unresolved.insert(addr, reason);
                self.hops.remove(&addr);
                self.planner.on_next_hop(addr, None);
            }
        }
        Ok(())
    }

    /// Takes over what the planner holds for ready.
    pub(super) fn read_ready(&mut self) {
        self.ready = Arc::new(self.planner.ready().copied().collect());
    }

    pub(super) fn plan(&mut self) {
        for _ in 0..ROUNDS {
            let steps = self.planner.plan(now(), &self.tables);
            if steps.is_empty() {
                return;
            }
            if steps
                .iter()
                .any(|step| !matches!(step, Step::StoreEpoch(_)))
            {
                self.plans += 1;
                self.todo.publish = true;
            }
            if let Some((error, rest)) = self.perform(&steps) {
                self.planner.on_failed(now(), rest.to_vec());
                self.note::<ApplyError>("storing into the tables", Err(error));
                return;
            }
            self.note::<ApplyError>("storing into the tables", Ok(()));
        }
    }

    /// Carries out steps in order; the error and the steps not done, if one fails.
    fn perform<'s>(&mut self, steps: &'s [Step]) -> Option<(ApplyError, &'s [Step])> {
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Resolve(addr) => self.next_hops.resolve(*addr),
                Step::Forget(addr) => {
                    self.next_hops.forget(*addr);
                    self.hops.remove(addr);
                    self.unresolved.remove(addr);
                }
                Step::ScanFlows => self.scan = Some(None),
                Step::VipReady(vip) => {
                    tracing::info!(%vip, "VIP ready");
                    Arc::make_mut(&mut self.ready).insert(*vip);
                }
                Step::VipNotReady(vip) => {
                    tracing::info!(%vip, "VIP not ready");
                    Arc::make_mut(&mut self.ready).remove(vip);
                }
                Step::WriteVips { .. }
                | Step::StoreVipTable(_)
                | Step::StoreVip { .. }
                | Step::WriteService { .. }
                | Step::StoreServiceFlags { .. }
                | Step::StoreTable { .. }
                | Step::WriteSlots { .. }
                | Step::StoreSlots { .. }
                | Step::WriteBackend { .. }
                | Step::StoreBackendMode { .. }
                | Step::StoreNextHop { .. }
                | Step::StoreEpoch(_)
                | Step::DeleteFlows(_) => {
                    if let Err(error) = self.tables.apply(step) {
                        return Some((error, steps.get(at..).unwrap_or_default()));
                    }
                }
            }
        }
        None
    }

    /// Hands the planner one batch of flows, if it is in the middle of them.
    pub(super) fn scan_flows(&mut self) {
        let Some(cursor) = self.scan else {
            return;
        };
        let batch = match self.tables.flows(cursor) {
            Ok(batch) => batch,
            Err(error) => {
                self.scan = None;
                self.planner.on_flows_end(now(), false);
                self.note("reading flows", Err(error));
                return;
            }
        };
        if let Some(step) = self.planner.on_flows(&self.tables, &batch.entries)
            && let Err(error) = self.tables.apply(&step)
        {
            // The planner takes them for forgotten, so this round must come to nothing.
            self.scan = None;
            self.planner.on_flows_end(now(), false);
            self.note("forgetting flows", Err(error));
            return;
        }
        self.scan = batch.next.map(Some);
        if self.scan.is_none() {
            self.planner.on_flows_end(now(), true);
            self.note::<bpf_user::TableError>("reading flows", Ok(()));
            self.note::<ApplyError>("forgetting flows", Ok(()));
        }
    }

    pub(super) fn attach(&mut self) {
        let (pins, program) = (self.tables.pins(), self.tables.program());
        let changes = self.links.attach(pins, program, &self.present);
        let outcome = self
            .links
            .detach_others(pins)
            .and_then(|()| program.retire_others(pins));
        self.links_changed += u64::try_from(changes).unwrap_or(u64::MAX);
        self.note("pins", outcome);
        self.todo.publish = true;
    }

    /// Until everything desired is known, routes are only added.
    pub(super) async fn set_blackholes(&mut self) -> Result<(), NetlinkError> {
        let wanted: BTreeSet<IpAddr> = self.frontends.values().flatten().copied().collect();
        let handle = &self.netlink.handle;
        self.blackholes.set(handle, &wanted, self.synced).await
    }

    pub(super) async fn take_off(&mut self) {
        self.links = Links::new([], AttachMode::Auto);
        self.frontends.clear();
        self.synced = true;
        let outcome = self.links.detach_others(self.tables.pins());
        self.note("pins", outcome);
        let outcome = self.set_blackholes().await;
        self.note("blackhole routes", outcome);
    }

    pub(super) fn publish(&mut self) {
        let start = now();
        if !self.todo.publish || self.todo.publish_after > start {
            return;
        }
        self.todo.publish = false;
        let ready = if forwards(self.links.states()) {
            Arc::clone(&self.ready)
        } else {
            Arc::default()
        };
        let state = State {
            ready,
            interfaces: self.links.states().clone(),
            unresolved: self.unresolved.clone(),
            failing: self.health.failing().clone(),
            alarms: self.health.alarms().cloned().collect(),
            faults: self.faults.clone(),
            open_slots: self.census.open_slots(),
            oldest_change: self.census.oldest(start),
            plans: self.plans,
            stores: self.tables.stores(),
            links_changed: self.links_changed,
            program: self.tables.program().id(),
            synced: self.synced,
        };
        self.published.send_if_modified(|published| {
            let differs = **published != state;
            if differs {
                *published = Arc::new(state);
            }
            differs
        });
        let end = now();
        self.todo.publish_after = end + (end.saturating_sub(start)) * PUBLISH_SHARE;
    }

    /// Logs a fault when it begins and when it ends, and shows it until then.
    pub(super) fn note<E: std::error::Error>(
        &mut self,
        what: &'static str,
        outcome: Result<(), E>,
    ) {
        let text = outcome.err().map(|error| chain(&error));
        if self.faults.get(what) == text.as_ref() {
            return;
        }
        match text {
            Some(error) => {
                tracing::warn!(what, error, "failed, trying again");
                self.faults.insert(what, error);
            }
            None => {
                tracing::info!(what, "works again");
                self.faults.remove(what);
            }
        }
        self.todo.publish = true;
    }
}
