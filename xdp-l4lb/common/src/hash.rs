//! Two hashes: one finds a VIP (private seed), one spreads flows (the same on every node).
//!
//! Both multiply each word, whitened by the seed, with a constant of its own. The products do not
//! wait for each other, and keys that differ in one word never collide before the final mix, which
//! is a bijection.

use wire::{part, put};

use crate::layout::{VipKey, VipTable};

/// Odd numbers without structure: the fractions of the square roots of the first primes.
const FACTORS: [u64; 5] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
];

/// Mixes well on both sides of a shift by half a word.
const FINISH: u64 = 0xd6e8_feb8_6659_fd93;

/// Bytes 8 to 12 of a v4-mapped address (RFC 4291 §2.5.5.2).
const V4_MAPPED: u64 = 0xffff_0000;

/// Fleet-wide seed of [`flow_hash`] unless the configuration has another.
pub const DEFAULT_FLOW_SEED: u64 = 0x736c_7569_6365_6761;

/// An address as two words, loaded from network order as they lie in memory; IPv4 is v4-mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddrWords {
    /// Bytes 0 to 8.
    pub hi: u64,
    /// Bytes 8 to 16.
    pub lo: u64,
}

/// The two ends of a flow, as the client's packets have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The client's address.
    pub client: AddrWords,
    /// The VIP's address.
    pub vip: AddrWords,
    /// The client's port, as it lies in memory.
    pub client_port: u16,
    /// The VIP's port, as it lies in memory.
    pub vip_port: u16,
    /// The IP protocol.
    pub proto: u8,
}

/// Where a key may be in the VIP table, and how its entry is told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// First bucket, as an index of the `vips` map.
    pub bucket_a: u32,
    /// Second bucket; another one than the first unless the table has only one.
    pub bucket_b: u32,
    /// High half of the key's entry.
    pub fingerprint: u32,
}

impl AddrWords {
    /// From sixteen bytes in network order.
    #[must_use]
    #[inline(always)]
    pub const fn new(addr: [u8; 16]) -> Self {
        Self {
            hi: u64::from_ne_bytes(part::<0, _, _>(&addr)),
            lo: u64::from_ne_bytes(part::<8, _, _>(&addr)),
        }
    }

    /// From four bytes in network order.
    #[must_use]
    #[inline(always)]
    pub const fn v4(addr: [u8; 4]) -> Self {
        Self {
            hi: 0,
            lo: (u32::from_ne_bytes(addr) as u64) << 32 | V4_MAPPED,
        }
    }

    /// Sixteen bytes in network order.
    #[must_use]
    #[inline(always)]
    pub const fn bytes(self) -> [u8; 16] {
        let mut addr = [0; 16];
        put::<0, _, _>(&mut addr, self.hi.to_ne_bytes());
        put::<8, _, _>(&mut addr, self.lo.to_ne_bytes());
        addr
    }

    /// The IPv4 address, if this is one.
    #[must_use]
    #[inline(always)]
    pub const fn as_v4(self) -> Option<[u8; 4]> {
        if self.hi == 0 && low(self.lo) as u64 == V4_MAPPED {
            Some(low(self.lo >> 32).to_ne_bytes())
        } else {
            None
        }
    }
}

/// Where `key` may be in `table`. `seed` is [`crate::layout::Config::vip_seed`].
#[must_use]
pub fn vip_hash(seed: u64, table: VipTable, key: &VipKey) -> Candidates {
    let [a, b, c, d] = key.tail();
    vip_candidates(
        seed,
        table,
        AddrWords::new(key.addr),
        u32::from_ne_bytes([a, b, c, d]),
    )
}

/// [`vip_hash`] for a key whose last four bytes are in `tail`, as they lie in memory.
#[must_use]
#[inline(always)]
pub const fn vip_candidates(seed: u64, table: VipTable, addr: AddrWords, tail: u32) -> Candidates {
    // The table's word is part of the seed, so one store re-seeds and swaps the table.
    let seed = seed ^ table.word();
    let sum = (addr.hi ^ seed)
        .wrapping_mul(FACTORS[0])
        .wrapping_add((addr.lo ^ seed).wrapping_mul(FACTORS[1]))
        .wrapping_add((tail as u64 ^ seed).wrapping_mul(FACTORS[2]));
    let hash = (sum ^ (sum >> 32)).wrapping_mul(FINISH);
    let hash = hash ^ (hash >> 32);
    let mask = table.mask();
    let a = low(hash) & mask;
    // Another product, so that keys that share one bucket do not share the other.
    let b = low(hash.wrapping_mul(FACTORS[3]) >> 32) & mask;
    let b = if a == b { (a ^ 1) & mask } else { b };
    Candidates {
        bucket_a: table.base().wrapping_add(a),
        bucket_b: table.base().wrapping_add(b),
        // The upper half as it was before the halves were combined: every bit of the sum is in it.
        fingerprint: low(hash >> 32),
    }
}

/// The word of [`crate::layout::Config::no_vip`] and the bit in it that stand for an address.
#[must_use]
pub const fn filter_place(addr: [u8; 16]) -> (usize, u64) {
    filter_place_of(AddrWords::new(addr))
}

/// [`filter_place`] for an address in words.
#[must_use]
#[inline(always)]
pub const fn filter_place_of(addr: AddrWords) -> (usize, u64) {
    let hash = (addr.hi ^ addr.lo).wrapping_mul(FACTORS[0]);
    ((hash >> 63) as usize, 1 << ((hash >> 57) & 63))
}

/// Low bits choose the slot; the outer source address and the flow label use the high half.
#[must_use]
#[inline(always)]
pub const fn flow_hash(seed: u64, flow: &Flow) -> u64 {
    let ends = flow.client_port as u64 | (flow.vip_port as u64) << 16 | (flow.proto as u64) << 32;
    finish(
        (flow.client.hi ^ seed)
            .wrapping_mul(FACTORS[0])
            .wrapping_add((flow.client.lo ^ seed).wrapping_mul(FACTORS[1]))
            .wrapping_add((flow.vip.hi ^ seed).wrapping_mul(FACTORS[2]))
            .wrapping_add((flow.vip.lo ^ seed).wrapping_mul(FACTORS[3]))
            .wrapping_add((ends ^ seed).wrapping_mul(FACTORS[4])),
    )
}

/// Every bit of the result depends on every bit of the sum.
#[inline(always)]
const fn finish(sum: u64) -> u64 {
    let mixed = (sum ^ (sum >> 32)).wrapping_mul(FINISH);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(FINISH);
    mixed ^ (mixed >> 32)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
const fn low(word: u64) -> u32 {
    word as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(client: u32, port: u16) -> Flow {
        Flow {
            client: AddrWords::v4(client.to_be_bytes()),
            vip: AddrWords::v4([192, 0, 2, 1]),
            client_port: port.to_be(),
            vip_port: 80u16.to_be(),
            proto: 6,
        }
    }

    #[test]
    fn flows_of_neighbouring_clients_and_ports_spread_evenly_over_slots() {
        for log2 in [6, 10] {
            let slots = 1usize << log2;
            let mut hits = vec![0u32; slots];
            for client in 0..1024 {
                for port in 0..256 {
                    let hash = flow_hash(DEFAULT_FLOW_SEED, &flow(0x0a00_0000 + client, port));
                    hits[usize::try_from(hash).unwrap() & (slots - 1)] += 1;
                }
            }
            let mean = f64::from(1024 * 256) / f64::from(1 << log2);
            let chi: f64 = hits
                .iter()
                .map(|&n| (f64::from(n) - mean).powi(2) / mean)
                .sum();
            let freedom = f64::from((1 << log2) - 1);
            assert!(
                (chi - freedom).abs() < 6.0 * (2.0 * freedom).sqrt(),
                "{log2}: {chi}"
            );
        }
    }

    #[test]
    fn one_changed_bit_of_a_flow_changes_about_half_of_the_hash() {
        let base = flow(0x0a01_0203, 40_000);
        for bit in 0..64 {
            let mut other = base;
            other.client.lo ^= 1 << bit;
            let mut changed = 0;
            for seed in 0..64u64 {
                let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                changed += (flow_hash(seed, &base) ^ flow_hash(seed, &other)).count_ones();
            }
            assert!((1700..2400).contains(&changed), "bit {bit}: {changed}");
        }
    }

    #[test]
    fn keys_that_differ_in_one_byte_spread_over_all_buckets() {
        let table = VipTable::new(0, 8, 0);
        for byte in 0..18 {
            let mut hit = std::collections::BTreeSet::new();
            for value in 0..=255 {
                let mut bytes = [7; 18];
                bytes[byte] = value;
                let key = VipKey {
                    addr: bytes[..16].try_into().unwrap(),
                    port: bytes[16..].try_into().unwrap(),
                    proto: 6,
                    kind: 0,
                };
                let found = vip_hash(99, table, &key);
                assert_ne!(found.bucket_a, found.bucket_b);
                hit.insert(found.bucket_a);
            }
            // 256 balls in 256 bins leave 94 empty on average.
            assert!(hit.len() > 130, "byte {byte}: {}", hit.len());
        }
    }

    #[test]
    fn neighbouring_addresses_take_different_places_in_the_filter() {
        let places: std::collections::BTreeSet<_> = (0..64)
            .map(|last| filter_place_of(AddrWords::v4([192, 0, 2, last])))
            .collect();

        assert!(places.len() > 40, "{}", places.len());
    }

    #[test]
    fn another_generation_is_another_hash() {
        let key = VipKey::new([9; 16], 80, 6);
        let one = vip_hash(1, VipTable::new(0, 16, 0), &key);
        let two = vip_hash(1, VipTable::new(0, 16, 1), &key);
        assert_ne!(one.fingerprint, two.fingerprint);
    }

    #[test]
    fn candidates_lie_inside_the_table() {
        for log2 in 0..12 {
            let table = VipTable::new(4096, log2, 3);
            for port in 0..500 {
                let found = vip_hash(5, table, &VipKey::new([1; 16], port, 17));
                for bucket in [found.bucket_a, found.bucket_b] {
                    assert!((4096..4096 + (1 << log2)).contains(&bucket));
                }
            }
        }
    }
}
