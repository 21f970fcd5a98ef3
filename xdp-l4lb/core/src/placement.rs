//! Where VIPs lie in the buckets: two candidate buckets of eight places a key.
//!
//! Insert: record, then entry. Delete: entry, grace, record. Move: copy, grace, clear; both copies
//! answer in between. When nothing can move, or the table is fuller than it should be, a larger one
//! is written to the other half of the buckets, with a generation of its own, and swapped in.

use std::collections::BTreeMap;

use xdp_l4lb_common::hash::vip_hash;
use xdp_l4lb_common::layout::{BUCKET_ENTRIES, VipEntry, VipKey, VipTable};

/// Entries a bucket on average, above which the table grows: most keys then lie in their first bucket.
const COMFORTABLE: usize = 4;

/// The smallest table has 2^6 buckets.
const MIN_LOG2: u8 = 6;

/// One place of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) bucket: u32,
    pub(crate) entry: u8,
}

/// What it takes to insert a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// One store.
    At(Place, VipEntry),
    /// Another key has to move first: store the copy, and after a grace clear the old place.
    Move {
        copy: (Place, VipEntry),
        clear: Place,
    },
    /// No place without a larger table.
    Full,
}

/// A whole table, to be written and then published.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    pub(crate) table: VipTable,
    pub(crate) buckets: Vec<[u64; BUCKET_ENTRIES]>,
}

/// The VIP table as planned: every entry with its key, so that none is read back.
#[derive(Debug)]
pub(crate) struct VipPlacement {
    seed: u64,
    table: VipTable,
    /// Buckets in the map.
    buckets: u32,
    /// The service index in each place of the table; 0 is free. A place to be cleared is not free.
    places: Vec<[u32; BUCKET_ENTRIES]>,
    keys: BTreeMap<u32, VipKey>,
}

impl VipPlacement {
    /// `table` as published, or none.
    pub(crate) fn new(seed: u64, buckets: u32, table: VipTable) -> Self {
        let size = if table.is_none() {
            0
        } else {
            1usize << table.log2()
        };
        Self {
            seed,
            table,
            buckets,
            places: vec![[0; BUCKET_ENTRIES]; size],
            keys: BTreeMap::new(),
        }
    }

    pub(crate) fn table(&self) -> VipTable {
        self.table
    }

    /// Takes over an entry that was read back. False if it is one too many: a copy that was not
    /// cleared, or one in a place where nobody looks for the key.
    pub(crate) fn adopt(&mut self, place: Place, word: VipEntry, key: VipKey) -> bool {
        let found = vip_hash(self.seed, self.table, &key);
        let wanted = place.bucket == found.bucket_a || place.bucket == found.bucket_b;
        let index = word.service();
        let good = wanted && word.fingerprint() == found.fingerprint;
        if !good || self.keys.contains_key(&index) {
            // It is in the way until it is cleared.
            self.set(place, u32::MAX);
            return false;
        }
        self.keys.insert(index, key);
        self.set(place, index);
        true
    }

    /// Whether the table is fuller than it should be, and a larger one is possible.
    pub(crate) fn is_crowded(&self, more: usize) -> bool {
        let needed = self.keys.len() + more;
        self.table.is_none()
            || needed > self.places.len() * COMFORTABLE && self.table.log2() < self.max_log2()
    }

    pub(crate) fn insert(&mut self, index: u32, key: VipKey) -> Insertion {
        if self.table.is_none() {
            return Insertion::Full;
        }
        let found = vip_hash(self.seed, self.table, &key);
        let buckets = [found.bucket_a, found.bucket_b];
        if let Some(place) = buckets.iter().find_map(|bucket| self.free_place(*bucket)) {
            self.keys.insert(index, key);
            self.set(place, index);
            return Insertion::At(place, VipEntry::new(found.fingerprint, index));
        }
        match buckets.iter().find_map(|bucket| self.movable(*bucket)) {
            Some((clear, place, other, word)) => {
                self.set(place, other);
                self.set(clear, u32::MAX);
                Insertion::Move {
                    copy: (place, word),
                    clear,
                }
            }
            None => Insertion::Full,
        }
    }

    /// The place to clear, if the key is in the table. It is free once it is cleared.
    pub(crate) fn remove(&mut self, index: u32) -> Option<Place> {
        let key = self.keys.remove(&index)?;
        let found = vip_hash(self.seed, self.table, &key);
        let place = [found.bucket_a, found.bucket_b]
            .iter()
            .find_map(|bucket| self.place_of(*bucket, index))?;
        self.set(place, 0);
        Some(place)
    }

    /// After the grace of a move, if the table is still the one of then: the place can be used.
    pub(crate) fn cleared(&mut self, table: VipTable, place: Place) -> bool {
        let current = table == self.table;
        if current {
            self.set(place, 0);
        }
        current
    }

    /// A new table for all keys and `more`, in the other half of the buckets.
    pub(crate) fn rebuild(&mut self, more: usize) -> Option<Rebuilt> {
        let grown = if self.table.is_none() {
            MIN_LOG2
        } else {
            self.table.log2() + 1
        };
        let needed = (self.keys.len() + more).div_ceil(COMFORTABLE).max(1);
        let comfortable = needed.next_power_of_two().ilog2();
        let comfortable = u8::try_from(comfortable).unwrap_or(u8::MAX);
        let log2 = grown.max(comfortable).min(self.max_log2());
        // A table that cannot grow is seeded again, a few times.
        (0..8).find_map(|attempt| self.rebuilt(log2, attempt))
    }

    fn rebuilt(&mut self, log2: u8, attempt: u32) -> Option<Rebuilt> {
        let half = self.buckets / 2;
        let base = if self.table.base() == 0 && !self.table.is_none() {
            half
        } else {
            0
        };
        let generation = (self.table.generation() + 1 + attempt) & 0x00ff_ffff;
        let mut fresh = Self::new(
            self.seed,
            self.buckets,
            VipTable::new(base, log2, generation),
        );
        let mut buckets = vec![[0; BUCKET_ENTRIES]; fresh.places.len()];
        for (index, key) in &self.keys {
            let (place, word) = loop {
                match fresh.insert(*index, *key) {
                    Insertion::At(place, word) => break (place, word),
                    // Nobody reads the new table yet: a move needs no grace.
                    Insertion::Move { copy, clear } => {
                        fresh.set(clear, 0);
                        put(&mut buckets, base, clear, 0);
                        put(&mut buckets, base, copy.0, copy.1.word());
                    }
                    Insertion::Full => return None,
                }
            };
            put(&mut buckets, base, place, word.word());
        }
        *self = fresh;
        Some(Rebuilt {
            table: self.table,
            buckets,
        })
    }

    fn max_log2(&self) -> u8 {
        let log2 = (self.buckets / 2).max(1).ilog2();
        u8::try_from(log2).unwrap_or(0)
    }

    fn free_place(&self, bucket: u32) -> Option<Place> {
        self.place_of(bucket, 0)
    }

    fn place_of(&self, bucket: u32, index: u32) -> Option<Place> {
        let held = self.places.get(self.row(bucket))?;
        let entry = held.iter().position(|other| *other == index)?;
        Some(Place {
            bucket,
            entry: u8::try_from(entry).ok()?,
        })
    }

    /// An entry of a full bucket whose other bucket has room: from, to, index, word.
    fn movable(&self, bucket: u32) -> Option<(Place, Place, u32, VipEntry)> {
        let held = self.places.get(self.row(bucket))?;
        (0u8..).zip(held).find_map(|(entry, index)| {
            let key = self.keys.get(index)?;
            let found = vip_hash(self.seed, self.table, key);
            let other = if found.bucket_a == bucket {
                found.bucket_b
            } else {
                found.bucket_a
            };
            let to = self.free_place(other)?;
            let word = VipEntry::new(found.fingerprint, *index);
            Some((Place { bucket, entry }, to, *index, word))
        })
    }

    fn set(&mut self, place: Place, index: u32) {
        let row = self.row(place.bucket);
        if let Some(held) = self
            .places
            .get_mut(row)
            .and_then(|held| held.get_mut(usize::from(place.entry)))
        {
            *held = index;
        }
    }

    fn row(&self, bucket: u32) -> usize {
        bucket.wrapping_sub(self.table.base()) as usize
    }
}

fn put(buckets: &mut [[u64; BUCKET_ENTRIES]], base: u32, place: Place, word: u64) {
    let row = place.bucket.wrapping_sub(base) as usize;
    if let Some(slot) = buckets
        .get_mut(row)
        .and_then(|bucket| bucket.get_mut(usize::from(place.entry)))
    {
        *slot = word;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_again_whatever_moved() {
        // 64 places and no larger table: at the end most inserts need a move.
        let mut vips = VipPlacement::new(7, 16, VipTable::NONE);
        let mut kernel = vec![[0u64; BUCKET_ENTRIES]; 16];
        let mut moves = 0;
        let mut index = 1;

        while index <= 60 {
            match vips.insert(index, key(index)) {
                Insertion::At(place, word) => {
                    put(&mut kernel, 0, place, word.word());
                    index += 1;
                }
                Insertion::Move { copy, clear } => {
                    put(&mut kernel, 0, copy.0, copy.1.word());
                    assert_found(&kernel, &vips, 1..index);
                    put(&mut kernel, 0, clear, 0);
                    assert!(vips.cleared(vips.table(), clear));
                    moves += 1;
                }
                Insertion::Full => {
                    let rebuilt = vips.rebuild(1).expect("60 keys fit 64 places");
                    let base = rebuilt.table.base() as usize;
                    kernel[base..][..rebuilt.buckets.len()].copy_from_slice(&rebuilt.buckets);
                }
            }
            assert_found(&kernel, &vips, 1..index);
        }

        assert!(moves > 0);
    }

    #[test]
    fn a_removed_key_leaves_a_free_place() {
        let mut vips = VipPlacement::new(7, 256, VipTable::NONE);
        vips.rebuild(1).unwrap();
        let Insertion::At(place, _) = vips.insert(1, key(1)) else {
            panic!("an empty table has room");
        };

        assert_eq!(vips.remove(1), Some(place));
        assert_eq!(vips.remove(1), None);
        assert!(matches!(vips.insert(2, key(1)), Insertion::At(again, _) if again == place));
    }

    #[test]
    fn a_copy_that_was_not_cleared_is_not_adopted_twice() {
        let mut vips = VipPlacement::new(7, 256, VipTable::new(0, 6, 1));
        let found = vip_hash(7, vips.table(), &key(1));
        let word = VipEntry::new(found.fingerprint, 1);
        let place = |bucket| Place { bucket, entry: 0 };

        assert!(vips.adopt(place(found.bucket_a), word, key(1)));
        assert!(!vips.adopt(place(found.bucket_b), word, key(1)));
        assert!(vips.cleared(vips.table(), place(found.bucket_b)));
        assert_eq!(vips.remove(1), Some(place(found.bucket_a)));
    }

    #[test]
    fn a_table_grows_into_the_other_half() {
        let mut vips = VipPlacement::new(7, 1 << 10, VipTable::NONE);
        vips.rebuild(0).unwrap();
        let first = vips.table();
        for index in 1..=256 {
            assert!(!vips.is_crowded(1));
            assert!(matches!(vips.insert(index, key(index)), Insertion::At(..)));
        }

        assert!(vips.is_crowded(1));
        let grown = vips.rebuild(1).unwrap().table;

        assert_eq!((first.base(), first.log2()), (0, 6));
        assert_eq!((grown.base(), grown.log2()), (512, 7));
        assert_ne!(first.generation(), grown.generation());
    }

    fn assert_found(
        kernel: &[[u64; BUCKET_ENTRIES]],
        vips: &VipPlacement,
        indexes: std::ops::Range<u32>,
    ) {
        for index in indexes {
            let found = vip_hash(7, vips.table(), &key(index));
            let word = VipEntry::new(found.fingerprint, index).word();
            let hit = [found.bucket_a, found.bucket_b]
                .iter()
                .any(|bucket| kernel[*bucket as usize].contains(&word));
            assert!(hit, "{index}");
        }
    }

    fn key(index: u32) -> VipKey {
        VipKey::new([0xfd; 16], u16::try_from(index).unwrap(), 6)
    }
}
