//! A kernel table with typed keys and values, read in bounded batches.

use std::os::fd::{AsFd, OwnedFd};

use aya::maps::{Map, MapData};
use bpf_common::Layout;

use crate::map::{MapError, MapSpec};
use crate::pins::PinDir;
use crate::sys::{self, BatchEnd, Cursor, Pod};

/// The most entries that one batch may need: a bucket is read whole or not at all.
const MAX_BATCH: usize = 1 << 16;

/// A pinned hash table or trie from `K` to `V`.
#[derive(Debug)]
pub struct Table<K: Layout, V: Layout> {
    name: &'static str,
    map: aya::maps::HashMap<MapData, Pod<K>, Pod<V>>,
    fd: OwnedFd,
}

/// One bounded part of a table. Entries that come and go meanwhile may be missing or stale.
#[derive(Debug)]
pub struct Batch<K, V> {
    /// The entries read.
    pub entries: Vec<(K, V)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// An operation on an entry failed.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The table has no room, or no memory.
    #[error("map {0} is full")]
    Full(&'static str),
    /// The kernel refused.
    #[error("{doing} map {map}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// The map's name.
        map: &'static str,
        /// Why it failed.
        source: aya::maps::MapError,
    },
    /// An entry could not be taken out.
    #[error("taking an entry out of map {map}")]
    Take {
        /// The map's name.
        map: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A batch failed.
    #[error("reading map {map} in batches")]
    Batch {
        /// The map's name.
        map: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl<K: Layout, V: Layout> Table<K, V> {
    /// Opens a pinned hash table or trie.
    ///
    /// # Errors
    /// If it is not pinned or differs from `spec`.
    pub fn open(spec: &MapSpec, pins: &PinDir) -> Result<Self, MapError> {
        let (fd, data) = spec.data(pins)?;
        let map = aya::maps::HashMap::try_from(Map::HashMap(data))
            .map_err(|source| spec.undescribed(source))?;
        Ok(Self {
            name: spec.name,
            map,
            fd,
        })
    }

    /// The value of a key, if it has one.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn get(&self, key: &K) -> Result<Option<V>, TableError> {
        match self.map.get(&Pod(*key), 0) {
            Ok(Pod(value)) => Ok(Some(value)),
            Err(aya::maps::MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(self.failed("reading", source)),
        }
    }

    /// Adds an entry or replaces it.
    ///
    /// # Errors
    /// If the table is full, or the kernel refuses.
    pub fn put(&mut self, key: &K, value: &V) -> Result<(), TableError> {
        match self.map.insert(Pod(*key), Pod(*value), 0) {
            Ok(()) => Ok(()),
            Err(source) if is_full(&source) => Err(TableError::Full(self.name)),
            Err(source) => Err(self.failed("writing", source)),
        }
    }

    /// Adds an entry unless the key has one; says whether it did.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn put_new(&mut self, key: &K, value: &V) -> Result<bool, TableError> {
        /// `BPF_NOEXIST`.
        const NO_EXIST: u64 = 1;
        match self.map.insert(Pod(*key), Pod(*value), NO_EXIST) {
            Ok(()) => Ok(true),
            Err(source) if errno(&source) == Some(libc::EEXIST) => Ok(false),
            Err(source) if is_full(&source) => Err(TableError::Full(self.name)),
            Err(source) => Err(self.failed("writing", source)),
        }
    }

    /// Removes an entry; one that is not there is removed already.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn remove(&mut self, key: &K) -> Result<(), TableError> {
        match self.map.remove(&Pod(*key)) {
            Ok(()) | Err(aya::maps::MapError::KeyNotFound) => Ok(()),
            Err(source) if errno(&source) == Some(libc::ENOENT) => Ok(()),
            Err(source) => Err(self.failed("writing", source)),
        }
    }

    /// Removes an entry and returns what it was at that moment.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn take(&mut self, key: &K) -> Result<Option<V>, TableError> {
        sys::lookup_and_delete(self.fd.as_fd(), key).map_err(|source| TableError::Take {
            map: self.name,
            source,
        })
    }

    /// Reads up to about `limit` entries after `cursor`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn batch(&self, cursor: Option<Cursor>, limit: usize) -> Result<Batch<K, V>, TableError> {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let fd = self.fd.as_fd();
        let mut limit = limit.clamp(1, MAX_BATCH);
        loop {
            match sys::lookup_batch(fd, cursor, (limit, 1), &mut keys, &mut values) {
                Ok(end) => {
                    return Ok(Batch {
                        entries: keys.into_iter().zip(values).collect(),
                        next: match end {
                            BatchEnd::More(next) => Some(next),
                            BatchEnd::Last => None,
                        },
                    });
                }
                // A bucket holds more than was asked for.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && limit < MAX_BATCH => {
                    limit *= 2;
                }
                Err(source) => {
                    return Err(TableError::Batch {
                        map: self.name,
                        source,
                    });
                }
            }
        }
    }

    /// Reads every entry.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn entries(&self) -> Result<Vec<(K, V)>, TableError> {
        let mut entries = Vec::new();
        let mut cursor = None;
        loop {
            let batch = self.batch(cursor, 1024)?;
            entries.extend(batch.entries);
            match batch.next {
                Some(next) => cursor = Some(next),
                None => return Ok(entries),
            }
        }
    }

    fn failed(&self, doing: &'static str, source: aya::maps::MapError) -> TableError {
        TableError::Failed {
            doing,
            map: self.name,
            source,
        }
    }
}

fn errno(error: &aya::maps::MapError) -> Option<i32> {
    if let aya::maps::MapError::SyscallError(failed) = error {
        failed.io_error.raw_os_error()
    } else {
        None
    }
}

fn is_full(error: &aya::maps::MapError) -> bool {
    matches!(errno(error), Some(libc::E2BIG | libc::ENOMEM))
}
