//! The tables as the kernel has them, for a planner that starts or looks again.

use xdp_l4lb_common::layout::{
    BUCKET_ENTRIES, BackendRecord, ServiceRecord, Slot, SlotTable, VipKey, VipTable,
};
use xdp_l4lb_core::Readback;

use super::Tables;

impl xdp_l4lb_core::Tables for Tables {
    fn slot(&self, index: u32) -> Slot {
        self.slots.load(index).unwrap_or_default()
    }

    fn touched(&self, index: u32) -> u32 {
        self.touched.load(index).unwrap_or_default()
    }
}

impl Readback for Tables {
    fn bucket(&self, index: u32) -> [u64; BUCKET_ENTRIES] {
        match self.vips.load(index) {
            Ok(bucket) => bucket.entries,
            Err(_) => [0; BUCKET_ENTRIES],
        }
    }

    fn service(&self, index: u32) -> ServiceRecord {
        self.services.load(index).unwrap_or(NO_SERVICE)
    }

    fn backend(&self, id: u32) -> BackendRecord {
        self.backends.load(id).unwrap_or(NO_BACKEND)
    }

    fn vip_table(&self) -> VipTable {
        VipTable::from_word(self.config().vip_table)
    }

    fn epoch(&self) -> u32 {
        self.config().epoch
    }
}

/// What a record past the end reads as.
const NO_SERVICE: ServiceRecord = ServiceRecord {
    key: VipKey::address_only([0; 16]),
    flags: 0,
    pad: [0; 3],
    table: SlotTable::NONE.word(),
    reserved: [0; 4],
};

const NO_BACKEND: BackendRecord = BackendRecord {
    addr: [0; 16],
    mode: 0,
    port: [0; 2],
    pad: [0; 2],
    next_hop: 0,
    reserved: [0; 4],
};
