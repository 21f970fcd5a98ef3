//! Builds lookup tables: which backend serves which slot.
//!
//! Every backend walks the slots in an order of its own and takes the next free one when its turn
//! comes, so a change of one backend leaves most slots of the others where they were. How many slots
//! each takes is settled beforehand, to the slot.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use types::BackendAddr;

use crate::desired::PrimeSize;
use crate::hash;

/// Two backends share this many slots exactly.
const LEAST_SLOTS: u64 = 64;

/// Slots a backend, so that one slot more or less is at most one percent of its share.
const SLOTS_PER_BACKEND: u64 = 100;

/// Slots for the backend of least weight, so that rounding stays within a few percent of its share.
const SLOTS_OF_LEAST_WEIGHT: u64 = 25;

/// The largest table has 2^17 slots.
pub const MAX_LOG2: u8 = 17;

/// No backend: what an unfilled slot holds.
const FREE: u32 = u32::MAX;

/// How far apart consecutive turns of a backend of weight one are.
const TURN: u64 = 1 << 40;

/// A backend that takes new flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Its identity: the only thing its place in the table depends on.
    pub backend: BackendAddr,
    /// Its share; one of zero gets no slot.
    pub weight: u16,
}

/// How many slots are filled by preference; the rest of the power of two repeats the first ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// All 2^n of them.
    Log2(u8),
    /// A prime number, as Cilium has it.
    Prime(PrimeSize),
}

impl Size {
    /// The size of a table for backends with these weights: enough slots that shares come out right.
    #[must_use]
    pub fn automatic(weights: impl IntoIterator<Item = u16>) -> Self {
        let (mut count, mut total, mut least) = (0u64, 0u64, u64::MAX);
        for weight in weights.into_iter().filter(|weight| *weight > 0) {
            count += 1;
            total += u64::from(weight);
            least = least.min(u64::from(weight));
        }
        let for_count = if count > 2 {
            SLOTS_PER_BACKEND * count
        } else {
            0
        };
        let for_weight = (SLOTS_OF_LEAST_WEIGHT * total).div_ceil(least);
        let slots = LEAST_SLOTS.max(for_count).max(for_weight);
        let log2 = slots.next_power_of_two().ilog2();
        Self::Log2(u8::try_from(log2).map_or(MAX_LOG2, |log2| log2.min(MAX_LOG2)))
    }

    /// The power of two that the table takes in the slot pool.
    #[must_use]
    pub fn log2(self) -> u8 {
        match self {
            Self::Log2(log2) => log2,
            Self::Prime(prime) => {
                let bits = prime.get().next_power_of_two().ilog2();
                u8::try_from(bits).unwrap_or(MAX_LOG2)
            }
        }
    }

    fn slots(self) -> u32 {
        match self {
            Self::Log2(log2) => 1 << log2.min(MAX_LOG2),
            Self::Prime(prime) => prime.get(),
        }
    }
}

/// A backend's order of preference: an offset and a step that visits every slot.
struct Walk {
    at: u32,
    step: u32,
}

/// One backend while the table fills.
struct Claimant {
    /// Its place in the caller's slice.
    index: u32,
    weight: u64,
    quota: u32,
    walk: Walk,
}

/// The table: for each slot, the index in `candidates` of the backend that serves it.
///
/// Depends on the set of candidates, `size` and `seed` only, and is the same on every node. Empty if
/// nobody has a weight.
#[must_use]
pub fn build(seed: u64, size: Size, candidates: &[Candidate]) -> Vec<u32> {
    let slots = size.slots();
    let mut claimants = claimants(seed, size, candidates);
    share_out(slots, &mut claimants);
    if claimants.is_empty() {
        return Vec::new();
    }
    let mut table = vec![FREE; slots as usize];
    if claimants
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a.weight == b.weight))
    {
        fill_in_rounds(&mut table, &mut claimants);
    } else {
        fill_by_weight(&mut table, &mut claimants);
    }
    let padded = 1usize << size.log2();
    table.extend_from_within(..padded - slots as usize);
    table
}

/// The candidates with a weight, in an order that does not depend on the caller's.
fn claimants(seed: u64, size: Size, candidates: &[Candidate]) -> Vec<Claimant> {
    let mut hashed: Vec<_> = (0u32..)
        .zip(candidates)
        .filter(|(_, candidate)| candidate.weight > 0)
        .map(|(index, candidate)| {
            let hash = hash::of_backend(seed, &candidate.backend);
            (hash, candidate.backend, index, candidate.weight)
        })
        .collect();
    hashed.sort_unstable();
    hashed
        .into_iter()
        .map(|((offset, skip), _, index, weight)| Claimant {
            index,
            weight: weight.into(),
            quota: 0,
            walk: Walk::new(size, offset, skip),
        })
        .collect()
}

impl Walk {
    fn new(size: Size, offset: u64, skip: u64) -> Self {
        let slots = u64::from(size.slots());
        let step = match size {
            // An odd step is coprime to a power of two.
            Size::Log2(_) => (skip % slots) | 1,
            Size::Prime(_) => skip % (slots - 1) + 1,
        };
        Self {
            at: small(offset % slots),
            step: small(step),
        }
    }

    /// Gives the most preferred free slot to `index`.
    fn claim(&mut self, table: &mut [u32], index: u32) {
        let slots = small(table.len() as u64);
        // The step visits every slot once, and quotas leave one free for each turn.
        for _ in 0..slots {
            let at = self.at;
            self.at += self.step;
            if self.at >= slots {
                self.at -= slots;
            }
            if let Some(slot) = table.get_mut(at as usize)
                && *slot == FREE
            {
                *slot = index;
                return;
            }
        }
    }
}

/// Settles how many slots each claimant takes: its share rounded, and the sum made right where
/// a slot matters least.
fn share_out(slots: u32, claimants: &mut [Claimant]) {
    let total: u64 = claimants.iter().map(|claimant| claimant.weight).sum();
    let mut sum = 0;
    for claimant in claimants.iter_mut() {
        let scaled = u64::from(slots) * claimant.weight;
        claimant.quota = small((scaled + total / 2) / total);
        sum += i64::from(claimant.quota);
    }
    let over = sum - i64::from(slots);
    let error = |quota: u32, weight: u64| {
        let ideal = u64::from(slots) * weight;
        // Relative to the ideal share, in millionths of it; ties go to the first in hash order.
        (u64::from(quota) * total)
            .abs_diff(ideal)
            .saturating_mul(1_000_000)
            / ideal
    };
    let changed = |quota: u32| {
        if over > 0 {
            quota.saturating_sub(1)
        } else {
            quota + 1
        }
    };
    let mut order: BinaryHeap<_> = claimants
        .iter()
        .enumerate()
        .map(|(at, claimant)| Reverse((error(changed(claimant.quota), claimant.weight), at)))
        .collect();
    for _ in 0..over.unsigned_abs() {
        let Some(Reverse((_, at))) = order.pop() else {
            return;
        };
        if let Some(claimant) = claimants.get_mut(at) {
            claimant.quota = changed(claimant.quota);
            order.push(Reverse((
                error(changed(claimant.quota), claimant.weight),
                at,
            )));
        }
    }
}

/// Equal weights: everybody takes one slot a round.
fn fill_in_rounds(table: &mut [u32], claimants: &mut [Claimant]) {
    let rounds = claimants.iter().map(|claimant| claimant.quota).max();
    for round in 0..rounds.unwrap_or(0) {
        for claimant in claimants
            .iter_mut()
            .filter(|claimant| round < claimant.quota)
        {
            claimant.walk.claim(table, claimant.index);
        }
    }
}

/// Turns spaced by weight, so that a heavy backend does not take the others' first choices at once.
fn fill_by_weight(table: &mut [u32], claimants: &mut [Claimant]) {
    let mut turns: BinaryHeap<_> = claimants
        .iter()
        .enumerate()
        .map(|(at, claimant)| Reverse((TURN / claimant.weight / 2, at)))
        .collect();
    while let Some(Reverse((due, at))) = turns.pop() {
        if let Some(claimant) = claimants.get_mut(at)
            && claimant.quota > 0
        {
            claimant.quota -= 1;
            claimant.walk.claim(table, claimant.index);
            turns.push(Reverse((due + TURN / claimant.weight, at)));
        }
    }
}

/// A number below the largest table's size.
#[expect(
    clippy::cast_possible_truncation,
    reason = "every caller's value is at most 2^17"
)]
const fn small(value: u64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const SEED: u64 = 0x5eed;

    #[test]
    fn the_automatic_size_follows_count_and_weights() {
        let log2 = |weights: &[u16]| Size::automatic(weights.iter().copied()).log2();

        assert_eq!(log2(&[]), 6);
        assert_eq!(log2(&[7]), 6);
        assert_eq!(log2(&[1, 1]), 6);
        assert_eq!(log2(&[1, 1, 1]), 9);
        assert_eq!(log2(&[1; 100]), 14);
        assert_eq!(log2(&[1, 9]), 8);
        assert_eq!(log2(&[0, 1, 1]), 6);
        assert_eq!(log2(&[1; 10_000]), MAX_LOG2);
        assert_eq!(log2(&[1, u16::MAX]), MAX_LOG2);
    }

    #[test]
    fn nobody_with_a_weight_means_no_table() {
        assert!(build(SEED, Size::Log2(6), &[]).is_empty());
        assert!(build(SEED, Size::Log2(6), &[candidate(1, 0)]).is_empty());
    }

    #[test]
    fn another_seed_gives_another_table() {
        let candidates = fleet(&[1; 10]);

        let one = build(1, Size::Log2(10), &candidates);
        let other = build(2, Size::Log2(10), &candidates);

        assert_ne!(one, other);
    }

    #[test]
    fn the_order_of_backends_does_not_matter() {
        for size in [Size::Log2(14), prime(16381)] {
            let weights: Vec<u16> = (1..=100).map(|at| 1 + at % 3).collect();
            let candidates = fleet(&weights);
            let mut turned = candidates.clone();
            turned.rotate_left(37);
            turned.reverse();

            let one = by_backend(&candidates, &build(SEED, size, &candidates));
            let other = by_backend(&turned, &build(SEED, size, &turned));

            assert_eq!(one, other);
        }
    }

    #[test]
    fn removing_one_of_a_hundred_moves_few_slots_of_the_others() {
        for size in [Size::Log2(14), prime(16381)] {
            for gone in [0, 31, 99] {
                let before = fleet(&[1; 100]);
                let mut after = before.clone();
                let removed = after.remove(gone).backend;

                let old = by_backend(&before, &build(SEED, size, &before));
                let new = by_backend(&after, &build(SEED, size, &after));

                let moved = old
                    .iter()
                    .zip(&new)
                    .filter(|(a, b)| a != b && **a != removed);
                let moved = moved.count() * 1000 / old.len();
                assert!(moved < 30, "{moved} per mille of the others' slots moved");
            }
        }
    }

    #[test]
    fn a_prime_table_is_padded_to_a_power_of_two() {
        let candidates = fleet(&[1; 3]);

        let table = build(SEED, prime(251), &candidates);

        assert_eq!(table.len(), 256);
        assert_eq!(table[251..], table[..5]);
        assert!(table.iter().all(|index| *index < 3));
    }

    #[test]
    fn one_to_two_is_one_to_two() {
        let candidates = fleet(&[1, 2]);
        let size = Size::automatic([1, 2]);

        let table = build(SEED, size, &candidates);

        let ones = table.iter().filter(|index| **index == 0).count();
        assert_eq!((ones, table.len()), (43, 128));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn equal_weights_get_equal_shares(count in 1usize..200) {
            let worst = worst_error(&vec![1; count]);

            prop_assert!(worst <= 0.016, "{worst}");
        }

        #[test]
        fn weights_get_their_shares(weights in prop::collection::vec(1u16..50, 1..60)) {
            let worst = worst_error(&weights);

            prop_assert!(worst <= 0.035, "{worst} with {weights:?}");
        }
    }

    fn worst_error(weights: &[u16]) -> f64 {
        let size = Size::automatic(weights.iter().copied());
        let table = build(SEED, size, &fleet(weights));
        let mut counts = vec![0u32; weights.len()];
        for index in &table {
            counts[*index as usize] += 1;
        }
        let total: f64 = weights.iter().copied().map(f64::from).sum();
        let slots = f64::from(1u32 << size.log2());
        counts
            .iter()
            .zip(weights)
            .map(|(count, weight)| {
                let ideal = slots * f64::from(*weight) / total;
                (f64::from(*count) - ideal).abs() / ideal
            })
            .fold(0.0, f64::max)
    }

    fn by_backend(candidates: &[Candidate], table: &[u32]) -> Vec<BackendAddr> {
        let names: BTreeMap<u32, _> = (0u32..).zip(candidates).collect();
        table.iter().map(|index| names[index].backend).collect()
    }

    fn fleet(weights: &[u16]) -> Vec<Candidate> {
        (0u32..)
            .zip(weights)
            .map(|(at, weight)| candidate(at, *weight))
            .collect()
    }

    fn candidate(at: u32, weight: u16) -> Candidate {
        let addr = Ipv4Addr::from(0x0a00_0001 + at);
        Candidate {
            backend: BackendAddr {
                addr: addr.into(),
                port: 80,
            },
            weight,
        }
    }

    fn prime(size: u32) -> Size {
        Size::Prime(PrimeSize::try_from(size).unwrap())
    }
}
