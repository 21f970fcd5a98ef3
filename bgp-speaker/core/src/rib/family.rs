//! The tables of one family.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bgp_speaker_packet::Nlri;
use types::{Family, Prefix};

use super::attrs::{AttrId, Attrs};
use super::bits::{BLOCK, Bits, WORDS, combine, holds, ids};
use super::export::Export;
use super::outbound::Outbound;
use super::pack::{Group, Packed, Profile, Tables, Wanted};
use super::paged::Paged;
use super::prefixes::{PrefixId, Prefixes};
use super::{Advertised, Route};
use crate::desired::ExportId;
use crate::io::ConnectionId;

/// All that is known of one family's routes.
#[derive(Debug)]
pub(crate) struct FamilyRib {
    family: Family,
    prefixes: Prefixes,
    exports: BTreeMap<ExportId, Export>,
    /// Adj-RIB-In: each route refers once to its prefix and once to its attributes.
    inbound: BTreeMap<ConnectionId, Paged<AttrId>>,
    outbound: BTreeMap<ConnectionId, Outbound>,
    groups: BTreeMap<u32, Group>,
    /// Tables that nothing names any more, but whose references are not yet given back.
    dead: VecDeque<Dead>,
}

#[derive(Debug)]
enum Dead {
    Routes(Paged<AttrId>),
    Advertised(Bits),
}

impl FamilyRib {
    pub(crate) fn new(family: Family, seed: u64) -> Self {
        Self {
            family,
            prefixes: Prefixes::new(family, seed),
            exports: BTreeMap::new(),
            inbound: BTreeMap::new(),
            outbound: BTreeMap::new(),
            groups: BTreeMap::new(),
            dead: VecDeque::new(),
        }
    }

    pub(crate) fn announce(
        &mut self,
        attrs: &mut Attrs,
        now: Duration,
        export: ExportId,
        prefix: &Prefix,
        attr: AttrId,
    ) {
        let Some(id) = self.prefixes.acquire(prefix) else {
            return attrs.forget_unused(attr);
        };
        attrs.retain(attr);
        let table = self.exports.entry(export).or_default();
        let before = table.replace(now, id, Some(attr));
        if let Some(before) = before {
            self.prefixes.release(id);
            attrs.release(before);
        }
        if before != Some(attr) {
            self.mark(export, id);
        }
    }

    pub(crate) fn withdraw(
        &mut self,
        attrs: &mut Attrs,
        now: Duration,
        export: ExportId,
        prefix: &Prefix,
    ) {
        let Some(id) = self.prefixes.find(prefix) else {
            return;
        };
        let table = self.exports.get_mut(&export);
        if let Some(before) = table.and_then(|table| table.replace(now, id, None)) {
            self.mark(export, id);
            self.prefixes.release(id);
            attrs.release(before);
        }
    }

    pub(crate) fn clear(&mut self, export: ExportId) {
        let Some(table) = self.exports.remove(&export) else {
            return;
        };
        for group in self.groups.values_mut() {
            if group.profile.export == Some(export) {
                group.forget();
            }
        }
        for out in self.outbound.values_mut() {
            if exports(&self.groups, out) == Some(export) {
                out.pending.add_all(&table.present);
            }
        }
        self.dead.push_back(Dead::Routes(table.routes));
    }

    /// Every peer that hears of the export must be told of this prefix.
    fn mark(&mut self, export: ExportId, id: PrefixId) {
        for out in self.outbound.values_mut() {
            if exports(&self.groups, out) == Some(export) {
                out.pending.insert(id);
            }
        }
    }

    pub(crate) fn open_inbound(&mut self, session: ConnectionId) {
        self.inbound.entry(session).or_default();
    }

    pub(crate) fn receive_routes(
        &mut self,
        attrs: &mut Attrs,
        session: ConnectionId,
        nlri: &Nlri<'_>,
        attr: AttrId,
    ) {
        let Some(table) = self.inbound.get_mut(&session) else {
            return;
        };
        for prefix in nlri {
            let Some(id) = self.prefixes.acquire(&prefix) else {
                return;
            };
            attrs.retain(attr);
            if let Some(before) = table.replace(id, Some(attr)) {
                self.prefixes.release(id);
                attrs.release(before);
            }
        }
    }

    pub(crate) fn receive_withdrawals(
        &mut self,
        attrs: &mut Attrs,
        session: ConnectionId,
        nlri: &Nlri<'_>,
    ) {
        let Some(table) = self.inbound.get_mut(&session) else {
            return;
        };
        for prefix in nlri {
            let found = self.prefixes.find(&prefix);
            if let Some((id, before)) = found.and_then(|id| Some((id, table.replace(id, None)?))) {
                self.prefixes.release(id);
                attrs.release(before);
            }
        }
    }

    pub(crate) fn open_outbound(&mut self, session: ConnectionId, profile: &Profile) {
        let out = self.outbound.get(&session);
        let group = out.and_then(|out| self.groups.get(&out.group));
        if group.is_some_and(|group| group.profile == *profile) {
            return;
        }
        let number = self.join(profile);
        let present = profile
            .export
            .and_then(|export| self.exports.get(&export))
            .map_or_else(Bits::default, |table| table.present.clone());
        let Some(out) = self.outbound.get_mut(&session) else {
            self.outbound
                .insert(session, Outbound::new(number, present));
            return;
        };
        let left = std::mem::replace(&mut out.group, number);
        out.pending = present;
        out.pending.add_all(&out.advertised);
        // What this peer must withdraw, the export's versions know nothing of.
        if let Some(group) = self.groups.get_mut(&number) {
            group.forget();
        }
        self.leave(left);
    }

    /// The number of the group with this profile, which has one member more.
    fn join(&mut self, profile: &Profile) -> u32 {
        let found = self.groups.iter().find(|(_, it)| it.profile == *profile);
        let number = found.map(|(number, _)| *number).unwrap_or_else(|| {
            // The first number that is free: there is one, as there are fewer groups than numbers.
            let free = (0..).find(|number| !self.groups.contains_key(number));
            free.unwrap_or(u32::MAX)
        });
        let group = self.groups.entry(number);
        group.or_insert_with(|| Group::new(*profile)).members += 1;
        number
    }

    fn leave(&mut self, number: u32) {
        if let Some(group) = self.groups.get_mut(&number) {
            group.members -= 1;
            if group.members == 0 {
                self.groups.remove(&number);
            }
        }
    }

    pub(crate) fn close(&mut self, session: ConnectionId) {
        self.dead
            .extend(self.inbound.remove(&session).map(Dead::Routes));
        if let Some(out) = self.outbound.remove(&session) {
            self.leave(out.group);
            self.dead.push_back(Dead::Advertised(out.advertised));
        }
    }

    pub(crate) fn refresh(&mut self, session: ConnectionId) {
        let Some(out) = self.outbound.get_mut(&session) else {
            return;
        };
        let export = exports(&self.groups, out).and_then(|export| self.exports.get(&export));
        if let Some(export) = export {
            out.pending.add_all(&export.present);
        }
    }

    /// Appends UPDATEs until `buffer` is `limit` long.
    pub(crate) fn fill(
        &mut self,
        attrs: &Attrs,
        session: ConnectionId,
        buffer: &mut Vec<u8>,
        limit: usize,
    ) {
        loop {
            let Some(out) = self.outbound.get_mut(&session) else {
                return;
            };
            let done = out.drain(buffer, limit);
            if !done || buffer.len() >= limit {
                return;
            }
            let Some(block) = out.pending.next_block(out.next_block) else {
                return;
            };
            out.next_block = block + 1;
            self.pack(attrs, session, block);
        }
    }

    /// Turns what is pending in a block into bytes, and takes it for told.
    fn pack(&mut self, attrs: &Attrs, session: ConnectionId, block: u32) {
        let Some(out) = self.outbound.get_mut(&session) else {
            return;
        };
        let Some(group) = self.groups.get_mut(&out.group) else {
            return;
        };
        let export = group
            .profile
            .export
            .and_then(|export| self.exports.get(&export));
        let wanted = wanted(out, export, block);
        out.pending.clear(block, &out.pending.block(block));
        if wanted
            .announce
            .iter()
            .chain(&wanted.withdraw)
            .all(|&word| word == 0)
        {
            return;
        }
        let tables = Tables {
            family: self.family,
            prefixes: &self.prefixes,
            attrs,
            export,
        };
        let Packed { bytes, refused } = group.pack(tables, &wanted);
        out.queue(bytes);
        for id in ids(block, &wanted.announce) {
            if !holds(&refused, id) && out.advertised.insert(id) {
                self.prefixes.retain(id);
            }
        }
        let gone = ids(block, &wanted.withdraw).chain(ids(block, &refused));
        for id in gone {
            if out.advertised.remove(id) {
                self.prefixes.release(id);
            }
        }
    }

    /// Whether End-of-RIB is due now; it is taken for sent if so.
    pub(crate) fn take_end_of_rib(&mut self, session: ConnectionId, ready: bool) -> bool {
        let ready = ready && self.is_reachable(session);
        match self.outbound.get_mut(&session) {
            Some(out) if out.owes_end_of_rib && ready && !out.has_more(false) => {
                out.owes_end_of_rib = false;
                true
            }
            Some(_) | None => false,
        }
    }

    pub(crate) fn has_more(&self, session: ConnectionId, ready: bool) -> bool {
        let out = self.outbound.get(&session);
        out.is_some_and(|out| out.has_more(ready && self.is_reachable(session)))
    }

    /// Whether routes have a next hop: without one, that none was sent says nothing.
    fn is_reachable(&self, session: ConnectionId) -> bool {
        let out = self.outbound.get(&session);
        let group = out.and_then(|out| self.groups.get(&out.group));
        group.is_some_and(|group| group.profile.next_hop.is_some())
    }

    pub(crate) fn owes_end_of_rib(&self, session: ConnectionId) -> bool {
        let out = self.outbound.get(&session);
        out.is_some_and(|out| out.owes_end_of_rib)
    }

    /// Gives back references of dead tables, about `budget` of them; what is left of it.
    pub(crate) fn work(&mut self, attrs: &mut Attrs, mut budget: usize) -> usize {
        while budget > 0
            && let Some(dead) = self.dead.front_mut()
        {
            let freed = match dead {
                Dead::Routes(routes) => routes.pop_page().map(|page| {
                    for &(id, attr) in &page {
                        self.prefixes.release(id);
                        attrs.release(attr);
                    }
                    page.len()
                }),
                Dead::Advertised(bits) => bits.next_block(0).map(|number| {
                    let block = bits.block(number);
                    bits.clear(number, &block);
                    ids(number, &block).for_each(|id| self.prefixes.release(id));
                    BLOCK as usize
                }),
            };
            match freed {
                Some(freed) => budget = budget.saturating_sub(freed),
                None => drop(self.dead.pop_front()),
            }
        }
        budget
    }

    pub(crate) fn received_count(&self, session: ConnectionId) -> usize {
        self.inbound.get(&session).map_or(0, Paged::len)
    }

    pub(crate) fn advertised_count(&self, session: ConnectionId) -> usize {
        let out = self.outbound.get(&session);
        out.map_or(0, |out| out.advertised.len())
    }

    pub(crate) fn prefix_count(&self) -> usize {
        self.prefixes.len()
    }

    pub(crate) fn received<'r>(
        &'r self,
        attrs: &'r Attrs,
        session: ConnectionId,
    ) -> impl Iterator<Item = Route<'r>> {
        let routes = self.inbound.get(&session).into_iter().flat_map(Paged::iter);
        routes.filter_map(|(id, attr)| self.route(attrs, id, attr, None))
    }

    pub(crate) fn exported<'r>(
        &'r self,
        attrs: &'r Attrs,
        export: ExportId,
    ) -> impl Iterator<Item = Route<'r>> {
        let table = self.exports.get(&export).into_iter();
        table.flat_map(move |table| {
            let routes = table.routes.iter();
            routes.filter_map(|(id, attr)| self.route(attrs, id, attr, table.since(id)))
        })
    }

    /// Routes that changed since they were told are given as they are now; those that are gone
    /// are left out.
    pub(crate) fn advertised<'r>(
        &'r self,
        attrs: &'r Attrs,
        session: ConnectionId,
    ) -> impl Iterator<Item = Advertised> {
        let out = self.outbound.get(&session).into_iter();
        out.flat_map(move |out| {
            let group = self.groups.get(&out.group);
            let table = group.and_then(|group| self.exports.get(&group.profile.export?));
            out.advertised.iter().filter_map(move |id| {
                let (group, table) = (group?, table?);
                let attr = table.routes.get(id)?;
                let route = self.route(attrs, id, attr, table.since(id))?;
                Some(Advertised {
                    prefix: route.prefix,
                    next_hop: group.profile.next_hop?,
                    attributes: group.profile.attributes(route.attributes, route.key),
                    since: route.since,
                })
            })
        })
    }

    fn route<'r>(
        &'r self,
        attrs: &'r Attrs,
        id: PrefixId,
        attr: AttrId,
        since: Option<Duration>,
    ) -> Option<Route<'r>> {
        let set = attrs.get(attr)?;
        Some(Route {
            prefix: self.prefixes.get(id)?,
            next_hop: set.next_hop(),
            attributes: set.attributes(),
            key: set.key(),
            since,
        })
    }
}

/// The export that a peer is told.
fn exports(groups: &BTreeMap<u32, Group>, out: &Outbound) -> Option<ExportId> {
    groups.get(&out.group)?.profile.export
}

/// What a peer that is to be told a block's pending prefixes is told.
fn wanted(out: &Outbound, export: Option<&Export>, number: u32) -> Wanted {
    let pending = out.pending.block(number);
    let present = export.map_or([0; WORDS], |export| export.present.block(number));
    let advertised = out.advertised.block(number);
    Wanted {
        block: number,
        version: export.map_or(0, |export| export.version(number)),
        announce: combine([&pending, &present], |[pending, present]| pending & present),
        withdraw: combine(
            [&pending, &present, &advertised],
            |[pending, present, told]| pending & !present & told,
        ),
    }
}
