//! What a scan of the flow table finds, entry by entry.

use xdp_l4lb_common::hash::{AddrWords, Flow, flow_hash};
use xdp_l4lb_common::layout::{FlowKey, FlowState, PROTO_TCP, SlotTable, mapped};

use super::Planner;
use super::state::{Holder, Member, Standing, Table, TableId};
use crate::slots;
use crate::steps::{Step, Tables};

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    Delete,
    /// Keep, and the entry's id is a member of the table again: a restarted agent found only this.
    Readmit(TableId),
}

impl Planner {
    /// Some of the flows, in any order, each at least once a scan. Gives the ones to delete, as a
    /// step to carry out before the next call.
    #[must_use]
    pub fn on_flows(
        &mut self,
        tables: &impl Tables,
        flows: &[(FlowKey, FlowState)],
    ) -> Option<Step> {
        if !self.collector.is_scanning() {
            return None;
        }
        let mut forgotten = Vec::new();
        for (key, state) in flows {
            match self.fate(key, state, tables) {
                Fate::Keep => {}
                Fate::Delete => forgotten.push((*key, *state)),
                Fate::Readmit(name) => self.readmit(name, state.backend),
            }
        }
        (!forgotten.is_empty()).then_some(Step::DeleteFlows(forgotten))
    }

    fn fate(&mut self, key: &FlowKey, state: &FlowState, tables: &impl Tables) -> Fate {
        let vip = self.held.records.get(&key.service);
        let found = vip.and_then(|vip| {
            let name = self.held.frontends.get(vip)?.table?;
            Some((vip, name, self.held.tables.get(&name)?))
        });
        let Some((vip, name, table)) = found else {
            self.collector.meet_stray(key.service, state.backend);
            return Fate::Delete;
        };
        let flow = Flow {
            client: AddrWords::new(key.addr),
            vip: AddrWords::new(mapped(vip.addr)),
            client_port: u16::from_ne_bytes(key.port),
            vip_port: vip.port.to_be(),
            proto: PROTO_TCP,
        };
        let hash = flow_hash(self.settings.flow_seed, &flow);
        let slot = SlotTable::new(table.base, table.log2).slot(hash);
        let holder = self.held.holders.get(&state.backend).copied();
        let belongs_to = holder.and_then(|holder| holder.table);
        self.collector.meet(slot, state.backend, belongs_to, name);
        let Some(holder) = holder else {
            return Fate::Delete;
        };
        if table.member(&holder.backend).is_none() {
            return self.fate_of_stranger(name, table, &holder);
        }
        let previous = tables.slot(slot).previous();
        let previous = self.held.holders.get(&previous);
        let is_previous = previous.is_some_and(|other| other.backend == holder.backend);
        if slots::forgettable(state, is_previous, self.epoch, self.idle_of(table)) {
            Fate::Delete
        } else {
            Fate::Keep
        }
    }

    /// An entry whose backend its table does not know.
    fn fate_of_stranger(&self, name: TableId, table: &Table, holder: &Holder) -> Fate {
        let owner = table.owner.as_ref().and_then(|key| self.services.get(key));
        let wish = owner.and_then(|placed| placed.wish(&holder.backend));
        let wanted = match wish {
            Some(wish) => wish.standing != Standing::Down,
            None => !self.synced,
        };
        match holder.table {
            None if wanted => Fate::Readmit(name),
            // Gone from this table, if not from the one that its id belongs to.
            Some(_) | None => Fate::Delete,
        }
    }

    fn readmit(&mut self, name: TableId, id: u32) {
        let Some(holder) = self.held.holders.get_mut(&id) else {
            return;
        };
        holder.table = Some(name);
        let backend = holder.backend;
        self.graveyard.lingering.remove(&id);
        // Whether entries of other tables name it too will be known after another scan.
        self.collector.alias(name);
        if let Some(table) = self.held.tables.get_mut(&name) {
            table.add_member(Member {
                backend,
                id,
                was_current: false,
            });
        }
    }
}
