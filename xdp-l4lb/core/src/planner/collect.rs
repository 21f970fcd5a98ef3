//! Ends changes: settles slots, forgets flows, closes slots, frees ids. In rounds, each in pieces.
//!
//! ```text
//!  Idle --> Judging --------> Waiting --------> Scanning ------> Burying --> Closing --> Idle
//!           settle; note      a grace, so that  on_flows, in     ids and     slots that
//!           what could close  nothing older is  chunks           records     no entry is in
//!                             in flight
//! ```

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use xdp_l4lb_common::layout::Slot;

use super::state::{Deferred, Graveyard, Table, TableId};
use super::{GRACE, Planner};
use crate::slots;
use crate::steps::{SlotStore, Step, Tables};

/// From the end of a round to the start of the next, at least: a small table settles soon after its
/// idle time, and a large one is held to its share of the time.
const PAUSE: Duration = Duration::from_secs(1);

/// Scans take at most one part in this many of the time.
const SHARE: u32 = 20;

/// Slots that one call looks at before it hands out what it found.
const SLOTS_AT_ONCE: u32 = 1 << 16;

/// The state of the rounds, and what the one under way has found.
#[derive(Debug)]
pub(super) struct Collector {
    phase: Phase,
    /// When the next round may start.
    next: Duration,
    /// Tables of which a slot may be open.
    moving: BTreeSet<TableId>,
    /// Tables whose ids other tables' entries may name.
    aliased: BTreeSet<TableId>,
    /// Of those, the ones that this round decides on, and so far met no such entry for.
    clean: BTreeSet<TableId>,
    /// Slots that could close since before the scan.
    closing: Bits,
    /// Slots that an entry was found for.
    held: Bits,
    /// Ids that an entry was found for.
    met: Bits,
    /// Records without a frontend that an entry was found for.
    met_records: BTreeSet<u32>,
    /// What could be freed since before the scan.
    trial: Graveyard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Judging { from: TableId },
    Waiting { until: Duration },
    Scanning { since: Duration },
    Burying,
    Closing { from: TableId },
}

/// A set of small numbers.
#[derive(Debug)]
struct Bits(Vec<u64>);

impl Collector {
    pub(super) fn new(slots: u32, ids: u32) -> Self {
        Self {
            phase: Phase::Idle,
            next: Duration::ZERO,
            moving: BTreeSet::new(),
            aliased: BTreeSet::new(),
            clean: BTreeSet::new(),
            closing: Bits::new(slots),
            held: Bits::new(slots),
            met: Bits::new(ids),
            met_records: BTreeSet::new(),
            trial: Graveyard::default(),
        }
    }

    /// Slots of a table are about to change: what was found out about them no longer holds.
    pub(super) fn note_stores(&mut self, name: TableId, stores: &[SlotStore]) {
        for store in stores {
            self.closing.clear(store.index);
            if store.word.is_open() {
                self.moving.insert(name);
            }
        }
    }

    /// As [`Self::note_stores`], for all slots of a new region.
    pub(super) fn note_region(&mut self, name: TableId, slots: Range<u32>, words: &[Slot]) {
        for index in slots {
            self.closing.clear(index);
        }
        if words.iter().any(|word| word.is_open()) {
            self.moving.insert(name);
        }
    }

    /// Entries of another table's flows may name this table's ids.
    pub(super) fn alias(&mut self, name: TableId) {
        self.aliased.insert(name);
        self.clean.remove(&name);
    }

    pub(super) fn is_aliased(&self, name: TableId) -> bool {
        self.aliased.contains(&name)
    }

    pub(super) fn forget(&mut self, name: TableId) {
        self.moving.remove(&name);
        self.aliased.remove(&name);
        self.clean.remove(&name);
    }

    pub(super) fn is_scanning(&self) -> bool {
        matches!(self.phase, Phase::Scanning { .. })
    }

    /// An entry was found.
    pub(super) fn meet(&mut self, slot: u32, id: u32, belongs_to: Option<TableId>, of: TableId) {
        self.held.set(slot);
        self.met.set(id);
        if let Some(other) = belongs_to
            && other != of
        {
            self.alias(other);
        }
    }

    /// An entry was found that no frontend explains.
    pub(super) fn meet_stray(&mut self, record: u32, id: u32) {
        self.met_records.insert(record);
        self.met.set(id);
    }

    fn start_scan(&mut self, now: Duration) {
        self.held.reset();
        self.met.reset();
        self.met_records.clear();
        self.phase = Phase::Scanning { since: now };
    }

    fn end_round(&mut self, now: Duration, pause: Duration) {
        self.phase = Phase::Idle;
        self.next = self.next.max(now + pause);
    }
}

impl Planner {
    /// Every flow was handed to [`Self::on_flows`] since [`Step::ScanFlows`]; or, if not
    /// `complete`, reading them failed and this round comes to nothing.
    pub fn on_flows_end(&mut self, now: Duration, complete: bool) {
        match self.collector.phase {
            Phase::Scanning { since } if complete => {
                let took = now.saturating_sub(since);
                self.collector.next = now + took * SHARE;
                self.collector.phase = Phase::Burying;
            }
            Phase::Scanning { .. } => self.collector.end_round(now, super::RETRY),
            // The end of a scan that nobody asked for says nothing.
            Phase::Idle
            | Phase::Judging { .. }
            | Phase::Waiting { .. }
            | Phase::Burying
            | Phase::Closing { .. } => {}
        }
    }

    pub(super) fn collect(&mut self, now: Duration, tables: &impl Tables, out: &mut Vec<Step>) {
        // Most pieces find nothing to do; those that do end the call.
        while out.is_empty() && self.collect_deadline().is_some_and(|at| at <= now) {
            match self.collector.phase {
                Phase::Idle => {
                    self.collector.closing.reset();
                    self.collector.phase = Phase::Judging { from: 0 };
                }
                Phase::Judging { from } => self.judge(now, from, tables, out),
                Phase::Waiting { .. } => {
                    self.collector.start_scan(now);
                    out.push(Step::ScanFlows);
                }
                Phase::Burying => {
                    self.bury(out);
                    self.collector.phase = Phase::Closing { from: 0 };
                }
                Phase::Closing { from } => self.close(now, from, tables, out),
                Phase::Scanning { .. } => return,
            }
        }
    }

    pub(super) fn collect_deadline(&self) -> Option<Duration> {
        let needed = !self.collector.moving.is_empty()
            || !self.collector.aliased.is_empty()
            || !self.graveyard.records.is_empty()
            || !self.graveyard.ids.is_empty()
            || !self.graveyard.lingering.is_empty();
        match self.collector.phase {
            Phase::Idle => needed.then_some(self.collector.next),
            Phase::Judging { .. } | Phase::Burying | Phase::Closing { .. } => Some(Duration::ZERO),
            Phase::Waiting { until } => Some(until),
            Phase::Scanning { .. } => None,
        }
    }

    /// Settles slots, and notes those that could close.
    fn judge(&mut self, now: Duration, from: TableId, tables: &impl Tables, out: &mut Vec<Step>) {
        let (piece, rest) = self.piece(from);
        let epoch = self.epoch;
        for name in piece {
            let Some(table) = self.held.tables.get(&name) else {
                continue;
            };
            let idle = self.idle_of(table);
            let mut stores = Vec::new();
            for index in table.slots() {
                let word = tables.slot(index);
                let touched = || tables.touched(index);
                if slots::closable(word) {
                    self.collector.closing.set(index);
                } else if word.is_open()
                    && let Some(word) = slots::settle(word, touched(), epoch, idle)
                {
                    stores.push(SlotStore {
                        index,
                        word,
                        restart: false,
                    });
                }
            }
            if !stores.is_empty() {
                out.push(Step::StoreSlots { epoch, stores });
            }
        }
        self.collector.phase = match rest {
            Some(from) => Phase::Judging { from },
            None => {
                self.collector.trial = Graveyard {
                    records: self.graveyard.records.clone(),
                    ids: self.graveyard.ids.clone(),
                    lingering: self.graveyard.lingering.clone(),
                };
                self.collector.clean = self.collector.aliased.clone();
                Phase::Waiting { until: now + GRACE }
            }
        };
    }

    /// Frees what a whole scan did not meet.
    fn bury(&mut self, out: &mut Vec<Step>) {
        let trial = std::mem::take(&mut self.collector.trial);
        for id in trial.ids {
            if !self.collector.met.has(id) && self.graveyard.ids.remove(&id) {
                self.later.push(Deferred::FreeId(id));
            }
        }
        for id in trial.lingering {
            if !self.collector.met.has(id) && self.graveyard.lingering.remove(&id) {
                self.end_id(id, out);
            }
        }
        for record in trial.records {
            let met = self.collector.met_records.contains(&record);
            if !met && self.graveyard.records.remove(&record) {
                self.free_record(record, out);
            }
        }
        for name in std::mem::take(&mut self.collector.clean) {
            self.collector.aliased.remove(&name);
        }
    }

    /// Closes the slots whose fields agree and that no entry is left for.
    fn close(&mut self, now: Duration, from: TableId, tables: &impl Tables, out: &mut Vec<Step>) {
        let (piece, rest) = self.piece(from);
        let epoch = self.epoch;
        for name in piece {
            let mut stores = Vec::new();
            let mut still_open = false;
            let table = self.held.tables.get(&name);
            for index in table.into_iter().flat_map(Table::slots) {
                let word = tables.slot(index);
                let unheld = self.collector.closing.has(index) && !self.collector.held.has(index);
                if unheld && slots::closable(word) {
                    stores.push(SlotStore {
                        index,
                        word: word.with_open(false),
                        restart: false,
                    });
                } else {
                    still_open |= word.is_open();
                }
            }
            if !still_open {
                self.collector.moving.remove(&name);
            }
            if !stores.is_empty() {
                out.push(Step::StoreSlots { epoch, stores });
            }
        }
        match rest {
            Some(from) => self.collector.phase = Phase::Closing { from },
            None => self.collector.end_round(now, PAUSE),
        }
    }

    /// The next few tables in change, and where to go on.
    fn piece(&self, from: TableId) -> (Vec<TableId>, Option<TableId>) {
        let mut piece = Vec::new();
        let mut slots = 0;
        for name in self.collector.moving.range(from..) {
            if slots >= SLOTS_AT_ONCE {
                return (piece, Some(*name));
            }
            let table = self.held.tables.get(name);
            slots += table.map_or(0, |table| 1 << table.log2);
            piece.push(*name);
        }
        (piece, None)
    }

    /// Nothing of a table that nobody owns yet is ever old enough.
    pub(super) fn idle_of(&self, table: &Table) -> u32 {
        let owner = table.owner.as_ref().and_then(|key| self.services.get(key));
        owner.map_or(u32::MAX, super::state::Placed::idle_epochs)
    }
}

impl Bits {
    fn new(len: u32) -> Self {
        Self(vec![0; len.div_ceil(64) as usize])
    }

    fn set(&mut self, bit: u32) {
        if let Some(word) = self.0.get_mut(bit as usize / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    fn clear(&mut self, bit: u32) {
        if let Some(word) = self.0.get_mut(bit as usize / 64) {
            *word &= !(1 << (bit % 64));
        }
    }

    fn has(&self, bit: u32) -> bool {
        let word = self.0.get(bit as usize / 64);
        word.is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    fn reset(&mut self) {
        self.0.fill(0);
    }
}
