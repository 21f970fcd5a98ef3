//! One balancer: tables, planner, and an agent that carries steps out one store at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use types::{BackendAddr, Vip};
use xdp_l4lb_common::hash::{AddrWords, Flow, flow_hash};
use xdp_l4lb_common::layout::{
    BackendMode, FlowKey, NextHop, Slot, SlotTable, VipEntry, VipKey, mapped,
};
use xdp_l4lb_common::{Frame, Maps, Verdict, decide};
use xdp_l4lb_core::desired::{Delta, Health, Service, ServiceKey};
use xdp_l4lb_core::{Capacity, Planner, Readback, Settings, Step, Tables, Way};

use crate::graces::Graces;
use crate::kernel::{FLOW_SEED, Kernel, Store, VIP_SEED, stores};
use crate::rng::Rng;

pub(crate) const CAPACITY: Capacity = Capacity {
    buckets: 16,
    services: 48,
    slots: 1 << 13,
    backends: 96,
};

/// What this node has been told.
#[derive(Clone, Default)]
pub(crate) struct Told {
    pub(crate) services: BTreeMap<ServiceKey, Service>,
    pub(crate) health: BTreeMap<(ServiceKey, BackendAddr), (Health, Duration)>,
}

pub(crate) struct Node {
    settings: Settings,
    pub(crate) kernel: Kernel,
    pub(crate) planner: Planner,
    pub(crate) now: Duration,
    pub(crate) told: Told,
    /// Each may be announced, as the planner said in its steps.
    pub(crate) ready: BTreeSet<Vip>,
    /// Stores so far.
    pub(crate) stored: u64,
    /// VIPs and backends that have been gone since the tables last were as told.
    pub(crate) lost: BTreeSet<(Vip, IpAddr)>,
    graces: Graces,
    /// Whether steps fail now and then.
    pub(crate) is_flaky: bool,
    /// Some steps were handed back, and have not come again.
    failed: bool,
    /// Not yet begun.
    steps: VecDeque<Step>,
    /// The step under way, and what is left of it.
    begun: Option<(Step, VecDeque<Store>)>,
    /// Where the scan under way goes on.
    scan: Option<FlowKey>,
    /// Verdicts that the checks will give again after a restart.
    recall: Vec<(ServiceKey, BackendAddr, Health)>,
}

impl Node {
    pub(crate) fn new(flow_capacity: usize) -> Self {
        Self::sized(CAPACITY, flow_capacity)
    }

    pub(crate) fn sized(capacity: Capacity, flow_capacity: usize) -> Self {
        let settings = Settings {
            capacity,
            vip_seed: VIP_SEED,
            flow_seed: FLOW_SEED,
            maglev_seed: 5,
        };
        let kernel = Kernel::new(capacity, flow_capacity);
        let mut planner = Planner::restore(settings, &kernel);
        planner.on_synced();
        Self {
            settings,
            planner,
            kernel,
            now: Duration::from_secs(1000),
            told: Told::default(),
            ready: BTreeSet::new(),
            stored: 0,
            lost: BTreeSet::new(),
            graces: Graces::default(),
            is_flaky: true,
            failed: false,
            steps: VecDeque::new(),
            begun: None,
            scan: None,
            recall: Vec::new(),
        }
    }

    pub(crate) fn tell(&mut self, key: &ServiceKey, service: Option<Service>) {
        match &service {
            Some(service) => {
                self.told.services.insert(key.clone(), service.clone());
                self.told.health.retain(|(other, backend), _| {
                    other != key || service.backends.contains_key(backend)
                });
            }
            None => {
                self.told.services.remove(key);
                self.told.health.retain(|(other, _), _| other != key);
            }
        }
        let services = BTreeMap::from([(key.clone(), service)]);
        self.planner.on_change(Delta { services });
    }

    pub(crate) fn judge(&mut self, key: &ServiceKey, backend: BackendAddr, health: Health) {
        self.planner.on_health(self.now, key, &backend, health);
        let known = (key.clone(), backend);
        let since = self.told.health.get(&known).filter(|old| old.0 == health);
        let since = since.map_or(self.now, |old| old.1);
        self.told.health.insert(known, (health, since));
    }

    /// Whether there is nothing to do before the next deadline.
    pub(crate) fn is_idle(&self) -> bool {
        self.steps.is_empty() && self.begun.is_none()
    }

    /// Does the next thing: one store at most.
    pub(crate) fn work(&mut self, rng: &mut Rng) {
        if self.is_idle() {
            if self.scan.is_some() && rng.one_in(2) {
                self.scan_on(rng);
                return;
            }
            self.steps.extend(self.planner.plan(self.now, &self.kernel));
            self.failed &= self.steps.is_empty();
            let due = self.planner.next_deadline();
            if self.is_idle() && !self.failed && due.is_none_or(|at| at > self.now) {
                self.lost.clear();
            }
        }
        if self.is_flaky && rng.one_in(500) && !self.is_idle() {
            self.fail();
        } else {
            self.do_one();
        }
    }

    /// Does the next thing, or the next few.
    pub(crate) fn work_on(&mut self, rng: &mut Rng) {
        let few = if rng.one_in(4) { 1 } else { rng.below(60) };
        for _ in 0..few {
            self.work(rng);
        }
    }

    /// Works until nothing is due now.
    pub(crate) fn settle(&mut self, rng: &mut Rng) {
        for _ in 0..200_000 {
            self.work(rng);
            let due = self.planner.next_deadline();
            if self.is_idle() && self.scan.is_none() && due.is_none_or(|at| at > self.now) {
                return;
            }
        }
        panic!("the planner never comes to an end");
    }

    /// The agent dies where it is, and another starts on what it left.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        self.steps.clear();
        self.begun = None;
        self.failed = false;
        // Starting takes longer than any packet.
        self.graces = Graces::default();
        self.scan = None;
        self.ready.clear();
        self.planner = Planner::restore(self.settings, &self.kernel);
        let services = self.told.services.clone();
        for (key, service) in services {
            let service = Some(service);
            let services = BTreeMap::from([(key.clone(), service)]);
            self.planner.on_change(Delta { services });
            // Sources come one after the other.
            if rng.one_in(4) {
                self.work(rng);
            }
        }
        self.planner.on_synced();
        self.recall = self
            .told
            .health
            .iter()
            .map(|((key, backend), (health, _))| (key.clone(), *backend, *health))
            .collect();
    }

    /// Checks that run again after a restart come to the verdicts they had.
    pub(crate) fn recall_one(&mut self) {
        if let Some((key, backend, _)) = self.recall.pop()
            && let Some((health, _)) = self.told.health.get(&(key.clone(), backend))
        {
            self.planner.on_health(self.now, &key, &backend, *health);
        }
    }

    /// Where a client's packet goes: the backend's address, or nowhere.
    pub(crate) fn packet(
        &self,
        client: (Ipv4Addr, u16),
        vip: &Vip,
        syn: bool,
        seq: u32,
    ) -> Option<IpAddr> {
        let bytes = frame(client, vip, syn, seq);
        let frame = Frame {
            bytes: &bytes,
            first: bytes.len(),
            ingress: 2,
        };
        match decide(&self.kernel, &frame) {
            Verdict::Forward(forward) => {
                let [a, b, c, d] = forward.addr.as_v4()?;
                Some(Ipv4Addr::new(a, b, c, d).into())
            }
            Verdict::Pass(_) | Verdict::Drop(_) | Verdict::Answer(..) => None,
        }
    }

    /// The record of a VIP, as packets find it.
    pub(crate) fn record(&self, vip: &Vip) -> Option<(u32, SlotTable)> {
        let key = VipKey::new(mapped(vip.addr), vip.port, vip.protocol.number());
        let table = Maps::vip_table(&self.kernel);
        let found = xdp_l4lb_common::hash::vip_hash(VIP_SEED, table, &key);
        let words = [found.bucket_a, found.bucket_b].map(|at| Readback::bucket(&self.kernel, at));
        let hit = words.into_iter().flatten().find_map(|word| {
            let entry = VipEntry::from_word(word);
            let record = Readback::service(&self.kernel, entry.service());
            let hit = !entry.is_free() && record.key == key;
            hit.then_some((entry.service(), SlotTable::from_word(record.table)))
        });
        hit.filter(|(_, table)| !table.is_none())
    }

    /// A flow's slot, and its key in `flows`.
    pub(crate) fn slot_of(&self, client: (Ipv4Addr, u16), vip: &Vip) -> Option<(Slot, FlowKey)> {
        let (service, table) = self.record(vip)?;
        let addr = mapped(client.0.into());
        let flow = Flow {
            client: AddrWords::new(addr),
            vip: AddrWords::new(mapped(vip.addr)),
            client_port: client.1.to_be(),
            vip_port: vip.port.to_be(),
            proto: vip.protocol.number(),
        };
        let key = FlowKey {
            service,
            addr,
            port: client.1.to_be_bytes(),
            pad: [0; 2],
        };
        let slot = table.slot(flow_hash(FLOW_SEED, &flow));
        Some((Tables::slot(&self.kernel, slot), key))
    }

    /// The address behind an id.
    pub(crate) fn addr_of(&self, id: u32) -> IpAddr {
        let record = Readback::backend(&self.kernel, id);
        std::net::Ipv6Addr::from(record.addr).to_canonical()
    }

    /// No slot that packets can reach names an id that is not live.
    pub(crate) fn assert_sound(&self) {
        self.kernel.assert_no_entry_names_a_reused_record();
        for vip in self
            .told
            .services
            .values()
            .flat_map(|service| &service.frontends)
        {
            let Some((_, table)) = self.record(vip) else {
                continue;
            };
            for slot in 0..table.len() {
                let word = Tables::slot(&self.kernel, table.base() + slot);
                assert_eq!(word.word() & (1 << 62), 0);
                assert!(
                    word.is_open() || word.current() == word.previous(),
                    "{word:?}"
                );
                for id in [word.current(), word.previous()] {
                    let mode = Readback::backend(&self.kernel, id).mode;
                    assert!(
                        id == 0 || BackendMode::from_word(mode).has(1),
                        "{vip} names id {id}, which is gone"
                    );
                }
            }
        }
    }

    fn do_one(&mut self) {
        if self.begun.is_none()
            && let Some(step) = self.steps.pop_front()
        {
            self.say(&step);
            self.graces.check(self.now, &self.kernel, &step);
            let stores = stores(&step).into();
            self.begun = Some((step, stores));
        }
        let Some((_, stores)) = &mut self.begun else {
            return;
        };
        if let Some(store) = stores.pop_front() {
            self.kernel.store(&store);
            self.stored += 1;
        }
        if stores.is_empty() {
            self.begun = None;
        }
    }

    /// What a step has to say rather than to store.
    fn say(&mut self, step: &Step) {
        match step {
            Step::ScanFlows => self.scan = Some(FIRST_KEY),
            Step::VipReady(vip) => {
                self.ready.insert(*vip);
            }
            Step::VipNotReady(vip) => {
                self.ready.remove(vip);
            }
            Step::Resolve(addr) => {
                let way = Way {
                    next_hop: NextHop::new(1, [2, 0, 0, 0, 0, 1]),
                    mtu: 1500,
                    off_link: false,
                };
                self.planner.on_next_hop(*addr, Some(way));
            }
            // These are stores, or of no use here.
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
            | Step::DeleteFlows(_)
            | Step::Forget(_) => {}
        }
    }

    /// The next step fails, or the rest of one that is under way: it is handed back whole.
    fn fail(&mut self) {
        self.failed = true;
        let begun = self.begun.take().map(|(step, _)| step);
        let rest = begun.into_iter().chain(self.steps.drain(..)).collect();
        self.planner.on_failed(self.now, rest);
    }

    /// Reads a few flows more, and deletes what the planner says.
    fn scan_on(&mut self, rng: &mut Rng) {
        let Some(from) = self.scan else {
            return;
        };
        let chunk: Vec<_> = {
            let flows = self.kernel.flows.borrow();
            let rest = flows.range(from..).map(|(key, state)| (*key, *state));
            rest.take(1 + rng.below(3)).collect()
        };
        match chunk.last() {
            None => {
                self.scan = None;
                let whole = !self.is_flaky || !rng.one_in(10);
                self.planner.on_flows_end(self.now, whole);
            }
            Some((last, _)) => {
                self.scan = Some(after(last));
                let step = self.planner.on_flows(&self.kernel, &chunk);
                self.steps.extend(step);
            }
        }
    }
}

const FIRST_KEY: FlowKey = FlowKey {
    service: 0,
    addr: [0; 16],
    port: [0; 2],
    pad: [0; 2],
};

/// The least key behind this one.
fn after(key: &FlowKey) -> FlowKey {
    FlowKey {
        pad: [key.pad[0], key.pad[1] + 1],
        ..*key
    }
}

fn frame(client: (Ipv4Addr, u16), vip: &Vip, syn: bool, seq: u32) -> Vec<u8> {
    let IpAddr::V4(dst) = vip.addr else {
        panic!("the model's VIPs are IPv4");
    };
    let mut bytes = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 8, 0];
    bytes.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    bytes.extend(client.0.octets());
    bytes.extend(dst.octets());
    bytes.extend(client.1.to_be_bytes());
    bytes.extend(vip.port.to_be_bytes());
    bytes.extend(seq.to_be_bytes());
    bytes.extend([
        0,
        0,
        0,
        0,
        0x50,
        if syn { 2 } else { 0x10 },
        0,
        0,
        0,
        0,
        0,
        0,
    ]);
    bytes
}
