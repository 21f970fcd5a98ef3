//! One service: its tables first, then its frontends, then what it says about itself.

use std::collections::BTreeSet;

use types::{BackendAddr, Vip};

use super::Planner;
use super::members::Roles;
use super::state::{Placed, TableId};
use crate::desired::{ServiceKey, WhenEmpty};
use crate::steps::{Step, Tables};

impl Planner {
    /// Brings the kernel's tables to what a service asks for.
    pub(super) fn reconcile(
        &mut self,
        key: &ServiceKey,
        tables: &impl Tables,
        out: &mut Vec<Step>,
    ) {
        self.hand_over(key, tables, out);
        let Some(mut placed) = self.services.remove(key) else {
            return;
        };
        self.gather(key, &mut placed, tables, out);
        for name in placed.tables.clone() {
            self.retune(key, name, &placed, tables, out);
        }
        if placed.tables.is_empty() {
            let made = self.make_table(key, &placed, out);
            placed.tables.extend(made);
        }
        self.place_frontends(key, &placed, out);
        self.services.insert(key.clone(), placed);
        self.announce(key, out);
    }

    /// Lets others take their frontends out of this service's tables before the tables change.
    fn hand_over(&mut self, key: &ServiceKey, tables: &impl Tables, out: &mut Vec<Step>) {
        let held = self.services.get(key).map(|placed| &placed.tables);
        let mut takers: Vec<ServiceKey> = held
            .into_iter()
            .flatten()
            .filter_map(|name| self.held.tables.get(name))
            .flat_map(|table| &table.frontends)
            .filter_map(|vip| self.owner(vip).filter(|owner| *owner != key).cloned())
            .collect();
        takers.sort_unstable();
        takers.dedup();
        for taker in takers {
            if let Some(mut placed) = self.services.remove(&taker) {
                self.gather(&taker, &mut placed, tables, out);
                self.services.insert(taker.clone(), placed);
                self.dirty.insert(taker);
            }
        }
    }

    /// Takes over the frontends that this service claims and that lie in others' tables.
    fn gather(
        &mut self,
        key: &ServiceKey,
        placed: &mut Placed,
        tables: &impl Tables,
        out: &mut Vec<Step>,
    ) {
        let mut foreign: Vec<(TableId, Vip)> = self
            .won(key, placed)
            .filter_map(|vip| Some((self.held.frontends.get(vip)?.table?, *vip)))
            .filter(|(name, _)| !placed.tables.contains(name))
            .collect();
        foreign.sort_unstable();
        for group in foreign.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((name, _)) = group.first() else {
                continue;
            };
            let vips: Vec<Vip> = group.iter().map(|(_, vip)| *vip).collect();
            let taken = if self.is_all_of(*name, &vips) {
                self.take_table(key, *name);
                Some(*name)
            } else {
                self.split_table(key, *name, &vips, tables, out)
            };
            placed.tables.extend(taken);
        }
    }

    /// The frontends that nobody with a better claim takes from this service.
    pub(super) fn won<'a>(
        &'a self,
        key: &'a ServiceKey,
        placed: &'a Placed,
    ) -> impl Iterator<Item = &'a Vip> {
        placed
            .frontends
            .iter()
            .filter(move |vip| self.owner(vip) == Some(key))
    }

    /// Says of each frontend whether it may be announced, where that changed.
    pub(super) fn announce(&mut self, key: &ServiceKey, out: &mut Vec<Step>) {
        let Some(placed) = self.services.get(key) else {
            return;
        };
        let roles = self.roles(placed, None);
        let serves = roles
            .current
            .iter()
            .any(|candidate| self.held.reachable(&candidate.backend));
        let refuses = roles.current.is_empty() && placed.when_empty == WhenEmpty::Refuse;
        // One that only keeps its flows still needs the VIP to be announced for them.
        let keeps = |table: TableId| {
            let table = self.held.tables.get(&table);
            let has = |kept: &BackendAddr| table.is_some_and(|table| table.member(kept).is_some());
            roles
                .kept
                .iter()
                .any(|kept| has(kept) && self.held.reachable(kept))
        };
        let keeping: BTreeSet<TableId> = placed
            .tables
            .iter()
            .copied()
            .filter(|table| keeps(*table))
            .collect();
        let won: Vec<Vip> = self.won(key, placed).copied().collect();
        for vip in won {
            let Some(frontend) = self.held.frontends.get_mut(&vip) else {
                continue;
            };
            let stays = frontend
                .table
                .is_some_and(|table| serves || keeping.contains(&table));
            let ready = refuses || stays;
            if ready != frontend.ready {
                frontend.ready = ready;
                out.push(if ready {
                    Step::VipReady(vip)
                } else {
                    Step::VipNotReady(vip)
                });
            }
        }
    }

    fn is_all_of(&self, name: TableId, vips: &[Vip]) -> bool {
        // Those that nobody claims are about to be removed.
        let goes = |vip: &Vip| vips.contains(vip) || self.owner(vip).is_none();
        let table = self.held.tables.get(&name);
        table.is_some_and(|table| table.frontends.iter().all(goes))
    }

    fn take_table(&mut self, key: &ServiceKey, name: TableId) {
        let Some(table) = self.held.tables.get_mut(&name) else {
            return;
        };
        if let Some(before) = table.owner.replace(key.clone())
            && let Some(placed) = self.services.get_mut(&before)
        {
            placed.tables.retain(|other| *other != name);
            self.dirty.insert(before);
        }
    }

    /// Who serves and who keeps what it has, as far as one table knows the backends.
    pub(super) fn roles(&self, placed: &Placed, table: Option<TableId>) -> Roles {
        let table = table.or(placed.tables.first().copied());
        let table = table.and_then(|name| self.held.tables.get(&name));
        Roles::new(placed, table, |addr| self.refusal(addr).is_some())
    }
}
