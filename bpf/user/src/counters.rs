//! Per-CPU arrays: what every CPU counted, by element.

use std::os::fd::{AsFd, OwnedFd};

use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use bpf_common::Layout;

use crate::map::{MapError, MapSpec};
use crate::pins::PinDir;
use crate::sys::{self, BatchEnd, Pod};
use crate::table::TableError;

/// Elements read by one call into the kernel.
const BATCH: usize = 1024;

/// A pinned per-CPU array of `V`.
pub struct PerCpu<V: Layout> {
    spec: MapSpec,
    fd: OwnedFd,
    map: PerCpuArray<MapData, Pod<V>>,
    cpus: usize,
}

impl<V: Layout> PerCpu<V> {
    /// Opens a pinned per-CPU array.
    ///
    /// # Errors
    /// If it is not pinned or differs from `spec`.
    pub fn open(spec: &MapSpec, pins: &PinDir) -> Result<Self, MapError> {
        let cpus = aya::util::nr_cpus().map_err(|(_, source)| MapError::Open {
            map: spec.name,
            source,
        })?;
        let (fd, data) = spec.data(pins)?;
        let map = PerCpuArray::try_from(Map::PerCpuArray(data))
            .map_err(|source| spec.undescribed(source))?;
        Ok(Self {
            spec: *spec,
            fd,
            map,
            cpus,
        })
    }

    /// Sets an element to zero on every CPU.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn reset(&mut self, index: u32) -> Result<(), TableError> {
        let zeroes = vec![Pod(sys::from_bytes(&[])); self.cpus];
        let failed = |source| TableError::Failed {
            doing: "resetting",
            map: self.spec.name,
            source,
        };
        let zeroes = PerCpuValues::try_from(zeroes).map_err(|error| failed(error.into()))?;
        self.map.set(index, zeroes, 0).map_err(failed)
    }

    /// Reads the first `count` elements; `fold` gets each one's index and its value on every CPU.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn read(&self, count: u32, mut fold: impl FnMut(u32, &[V])) -> Result<(), TableError> {
        // The kernel spaces values by whole words, which `V` must fill for this to be a slice.
        const { assert!(size_of::<V>().is_multiple_of(8)) };
        let (mut keys, mut values) = (Vec::<u32>::new(), Vec::<V>::new());
        let mut cursor = None;
        let mut left = usize::try_from(count.min(self.spec.max_entries)).unwrap_or(0);
        while left > 0 {
            let shape = (left.min(BATCH), self.cpus);
            let end = sys::lookup_batch(self.fd.as_fd(), cursor, shape, &mut keys, &mut values)
                .map_err(|source| TableError::Batch {
                    map: self.spec.name,
                    source,
                })?;
            for (key, cpus) in keys.iter().zip(values.chunks_exact(self.cpus)) {
                fold(*key, cpus);
            }
            left = left.saturating_sub(keys.len());
            match end {
                BatchEnd::More(next) => cursor = Some(next),
                BatchEnd::Last => return Ok(()),
            }
        }
        Ok(())
    }
}
