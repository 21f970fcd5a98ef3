//! The kernel's tables in memory: packets read them through `decide`, control steps store into them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use xdp_l4lb_common::hash::AddrWords;
use xdp_l4lb_common::layout::{
    BUCKET_ENTRIES, BackendMode, BackendRecord, Counter, FlowKey, FlowState, NextHop, OuterV4,
    ServiceRecord, Slot, SlotTable, VipEntry, VipKey, VipTable,
};
use xdp_l4lb_common::{Backend, Maps, Port, Remembered, Service};
use xdp_l4lb_core::{Capacity, Readback, Step, Tables};

pub(crate) const VIP_SEED: u64 = 0x0123_4567_89ab_cdef;
pub(crate) const FLOW_SEED: u64 = 77;

/// Every table, and how many flows fit.
pub(crate) struct Kernel {
    vip_table: VipTable,
    epoch: u32,
    buckets: Vec<[u64; BUCKET_ENTRIES]>,
    services: Vec<ServiceRecord>,
    slots: Vec<Slot>,
    touched: RefCell<Vec<u32>>,
    backends: Vec<BackendRecord>,
    pub(crate) flows: RefCell<BTreeMap<FlowKey, FlowState>>,
    pub(crate) flow_capacity: usize,
    /// How often each service record and each backend record was written as a whole.
    lives: (Vec<u64>, Vec<u64>),
    /// What those were for the records that each flow names, when it was remembered.
    born: RefCell<BTreeMap<FlowKey, (u64, u64)>>,
    pub(crate) deferred: Cell<u64>,
    pub(crate) remembered: Cell<u64>,
}

/// One store: what an agent cannot die in the middle of.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Bucket(u32, [u64; BUCKET_ENTRIES]),
    VipTable(VipTable),
    Vip(u32, u8, VipEntry),
    Service(u32, ServiceRecord),
    Flags(u32, u8),
    Table(u32, SlotTable),
    Slot(u32, Slot),
    Touched(u32, u32),
    Backend(u32, BackendRecord),
    Mode(u32, BackendMode),
    NextHop(u32, NextHop),
    Epoch(u32),
    DeleteFlow(FlowKey, FlowState),
}

/// A flow where it lies.
pub(crate) struct Entry<'a>(&'a Kernel, FlowKey, FlowState);

impl Kernel {
    pub(crate) fn new(capacity: Capacity, flow_capacity: usize) -> Self {
        let blank = BackendRecord {
            addr: [0; 16],
            mode: 0,
            port: [0; 2],
            pad: [0; 2],
            next_hop: 0,
            reserved: [0; 4],
        };
        let nobody = ServiceRecord {
            key: VipKey::address_only([0; 16]),
            flags: 0,
            pad: [0; 3],
            table: 0,
            reserved: [0; 4],
        };
        Self {
            vip_table: VipTable::NONE,
            epoch: 0,
            buckets: vec![[0; BUCKET_ENTRIES]; capacity.buckets as usize],
            services: vec![nobody; capacity.services as usize],
            slots: vec![Slot::default(); capacity.slots as usize],
            touched: RefCell::new(vec![0; capacity.slots as usize]),
            backends: vec![blank; capacity.backends as usize],
            flows: RefCell::default(),
            flow_capacity,
            lives: (
                vec![0; capacity.services as usize],
                vec![0; capacity.backends as usize],
            ),
            born: RefCell::default(),
            deferred: Cell::default(),
            remembered: Cell::default(),
        }
    }

    pub(crate) fn store(&mut self, store: &Store) {
        match *store {
            Store::Bucket(at, words) => self.buckets[at as usize] = words,
            Store::VipTable(table) => self.vip_table = table,
            Store::Vip(bucket, entry, word) => {
                self.buckets[bucket as usize][usize::from(entry)] = word.word();
            }
            Store::Service(at, record) => {
                self.services[at as usize] = record;
                self.lives.0[at as usize] += 1;
            }
            Store::Flags(at, flags) => self.services[at as usize].flags = flags,
            Store::Table(at, table) => self.services[at as usize].table = table.word(),
            Store::Slot(at, word) => self.slots[at as usize] = word,
            Store::Touched(at, epoch) => self.touched.borrow_mut()[at as usize] = epoch,
            Store::Backend(id, record) => {
                self.backends[id as usize] = record;
                self.lives.1[id as usize] += 1;
            }
            Store::Mode(id, mode) => self.backends[id as usize].mode = mode.word(),
            Store::NextHop(id, hop) => self.backends[id as usize].next_hop = hop.word(),
            Store::Epoch(epoch) => self.epoch = epoch,
            Store::DeleteFlow(key, state) => {
                let mut flows = self.flows.borrow_mut();
                if flows.get(&key) == Some(&state) {
                    flows.remove(&key);
                }
            }
        }
    }
}

/// What must not change, or must come back.
#[derive(Debug, PartialEq)]
pub(crate) struct Snapshot {
    vip_table: VipTable,
    buckets: Vec<[u64; BUCKET_ENTRIES]>,
    services: Vec<ServiceRecord>,
    slots: Vec<Slot>,
    backends: Vec<BackendRecord>,
    /// Free services, free backends, places taken.
    pub(crate) zeroes: (usize, usize, usize),
}

impl Kernel {
    /// No entry outlives a record that it names: another service's would be mistaken for it.
    pub(crate) fn assert_no_entry_names_a_reused_record(&self) {
        for (key, state) in self.flows.borrow().iter() {
            let born = self.born.borrow()[key];
            assert_eq!(born, self.lives_of(key, state), "{key:?} {state:?}");
        }
    }

    fn lives_of(&self, key: &FlowKey, state: &FlowState) -> (u64, u64) {
        let (services, backends) = &self.lives;
        (
            services[key.service as usize],
            backends[state.backend as usize],
        )
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let nobody = VipKey::address_only([0; 16]);
        let services = self.services.iter();
        let backends = self.backends.iter();
        let base = self.vip_table.base() as usize;
        let in_use = &self.buckets[base..][..1 << self.vip_table.log2()];
        let taken = in_use.iter().flatten().filter(|word| **word != 0);
        Snapshot {
            vip_table: self.vip_table,
            buckets: self.buckets.clone(),
            services: self.services.clone(),
            slots: self.slots.clone(),
            backends: self.backends.clone(),
            zeroes: (
                services.filter(|record| record.key == nobody).count(),
                backends.filter(|record| record.addr == [0; 16]).count(),
                taken.count(),
            ),
        }
    }
}

/// A step as the stores it consists of.
pub(crate) fn stores(step: &Step) -> Vec<Store> {
    match step {
        Step::WriteVips { base, buckets } => (*base..)
            .zip(buckets)
            .map(|(at, words)| Store::Bucket(at, *words))
            .collect(),
        Step::StoreVipTable(table) => vec![Store::VipTable(*table)],
        Step::StoreVip {
            bucket,
            entry,
            word,
        } => vec![Store::Vip(*bucket, *entry, *word)],
        Step::WriteService { index, record } => vec![Store::Service(*index, *record)],
        Step::StoreServiceFlags { index, flags } => vec![Store::Flags(*index, *flags)],
        Step::StoreTable { index, table } => vec![Store::Table(*index, *table)],
        Step::WriteSlots { base, epoch, words } => (*base..)
            .zip(words)
            .flat_map(|(at, word)| [Store::Slot(at, *word), Store::Touched(at, *epoch)])
            .collect(),
        Step::StoreSlots { epoch, stores } => stores
            .iter()
            .flat_map(|store| {
                let restart = store.restart.then_some(Store::Touched(store.index, *epoch));
                restart
                    .into_iter()
                    .chain([Store::Slot(store.index, store.word)])
            })
            .collect(),
        Step::WriteBackend { id, record } => vec![Store::Backend(*id, *record)],
        Step::StoreBackendMode { id, mode } => vec![Store::Mode(*id, *mode)],
        Step::StoreNextHop { id, next_hop } => vec![Store::NextHop(*id, *next_hop)],
        Step::StoreEpoch(epoch) => vec![Store::Epoch(*epoch)],
        Step::DeleteFlows(flows) => flows
            .iter()
            .map(|(key, state)| Store::DeleteFlow(*key, *state))
            .collect(),
        Step::ScanFlows
        | Step::VipReady(_)
        | Step::VipNotReady(_)
        | Step::Resolve(_)
        | Step::Forget(_) => Vec::new(),
    }
}

impl Tables for Kernel {
    fn slot(&self, index: u32) -> Slot {
        self.slots[index as usize]
    }

    fn touched(&self, index: u32) -> u32 {
        self.touched.borrow()[index as usize]
    }
}

impl Readback for Kernel {
    fn bucket(&self, index: u32) -> [u64; BUCKET_ENTRIES] {
        self.buckets[index as usize]
    }

    fn service(&self, index: u32) -> ServiceRecord {
        self.services[index as usize]
    }

    fn backend(&self, id: u32) -> BackendRecord {
        self.backends[id as usize]
    }

    fn vip_table(&self) -> VipTable {
        self.vip_table
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }
}

impl Maps for Kernel {
    fn vip_table(&self) -> VipTable {
        self.vip_table
    }

    fn vip_seed(&self) -> u64 {
        VIP_SEED
    }

    fn flow_seed(&self) -> u64 {
        FLOW_SEED
    }

    fn outer_v4(&self) -> OuterV4 {
        OuterV4::default()
    }

    fn outer_v6(&self) -> [u8; 8] {
        [0; 8]
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn bucket(&self, index: u32) -> Option<impl Fn(usize) -> u64> {
        let words = *self.buckets.get(index as usize)?;
        Some(move |place: usize| words[place])
    }

    fn service(&self, index: u32) -> Option<Service> {
        let record = self.services.get(index as usize)?;
        Some(Service {
            addr: AddrWords::new(record.key.addr),
            tail: u32::from_ne_bytes(record.key.tail()),
            flags: record.flags,
            table: SlotTable::from_word(record.table),
        })
    }

    fn slot(&self, index: u32) -> Option<Slot> {
        self.slots.get(index as usize).copied()
    }

    fn touch(&self, slot: u32, epoch: u32) {
        self.touched.borrow_mut()[slot as usize] = epoch;
    }

    fn backend(&self, id: u32) -> Option<Backend> {
        let record = self.backends.get(id as usize)?;
        Some(Backend {
            addr: AddrWords::new(record.addr),
            mode: BackendMode::from_word(record.mode),
            next_hop: NextHop::from_word(record.next_hop),
        })
    }

    fn link(&self, _: u16) -> Option<Port> {
        Some(Port {
            ifindex: 2,
            mac: [2; 6],
        })
    }

    fn flow(&self, key: &FlowKey) -> Option<impl Remembered> {
        let state = *self.flows.borrow().get(key)?;
        Some(Entry(self, *key, state))
    }

    fn remember(&self, key: &FlowKey, state: &FlowState) -> bool {
        let mut flows = self.flows.borrow_mut();
        let fits = flows.len() < self.flow_capacity || flows.contains_key(key);
        if fits {
            flows.insert(*key, *state);
            let lives = self.lives_of(key, state);
            self.born.borrow_mut().insert(*key, lives);
        }
        fits
    }

    fn count(&self, counter: Counter) {
        if counter == Counter::FlowDeferred {
            self.deferred.set(self.deferred.get() + 1);
        } else if counter == Counter::FlowRemembered {
            self.remembered.set(self.remembered.get() + 1);
        }
    }

    fn allow_error(&self) -> bool {
        true
    }
}

impl Remembered for Entry<'_> {
    fn state(&self) -> FlowState {
        self.2
    }

    fn confirm(&self, epoch: u32) {
        if let Some(state) = self.0.flows.borrow_mut().get_mut(&self.1) {
            state.confirmed = 1;
            state.seen = epoch;
        }
    }
}
