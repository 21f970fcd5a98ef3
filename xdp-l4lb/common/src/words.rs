//! The words inside table records that one store publishes, packed and unpacked.

use core::net::Ipv4Addr;

use bpf_common::Layout;
use wire::part;

const LOW_31: u64 = 0x7fff_ffff;
const LOW_48: u64 = 0xffff_ffff_ffff;

/// One slot of a service's table: `OPEN:1 | 0:1 | previous:31 | current:31`.
///
/// A live flow that is not remembered belongs to `previous`; new flows go to `current`. While the
/// slot is not open the two agree, or nobody remembers why they should not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Slot(u64);

/// Where a service's slots are: `0:24 | log2 size:8 | base:32`. Zero means that there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct SlotTable(u64);

/// Where the VIP buckets are: `generation:24 | log2 buckets:8 | base:32`.
///
/// The whole word takes part in the hash, so a new generation is a new seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct VipTable(u64);

/// One place in a bucket: `fingerprint:32 | service:32`. Zero is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct VipEntry(u64);

/// A backend's flags, encapsulation and path MTU: `mtu:16 | encapsulation:8 | flags:8`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct BackendMode(u32);

/// The way to a backend: `link:16 | MAC:48`, the MAC's first byte lowest. Zero is unresolved.
///
/// A MAC of zero with a link is the way to an off-link backend through whichever router sent the
/// packet, and of use on that router's interface only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct NextHop(u64);

/// Outer IPv4 source: `host mask:32 | prefix:32`, both as an address lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct OuterV4(u64);

macro_rules! words {
    ($($name:ident: $word:ty;)*) => {$(
        // SAFETY: repr(transparent) over an integer.
        #[expect(unsafe_code, reason = "Layout is a promise; see its definition")]
        unsafe impl Layout for $name {}

        impl $name {
            /// From a word of a table.
            #[must_use]
            #[inline(always)]
            pub const fn from_word(word: $word) -> Self {
                Self(word)
            }

            /// The word to store.
            #[must_use]
            #[inline(always)]
            pub const fn word(self) -> $word {
                self.0
            }
        }
    )*};
}

words! {
    Slot: u64;
    SlotTable: u64;
    VipTable: u64;
    VipEntry: u64;
    BackendMode: u32;
    NextHop: u64;
    OuterV4: u64;
}

impl Slot {
    /// The bit that says that the slot is in change.
    pub const OPEN: u64 = 1 << 63;
    /// Ids end here.
    pub const MAX_ID: u32 = 0x7fff_ffff;

    /// A settled slot: both fields are `backend`, not open.
    #[must_use]
    pub const fn settled(backend: u32) -> Self {
        Self(0).with_current(backend).with_previous(backend)
    }

    /// Where new flows go; 0 is nowhere.
    #[must_use]
    #[inline(always)]
    pub const fn current(self) -> u32 {
        low(self.0 & LOW_31)
    }

    /// Where live flows that are not remembered belong; 0 is nowhere.
    #[must_use]
    #[inline(always)]
    pub const fn previous(self) -> u32 {
        low((self.0 >> 31) & LOW_31)
    }

    /// Whether the slot is in change.
    #[must_use]
    #[inline(always)]
    pub const fn is_open(self) -> bool {
        self.0 & Self::OPEN != 0
    }

    /// With another current backend. Only the low 31 bits of an id are kept.
    #[must_use]
    pub const fn with_current(self, backend: u32) -> Self {
        Self(self.0 & !LOW_31 | backend as u64 & LOW_31)
    }

    /// With another previous backend. Only the low 31 bits of an id are kept.
    #[must_use]
    pub const fn with_previous(self, backend: u32) -> Self {
        Self(self.0 & !(LOW_31 << 31) | (backend as u64 & LOW_31) << 31)
    }

    /// Open or not.
    #[must_use]
    pub const fn with_open(self, open: bool) -> Self {
        if open {
            Self(self.0 | Self::OPEN)
        } else {
            Self(self.0 & !Self::OPEN)
        }
    }
}

impl SlotTable {
    /// No slots.
    pub const NONE: Self = Self(0);

    /// `1 << log2` slots from `base` on; `log2` is below 32, and not both are zero.
    #[must_use]
    pub const fn new(base: u32, log2: u8) -> Self {
        Self(base as u64 | ((log2 & 31) as u64) << 32)
    }

    /// Whether there are none.
    #[must_use]
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The first slot.
    #[must_use]
    #[inline(always)]
    pub const fn base(self) -> u32 {
        low(self.0)
    }

    /// Log2 of the number of slots.
    #[must_use]
    #[inline(always)]
    pub const fn log2(self) -> u8 {
        log2(self.0)
    }

    /// How many slots there are.
    #[must_use]
    pub const fn len(self) -> u32 {
        1 << self.log2()
    }

    /// As [`Self::is_none`].
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.is_none()
    }

    /// The slot of a flow. Its low bits choose, so that a table twice the size sends the flow to
    /// the same place or to that place plus the old size.
    #[must_use]
    #[inline(always)]
    pub const fn slot(self, flow_hash: u64) -> u32 {
        let mask = (1u64 << self.log2()) - 1;
        self.base().wrapping_add(low(flow_hash & mask))
    }
}

impl VipTable {
    /// No table.
    pub const NONE: Self = Self(0);

    /// `1 << log2` buckets from `base` on; `log2` is below 32. A table in use is never the zero
    /// word: it has more than one bucket, or another base or generation than zero.
    #[must_use]
    pub const fn new(base: u32, log2: u8, generation: u32) -> Self {
        Self(base as u64 | ((log2 & 31) as u64) << 32 | (generation as u64) << 40)
    }

    /// Whether there is none.
    #[must_use]
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The first bucket.
    #[must_use]
    #[inline(always)]
    pub const fn base(self) -> u32 {
        low(self.0)
    }

    /// Log2 of the number of buckets.
    #[must_use]
    #[inline(always)]
    pub const fn log2(self) -> u8 {
        log2(self.0)
    }

    /// Counts the tables so far.
    #[must_use]
    pub const fn generation(self) -> u32 {
        low(self.0 >> 40)
    }

    /// Number of buckets less one.
    #[must_use]
    #[inline(always)]
    pub const fn mask(self) -> u32 {
        low((1u64 << self.log2()) - 1)
    }
}

impl VipEntry {
    /// A free place.
    pub const FREE: Self = Self(0);

    /// An entry; `service` is not zero.
    #[must_use]
    pub const fn new(fingerprint: u32, service: u32) -> Self {
        Self((fingerprint as u64) << 32 | service as u64)
    }

    /// Whether nothing is here.
    #[must_use]
    pub const fn is_free(self) -> bool {
        self.0 == 0
    }

    /// Tells keys apart before their records are read.
    #[must_use]
    #[inline(always)]
    pub const fn fingerprint(self) -> u32 {
        low(self.0 >> 32)
    }

    /// Index of the service record.
    #[must_use]
    #[inline(always)]
    pub const fn service(self) -> u32 {
        low(self.0)
    }
}

impl BackendMode {
    /// Flags, encapsulation and the largest IP packet that reaches the backend.
    #[must_use]
    pub const fn new(flags: u8, encapsulation: u8, mtu: u16) -> Self {
        Self(flags as u32 | (encapsulation as u32) << 8 | (mtu as u32) << 16)
    }

    /// Whether all of `flags` are set.
    #[must_use]
    #[inline(always)]
    pub const fn has(self, flags: u8) -> bool {
        self.0 & flags as u32 == flags as u32
    }

    /// With `flags` set or cleared.
    #[must_use]
    pub const fn with(self, flags: u8, set: bool) -> Self {
        if set {
            Self(self.0 | flags as u32)
        } else {
            Self(self.0 & !(flags as u32))
        }
    }

    /// Kind of encapsulation.
    #[must_use]
    pub const fn encapsulation(self) -> u8 {
        let [_, kind, _, _] = self.0.to_le_bytes();
        kind
    }

    /// The largest IP packet, outer header included, that reaches the backend.
    #[must_use]
    #[inline(always)]
    pub const fn mtu(self) -> u16 {
        let [_, _, low, high] = self.0.to_le_bytes();
        u16::from_le_bytes([low, high])
    }
}

impl NextHop {
    /// Not resolved.
    pub const NONE: Self = Self(0);

    /// Through `link` (an index of `links`, not zero) to the station `mac`.
    #[must_use]
    pub const fn new(link: u16, mac: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = mac;
        let [low, high] = link.to_le_bytes();
        Self(u64::from_le_bytes([a, b, c, d, e, f, low, high]))
    }

    /// Index of the link.
    #[must_use]
    #[inline(always)]
    pub const fn link(self) -> u16 {
        u16::from_le_bytes(part::<6, _, _>(&self.0.to_le_bytes()))
    }

    /// The station's address.
    #[must_use]
    #[inline(always)]
    pub const fn mac(self) -> [u8; 6] {
        part::<0, _, _>(&self.0.to_le_bytes())
    }

    /// Whether there is a station's address.
    #[must_use]
    #[inline(always)]
    pub const fn has_mac(self) -> bool {
        self.0 & LOW_48 != 0
    }
}

impl OuterV4 {
    /// Sources from this prefix; bits of `addr` beyond `prefix_len` are ignored.
    #[must_use]
    pub const fn new(addr: Ipv4Addr, prefix_len: u8) -> Self {
        let host = if prefix_len >= 32 {
            0
        } else {
            u32::MAX >> prefix_len
        };
        let prefix = (addr.to_bits() & !host).to_be();
        Self(prefix as u64 | (host.to_be() as u64) << 32)
    }

    /// The source for a flow, from the high half of its hash.
    #[must_use]
    #[inline(always)]
    pub const fn source(self, flow_hash: u64) -> [u8; 4] {
        (low(self.0) | low((self.0 & flow_hash) >> 32)).to_ne_bytes()
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
const fn low(word: u64) -> u32 {
    word as u32
}

/// Bits 32 to 37; what is above cannot be shifted by.
#[inline(always)]
const fn log2(word: u64) -> u8 {
    let [_, _, _, _, log2, _, _, _] = word.to_le_bytes();
    log2 & 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_slot_keeps_its_three_fields_apart(
            current in 0..=Slot::MAX_ID,
            previous in 0..=Slot::MAX_ID,
            open: bool,
            before: u64,
        ) {
            let slot = Slot::from_word(before & !(1 << 62))
                .with_current(current)
                .with_previous(previous)
                .with_open(open);

            prop_assert_eq!(slot.current(), current);
            prop_assert_eq!(slot.previous(), previous);
            prop_assert_eq!(slot.is_open(), open);
            prop_assert_eq!(slot.word() & (1 << 62), 0);
        }

        #[test]
        fn a_doubled_table_keeps_a_flow_or_moves_it_by_the_old_size(
            hash: u64, log2 in 0..20u8, old in 0..1000u32, new in 0..1000u32,
        ) {
            let before = SlotTable::new(old, log2).slot(hash) - old;
            let after = SlotTable::new(new, log2 + 1).slot(hash) - new;

            prop_assert!(after == before || after == before + (1 << log2));
        }

        #[test]
        fn a_next_hop_keeps_link_and_mac(link: u16, mac: [u8; 6]) {
            let hop = NextHop::new(link, mac);

            prop_assert_eq!((hop.link(), hop.mac()), (link, mac));
            prop_assert_eq!(hop.has_mac(), mac != [0; 6]);
        }

        #[test]
        fn a_mode_keeps_its_fields(flags: u8, kind: u8, mtu: u16) {
            let mode = BackendMode::new(flags, kind, mtu);

            prop_assert!(mode.has(flags));
            prop_assert_eq!((mode.encapsulation(), mode.mtu()), (kind, mtu));
            prop_assert!(!mode.with(1, false).has(1));
        }

        #[test]
        fn tables_keep_base_size_and_generation(base: u32, log2 in 0..32u8, generation in 0..1u32 << 24) {
            let vips = VipTable::new(base, log2, generation);

            prop_assert_eq!((vips.base(), vips.log2(), vips.generation()), (base, log2, generation));
            prop_assert_eq!(SlotTable::new(base, log2).base(), base);
            prop_assert_eq!(SlotTable::new(base, log2).len(), 1 << log2);
        }

        #[test]
        fn an_outer_source_stays_inside_its_prefix(addr: u32, len in 0..=32u8, hash: u64) {
            let source = OuterV4::new(Ipv4Addr::from_bits(addr), len).source(hash);

            let differing = u32::from_be_bytes(source) ^ addr;
            prop_assert!(len == 0 || differing >> (32 - u32::from(len)) == 0);
        }

        #[test]
        fn an_entry_keeps_fingerprint_and_service(fingerprint: u32, service: u32) {
            let entry = VipEntry::new(fingerprint, service);

            prop_assert_eq!((entry.fingerprint(), entry.service()), (fingerprint, service));
        }
    }
}
