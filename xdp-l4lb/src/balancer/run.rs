//! The task: waits for something to happen, lets the planner think, carries out what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bpf_user::Cursor;
use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use types::Vip;
use xdp_l4lb_core::desired::{Delta, ServiceKey};
use xdp_l4lb_core::{Planner, Settings};

use super::census::Census;
use super::health::Health;
use super::state::State;
use super::{BalancerConfig, Command, StartError};
use crate::blackholes::Blackholes;
use crate::clock::now;
use crate::links::Links;
use crate::netlink::{Event, Netlink, NetlinkError, REOPEN_AFTER};
use crate::next_hops::{Hop, NextHops, Unresolved};
use crate::tables::Tables;

/// Kernel events taken together, so that a burst is answered once.
const BURST: usize = 4096;

/// How often things are looked at that nobody tells of: a refused interface, silent neighbours.
const RETRY: Duration = Duration::from_secs(5);

/// How often slots in change are counted.
const CENSUS: Duration = Duration::from_secs(1);

pub(super) struct Runner {
    pub(super) tables: Tables,
    pub(super) planner: Planner,
    pub(super) netlink: Netlink,
    pub(super) next_hops: NextHops,
    pub(super) health: Health,
    pub(super) links: Links,
    pub(super) blackholes: Blackholes,
    pub(super) present: BTreeMap<String, u32>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) published: watch::Sender<Arc<State>>,
    /// The addresses that each service's frontends have.
    pub(super) frontends: BTreeMap<ServiceKey, BTreeSet<IpAddr>>,
    /// The interfaces that ways lead through.
    pub(super) hops: BTreeMap<IpAddr, Hop>,
    pub(super) unresolved: BTreeMap<IpAddr, Unresolved>,
    pub(super) faults: BTreeMap<&'static str, String>,
    pub(super) census: Census,
    /// Where the scan of the flows is, if one is under way.
    pub(super) scan: Option<Option<Cursor>>,
    pub(super) todo: Todo,
    pub(super) links_changed: u64,
    pub(super) plans: u64,
    /// The planner's view, whatever the interfaces run.
    pub(super) ready: Arc<BTreeSet<Vip>>,
    pub(super) synced: bool,
}

/// What has to be done when its time comes.
pub(super) struct Todo {
    pub(super) retry: Duration,
    pub(super) census: Duration,
    /// Whether the state may differ from what was published.
    pub(super) publish: bool,
    /// When it may be published again.
    pub(super) publish_after: Duration,
    pub(super) attach: bool,
    pub(super) addresses: bool,
    pub(super) blackholes: bool,
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
        let links = Links::new(config.interfaces.iter().cloned(), config.attach_mode);
        let first = State {
            interfaces: links.states().clone(),
            program: tables.program().id(),
            ..State::default()
        };
        let (published, state) = watch::channel(Arc::new(first));
        let mut runner = Self {
            planner: Planner::restore(settings, &tables),
            tables,
            netlink: Netlink::open()?,
            next_hops: NextHops::default(),
            health: Health::new(config.probe_sources, kernel.vip_seed),
            links,
            blackholes: Blackholes::default(),
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
            plans: 0,
            ready: Arc::default(),
            synced: false,
        };
        runner.read_ready();
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
                Some(result) = self.health.next() => {
                    self.health.on_result(now(), result, &mut self.planner);
                    self.todo.publish = true;
                }
                event = self.netlink.next() => self.on_events(event).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn on_command(&mut self, command: Command) {
        match command {
            Command::Change(delta) => {
                self.note_frontends(&delta);
                self.planner.on_change(delta.clone());
                self.health.on_change(now(), &delta, &mut self.planner);
            }
            Command::Synced => {
                self.synced = true;
                self.todo.blackholes = true;
                self.planner.on_synced();
            }
            Command::TakeOff => self.take_off().await,
            Command::Services(answer) => {
                let keys = self.planner.services();
                let services =
                    keys.filter_map(|key| Some((key.clone(), self.planner.status(key)?)));
                // Whoever asked may have gone.
                let _ = answer.send(services.collect());
                return;
            }
        }
        self.todo.publish = true;
    }

    fn note_frontends(&mut self, delta: &Delta) {
        for (key, service) in &delta.services {
            let frontends = service.iter().flat_map(|service| &service.frontends);
            let addrs: BTreeSet<IpAddr> = frontends.map(|vip| vip.addr).collect();
            let before = if addrs.is_empty() {
                self.frontends.remove(key)
            } else {
                self.frontends.insert(key.clone(), addrs)
            };
            self.todo.blackholes |= before.as_ref() != self.frontends.get(key);
        }
    }

    /// `None` says that changes were lost: everything is read again.
    async fn on_events(&mut self, first: Option<Event>) {
        let mut next = Some(first);
        for _ in 0..BURST {
            match next {
                None => return,
                Some(Some(event)) => self.on_event(&event),
                Some(None) => {
                    let outcome = self.reopen().await;
                    if outcome.is_err() {
                        tokio::time::sleep(REOPEN_AFTER).await;
                    }
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
                self.todo.attach |= self.on_interface(&interface.name, interface.index);
            }
            Event::InterfaceGone { name, index } => {
                if self.present.get(name) == Some(index) {
                    self.present.remove(name);
                }
                self.todo.attach |= self.links.includes(name);
            }
            Event::Addresses => self.todo.addresses = true,
            Event::Routes | Event::Neighbour(_) => {}
        }
        self.next_hops.on_event(event);
    }

    /// Whether an interface is new here, by its name or by its index.
    fn on_interface(&mut self, name: &str, index: u32) -> bool {
        if self.present.get(name) == Some(&index) {
            return false;
        }
        // It may have had another name.
        self.present.retain(|_, known| *known != index);
        self.present.insert(name.to_owned(), index);
        true
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
        self.health.work(now, &mut self.planner);
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
        let scan = self.scan.map(|_| Duration::ZERO);
        let publish = self.todo.publish.then_some(self.todo.publish_after);
        [
            self.planner.next_deadline(),
            self.health.deadline(),
            self.next_hops.deadline(),
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
}

impl Todo {
    fn everything() -> Self {
        let now = now();
        Self {
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
