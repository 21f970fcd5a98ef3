//! The task: waits for something to happen, lets the planner think, carries out what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bpf_user::Cursor;
use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use xdp_l4lb_core::desired::ServiceKey;
use xdp_l4lb_core::{Planner, Settings, Step};

use super::census::Census;
use super::state::{State, forwards};
use super::{BalancerConfig, Command, StartError};
use crate::blackholes;
use crate::clock::now;
use crate::links::{Links, chain};
use crate::netlink::{Event, Netlink, NetlinkError, REOPEN_AFTER};
use crate::next_hops::{Hop, NextHops, Unresolved};
use crate::tables::{ApplyError, Tables};

/// Rounds of planning before other things get their turn.
const ROUNDS: usize = 16;

/// Kernel events taken together, so that a burst is answered once.
const BURST: usize = 4096;

/// Routes are not asked for again sooner than this after all were.
const ASK_PAUSE: Duration = Duration::from_millis(5);

/// How often things are looked at that nobody tells of: a refused interface, silent neighbours.
const RETRY: Duration = Duration::from_secs(5);

/// How often slots in change are counted.
const CENSUS: Duration = Duration::from_secs(1);

/// Of the time, the part that may go into publishing the state of many services: a tenth.
const PUBLISH_SHARE: u32 = 10;

pub(super) struct Runner {
    tables: Tables,
    planner: Planner,
    netlink: Netlink,
    next_hops: NextHops,
    links: Links,
    present: BTreeMap<String, u32>,
    commands: mpsc::Receiver<Command>,
    published: watch::Sender<Arc<State>>,
    /// The addresses that each service's frontends have.
    frontends: BTreeMap<ServiceKey, BTreeSet<IpAddr>>,
    /// The interfaces that ways lead through.
    hops: BTreeMap<IpAddr, Hop>,
    unresolved: BTreeMap<IpAddr, Unresolved>,
    faults: BTreeMap<&'static str, String>,
    census: Census,
    /// Where the scan of the flows is, if one is under way.
    scan: Option<Option<Cursor>>,
    todo: Todo,
    links_changed: u64,
    synced: bool,
}

/// What has to be done when its time comes.
struct Todo {
    ask: Duration,
    retry: Duration,
    census: Duration,
    /// Whether the state may differ from what was published.
    publish: bool,
    /// When it may be published again.
    publish_after: Duration,
    attach: bool,
    addresses: bool,
    blackholes: bool,
}

impl Runner {
    pub(super) async fn new(
        config: &BalancerConfig,
        tables: Tables,
        commands: mpsc::Receiver<Command>,
    ) -> Result<(Self, watch::Receiver<Arc<State>>), StartError> {
        let kernel = tables.config();
        let settings = Settings {
            capacity: tables.capacity(),
            vip_seed: kernel.vip_seed,
            flow_seed: kernel.flow_seed,
            maglev_seed: config.maglev_seed,
        };
        let (published, state) = watch::channel(Arc::new(State::default()));
        let mut runner = Self {
            planner: Planner::restore(settings, &tables),
            tables,
            netlink: Netlink::open()?,
            next_hops: NextHops::default(),
            links: Links::new(config.interfaces.iter().cloned()),
            present: BTreeMap::new(),
            commands,
            published,
            frontends: BTreeMap::new(),
            hops: BTreeMap::new(),
            unresolved: BTreeMap::new(),
            faults: BTreeMap::new(),
            census: Census::default(),
            scan: None,
            todo: Todo::everything(),
            links_changed: 0,
            synced: false,
        };
        runner.reload().await?;
        Ok((runner, state))
    }

    pub(super) async fn run(mut self) {
        loop {
            self.work().await;
            let pause = self.deadline().saturating_sub(now());
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command).await,
                    None => return,
                },
                event = self.netlink.next() => self.on_events(event).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn on_command(&mut self, command: Command) {
        match command {
            Command::Change(delta) => {
                for (key, service) in &delta.services {
                    let addrs = service
                        .iter()
                        .flat_map(|service| service.frontends.iter().map(|vip| vip.addr));
                    self.frontends.insert(key.clone(), addrs.collect());
                }
                self.frontends.retain(|_, addrs| !addrs.is_empty());
                self.planner.on_change(delta);
            }
            Command::Synced => {
                self.synced = true;
                self.planner.on_synced();
            }
            Command::TakeOff => self.take_off().await,
        }
        self.todo.blackholes = true;
        self.todo.publish = true;
    }

    /// `None` says that changes were lost: everything is read again.
    async fn on_events(&mut self, first: Option<Event>) {
        let mut next = Some(first);
        for _ in 0..BURST {
            match next {
                None => return,
                Some(Some(event)) => self.on_event(&event),
                Some(None) => {
                    tokio::time::sleep(REOPEN_AFTER).await;
                    let outcome = self.reopen().await;
                    self.note("netlink", outcome);
                    return;
                }
            }
            next = self.netlink.next().now_or_never();
        }
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Interface(interface) => {
                let known = self.present.insert(interface.name.clone(), interface.index);
                self.todo.attach |=
                    known != Some(interface.index) && self.links.includes(&interface.name);
            }
            Event::InterfaceGone { name, index } => {
                if self.present.get(name) == Some(index) {
                    self.present.remove(name);
                }
                self.todo.attach |= self.links.includes(name);
            }
            Event::Routes => self.todo.addresses = true,
            Event::Neighbour(_) => {}
        }
        self.next_hops.on_event(event);
    }

    async fn reopen(&mut self) -> Result<(), NetlinkError> {
        self.netlink = Netlink::open()?;
        self.reload().await
    }

    async fn reload(&mut self) -> Result<(), NetlinkError> {
        let interfaces = self.netlink.interfaces().await?;
        self.present = interfaces
            .into_iter()
            .map(|interface| (interface.name, interface.index))
            .collect();
        self.todo.attach = true;
        self.todo.addresses = true;
        self.next_hops.reload(&self.netlink).await
    }

    /// Does what is due, a bounded part of it.
    async fn work(&mut self) {
        let now = now();
        if self.todo.retry <= now {
            self.todo.retry = now + RETRY;
            self.todo.attach = true;
            self.todo.blackholes = true;
            self.next_hops.retry();
        }
        if std::mem::take(&mut self.todo.addresses) {
            let outcome = self.read_addresses().await;
            self.note("listing addresses", outcome);
        }
        self.follow_ways().await;
        self.plan();
        self.scan_flows();
        if std::mem::take(&mut self.todo.attach) {
            self.attach();
        }
        if std::mem::take(&mut self.todo.blackholes) {
            let outcome = self.set_blackholes().await;
            self.note("blackhole routes", outcome);
        }
        if self.todo.census <= now {
            self.todo.census = now + CENSUS;
            let before = self.census.open_slots();
            self.census.go_on(now, &self.planner, &self.tables);
            self.todo.publish |= before + self.census.open_slots() > 0;
        }
        self.publish();
    }

    /// When to wake although nothing happened.
    fn deadline(&self) -> Duration {
        let ask = self.next_hops.has_unasked().then_some(self.todo.ask);
        let scan = self.scan.map(|_| Duration::ZERO);
        let publish = self.todo.publish.then_some(self.todo.publish_after);
        [
            self.planner.next_deadline(),
            ask,
            scan,
            publish,
            Some(self.todo.retry),
            Some(self.todo.census),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.todo.retry)
    }

    async fn read_addresses(&mut self) -> Result<(), NetlinkError> {
        let addrs = self.netlink.addresses().await?;
        self.planner.on_local_addrs(addrs);
        Ok(())
    }

    async fn follow_ways(&mut self) {
        let now = now();
        if self.next_hops.has_unasked() && self.todo.ask <= now {
            let outcome = self.next_hops.ask(&self.netlink).await;
            self.note("asking for routes", outcome);
            if !self.next_hops.has_unasked() || self.faults.contains_key("asking for routes") {
                self.todo.ask = now + ASK_PAUSE;
            }
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

    fn plan(&mut self) {
        for _ in 0..ROUNDS {
            let steps = self.planner.plan(now(), &self.tables);
            if steps.is_empty() {
                return;
            }
            if steps
                .iter()
                .any(|step| !matches!(step, Step::StoreEpoch(_)))
            {
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
                // Readiness is read from the planner when the state is published.
                Step::VipReady(vip) => tracing::info!(%vip, "VIP ready"),
                Step::VipNotReady(vip) => tracing::info!(%vip, "VIP not ready"),
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
    fn scan_flows(&mut self) {
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
            self.note("forgetting flows", Err(error));
        }
        self.scan = batch.next.map(Some);
        if self.scan.is_none() {
            self.planner.on_flows_end(now(), true);
            self.note::<bpf_user::TableError>("reading flows", Ok(()));
        }
    }

    fn attach(&mut self) {
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
    async fn set_blackholes(&mut self) -> Result<(), NetlinkError> {
        let wanted: BTreeSet<IpAddr> = self.frontends.values().flatten().copied().collect();
        blackholes::set(&self.netlink.handle, &wanted, self.synced).await
    }

    async fn take_off(&mut self) {
        self.links = Links::new([]);
        self.frontends.clear();
        self.synced = true;
        let outcome = self.links.detach_others(self.tables.pins());
        self.note("pins", outcome);
        let outcome = self.set_blackholes().await;
        self.note("blackhole routes", outcome);
    }

    fn publish(&mut self) {
        let start = now();
        if !self.todo.publish || self.todo.publish_after > start {
            return;
        }
        self.todo.publish = false;
        let forwards = forwards(self.links.states());
        let ready = self.planner.ready().filter(|_| forwards).copied();
        let state = State {
            ready: ready.collect(),
            services: self
                .planner
                .services()
                .filter_map(|key| Some((key.clone(), self.planner.status(key)?)))
                .collect(),
            interfaces: self.links.states().clone(),
            unresolved: self.unresolved.clone(),
            faults: self.faults.clone(),
            open_slots: self.census.open_slots(),
            oldest_change: self.census.oldest(start),
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
    fn note<E: std::error::Error>(&mut self, what: &'static str, outcome: Result<(), E>) {
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

impl Todo {
    fn everything() -> Self {
        let now = now();
        Self {
            ask: now,
            retry: now + RETRY,
            census: now,
            publish: true,
            publish_after: now,
            attach: true,
            addresses: true,
            blackholes: true,
        }
    }
}
