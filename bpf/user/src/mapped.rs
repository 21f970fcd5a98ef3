//! An array of layouts in memory that kernel programs read while this process writes.

use std::marker::PhantomData;
use std::mem::size_of;
use std::os::fd::AsFd;

use bpf_common::Layout;

use crate::map::{MapError, MapSpec};
use crate::pins::PinDir;
use crate::sys::{SharedWords, as_bytes, from_bytes};

/// The kernel spaces an array's values by whole words.
const WORD: usize = size_of::<u64>();
/// Words in the largest element.
const LARGEST: usize = 8;

/// A `BPF_F_MMAPABLE` array of `T`. What a program sees of an element changes a word at a time.
#[derive(Debug)]
pub struct MappedArray<T: Layout> {
    name: &'static str,
    words: SharedWords,
    len: u32,
    layout: PhantomData<T>,
}

/// An element or a word of one that is not there, or an array opened for reading only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("map {map}: element {index} at byte {offset} cannot be written or is past its {len}")]
pub struct OutOfRange {
    /// The map's name.
    pub map: &'static str,
    /// The element asked for.
    pub index: u32,
    /// The byte within it.
    pub offset: usize,
    /// How many elements there are.
    pub len: u32,
}

impl<T: Layout> MappedArray<T> {
    /// Words from one element to the next.
    const STRIDE: usize = size_of::<T>().div_ceil(WORD);

    /// Maps a pinned array for reading and writing.
    ///
    /// # Errors
    /// If it is not pinned, differs from `spec`, or the kernel refuses.
    pub fn open(spec: &MapSpec, pins: &PinDir) -> Result<Self, MapError> {
        Self::map(spec, pins, true)
    }

    /// Maps a pinned array for reading only.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_read_only(spec: &MapSpec, pins: &PinDir) -> Result<Self, MapError> {
        Self::map(spec, pins, false)
    }

    fn map(spec: &MapSpec, pins: &PinDir, writable: bool) -> Result<Self, MapError> {
        let fd = spec.open(pins)?;
        let words = usize::try_from(spec.max_entries).map_or(0, |len| len * Self::STRIDE);
        let words =
            SharedWords::map(fd.as_fd(), words, writable).map_err(|source| MapError::Share {
                map: spec.name,
                source,
            })?;
        Ok(Self {
            name: spec.name,
            words,
            len: spec.max_entries,
            layout: PhantomData,
        })
    }

    /// The number of elements.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "the kernel has no empty arrays"
    )]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Reads an element; each of its words is as it was at some moment.
    ///
    /// # Errors
    /// If there is no such element.
    pub fn load(&self, index: u32) -> Result<T, OutOfRange> {
        let first = self.first_word(index)?;
        const { assert!(Self::STRIDE <= LARGEST) };
        let mut bytes = [0; LARGEST * WORD];
        for (to, word) in bytes
            .chunks_exact_mut(WORD)
            .zip(first..first + Self::STRIDE)
        {
            let value = self.words.load(word).ok_or(self.past(index, 0))?;
            to.copy_from_slice(&value.to_ne_bytes());
        }
        Ok(from_bytes(&bytes))
    }

    /// Publishes one word of an element, after all that was written before.
    ///
    /// # Errors
    /// If `offset` is not a word of it.
    pub fn store_word(&self, index: u32, offset: usize, value: u64) -> Result<(), OutOfRange> {
        let first = self.first_word(index)?;
        if !offset.is_multiple_of(WORD) || offset / WORD >= Self::STRIDE {
            return Err(self.past(index, offset));
        }
        self.words
            .store(first + offset / WORD, value)
            .ok_or(self.past(index, offset))
    }

    /// Publishes half a word of an element, after all that was written before.
    ///
    /// # Errors
    /// If `offset` is not a half word of it.
    pub fn store_half(&self, index: u32, offset: usize, value: u32) -> Result<(), OutOfRange> {
        let first = self.first_word(index)?;
        let half = WORD / 2;
        if !offset.is_multiple_of(half) || offset / WORD >= Self::STRIDE {
            return Err(self.past(index, offset));
        }
        self.words
            .store_half(first * 2 + offset / half, value)
            .ok_or(self.past(index, offset))
    }

    /// Writes a whole element, word by word: for one that no program can reach yet.
    ///
    /// # Errors
    /// If there is no such element.
    pub fn write(&self, index: u32, value: &T) -> Result<(), OutOfRange> {
        let first = self.first_word(index)?;
        for (word, bytes) in (first..).zip(as_bytes(value).chunks(WORD)) {
            let mut whole = [0; WORD];
            for (to, from) in whole.iter_mut().zip(bytes) {
                *to = *from;
            }
            self.words
                .store(word, u64::from_ne_bytes(whole))
                .ok_or(self.past(index, 0))?;
        }
        Ok(())
    }

    fn first_word(&self, index: u32) -> Result<usize, OutOfRange> {
        if index >= self.len {
            return Err(self.past(index, 0));
        }
        usize::try_from(index)
            .map(|index| index * Self::STRIDE)
            .map_err(|_| self.past(index, 0))
    }

    const fn past(&self, index: u32, offset: usize) -> OutOfRange {
        OutOfRange {
            map: self.name,
            index,
            offset,
            len: self.len,
        }
    }
}
