//! What a decision reads and writes beside the packet: the tables, in the kernel or in a test.

use crate::hash::AddrWords;
use crate::layout::{
    BUCKET_ENTRIES, BackendMode, Counter, FlowKey, FlowState, NextHop, OuterV4, Slot, SlotTable,
    VipEntry, VipTable,
};

/// What a service record says.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The VIP's address.
    pub addr: AddrWords,
    /// [`crate::layout::VipKey::tail`], as it lies in memory.
    pub tail: u32,
    /// See [`crate::layout::SERVICE_REFUSE`].
    pub flags: u8,
    /// Its slots.
    pub table: SlotTable,
}

/// What a backend record says.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// Where encapsulated packets go.
    pub addr: AddrWords,
    /// Flags, encapsulation and path MTU.
    pub mode: BackendMode,
    /// The way there.
    pub next_hop: NextHop,
}

/// What a link says.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// The interface.
    pub ifindex: u32,
    /// Its own address.
    pub mac: [u8; 6],
}

/// A flow in `flows`.
pub trait Remembered {
    /// What is known of it.
    fn state(&self) -> FlowState;

    /// It went on, in this epoch.
    fn confirm(&self, epoch: u32);
}

/// The tables. An index outside a table is `None`.
pub trait Maps {
    /// Where the VIP buckets are.
    fn vip_table(&self) -> VipTable;

    /// A word of the filter of addresses that are no VIP's; zeros if there is none.
    fn no_vip(&self, _word: usize) -> u64 {
        0
    }

    /// The private seed of the VIP hash.
    fn vip_seed(&self) -> u64;

    /// The fleet's seed of the flow hash.
    fn flow_seed(&self) -> u64;

    /// Outer IPv4 sources.
    fn outer_v4(&self) -> OuterV4;

    /// Upper half of outer IPv6 sources.
    fn outer_v6(&self) -> [u8; 8];

    /// The agent's clock.
    fn epoch(&self) -> u32;

    /// The words of a bucket, by place.
    fn bucket(&self, index: u32) -> Option<impl Fn(usize) -> u64>;

    /// The service of the first entry of a bucket with this fingerprint; 0 if there is none.
    fn probe(&self, bucket: u32, fingerprint: u32) -> u32 {
        let Some(word) = self.bucket(bucket) else {
            return 0;
        };
        (0..BUCKET_ENTRIES)
            .map(|place| VipEntry::from_word(word(place)))
            .find(|entry| entry.fingerprint() == fingerprint)
            .map_or(0, VipEntry::service)
    }

    /// A service record.
    fn service(&self, index: u32) -> Option<Service>;

    /// A slot.
    fn slot(&self, index: u32) -> Option<Slot>;

    /// An unremembered packet found the slot open in this epoch.
    fn touch(&self, slot: u32, epoch: u32);

    /// A backend record.
    fn backend(&self, id: u32) -> Option<Backend>;

    /// A link.
    fn link(&self, index: u16) -> Option<Port>;

    /// A flow, if it is remembered.
    fn flow(&self, key: &FlowKey) -> Option<impl Remembered>;

    /// Remembers a flow, in place of what was known of it; false if the table is full.
    fn remember(&self, key: &FlowKey, state: &FlowState) -> bool;

    /// Counts something.
    fn count(&self, counter: Counter);

    /// Takes one ICMP error from this CPU's allowance, if something is left.
    fn allow_error(&self) -> bool;
}
