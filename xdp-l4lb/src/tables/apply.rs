//! Carries out the planner's steps, one store at a time.

use std::mem::offset_of;

use bpf_user::{Batch, Cursor};
use xdp_l4lb_common::layout::{
    BackendMode, BackendRecord, Bucket, Config, FlowKey, FlowState, NextHop, ServiceRecord, Slot,
    VipEntry,
};
use xdp_l4lb_core::{SlotStore, Step};

use super::{ApplyError, Tables};

/// Flows read by one call, so that a scan of a full table does not hold up everything else.
const FLOWS: usize = 4096;

impl Tables {
    /// Carries out one step. Steps that do not concern the tables do nothing here.
    ///
    /// # Errors
    /// If a store fails; those before it have happened, and all may be repeated.
    pub fn apply(&mut self, step: &Step) -> Result<(), ApplyError> {
        match step {
            Step::WriteVips { base, buckets } => {
                for (index, entries) in (*base..).zip(buckets) {
                    self.vips.write(index, &Bucket { entries: *entries })?;
                    self.stores += 1;
                }
                Ok(())
            }
            Step::StoreVipTable(table) => {
                self.store_config(offset_of!(Config, vip_table), table.word())
            }
            Step::StoreVip {
                bucket,
                entry,
                word,
            } => self.store_vip(*bucket, *entry, *word),
            Step::WriteService { index, record } => self.write_service(*index, record),
            Step::StoreServiceFlags { index, flags } => self.store_service_flags(*index, *flags),
            Step::StoreTable { index, table } => {
                let offset = offset_of!(ServiceRecord, table);
                self.services.store_word(*index, offset, table.word())?;
                self.stores += 1;
                Ok(())
            }
            Step::WriteSlots { base, epoch, words } => self.write_slots(*base, *epoch, words),
            Step::StoreSlots { epoch, stores } => self.store_slots(*epoch, stores),
            Step::WriteBackend { id, record } => self.write_backend(*id, record),
            Step::StoreBackendMode { id, mode } => self.store_mode(*id, *mode),
            Step::StoreNextHop { id, next_hop } => self.store_next_hop(*id, *next_hop),
            Step::StoreEpoch(epoch) => {
                self.config
                    .store_half(0, offset_of!(Config, epoch), *epoch)?;
                Ok(())
            }
            Step::DeleteFlows(flows) => self.delete_flows(flows),
            Step::ScanFlows
            | Step::VipReady(_)
            | Step::VipNotReady(_)
            | Step::Resolve(_)
            | Step::Forget(_) => Ok(()),
        }
    }

    /// Some of the flows remembered, after `cursor`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn flows(
        &self,
        cursor: Option<Cursor>,
    ) -> Result<Batch<FlowKey, FlowState>, bpf_user::TableError> {
        self.flows.batch(cursor, FLOWS)
    }

    fn store_vip(&mut self, bucket: u32, entry: u8, word: VipEntry) -> Result<(), ApplyError> {
        let offset = usize::from(entry) * size_of::<u64>();
        self.vips.store_word(bucket, offset, word.word())?;
        self.stores += 1;
        Ok(())
    }

    fn store_mode(&mut self, id: u32, mode: BackendMode) -> Result<(), ApplyError> {
        if self.backends.load(id)?.mode != mode.word() {
            let offset = offset_of!(BackendRecord, mode);
            self.backends.store_half(id, offset, mode.word())?;
            self.stores += 1;
        }
        Ok(())
    }

    fn store_next_hop(&mut self, id: u32, next_hop: NextHop) -> Result<(), ApplyError> {
        if self.backends.load(id)?.next_hop != next_hop.word() {
            let offset = offset_of!(BackendRecord, next_hop);
            self.backends.store_word(id, offset, next_hop.word())?;
            self.stores += 1;
        }
        Ok(())
    }

    fn write_service(&mut self, index: u32, record: &ServiceRecord) -> Result<(), ApplyError> {
        self.lower_filter(&record.key)?;
        self.services.write(index, record)?;
        self.service_stats.reset(index)?;
        self.stores += 1;
        Ok(())
    }

    /// Flags share their word with the end of the key, which stays as it is.
    fn store_service_flags(&mut self, index: u32, flags: u8) -> Result<(), ApplyError> {
        let pad = self.services.load(index)?.pad;
        let [a, b, c] = pad;
        let half = u32::from_ne_bytes([flags, a, b, c]);
        let offset = offset_of!(ServiceRecord, flags);
        self.services.store_half(index, offset, half)?;
        self.stores += 1;
        Ok(())
    }

    fn write_slots(&mut self, base: u32, epoch: u32, words: &[Slot]) -> Result<(), ApplyError> {
        for (index, word) in (base..).zip(words) {
            self.touched.store_half(index, 0, epoch)?;
            self.slots.store_word(index, 0, word.word())?;
            self.stores += 1;
        }
        Ok(())
    }

    /// `touched` first: a slot that is seen open has not been idle since long ago.
    fn store_slots(&mut self, epoch: u32, stores: &[SlotStore]) -> Result<(), ApplyError> {
        for store in stores {
            if store.restart {
                self.touched.store_half(store.index, 0, epoch)?;
            }
            self.slots.store_word(store.index, 0, store.word.word())?;
            self.stores += 1;
        }
        Ok(())
    }

    fn write_backend(&mut self, id: u32, record: &BackendRecord) -> Result<(), ApplyError> {
        self.backends.write(id, record)?;
        self.backend_stats.reset(id)?;
        self.stores += 1;
        Ok(())
    }

    fn delete_flows(&mut self, flows: &[(FlowKey, FlowState)]) -> Result<(), ApplyError> {
        for (key, state) in flows {
            if self.flows.get(key)? != Some(*state) {
                continue;
            }
            match self.flows.take(key)? {
                // A packet changed it since: put it back, unless another was faster still.
                Some(taken) if taken != *state => {
                    self.flows.put_new(key, &taken)?;
                }
                Some(_) | None => self.stores += 1,
            }
        }
        Ok(())
    }
}
