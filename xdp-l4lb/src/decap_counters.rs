//! What became of packets on the backend side, read from the pinned table alone.

use std::collections::BTreeMap;
use std::path::Path;

use bpf_common::DropReason;
use bpf_user::{PerCpu, PinDir};
use xdp_l4lb_common::layout::{DecapCounter, LAYOUT_VERSION, sizes};

use crate::inspect::InspectError;
use crate::tables::BackendSpecs;

/// Counters of all packets that reached the decapsulation program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecapCounters {
    /// Packets dropped, by reason.
    pub drops: Vec<(DropReason, u64)>,
    /// Everything else that is counted.
    pub others: Vec<(DecapCounter, u64)>,
}

impl DecapCounters {
    /// Reads what is pinned in a bpffs.
    ///
    /// # Errors
    /// If nothing is pinned there, or the kernel refuses.
    pub fn read(bpffs: &Path) -> Result<Self, InspectError> {
        let pins = PinDir::at(bpffs, LAYOUT_VERSION)?;
        let table = PerCpu::<u64>::open(&BackendSpecs::new().drops, &pins)?;
        let mut sums = BTreeMap::new();
        let count = u32::try_from(sizes::DROPS).unwrap_or(u32::MAX);
        table.read(count, |index, cpus| {
            sums.insert(index, cpus.iter().sum::<u64>());
        })?;
        let sum = |index| sums.get(&index).copied().unwrap_or_default();
        let drops = DropReason::ALL.iter();
        let others = DecapCounter::ALL.iter();
        Ok(Self {
            drops: drops.map(|reason| (*reason, sum(reason.index()))).collect(),
            others: others
                .map(|counter| (*counter, sum(counter.index())))
                .collect(),
        })
    }
}
