//! Gives out indexes and regions of the kernel's tables, lowest first.

use std::collections::BTreeSet;

/// Numbers from 1 up. Number 0 means "none" in every table and is never given out.
#[derive(Debug)]
pub(crate) struct IndexPool {
    /// Below this, what is not in `free` is in use.
    next: u32,
    /// The first number that does not exist.
    end: u32,
    free: BTreeSet<u32>,
}

/// Power-of-two regions of the slot pool, each aligned to its size. Free neighbours merge.
#[derive(Debug)]
pub(crate) struct RegionPool {
    /// By log2 size.
    free: Vec<BTreeSet<u32>>,
}

impl IndexPool {
    pub(crate) fn new(end: u32) -> Self {
        Self {
            next: 1,
            end,
            free: BTreeSet::new(),
        }
    }

    /// A pool in which `used` are taken. They must be below the end.
    pub(crate) fn with_used(end: u32, used: &BTreeSet<u32>) -> Self {
        let next = used.last().map_or(1, |last| last + 1);
        Self {
            next,
            end,
            free: (1..next).filter(|index| !used.contains(index)).collect(),
        }
    }

    pub(crate) fn take(&mut self) -> Option<u32> {
        if let Some(index) = self.free.pop_first() {
            return Some(index);
        }
        let index = self.next;
        (index < self.end).then(|| {
            self.next += 1;
            index
        })
    }

    pub(crate) fn give_back(&mut self, index: u32) {
        self.free.insert(index);
    }

    /// How many are left.
    pub(crate) fn left(&self) -> usize {
        self.free.len() + self.end.saturating_sub(self.next) as usize
    }
}

impl RegionPool {
    pub(crate) fn new(slots: u32) -> Self {
        let mut pool = Self {
            free: vec![BTreeSet::new(); 32],
        };
        let mut base = 0;
        for log2 in (0u8..32).rev() {
            if slots & (1 << log2) != 0 {
                pool.put(base, log2);
                base += 1 << log2;
            }
        }
        pool
    }

    pub(crate) fn take(&mut self, log2: u8) -> Option<u32> {
        let (from, base) = (log2..32).find_map(|size| {
            let base = self.free.get(usize::from(size))?.first()?;
            Some((size, *base))
        })?;
        self.split(base, from, base, log2);
        Some(base)
    }

    /// Takes one region by name; false if part of it is taken already.
    pub(crate) fn reserve(&mut self, base: u32, log2: u8) -> bool {
        let holder = (log2..32).find_map(|size| {
            let start = base & !((1u32 << size) - 1);
            let free = self.free.get(usize::from(size))?.contains(&start);
            free.then_some((size, start))
        });
        let aligned = log2 < 32 && base & ((1u32 << log2) - 1) == 0;
        match holder {
            Some((size, start)) if aligned => {
                self.split(start, size, base, log2);
                true
            }
            Some(_) | None => false,
        }
    }

    pub(crate) fn give_back(&mut self, base: u32, log2: u8) {
        let (mut base, mut log2) = (base, log2);
        while let Some(list) = self.free.get_mut(usize::from(log2))
            && log2 < 31
            && list.remove(&(base ^ (1 << log2)))
        {
            base &= !(1 << log2);
            log2 += 1;
        }
        self.put(base, log2);
    }

    /// Cuts the free region at `start` down to the part at `base`, which is taken.
    fn split(&mut self, start: u32, size: u8, base: u32, log2: u8) {
        if let Some(list) = self.free.get_mut(usize::from(size)) {
            list.remove(&start);
        }
        for half in (log2..size).rev() {
            let part = base & !((1 << half) - 1);
            self.put(part ^ (1 << half), half);
        }
    }

    fn put(&mut self, base: u32, log2: u8) {
        if let Some(list) = self.free.get_mut(usize::from(log2)) {
            list.insert(base);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_is_never_given_out_and_the_end_is_the_end() {
        let mut pool = IndexPool::new(3);

        assert_eq!(
            [pool.take(), pool.take(), pool.take()],
            [Some(1), Some(2), None]
        );
        pool.give_back(1);
        assert_eq!(pool.left(), 1);
        assert_eq!(pool.take(), Some(1));
    }

    #[test]
    fn a_pool_read_back_gives_out_only_what_was_not_used() {
        let mut pool = IndexPool::with_used(5, &BTreeSet::from([1, 3]));

        assert_eq!(
            [pool.take(), pool.take(), pool.take()],
            [Some(2), Some(4), None]
        );
    }

    #[test]
    fn a_region_is_reserved_once() {
        let mut pool = RegionPool::new(256);

        assert!(pool.reserve(64, 6));
        assert!(!pool.reserve(64, 6));
        assert!(!pool.reserve(0, 8));
        assert!(!pool.reserve(32, 6));
        assert_eq!(pool.take(7), Some(128));
        pool.give_back(64, 6);
        assert_eq!(pool.take(7), Some(0));
    }

    proptest! {
        #[test]
        fn regions_never_overlap_and_all_come_back(
            slots in 64u32..5000,
            steps in prop::collection::vec((0u8..9, any::<prop::sample::Index>()), 0..200),
        ) {
            let mut pool = RegionPool::new(slots);
            let mut held: Vec<(u32, u8)> = Vec::new();

            for (log2, which) in steps {
                if log2 < 7 {
                    if let Some(base) = pool.take(log2) {
                        prop_assert_eq!(base % (1 << log2), 0);
                        prop_assert!(base + (1 << log2) <= slots);
                        for (other, size) in &held {
                            prop_assert!(base >= other + (1 << size) || *other >= base + (1 << log2));
                        }
                        held.push((base, log2));
                    }
                } else if !held.is_empty() {
                    let (base, log2) = held.swap_remove(which.index(held.len()));
                    pool.give_back(base, log2);
                }
            }
            for (base, log2) in held {
                pool.give_back(base, log2);
            }

            prop_assert_eq!(pool.free, RegionPool::new(slots).free);
        }
    }
}
