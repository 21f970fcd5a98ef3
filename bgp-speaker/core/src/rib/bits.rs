//! Sets of prefixes as bitmaps over their names, in blocks of 4096.

use super::prefixes::PrefixId;

/// Words in a block.
pub(crate) const WORDS: usize = 64;
/// Prefixes in a block.
pub(crate) const BLOCK: u32 = 4096;

/// A set of prefixes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
}

/// The part of a set that lies in one block.
pub(crate) type Block = [u64; WORDS];

impl Bits {
    /// Adds a prefix; whether it is new.
    pub(crate) fn insert(&mut self, id: PrefixId) -> bool {
        let (word, bit) = position(id);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let Some(word) = self.words.get_mut(word) else {
            return false;
        };
        let new = *word & bit == 0;
        *word |= bit;
        self.len += usize::from(new);
        new
    }

    /// Takes a prefix out; whether it was in.
    pub(crate) fn remove(&mut self, id: PrefixId) -> bool {
        let (word, bit) = position(id);
        let Some(word) = self.words.get_mut(word) else {
            return false;
        };
        let was = *word & bit != 0;
        *word &= !bit;
        self.len -= usize::from(was);
        was
    }

    /// How many prefixes are in the set.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether the set is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of the first block at or after `from` that is not empty, going around the end.
    pub(crate) fn next_block(&self, from: u32) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        let skipped = from as usize * WORDS;
        let full = |&(_, word): &(usize, &u64)| *word != 0;
        let ahead = self.words.iter().enumerate().skip(skipped).find(full);
        let (at, _) = ahead.or_else(|| self.words.iter().enumerate().find(full))?;
        u32::try_from(at / WORDS).ok()
    }

    /// The words of a block.
    pub(crate) fn block(&self, number: u32) -> Block {
        let mut block = [0; WORDS];
        let from = self.words.iter().skip(number as usize * WORDS);
        for (to, from) in block.iter_mut().zip(from) {
            *to = *from;
        }
        block
    }

    /// Takes every prefix of `block` out of the block `number`.
    pub(crate) fn clear(&mut self, number: u32, block: &Block) {
        let words = self.words.iter_mut().skip(number as usize * WORDS);
        for (word, gone) in words.zip(block) {
            self.len -= (*word & gone).count_ones() as usize;
            *word &= !gone;
        }
    }

    /// Adds every prefix of `other`.
    pub(crate) fn add_all(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, new) in self.words.iter_mut().zip(&other.words) {
            self.len += (new & !*word).count_ones() as usize;
            *word |= new;
        }
    }

    /// The prefixes in the set, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PrefixId> {
        (0u32..)
            .zip(&self.words)
            .flat_map(|(at, &word)| ones(at, word))
    }
}

/// The prefixes of a block, by name.
pub(crate) fn ids(number: u32, block: &Block) -> impl Iterator<Item = PrefixId> {
    let first = number * (BLOCK / u64::BITS);
    (first..).zip(block).flat_map(|(at, &word)| ones(at, word))
}

/// The block that a prefix is in.
pub(crate) fn block_of(id: PrefixId) -> u32 {
    id.0 / BLOCK
}

/// Whether a prefix of the block is in it.
pub(crate) fn holds(block: &Block, id: PrefixId) -> bool {
    let (word, bit) = position(id);
    block.get(word % WORDS).is_some_and(|word| word & bit != 0)
}

/// Puts a prefix of the block into it.
pub(crate) fn mark(block: &mut Block, id: PrefixId) {
    let (word, bit) = position(id);
    if let Some(word) = block.get_mut(word % WORDS) {
        *word |= bit;
    }
}

/// A block made of others word by word.
pub(crate) fn combine<const N: usize>(blocks: [&Block; N], of: impl Fn([u64; N]) -> u64) -> Block {
    std::array::from_fn(|at| of(blocks.map(|block| block.get(at).copied().unwrap_or(0))))
}

fn ones(at: u32, mut word: u64) -> impl Iterator<Item = PrefixId> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(PrefixId(at * u64::BITS + bit))
    })
}

fn position(id: PrefixId) -> (usize, u64) {
    (id.0 as usize / 64, 1 << (id.0 % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_search_for_a_block_goes_around_the_end() {
        let mut bits = Bits::default();
        assert_eq!(bits.next_block(0), None);

        bits.insert(PrefixId(BLOCK * 3 + 7));

        for from in [0, 3, 4, 900] {
            assert_eq!(bits.next_block(from), Some(3), "from {from}");
        }
    }

    proptest! {
        #[test]
        fn it_holds_what_a_set_would(steps: Vec<(bool, prop::sample::Index)>) {
            let (mut bits, mut model) = (Bits::default(), BTreeSet::new());

            for (insert, index) in steps {
                let id = PrefixId(u32::try_from(index.index(10_000)).unwrap());
                if insert {
                    prop_assert_eq!(bits.insert(id), model.insert(id));
                } else {
                    prop_assert_eq!(bits.remove(id), model.remove(&id));
                }
            }

            prop_assert_eq!(bits.len(), model.len());
            prop_assert_eq!(bits.iter().collect::<BTreeSet<_>>(), model.clone());
            let mut copy = Bits::default();
            copy.add_all(&bits);
            let mut seen = BTreeSet::new();
            while let Some(number) = bits.next_block(1) {
                let block = bits.block(number);
                seen.extend(ids(number, &block));
                bits.clear(number, &block);
            }
            prop_assert_eq!(seen, model.clone());
            prop_assert_eq!(copy.len(), model.len());
            prop_assert!(bits.is_empty());
        }
    }
}
