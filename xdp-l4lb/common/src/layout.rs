//! The kernel tables: every key and value, the words inside them, the tables' names and sizes.
//!
//! Addresses and ports are byte arrays in network order; words are native, and the kernel programs
//! are built for little-endian machines only.

use core::net::IpAddr;

use bpf_common::Layout;

pub use crate::words::{BackendMode, NextHop, OuterV4, Slot, SlotTable, VipEntry, VipTable};

const _: () = assert!(
    cfg!(target_endian = "little"),
    "words in tables are little-endian"
);

/// Version of everything in this module. Tables and programs of one version are pinned together.
pub const LAYOUT_VERSION: u32 = 1;

/// Entries in one VIP bucket.
pub const BUCKET_ENTRIES: usize = 8;

/// IP protocol number of ICMP.
pub const PROTO_ICMP: u8 = 1;
/// IP protocol number of TCP.
pub const PROTO_TCP: u8 = 6;
/// IP protocol number of UDP.
pub const PROTO_UDP: u8 = 17;

/// The tables' names, as pinned.
pub mod maps {
    /// [`super::Bucket`] array, memory mapped.
    pub const VIPS: &str = "vips";
    /// [`super::ServiceRecord`] array, memory mapped.
    pub const SERVICES: &str = "services";
    /// [`super::Slot`] array, memory mapped.
    pub const SLOTS: &str = "slots";
    /// `u32` array, memory mapped: the epoch in which an unremembered packet last met the slot open.
    pub const TOUCHED: &str = "touched";
    /// [`super::BackendRecord`] array, memory mapped.
    pub const BACKENDS: &str = "backends";
    /// [`super::Link`] array, memory mapped.
    pub const LINKS: &str = "links";
    /// One [`super::Config`], memory mapped.
    pub const CONFIG: &str = "config";
    /// Hash from [`super::FlowKey`] to [`super::FlowState`].
    pub const FLOWS: &str = "flows";
    /// Per-CPU array of [`super::Traffic`], by service index.
    pub const SERVICE_STATS: &str = "service_stats";
    /// Per-CPU array of [`super::Traffic`], by backend id.
    pub const BACKEND_STATS: &str = "backend_stats";
    /// Per-CPU array of `u64`, by [`bpf_common::DropReason::index`] and [`super::Counter::index`].
    pub const DROPS: &str = "drops";
    /// Per-CPU array of one [`super::TokenBucket`].
    pub const LIMITS: &str = "limits";
    /// Device hash by interface index.
    pub const DEVICES: &str = "devices";

    /// Backend side: longest-prefix trie of [`super::BalancerKey`], value `u32`.
    pub const BALANCERS: &str = "balancers";
    /// Backend side: hash of the VIP addresses served here (16 bytes, v4-mapped), value `u32`.
    pub const OWNED: &str = "owned";
    /// Backend side: per-CPU array of `u64`, by reason and by [`super::DecapCounter::index`].
    pub const DECAP_DROPS: &str = "decap_drops";
}

/// The tables' sizes unless the loader is told others: 92 MB, per-CPU counters aside.
pub mod sizes {
    /// Buckets: 4 MiB. A re-seed needs a second region, so a table uses at most half.
    pub const VIPS: usize = 1 << 16;
    /// Service records, address-only ones included: 8 MiB.
    pub const SERVICES: usize = 1 << 17;
    /// Slots: 32 MiB, and as much of `touched`, since an array's entry takes 8 bytes at least.
    pub const SLOTS: usize = 1 << 22;
    /// Backend records: 8 MiB.
    pub const BACKENDS: usize = 1 << 17;
    /// Links.
    pub const LINKS: usize = 256;
    /// Flows remembered: 4 MiB of buckets, and 80 bytes a flow while it is remembered.
    pub const FLOWS: usize = 1 << 18;
    /// Counters: the reasons' range, then [`super::Counter`].
    pub const DROPS: usize = 96;
    /// Devices packets can be redirected to.
    pub const DEVICES: usize = 256;
    /// Backend side: source prefixes of balancers.
    pub const BALANCERS: usize = 1024;
    /// Backend side: VIP addresses.
    pub const OWNED: usize = 1 << 16;
}

/// Programs, by the names they have in the object.
pub mod programs {
    /// The balancer, XDP.
    pub const L4LB: &str = "sluice_l4lb";
    /// The backend side, XDP.
    pub const DECAP: &str = "sluice_decap";
}

/// [`ServiceRecord::flags`]: answer with "port unreachable" while there is no backend.
pub const SERVICE_REFUSE: u8 = 1;

/// [`BackendMode`] flag: the backend takes packets. Clear means gone: its flows may move.
pub const BACKEND_LIVE: u8 = 1;
/// [`BackendMode`] flag: the way there leads through a router, so a packet that leaves through the
/// interface it came from goes back to the router that sent it.
pub const BACKEND_OFF_LINK: u8 = 2;

/// [`BackendMode`] encapsulation: IP in IP; the outer family is the backend address's.
pub const ENCAP_IP: u8 = 0;

/// What a client dials, as a service record holds it: checked once a bucket's fingerprint matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct VipKey {
    /// IPv4 addresses are v4-mapped, so one map serves both families.
    pub addr: [u8; 16],
    /// Zero in an address-only key.
    pub port: [u8; 2],
    /// Zero in an address-only key.
    pub proto: u8,
    /// Always zero: room for other kinds of keys.
    pub kind: u8,
}

/// Eight [`VipEntry`] words: one cache line, one candidate place of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Bucket {
    /// In no order; a zero is a free place.
    pub entries: [u64; BUCKET_ENTRIES],
}

/// One VIP, or one VIP's address only. Index 0 is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct ServiceRecord {
    /// Never changes while an entry of `vips` names the record.
    pub key: VipKey,
    /// [`SERVICE_REFUSE`].
    pub flags: u8,
    /// Always zero.
    pub pad: [u8; 3],
    /// A [`SlotTable`]; zero when there is none, as in every address-only record.
    pub table: u64,
    /// Always zero.
    pub reserved: [u64; 4],
}

/// One membership of a backend in a slot table. Index 0 is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct BackendRecord {
    /// Where the encapsulated packet goes; v4-mapped. Never changes while the id is in use.
    pub addr: [u8; 16],
    /// A [`BackendMode`]: flags, encapsulation and path MTU, changed by one store.
    pub mode: u32,
    /// The backend's own port: with `addr` its identity, by which an agent that starts knows it.
    /// Packets keep the port that was dialled.
    pub port: [u8; 2],
    /// Always zero.
    pub pad: [u8; 2],
    /// A [`NextHop`]; zero while it is not resolved.
    pub next_hop: u64,
    /// Always zero.
    pub reserved: [u64; 4],
}

/// An interface that packets leave through. Never changes once a next hop names it; index 0 is
/// never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Link {
    /// The interface's index, also the key in `devices`.
    pub ifindex: u32,
    /// The interface's own address.
    pub mac: [u8; 6],
    /// Always zero.
    pub pad: [u8; 6],
}

/// What holds for all packets. Each field is changed by one store of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Config {
    /// A [`VipTable`]: where the buckets in use are. Zero: no table, every packet is passed.
    pub vip_table: u64,
    /// Private to the node and never changed; to re-seed is to publish a new [`VipTable`].
    pub vip_seed: u64,
    /// The same on every node of a fleet: [`crate::hash::DEFAULT_FLOW_SEED`].
    pub flow_seed: u64,
    /// An [`OuterV4`]: outer source prefix and host mask.
    pub outer_v4: u64,
    /// Outer IPv6 source, the upper 64 bits in network order.
    pub outer_v6: [u8; 8],
    /// The agent's clock for `touched` and [`FlowState::seen`]. Never zero once the agent ran.
    pub epoch: u32,
    /// ICMP errors a second each CPU may generate; zero means none.
    pub error_rate: u32,
    /// A set bit says that no VIP's address has its place ([`crate::hash::filter_place`]), so that
    /// other packets are passed at once. Zeros say nothing and are always right. A bit is cleared
    /// before the first entry of an address with its place is written.
    pub no_vip: [u64; 2],
}

/// A TCP flow to a service, seen from the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// Index of the service record.
    pub service: u32,
    /// The client's address, v4-mapped.
    pub addr: [u8; 16],
    /// The client's port.
    pub port: [u8; 2],
    /// Always zero: the kernel compares every byte of a key.
    pub pad: [u8; 2],
}

/// A flow that was opened while its slot was in change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FlowState {
    /// The backend it belongs to.
    pub backend: u32,
    /// The SYN's sequence number, in host order.
    pub isn: u32,
    /// Epoch of its last packet.
    pub seen: u32,
    /// 1 once a packet continued the handshake, else 0.
    pub confirmed: u32,
}

/// What went through, as counted by one CPU. Bytes are those of the client's IP packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Traffic {
    /// Packets forwarded.
    pub packets: u64,
    /// Bytes of the packets as the client sent them, from the IP header on.
    pub bytes: u64,
}

/// One CPU's allowance of generated ICMP errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TokenBucket {
    /// When tokens were last added, in ns of the kernel's monotonic clock.
    pub filled: u64,
    /// What is left, in billionths of a packet.
    pub tokens: u64,
}

/// Key of `balancers`: a source prefix whose packets are decapsulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BalancerKey {
    /// In bits of the v4-mapped address: a /16 of IPv4 is 112.
    pub prefix_len: u32,
    /// The prefix, v4-mapped.
    pub addr: [u8; 16],
}

macro_rules! counters {
    ($(#[$top:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$top])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Every counter, in the order of their places.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The label in metrics and output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }

            /// The place in the table of counters, behind the drop reasons.
            #[must_use]
            #[inline(always)]
            pub const fn index(self) -> u32 {
                bpf_common::DropReason::COUNTERS + self as u32
            }
        }
    };
}

counters! {
    /// What else happened to packets than a drop or, as `service_stats` count it, a forward.
    Counter {
        /// Passed: neither IPv4 nor IPv6.
        PassedNotIp = "passed_not_ip",
        /// Passed: the destination is no VIP.
        PassedNoVip = "passed_no_vip",
        /// Passed: too short to have a destination.
        PassedTruncated = "passed_truncated",
        /// An echo request to a VIP was answered.
        EchoReplied = "echo_replied",
        /// "Packet too big" or "fragmentation needed" was sent.
        TooBigSent = "too_big_sent",
        /// "Port unreachable" was sent for a service without a backend.
        UnreachableSent = "unreachable_sent",
        /// A SYN in an open slot was remembered.
        FlowRemembered = "flow_remembered",
        /// The flow table was full, so a new flow went to the slot's previous backend.
        FlowDeferred = "flow_deferred",
        /// An ICMP error followed the flow it is about.
        ErrorSteered = "error_steered",
    }
}

counters! {
    /// What else happened on the backend side than a drop.
    DecapCounter {
        /// Passed: not encapsulated.
        Passed = "passed",
        /// The inner packet went on to the stack.
        Decapsulated = "decapsulated",
    }
}

macro_rules! layouts {
    ($($type:ty: $size:literal, $align:literal;)*) => {$(
        const _: () = assert!(size_of::<$type>() == $size && align_of::<$type>() == $align);
        // SAFETY: repr(C), integers and arrays of them only; the asserted size leaves no padding.
        #[expect(unsafe_code, reason = "Layout is a promise; see its definition")]
        unsafe impl Layout for $type {}
    )*};
}

layouts! {
    VipKey: 20, 1;
    Bucket: 64, 64;
    ServiceRecord: 64, 64;
    BackendRecord: 64, 64;
    Link: 16, 4;
    Config: 64, 64;
    FlowKey: 24, 4;
    FlowState: 16, 4;
    Traffic: 16, 8;
    TokenBucket: 16, 8;
    BalancerKey: 20, 4;
}

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(ServiceRecord, key) == 0 && offset_of!(ServiceRecord, flags) == 20);
    assert!(offset_of!(ServiceRecord, table) == 24 && offset_of!(ServiceRecord, reserved) == 32);
    assert!(offset_of!(BackendRecord, mode) == 16 && offset_of!(BackendRecord, next_hop) == 24);
    assert!(offset_of!(BackendRecord, port) == 20 && offset_of!(BackendRecord, reserved) == 32);
    assert!(offset_of!(Config, epoch) == 40 && offset_of!(Config, no_vip) == 48);
    assert!(offset_of!(FlowKey, addr) == 4 && offset_of!(FlowKey, pad) == 22);
    assert!(bpf_common::DropReason::COUNTERS as usize + Counter::ALL.len() <= sizes::DROPS);
    assert!(bpf_common::DropReason::COUNTERS as usize + DecapCounter::ALL.len() <= sizes::DROPS);
};

impl VipKey {
    /// A service's key; the address is v4-mapped, see [`mapped`].
    #[must_use]
    pub const fn new(addr: [u8; 16], port: u16, proto: u8) -> Self {
        Self {
            addr,
            port: port.to_be_bytes(),
            proto,
            kind: 0,
        }
    }

    /// The key of an address on which there are services: port and protocol are zero.
    #[must_use]
    pub const fn address_only(addr: [u8; 16]) -> Self {
        Self::new(addr, 0, 0)
    }

    /// Whether this is the key of an address alone.
    #[must_use]
    pub const fn is_address_only(&self) -> bool {
        matches!(self.tail(), [0, 0, 0, _])
    }

    /// The bytes behind the address.
    #[must_use]
    #[inline(always)]
    pub const fn tail(&self) -> [u8; 4] {
        let [high, low] = self.port;
        [high, low, self.proto, self.kind]
    }
}

/// Sixteen bytes for an address of either family: IPv4 is v4-mapped (RFC 4291 §2.5.5.2).
#[must_use]
pub const fn mapped(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().octets(),
        IpAddr::V6(addr) => addr.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_follow_the_drop_reasons() {
        for (place, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(counter.index() as usize, 64 + place);
        }
        assert_eq!(DecapCounter::Decapsulated.index(), 65);
    }

    #[test]
    fn the_default_tables_leave_room_below_a_hundred_megabytes() {
        let bytes = sizes::VIPS * size_of::<Bucket>()
            + sizes::SERVICES * size_of::<ServiceRecord>()
            // The kernel rounds an entry of `touched` up to 8 bytes.
            + sizes::SLOTS * 2 * size_of::<u64>()
            + sizes::BACKENDS * size_of::<BackendRecord>()
            + sizes::FLOWS * 16;

        assert!(bytes < 93_000_000, "{bytes}");
    }

    #[test]
    fn an_address_only_key_has_neither_port_nor_protocol() {
        let addr = mapped("192.0.2.1".parse().unwrap());

        assert!(VipKey::address_only(addr).is_address_only());
        assert!(!VipKey::new(addr, 80, PROTO_TCP).is_address_only());
        assert_eq!(addr[10..], [0xff, 0xff, 192, 0, 2, 1]);
    }
}
