//! Opens pinned maps and says which field of one is not as expected.

use std::fmt;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use aya::maps::{MapData, MapInfo};
use bpf_common::Layout;

use crate::pins::PinDir;
use crate::sys;

/// `BPF_F_NO_PREALLOC`.
const NO_PREALLOC: u32 = 1;
/// `BPF_F_MMAPABLE`.
const MMAPABLE: u32 = 1 << 10;
/// Flags that must agree between what is pinned and what is expected; others are the kernel's.
const CHECKED_FLAGS: u32 = NO_PREALLOC | MMAPABLE;

/// The kinds of map in use, with their numbers in `enum bpf_map_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// An array; shared with this process when mapped.
    MappedArray,
    /// A hash table that allocates entries as they come.
    Hash,
    /// A longest-prefix trie.
    Trie,
    /// An array with one value a CPU.
    PerCpuArray,
    /// Interfaces to send to, by their index.
    DeviceHash,
    /// An array that only programs use.
    Array,
}

/// What a map must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSpec {
    /// Its name, in the object and as a pin.
    pub name: &'static str,
    /// Its type and flags.
    pub kind: MapKind,
    /// Bytes in a key.
    pub key_size: u32,
    /// Bytes in a value.
    pub value_size: u32,
    /// The number of entries.
    pub max_entries: u32,
}

/// A property that two descriptions of a map can disagree in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapField {
    /// The type of map.
    Kind,
    /// Bytes in a key.
    KeySize,
    /// Bytes in a value.
    ValueSize,
    /// The number of entries.
    MaxEntries,
    /// Flags it was created with.
    Flags,
}

/// Why a map cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// It is not as the layouts say.
    #[error("map {map}: {field} is {found}, expected {expected}")]
    Mismatch {
        /// The map's name.
        map: &'static str,
        /// What differs.
        field: MapField,
        /// What the kernel says.
        found: u32,
        /// What the code says.
        expected: u32,
    },
    /// It is not pinned, or not for us.
    #[error("opening map {map}")]
    Open {
        /// The map's name.
        map: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The kernel does not describe it.
    #[error("reading what map {map} is")]
    Describe {
        /// The map's name.
        map: &'static str,
        /// Why it failed.
        source: aya::maps::MapError,
    },
    /// Its memory could not be shared.
    #[error("mapping {map} into memory")]
    Share {
        /// The map's name.
        map: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl MapKind {
    const fn number(self) -> u32 {
        match self {
            Self::Hash => 1,
            Self::MappedArray | Self::Array => 2,
            Self::PerCpuArray => 6,
            Self::Trie => 11,
            Self::DeviceHash => 25,
        }
    }

    const fn flags(self) -> u32 {
        match self {
            Self::MappedArray => MMAPABLE,
            Self::Hash | Self::Trie => NO_PREALLOC,
            Self::PerCpuArray | Self::DeviceHash | Self::Array => 0,
        }
    }
}

impl MapSpec {
    /// An array that this process maps into its memory.
    #[must_use]
    pub const fn mapped<V: Layout>(name: &'static str, max_entries: u32) -> Self {
        Self::new::<u32, V>(name, MapKind::MappedArray, max_entries)
    }

    /// A map of any kind.
    #[must_use]
    pub const fn new<K, V>(name: &'static str, kind: MapKind, max_entries: u32) -> Self {
        Self {
            name,
            kind,
            key_size: small(size_of::<K>()),
            value_size: small(size_of::<V>()),
            max_entries,
        }
    }

    /// Opens the map that is pinned under this name, if it is as this says.
    ///
    /// # Errors
    /// If it is not pinned, or differs.
    pub fn open(&self, pins: &PinDir) -> Result<OwnedFd, MapError> {
        let fd = self.open_pin(&pins.map(self.name))?;
        self.check(fd.as_fd())?;
        Ok(fd)
    }

    /// The same with as many entries as the pinned map has: for readers that did not choose its size.
    ///
    /// # Errors
    /// If it is not pinned, or differs in anything else.
    pub fn as_pinned(&self, pins: &PinDir) -> Result<Self, MapError> {
        let fd = self.open_pin(&pins.map(self.name))?;
        let facts = self.facts(fd.as_fd())?;
        let adopted = Self {
            max_entries: facts.max_entries,
            ..*self
        };
        adopted.compare(&facts)?;
        Ok(adopted)
    }

    /// Checks what is pinned already; a map that is not pinned yet passes.
    ///
    /// # Errors
    /// If it differs.
    pub fn check_pinned(&self, pins: &PinDir) -> Result<(), MapError> {
        match self.open(pins) {
            Ok(_) => Ok(()),
            Err(MapError::Open { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The number of the map that is pinned under this name.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn id(&self, pins: &PinDir) -> Result<u32, MapError> {
        let (_, data) = self.data(pins)?;
        let info = data.info().map_err(|source| self.undescribed(source))?;
        Ok(info.id())
    }

    /// As aya's typed maps want it, and once more for what those lack.
    pub(crate) fn data(&self, pins: &PinDir) -> Result<(OwnedFd, MapData), MapError> {
        let fd = self.open(pins)?;
        let data =
            MapData::from_fd(self.copy(fd.as_fd())?).map_err(|source| self.undescribed(source))?;
        Ok((fd, data))
    }

    /// The kernel does not say what the map is.
    pub(crate) fn undescribed(&self, source: aya::maps::MapError) -> MapError {
        MapError::Describe {
            map: self.name,
            source,
        }
    }

    fn open_pin(&self, path: &Path) -> Result<OwnedFd, MapError> {
        sys::object_get(path).map_err(|source| MapError::Open {
            map: self.name,
            source,
        })
    }

    fn check(&self, fd: BorrowedFd<'_>) -> Result<(), MapError> {
        self.compare(&self.facts(fd)?)
    }

    fn facts(&self, fd: BorrowedFd<'_>) -> Result<Facts, MapError> {
        let info = MapData::from_fd(self.copy(fd)?)
            .and_then(|data| data.info())
            .map_err(|source| self.undescribed(source))?;
        Facts::of(&info).map_err(|source| self.undescribed(source))
    }

    fn compare(&self, facts: &Facts) -> Result<(), MapError> {
        let fields = [
            (MapField::Kind, facts.kind, self.kind.number()),
            (MapField::KeySize, facts.key_size, self.key_size),
            (MapField::ValueSize, facts.value_size, self.value_size),
            (MapField::MaxEntries, facts.max_entries, self.max_entries),
            (
                MapField::Flags,
                facts.flags & CHECKED_FLAGS,
                self.kind.flags(),
            ),
        ];
        match fields
            .into_iter()
            .find(|(_, found, wanted)| found != wanted)
        {
            None => Ok(()),
            Some((field, found, expected)) => Err(MapError::Mismatch {
                map: self.name,
                field,
                found,
                expected,
            }),
        }
    }

    fn copy(&self, fd: BorrowedFd<'_>) -> Result<OwnedFd, MapError> {
        fd.try_clone_to_owned().map_err(|source| MapError::Open {
            map: self.name,
            source,
        })
    }
}

impl fmt::Display for MapField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "the type",
            Self::KeySize => "the key size",
            Self::ValueSize => "the value size",
            Self::MaxEntries => "max_entries",
            Self::Flags => "the set of flags",
        })
    }
}

/// What the kernel says of a map.
struct Facts {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

impl Facts {
    fn of(info: &MapInfo) -> Result<Self, aya::maps::MapError> {
        Ok(Self {
            kind: info.map_type()? as u32,
            key_size: info.key_size(),
            value_size: info.value_size(),
            max_entries: info.max_entries(),
            flags: info.map_flags(),
        })
    }
}

/// Sizes of keys and values, which are layouts of a few bytes.
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked one line above, and `try_from` is not const"
)]
const fn small(size: usize) -> u32 {
    assert!(size <= 4096, "a key or value is a small layout");
    size as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: MapSpec = MapSpec {
        name: "slots",
        kind: MapKind::MappedArray,
        key_size: 4,
        value_size: 8,
        max_entries: 1024,
    };

    fn facts() -> Facts {
        Facts {
            kind: 2,
            key_size: 4,
            value_size: 8,
            max_entries: 1024,
            flags: MMAPABLE | 1 << 20,
        }
    }

    #[test]
    fn a_map_that_matches_passes_whatever_flags_the_kernel_adds() {
        assert!(SPEC.compare(&facts()).is_ok());
    }

    #[test]
    fn a_mismatch_names_the_map_and_the_field() {
        type Spoil = fn(&mut Facts);
        let cases: [(Spoil, &str); 5] = [
            (|f| f.kind = 1, "map slots: the type is 1, expected 2"),
            (
                |f| f.key_size = 8,
                "map slots: the key size is 8, expected 4",
            ),
            (
                |f| f.value_size = 4,
                "map slots: the value size is 4, expected 8",
            ),
            (
                |f| f.max_entries = 7,
                "map slots: max_entries is 7, expected 1024",
            ),
            (
                |f| f.flags = 0,
                "map slots: the set of flags is 0, expected 1024",
            ),
        ];
        for (spoil, message) in cases {
            let mut facts = facts();
            spoil(&mut facts);

            let error = SPEC.compare(&facts).unwrap_err();

            assert_eq!(error.to_string(), message);
        }
    }
}
