//! Records and entries: what a packet to a VIP finds first.

use types::Vip;
use xdp_l4lb_common::layout::{
    SERVICE_REFUSE, ServiceRecord, SlotTable, VipEntry, VipKey, VipTable, mapped,
};

use super::Planner;
use super::state::{Address, Deferred, Frontend, Placed, TableId};
use crate::desired::{ServiceKey, WhenEmpty};
use crate::placement::{Insertion, Place};
use crate::steps::Step;

impl Planner {
    /// Puts in place what is missing, and brings what is there up to date.
    pub(super) fn place_frontends(
        &mut self,
        key: &ServiceKey,
        placed: &Placed,
        out: &mut Vec<Step>,
    ) {
        let flags = match placed.when_empty {
            WhenEmpty::Refuse => SERVICE_REFUSE,
            WhenEmpty::Withdraw => 0,
        };
        // Any of the service's tables will do for a frontend that has no flows yet.
        let first = placed.tables.first().copied();
        let won: Vec<Vip> = self.won(key, placed).copied().collect();
        for vip in won {
            if self.held.frontends.contains_key(&vip) {
                self.update_frontend(&vip, flags, first, out);
            } else if self.place_frontend(&vip, flags, first, out).is_none() {
                self.starved.insert(key.clone());
            }
        }
    }

    /// Takes a frontend out of the kernel's tables: the entry first, and what it names after a grace.
    pub(super) fn remove_frontend(&mut self, vip: &Vip, out: &mut Vec<Step>) {
        let Some(frontend) = self.held.frontends.remove(vip) else {
            return;
        };
        if frontend.ready {
            out.push(Step::VipNotReady(*vip));
        }
        self.clear_entry(frontend.record, out);
        self.later.push(Deferred::CondemnRecord(frontend.record));
        self.held.records.remove(&frontend.record);
        if let Some(address) = self.held.addresses.get_mut(&vip.addr) {
            address.frontends -= 1;
            if address.frontends == 0 {
                let record = address.record;
                self.held.addresses.remove(&vip.addr);
                self.clear_entry(record, out);
                self.later.push(Deferred::FreeRecord(record));
            }
        }
        let Some(name) = frontend.table else {
            return;
        };
        if let Some(table) = self.held.tables.get_mut(&name) {
            table.frontends.retain(|other| other != vip);
            if table.frontends.is_empty() {
                self.dissolve(name, out);
            }
        }
    }

    /// Nothing names the record any more.
    pub(super) fn free_record(&mut self, index: u32, out: &mut Vec<Step>) {
        let record = record(VipKey::address_only([0; 16]), 0, SlotTable::NONE);
        out.push(Step::WriteService { index, record });
        self.pools.records.give_back(index);
    }

    /// The grace of a moved entry is over.
    pub(super) fn clear_copy(&mut self, table: VipTable, place: Place, out: &mut Vec<Step>) {
        if self.pools.vips.cleared(table, place) {
            store_entry(place, VipEntry::FREE, out);
        }
    }

    fn place_frontend(
        &mut self,
        vip: &Vip,
        flags: u8,
        table: Option<TableId>,
        out: &mut Vec<Step>,
    ) -> Option<()> {
        if !self.held.addresses.contains_key(&vip.addr) {
            let key = VipKey::address_only(mapped(vip.addr));
            let record = self.place_key(record(key, 0, SlotTable::NONE), out)?;
            let address = Address {
                record,
                frontends: 0,
            };
            self.held.addresses.insert(vip.addr, address);
        }
        let key = VipKey::new(mapped(vip.addr), vip.port, vip.protocol.number());
        let region = table.map_or(SlotTable::NONE, |name| self.region(name));
        let Some(index) = self.place_key(record(key, flags, region), out) else {
            self.drop_unused_address(vip, out);
            return None;
        };
        if let Some(address) = self.held.addresses.get_mut(&vip.addr) {
            address.frontends += 1;
        }
        self.held.records.insert(index, *vip);
        let frontend = Frontend {
            record: index,
            flags,
            table: None,
            ready: false,
        };
        self.held.frontends.insert(*vip, frontend);
        self.join(vip, table);
        Some(())
    }

    fn drop_unused_address(&mut self, vip: &Vip, out: &mut Vec<Step>) {
        let unused = self.held.addresses.get(&vip.addr);
        if let Some(address) = unused.filter(|address| address.frontends == 0) {
            let record = address.record;
            self.held.addresses.remove(&vip.addr);
            self.clear_entry(record, out);
            self.later.push(Deferred::FreeRecord(record));
        }
    }

    fn update_frontend(
        &mut self,
        vip: &Vip,
        flags: u8,
        table: Option<TableId>,
        out: &mut Vec<Step>,
    ) {
        let Some(frontend) = self.held.frontends.get_mut(vip) else {
            return;
        };
        let index = frontend.record;
        if frontend.flags != flags {
            frontend.flags = flags;
            out.push(Step::StoreServiceFlags { index, flags });
        }
        if let (None, Some(name)) = (frontend.table, table) {
            let table = self.region(name);
            out.push(Step::StoreTable { index, table });
            self.join(vip, Some(name));
        }
    }

    /// Writes a record and publishes an entry for it.
    fn place_key(&mut self, record: ServiceRecord, out: &mut Vec<Step>) -> Option<u32> {
        let index = self.pools.records.take()?;
        self.make_room(out);
        match self.pools.vips.insert(index, record.key) {
            Insertion::At(place, word) => {
                out.push(Step::WriteService { index, record });
                store_entry(place, word, out);
                return Some(index);
            }
            Insertion::Move { copy, clear } => {
                store_entry(copy.0, copy.1, out);
                let table = self.pools.vips.table();
                self.later.push(Deferred::ClearVip {
                    table,
                    place: clear,
                });
            }
            Insertion::Full if self.pools.may_rebuild => self.rebuild(1, out),
            Insertion::Full => {}
        }
        self.pools.records.give_back(index);
        None
    }

    /// A larger table of buckets before the one in use is full, for all that is claimed so far.
    fn make_room(&mut self, out: &mut Vec<Step>) {
        let missing = 2 * self.claims.len().saturating_sub(self.held.frontends.len());
        if self.pools.may_rebuild && self.pools.vips.is_crowded(missing.min(2)) {
            self.rebuild(missing, out);
        }
    }

    fn rebuild(&mut self, more: usize, out: &mut Vec<Step>) {
        let Some(rebuilt) = self.pools.vips.rebuild(more) else {
            return;
        };
        out.push(Step::WriteVips {
            base: rebuilt.table.base(),
            buckets: rebuilt.buckets,
        });
        out.push(Step::StoreVipTable(rebuilt.table));
        self.pools.may_rebuild = false;
        self.later.push(Deferred::AllowRebuild);
    }

    pub(super) fn clear_entry(&mut self, record: u32, out: &mut Vec<Step>) {
        if let Some(place) = self.pools.vips.remove(record) {
            store_entry(place, VipEntry::FREE, out);
        }
    }

    fn join(&mut self, vip: &Vip, table: Option<TableId>) {
        let Some(held) = table.and_then(|name| self.held.tables.get_mut(&name)) else {
            return;
        };
        if let Err(at) = held.frontends.binary_search(vip) {
            held.frontends.insert(at, *vip);
        }
        if let Some(frontend) = self.held.frontends.get_mut(vip) {
            frontend.table = table;
        }
    }

    fn region(&self, name: TableId) -> SlotTable {
        let table = self.held.tables.get(&name);
        table.map_or(SlotTable::NONE, |table| {
            SlotTable::new(table.base, table.log2)
        })
    }
}

/// A record with nothing in its reserved fields.
fn record(key: VipKey, flags: u8, table: SlotTable) -> ServiceRecord {
    ServiceRecord {
        key,
        flags,
        pad: [0; 3],
        table: table.word(),
        reserved: [0; 4],
    }
}

fn store_entry(place: Place, word: VipEntry, out: &mut Vec<Step>) {
    out.push(Step::StoreVip {
        bucket: place.bucket,
        entry: place.entry,
        word,
    });
}
