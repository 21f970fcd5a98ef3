//! The balancer's tables in memory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use xdp_l4lb_common::hash::{AddrWords, DEFAULT_FLOW_SEED, filter_place, vip_hash};
use xdp_l4lb_common::layout::{
    BUCKET_ENTRIES, BackendMode, BackendRecord, Bucket, Config, Counter, FlowKey, FlowState, Link,
    NextHop, OuterV4, ServiceRecord, Slot, SlotTable, VipEntry, VipKey, VipTable, mapped,
};
use xdp_l4lb_common::{Backend, Maps, Port, Remembered, Service};

/// The balancer's tables.
#[derive(Clone)]
pub(crate) struct Tables {
    pub(crate) config: Config,
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) services: Vec<ServiceRecord>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) backends: Vec<BackendRecord>,
    pub(crate) links: Vec<Link>,
    pub(crate) touched: RefCell<BTreeMap<u32, u32>>,
    pub(crate) flows: RefCell<BTreeMap<FlowKey, FlowState>>,
    /// How many flows there is room for.
    pub(crate) room: usize,
    pub(crate) counted: RefCell<BTreeMap<Counter, u32>>,
    /// ICMP errors left.
    pub(crate) errors: Cell<u32>,
}

impl Tables {
    /// No service; one link each for interface 1, which packets come from, and interface 2.
    pub(crate) fn new() -> Self {
        let link = |ifindex, last| Link {
            ifindex,
            mac: [2, 0, 0, 0, 0, last],
            pad: [0; 6],
        };
        Self {
            config: Config {
                vip_table: VipTable::new(0, 6, 1).word(),
                vip_seed: 0x0123_4567_89ab_cdef,
                flow_seed: DEFAULT_FLOW_SEED,
                outer_v4: OuterV4::new(Ipv4Addr::new(10, 200, 0, 0), 16).word(),
                outer_v6: [0xfd, 0, 0, 0, 0, 0, 0x20, 0],
                epoch: 7,
                error_rate: 1000,
                no_vip: [u64::MAX; 2],
            },
            buckets: vec![
                Bucket {
                    entries: [0; BUCKET_ENTRIES]
                };
                64
            ],
            services: vec![service(VipKey::new([0; 16], 0, 0), 0, SlotTable::NONE)],
            slots: Vec::new(),
            backends: vec![backend([0; 16], BackendMode::default(), NextHop::NONE)],
            links: vec![link(0, 0), link(1, 0xe1), link(2, 0xe2)],
            touched: RefCell::default(),
            flows: RefCell::default(),
            room: 100,
            counted: RefCell::default(),
            errors: Cell::new(1000),
        }
    }

    /// A backend; returns its id.
    pub(crate) fn backend(&mut self, addr: &str, mode: BackendMode, hop: NextHop) -> u32 {
        self.backends.push(backend(ip(addr), mode, hop));
        u32::try_from(self.backends.len() - 1).unwrap()
    }

    /// 64 slots with these contents in turn.
    pub(crate) fn table(&mut self, slots: &[Slot]) -> SlotTable {
        let base = u32::try_from(self.slots.len()).unwrap();
        self.slots.extend(slots.iter().cycle().take(64));
        SlotTable::new(base, 6)
    }

    /// A service, and its address if that is new; returns its index.
    pub(crate) fn service(
        &mut self,
        addr: &str,
        port: u16,
        proto: u8,
        flags: u8,
        table: SlotTable,
    ) -> u32 {
        let alone = VipKey::address_only(ip(addr));
        if !self.services.iter().any(|record| record.key == alone) {
            self.insert(service(alone, 0, SlotTable::NONE));
        }
        self.insert(service(VipKey::new(ip(addr), port, proto), flags, table))
    }

    fn insert(&mut self, record: ServiceRecord) -> u32 {
        let (word, bit) = filter_place(record.key.addr);
        self.config.no_vip[word] &= !bit;
        let index = u32::try_from(self.services.len()).unwrap();
        self.services.push(record);
        let table = VipTable::from_word(self.config.vip_table);
        let at = vip_hash(self.config.vip_seed, table, &record.key);
        let place = [at.bucket_a, at.bucket_b]
            .into_iter()
            .flat_map(|bucket| (0..BUCKET_ENTRIES).map(move |place| (bucket as usize, place)))
            .find(|&(bucket, place)| self.buckets[bucket].entries[place] == 0)
            .expect("a test's table is nearly empty");
        self.buckets[place.0].entries[place.1] = VipEntry::new(at.fingerprint, index).word();
        index
    }
}

/// Sixteen bytes for an address.
pub(crate) fn ip(addr: &str) -> [u8; 16] {
    mapped(addr.parse::<IpAddr>().unwrap())
}

fn service(key: VipKey, flags: u8, table: SlotTable) -> ServiceRecord {
    ServiceRecord {
        key,
        flags,
        pad: [0; 3],
        table: table.word(),
        reserved: [0; 4],
    }
}

fn backend(addr: [u8; 16], mode: BackendMode, hop: NextHop) -> BackendRecord {
    BackendRecord {
        addr,
        mode: mode.word(),
        port: [0; 2],
        pad: [0; 2],
        next_hop: hop.word(),
        reserved: [0; 4],
    }
}

/// A flow that was found.
pub(crate) struct Flow<'a>(&'a Tables, FlowKey);

impl Remembered for Flow<'_> {
    fn state(&self) -> FlowState {
        self.0.flows.borrow()[&self.1]
    }

    fn confirm(&self, epoch: u32) {
        let mut flows = self.0.flows.borrow_mut();
        let state = flows.get_mut(&self.1).unwrap();
        state.seen = epoch;
        state.confirmed = 1;
    }
}

impl Maps for Tables {
    fn vip_table(&self) -> VipTable {
        VipTable::from_word(self.config.vip_table)
    }

    fn no_vip(&self, word: usize) -> u64 {
        self.config.no_vip[word]
    }

    fn vip_seed(&self) -> u64 {
        self.config.vip_seed
    }

    fn flow_seed(&self) -> u64 {
        self.config.flow_seed
    }

    fn outer_v4(&self) -> OuterV4 {
        OuterV4::from_word(self.config.outer_v4)
    }

    fn outer_v6(&self) -> [u8; 8] {
        self.config.outer_v6
    }

    fn epoch(&self) -> u32 {
        self.config.epoch
    }

    fn bucket(&self, index: u32) -> Option<impl Fn(usize) -> u64> {
        let bucket = *self.buckets.get(index as usize)?;
        Some(move |place: usize| bucket.entries[place])
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
        self.touched.borrow_mut().insert(slot, epoch);
    }

    fn backend(&self, id: u32) -> Option<Backend> {
        let record = self.backends.get(id as usize)?;
        Some(Backend {
            addr: AddrWords::new(record.addr),
            mode: BackendMode::from_word(record.mode),
            next_hop: NextHop::from_word(record.next_hop),
        })
    }

    fn link(&self, index: u16) -> Option<Port> {
        let link = self.links.get(usize::from(index))?;
        Some(Port {
            ifindex: link.ifindex,
            mac: link.mac,
        })
    }

    fn flow(&self, key: &FlowKey) -> Option<impl Remembered> {
        self.flows
            .borrow()
            .contains_key(key)
            .then_some(Flow(self, *key))
    }

    fn remember(&self, key: &FlowKey, state: &FlowState) -> bool {
        let mut flows = self.flows.borrow_mut();
        let fits = flows.contains_key(key) || flows.len() < self.room;
        if fits {
            flows.insert(*key, *state);
        }
        fits
    }

    fn count(&self, counter: Counter) {
        *self.counted.borrow_mut().entry(counter).or_insert(0) += 1;
    }

    fn allow_error(&self) -> bool {
        let left = self.errors.get();
        self.errors.set(left.saturating_sub(1));
        left > 0
    }
}
