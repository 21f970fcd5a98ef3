//! Takes over the tables of an agent that is gone, wherever in a plan it stopped.
//!
//! Only what is reachable from the published buckets counts: entries, their records, the slots those
//! name, the ids in the slots. The rest was not published yet or not reused yet, and becomes free
//! when a scan of the flows has not met it. `previous` is read, never computed. No packet that the
//! old agent's stores could hurt is still in flight after the time it takes to start a process.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use types::{BackendAddr, Protocol, Vip};
use xdp_l4lb_common::layout::{
    BACKEND_LIVE, BACKEND_OFF_LINK, BackendMode, BackendRecord, NextHop, ServiceRecord, Slot,
    SlotTable, VipEntry, VipKey,
};

use super::state::{Address, Deferred, Frontend, Holder, Member, Table, TableId};
use super::{Planner, Settings};
use crate::placement::{Place, VipPlacement};
use crate::pools::IndexPool;
use crate::steps::{Readback, Step, Way};

impl Planner {
    /// A planner that goes on from what the kernel's tables hold, empty or not.
    #[must_use]
    pub fn restore(settings: Settings, kernel: &impl Readback) -> Self {
        let mut planner = Self::new(settings);
        planner.epoch = kernel.epoch().max(1);
        let buckets = settings.capacity.buckets;
        planner.pools.vips = VipPlacement::new(settings.vip_seed, buckets, kernel.vip_table());
        if !kernel.vip_table().is_none() {
            planner.pools.may_rebuild = false;
            planner.later.push(Deferred::AllowRebuild);
        }
        let regions = planner.read_entries(kernel);
        for (table, vips) in regions {
            planner.read_table(table, vips, kernel);
        }
        planner.finish_growths();
        planner.read_ids(kernel);
        planner.read_records(kernel);
        planner
    }

    /// Every published frontend, by the slots that it has.
    fn read_entries(&mut self, kernel: &impl Readback) -> BTreeMap<(u32, u8), Vec<Vip>> {
        let table = self.pools.vips.table();
        let mut regions: BTreeMap<_, Vec<Vip>> = BTreeMap::new();
        let buckets = if table.is_none() {
            0..0
        } else {
            table.base()..table.base() + (1 << table.log2())
        };
        for bucket in buckets {
            for (entry, word) in (0u8..).zip(kernel.bucket(bucket)) {
                let word = VipEntry::from_word(word);
                if word.is_free() {
                    continue;
                }
                let place = Place { bucket, entry };
                let index = word.service();
                let record = kernel.service(index);
                let Some((vip, slots)) = self.read_entry(place, word, &record) else {
                    continue;
                };
                if !slots.is_none() {
                    let region = (slots.base(), slots.log2());
                    regions.entry(region).or_default().push(vip);
                }
            }
        }
        // An address record is written before its first frontend and cleared after its last.
        for frontend in self.held.frontends.keys() {
            if let Some(address) = self.held.addresses.get_mut(&frontend.addr) {
                address.frontends += 1;
            }
        }
        regions
    }

    fn read_entry(
        &mut self,
        place: Place,
        word: VipEntry,
        record: &ServiceRecord,
    ) -> Option<(Vip, SlotTable)> {
        if !self.pools.vips.adopt(place, word, record.key) {
            let table = self.pools.vips.table();
            self.later.push(Deferred::ClearVip { table, place });
            return None;
        }
        let index = word.service();
        let addr = Ipv6Addr::from(record.key.addr).to_canonical();
        let protocol = [Protocol::Tcp, Protocol::Udp]
            .into_iter()
            .find(|protocol| protocol.number() == record.key.proto);
        let Some(protocol) = protocol else {
            let address = Address {
                record: index,
                frontends: 0,
            };
            self.held.addresses.insert(addr, address);
            return None;
        };
        let vip = Vip {
            addr,
            port: u16::from_be_bytes(record.key.port),
            protocol,
        };
        let frontend = Frontend {
            record: index,
            flags: record.flags,
            table: None,
            ready: false,
        };
        self.held.frontends.insert(vip, frontend);
        self.held.records.insert(index, vip);
        Some((vip, SlotTable::from_word(record.table)))
    }

    fn read_table(
        &mut self,
        (base, log2): (u32, u8),
        mut frontends: Vec<Vip>,
        kernel: &impl Readback,
    ) {
        if !self.pools.regions.reserve(base, log2) {
            // Not one of ours, or damaged: better no slots than somebody else's.
            for frontend in frontends
                .iter()
                .filter_map(|vip| self.held.frontends.get(vip))
            {
                self.repairs.push(Step::StoreTable {
                    index: frontend.record,
                    table: SlotTable::NONE,
                });
            }
            return;
        }
        frontends.sort_unstable();
        let name = self.held.next_table;
        for vip in &frontends {
            if let Some(frontend) = self.held.frontends.get_mut(vip) {
                frontend.table = Some(name);
            }
        }
        let mut table = Table {
            owner: None,
            base,
            log2,
            frontends,
            members: Vec::new(),
        };
        let words: Vec<Slot> = table.slots().map(|index| kernel.slot(index)).collect();
        read_members(&mut table, &words, kernel);
        self.collector.note_region(name, table.slots(), &words);
        self.collector.alias(name);
        self.held.add_table(table);
    }

    /// A doubled table was published for some of its frontends only: for the others it is as good.
    fn finish_growths(&mut self) {
        let mut holders: BTreeMap<u32, TableId> = BTreeMap::new();
        let mut pairs = BTreeSet::new();
        for (name, table) in &self.held.tables {
            for member in &table.members {
                if let Some(other) = holders.insert(member.id, *name) {
                    pairs.insert((other, *name));
                }
            }
        }
        for (one, other) in pairs {
            let size = |name| self.held.tables.get(&name).map(|table: &Table| table.log2);
            let (old, new) = if size(one) < size(other) {
                (one, other)
            } else {
                (other, one)
            };
            self.merge(old, new);
        }
    }

    fn merge(&mut self, old: TableId, new: TableId) {
        let Some(old_table) = self.held.tables.remove(&old) else {
            return;
        };
        self.collector.forget(old);
        self.later.push(Deferred::FreeRegion {
            base: old_table.base,
            log2: old_table.log2,
        });
        let Some(table) = self.held.tables.get_mut(&new) else {
            return;
        };
        for vip in old_table.frontends {
            if let Some(frontend) = self.held.frontends.get_mut(&vip) {
                frontend.table = Some(new);
                self.repairs.push(Step::StoreTable {
                    index: frontend.record,
                    table: SlotTable::new(table.base, table.log2),
                });
            }
            table.frontends.push(vip);
        }
        table.frontends.sort_unstable();
        for member in old_table.members {
            if table.member(&member.backend).is_none() {
                table.add_member(member);
            }
        }
    }

    /// Who each id stands for, and which ids only flows may still name.
    fn read_ids(&mut self, kernel: &impl Readback) {
        let mut members = BTreeMap::new();
        for (name, table) in &self.held.tables {
            members.extend(table.members.iter().map(|member| (member.id, *name)));
        }
        let mut used = BTreeSet::new();
        for id in 1..self.settings.capacity.backends {
            let record = kernel.backend(id);
            if record.addr == [0; 16] {
                continue;
            }
            used.insert(id);
            let mode = BackendMode::from_word(record.mode);
            if !mode.has(BACKEND_LIVE) {
                self.later.push(Deferred::CondemnId(id));
                continue;
            }
            let table = members.get(&id).copied();
            if table.is_none() {
                self.later.push(Deferred::LingerId(id));
            }
            let backend = backend_of(&record);
            self.held.holders.insert(id, Holder { backend, table });
            self.read_way(backend.addr, id, mode, NextHop::from_word(record.next_hop));
        }
        self.pools.ids = IndexPool::with_used(self.settings.capacity.backends, &used);
    }

    fn read_way(&mut self, addr: IpAddr, id: u32, mode: BackendMode, next_hop: NextHop) {
        let reach = self.held.reaches.entry(addr).or_default();
        if reach.ids.is_empty() {
            self.repairs.push(Step::Resolve(addr));
        }
        reach.ids.insert(id);
        if next_hop != NextHop::NONE {
            reach.way = Some(Way {
                next_hop,
                mtu: mode.mtu(),
                off_link: mode.has(BACKEND_OFF_LINK),
            });
        }
    }

    /// Records that no entry names were not published yet, or were about to be freed.
    fn read_records(&mut self, kernel: &impl Readback) {
        let mut used: BTreeSet<u32> = self.held.records.keys().copied().collect();
        let unused: Vec<IpAddr> = self
            .held
            .addresses
            .iter()
            .filter(|(_, address)| address.frontends == 0)
            .map(|(addr, _)| *addr)
            .collect();
        used.extend(self.held.addresses.values().map(|address| address.record));
        for addr in unused {
            self.remove_address(addr);
        }
        for index in 1..self.settings.capacity.services {
            let blank = kernel.service(index).key == VipKey::address_only([0; 16]);
            if !blank && used.insert(index) {
                self.later.push(Deferred::CondemnRecord(index));
            }
        }
        self.pools.records = IndexPool::with_used(self.settings.capacity.services, &used);
    }

    fn remove_address(&mut self, addr: IpAddr) {
        let Some(address) = self.held.addresses.remove(&addr) else {
            return;
        };
        let mut steps = std::mem::take(&mut self.repairs);
        self.clear_entry(address.record, &mut steps);
        self.repairs = steps;
        self.later.push(Deferred::FreeRecord(address.record));
    }
}

/// The backends that a table's slots name.
fn read_members(table: &mut Table, words: &[Slot], kernel: &impl Readback) {
    let current: BTreeSet<u32> = words.iter().map(|word| word.current()).collect();
    let previous = words.iter().map(|word| word.previous());
    let named: BTreeSet<u32> = previous.chain(current.iter().copied()).collect();
    for id in named.into_iter().filter(|id| *id != 0) {
        let record = kernel.backend(id);
        if BackendMode::from_word(record.mode).has(BACKEND_LIVE) {
            table.add_member(Member {
                backend: backend_of(&record),
                id,
                was_current: current.contains(&id),
            });
        }
    }
}

/// The identity that [`Planner::enlist`] left in a record.
fn backend_of(record: &BackendRecord) -> BackendAddr {
    BackendAddr {
        addr: Ipv6Addr::from(record.addr).to_canonical(),
        port: u16::from_be_bytes(record.port),
    }
}
