//! Slot tables: made, changed in place, doubled, split, given back.

use types::Vip;
use xdp_l4lb_common::layout::{Slot, SlotTable};

use super::Planner;
use super::state::{Deferred, Member, Placed, Table, TableId};
use crate::desired::ServiceKey;
use crate::maglev::{self, Candidate, Size};
use crate::slots;
use crate::steps::{SlotStore, Step, Tables};

/// Which backend id each slot is to have. Shorter than a table that was once larger: a table of
/// another size then still sends every flow to the same place, since the low bits choose.
struct Targets(Vec<u32>);

impl Planner {
    /// The first table of a service: as another node's tables would look that has run all along.
    pub(super) fn make_table(
        &mut self,
        key: &ServiceKey,
        placed: &Placed,
        out: &mut Vec<Step>,
    ) -> Option<TableId> {
        let roles = self.roles(placed, None);
        self.note_refused(key, placed);
        // While a check is open, a table would send flows of other nodes to the wrong backend.
        let nobody_dials = self.won(key, placed).next().is_none();
        if roles.undecided || roles.current.is_empty() || nobody_dials {
            return None;
        }
        let size = roles.size?;
        let Some(base) = self.pools.regions.take(size.log2()) else {
            self.starved.insert(key.clone());
            return None;
        };
        let mut table = Table {
            owner: Some(key.clone()),
            base,
            log2: size.log2(),
            frontends: Vec::new(),
            members: Vec::new(),
        };
        self.enlist_all(key, &roles.previous, &mut table, out);
        let current = self.targets(size, &roles.current, &table.members);
        let previous = self.targets(size, &roles.previous, &table.members);
        let words = (0..1 << size.log2())
            .map(|slot| slots::opened(current.at(slot), previous.at(slot)))
            .collect();
        Some(self.write_table(table, words, out))
    }

    /// Brings one table to what its service asks for.
    pub(super) fn retune(
        &mut self,
        key: &ServiceKey,
        name: TableId,
        placed: &Placed,
        tables: &impl Tables,
        out: &mut Vec<Step>,
    ) {
        if self.written.contains(&name) {
            self.again.insert(key.clone());
            return;
        }
        self.note_refused(key, placed);
        let roles = self.roles(placed, Some(name));
        let (Some(size), Some(mut table)) = (roles.size, self.held.tables.remove(&name)) else {
            return;
        };
        self.enlist_all(key, &roles.current, &mut table, out);
        for member in &table.members {
            self.set_table(member.id, name);
        }
        let region = self.larger_region(key, &table, size);
        // Without room to grow, the slots there are get shared out as they are.
        let size = match region {
            None if size.log2() > table.log2 => Size::Log2(table.log2),
            None | Some(_) => size,
        };
        let targets = self.targets(size, &roles.current, &table.members);
        // Before everything is known, what was there stays.
        let keeps = |member: &Member| {
            roles.keeps(&member.backend) || !self.synced && placed.wish(&member.backend).is_none()
        };
        let (kept, gone): (Vec<_>, Vec<_>) = table.members.iter().copied().partition(keeps);
        let mut live: Vec<u32> = kept.iter().map(|member| member.id).collect();
        live.sort_unstable();
        match region {
            Some(base) => {
                let words = grown(&table, size, (&targets, &live), tables);
                self.move_table(name, &mut table, (base, size), words, out);
            }
            None => self.store_changes(name, &table, (&targets, &live), tables, out),
        }
        for member in &gone {
            self.discharge(name, member, out);
        }
        table.members = kept;
        self.held.tables.insert(name, table);
    }

    /// Slot by slot, the changes of a table that keeps its size.
    fn store_changes(
        &mut self,
        name: TableId,
        table: &Table,
        (targets, live): (&Targets, &[u32]),
        tables: &impl Tables,
        out: &mut Vec<Step>,
    ) {
        let mut stores = Vec::new();
        for (slot, index) in (0u32..).zip(table.slots()) {
            let is_live = |id: u32| live.binary_search(&id).is_ok();
            if let Some(next) = slots::retarget(tables.slot(index), targets.at(slot), is_live) {
                stores.push(SlotStore {
                    index,
                    word: next.word,
                    restart: next.restart,
                });
            }
        }
        if stores.is_empty() {
            return;
        }
        self.written.insert(name);
        self.collector.note_stores(name, &stores);
        let epoch = self.epoch;
        out.push(Step::StoreSlots { epoch, stores });
    }

    /// A free region of the size that a table should have, if it has to grow and there is one.
    fn larger_region(&mut self, key: &ServiceKey, table: &Table, size: Size) -> Option<u32> {
        if size.log2() <= table.log2 {
            return None;
        }
        let base = self.pools.regions.take(size.log2());
        if base.is_none() {
            self.starved.insert(key.clone());
        }
        base
    }

    fn move_table(
        &mut self,
        name: TableId,
        table: &mut Table,
        (base, size): (u32, Size),
        words: Vec<Slot>,
        out: &mut Vec<Step>,
    ) {
        self.later.push(Deferred::FreeRegion {
            base: table.base,
            log2: table.log2,
        });
        (table.base, table.log2) = (base, size.log2());
        self.publish_region(name, table, words, out);
    }

    /// Gives some frontends of a table one of their own, with ids of its own: what follows for one
    /// of the two must not touch the other's flows.
    pub(super) fn split_table(
        &mut self,
        key: &ServiceKey,
        name: TableId,
        vips: &[Vip],
        tables: &impl Tables,
        out: &mut Vec<Step>,
    ) -> Option<TableId> {
        if self.written.contains(&name) {
            self.again.insert(key.clone());
            return None;
        }
        let old = self.held.tables.get_mut(&name)?;
        let enough = self.pools.ids.left() >= old.members.len();
        let Some(base) = enough.then(|| self.pools.regions.take(old.log2)).flatten() else {
            self.starved.insert(key.clone());
            return None;
        };
        old.frontends.retain(|vip| !vips.contains(vip));
        let (log2, slots, before) = (old.log2, old.slots(), old.members.clone());
        let (ids, members) = self.twins(&before, out);
        let twin = |id: u32| {
            let found = ids.iter().find(|(old, _)| *old == id);
            found.map_or(0, |(_, new)| *new)
        };
        let words = slots
            .map(|index| tables.slot(index))
            .map(|word| {
                word.with_current(twin(word.current()))
                    .with_previous(twin(word.previous()))
            })
            .collect();
        let table = Table {
            owner: Some(key.clone()),
            base,
            log2,
            frontends: vips.to_vec(),
            members,
        };
        self.collector.alias(name);
        Some(self.write_table(table, words, out))
    }

    /// New memberships for the same backends: the ids of both, and the new ones.
    fn twins(&mut self, members: &[Member], out: &mut Vec<Step>) -> (Vec<(u32, u32)>, Vec<Member>) {
        let mut ids = Vec::new();
        let mut twins = Vec::new();
        for member in members {
            if let Some(twin) = self.enlist(member.backend, out) {
                ids.push((member.id, twin.id));
                twins.push(Member {
                    was_current: member.was_current,
                    ..twin
                });
            }
        }
        (ids, twins)
    }

    /// The last frontend is gone, and with it every flow.
    pub(super) fn dissolve(&mut self, name: TableId, out: &mut Vec<Step>) {
        let Some(table) = self.held.tables.remove(&name) else {
            return;
        };
        for member in &table.members {
            self.discharge(name, member, out);
        }
        self.later.push(Deferred::FreeRegion {
            base: table.base,
            log2: table.log2,
        });
        self.collector.forget(name);
        let owner = table.owner.and_then(|key| self.services.get_mut(&key));
        if let Some(placed) = owner {
            placed.tables.retain(|other| *other != name);
        }
    }

    /// Writes a table's slots where nobody reads them, and points its frontends there.
    fn write_table(&mut self, table: Table, words: Vec<Slot>, out: &mut Vec<Step>) -> TableId {
        let name = self.held.next_table;
        for member in &table.members {
            self.set_table(member.id, name);
        }
        for vip in &table.frontends {
            if let Some(frontend) = self.held.frontends.get_mut(vip) {
                frontend.table = Some(name);
            }
        }
        self.publish_region(name, &table, words, out);
        self.held.add_table(table)
    }

    fn publish_region(
        &mut self,
        name: TableId,
        table: &Table,
        words: Vec<Slot>,
        out: &mut Vec<Step>,
    ) {
        self.written.insert(name);
        self.collector.note_region(name, table.slots(), &words);
        out.push(Step::WriteSlots {
            base: table.base,
            epoch: self.epoch,
            words,
        });
        for vip in &table.frontends {
            if let Some(frontend) = self.held.frontends.get(vip) {
                out.push(Step::StoreTable {
                    index: frontend.record,
                    table: SlotTable::new(table.base, table.log2),
                });
            }
        }
    }

    fn enlist_all(
        &mut self,
        key: &ServiceKey,
        wanted: &[Candidate],
        table: &mut Table,
        out: &mut Vec<Step>,
    ) {
        for candidate in wanted {
            if table.member(&candidate.backend).is_some() {
                continue;
            }
            match self.enlist(candidate.backend, out) {
                Some(member) => table.add_member(member),
                None => {
                    self.starved.insert(key.clone());
                }
            }
        }
    }

    fn targets(&self, size: Size, candidates: &[Candidate], members: &[Member]) -> Targets {
        // One without an id has to wait; the others take its slots.
        let (ids, candidates): (Vec<u32>, Vec<Candidate>) = candidates
            .iter()
            .filter_map(|candidate| {
                let at = members
                    .binary_search_by_key(&candidate.backend, |member| member.backend)
                    .ok()?;
                Some((members.get(at)?.id, *candidate))
            })
            .unzip();
        let built = maglev::build(self.settings.maglev_seed, size, &candidates);
        let id_of = |index: &u32| ids.get(*index as usize).copied().unwrap_or(0);
        Targets(built.iter().map(id_of).collect())
    }

    /// Remembers who has to look again when an address stops being a VIP or the node's own.
    fn note_refused(&mut self, key: &ServiceKey, placed: &Placed) {
        for wish in &placed.wishes {
            let addr = wish.backend.addr;
            if self.refusal(addr).is_some() {
                self.refused.entry(addr).or_default().insert(key.clone());
            }
        }
    }
}

impl Targets {
    /// The id for a slot, 0 if there is nobody.
    fn at(&self, slot: u32) -> u32 {
        // The length is a power of two, or zero.
        let mask = self.0.len().wrapping_sub(1);
        self.0.get(slot as usize & mask).copied().unwrap_or(0)
    }
}

/// The words of a larger region: each slot inherits from the one that its flows used so far.
fn grown(
    table: &Table,
    size: Size,
    (targets, live): (&Targets, &[u32]),
    tables: &impl Tables,
) -> Vec<Slot> {
    let is_live = |id: u32| live.binary_search(&id).is_ok();
    let mask = (1u32 << table.log2) - 1;
    (0..1 << size.log2())
        .map(|slot| {
            let word = tables.slot(table.base + (slot & mask));
            slots::retarget(word, targets.at(slot), is_live).map_or(word, |next| next.word)
        })
        .collect()
}
