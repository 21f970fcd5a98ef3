//! What the planner asks for, and what it may read back.
//!
//! Steps are carried out in the order given. A prefix of them is always legal, so an agent may die
//! between any two stores, those inside one step included.

use std::net::IpAddr;

use types::Vip;
use xdp_l4lb_common::layout::{BUCKET_ENTRIES, ServiceRecord, SlotTable, VipEntry, VipTable};
use xdp_l4lb_common::layout::{BackendMode, BackendRecord, FlowKey, FlowState, NextHop, Slot};

/// One thing to do. Numbers are indexes of the table that the step names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes whole buckets that no packet finds yet, from bucket `base` on.
    WriteVips {
        /// The first bucket.
        base: u32,
        /// All of them.
        buckets: Vec<[u64; BUCKET_ENTRIES]>,
    },
    /// Publishes a table of buckets: one store into `config`.
    StoreVipTable(VipTable),
    /// Publishes or clears one place of a bucket.
    StoreVip {
        /// Bucket.
        bucket: u32,
        /// Place in it.
        entry: u8,
        /// What to store.
        word: VipEntry,
    },
    /// Writes a record that no entry names, and zeroes its counters.
    WriteService {
        /// Service index.
        index: u32,
        /// All of it.
        record: ServiceRecord,
    },
    /// Changes the flags of a published record.
    StoreServiceFlags {
        /// Service index.
        index: u32,
        /// The new flags.
        flags: u8,
    },
    /// Publishes a table of slots.
    StoreTable {
        /// Service index.
        index: u32,
        /// Where its slots are now.
        table: SlotTable,
    },
    /// Writes slots that no record names, and sets their `touched` to `epoch`.
    WriteSlots {
        /// The first slot.
        base: u32,
        /// Now.
        epoch: u32,
        /// All of them.
        words: Vec<Slot>,
    },
    /// Stores slots one after another. Where `restart` is set, `touched` is set to `epoch` before.
    StoreSlots {
        /// Now.
        epoch: u32,
        /// In this order.
        stores: Vec<SlotStore>,
    },
    /// Writes a record that nothing names, and zeroes its counters.
    WriteBackend {
        /// Backend id.
        id: u32,
        /// All of it.
        record: BackendRecord,
    },
    /// Changes flags and MTU.
    StoreBackendMode {
        /// Backend id.
        id: u32,
        /// The new word.
        mode: BackendMode,
    },
    /// Changes the way to a backend.
    StoreNextHop {
        /// Backend id.
        id: u32,
        /// The new word.
        next_hop: NextHop,
    },
    /// Advances the clock of `flows` and `touched`.
    StoreEpoch(u32),
    /// Deletes each flow that still has the state given here: a new SYN may have taken its key.
    DeleteFlows(Vec<(FlowKey, FlowState)>),
    /// Start reading `flows` from its beginning, for `Planner::on_flows` and `on_flows_end`.
    ScanFlows,
    /// The VIP is in place: it may be announced.
    VipReady(Vip),
    /// The VIP is about to stop working, or no backend can be reached: it must not be announced.
    VipNotReady(Vip),
    /// The planner needs to know the way to this address, and of every change.
    Resolve(IpAddr),
    /// The planner no longer needs the way to this address.
    Forget(IpAddr),
}

/// One slot's new word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotStore {
    /// Slot.
    pub index: u32,
    /// What to store.
    pub word: Slot,
    /// Whether the idle window starts again.
    pub restart: bool,
}

/// The tables as the kernel has them: mapped memory in the agent, arrays in a test.
///
/// The planner keeps no copy of slots, since it can read the mapped array at any time and is its
/// only writer. An index past the end reads as zero.
pub trait Tables {
    /// A word of `slots`.
    fn slot(&self, index: u32) -> Slot;
    /// A word of `touched`.
    fn touched(&self, index: u32) -> u32;
}

/// What a restarted agent reads once, on top of [`Tables`].
pub trait Readback: Tables {
    /// A bucket of `vips`.
    fn bucket(&self, index: u32) -> [u64; BUCKET_ENTRIES];
    /// A record of `services`.
    fn service(&self, index: u32) -> ServiceRecord;
    /// A record of `backends`.
    fn backend(&self, id: u32) -> BackendRecord;
    /// The published table of buckets.
    fn vip_table(&self) -> VipTable;
    /// The clock of `flows` and `touched`.
    fn epoch(&self) -> u32;
}

/// How large the kernel's tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Buckets in `vips`, a power of two. A table of them takes at most half.
    pub buckets: u32,
    /// Records in `services`.
    pub services: u32,
    /// Words in `slots`.
    pub slots: u32,
    /// Records in `backends`.
    pub backends: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        use xdp_l4lb_common::layout::sizes;

        let size = |entries: usize| u32::try_from(entries).unwrap_or(u32::MAX);
        Self {
            buckets: size(sizes::VIPS),
            services: size(sizes::SERVICES),
            slots: size(sizes::SLOTS),
            backends: size(sizes::BACKENDS),
        }
    }
}

/// The way to a backend's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The station to send to, through a link of `links`.
    pub next_hop: NextHop,
    /// The largest packet that gets there.
    pub mtu: u16,
    /// Whether it leads through a router.
    pub off_link: bool,
}
