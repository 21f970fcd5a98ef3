//! The state of affairs in few words: for health checks and metrics.

use std::collections::BTreeMap;

use api::Key;
use desired::Inputs;
use lb_ipam::{Figures, PoolConditions};
use store::WriteError;
use types::ObjectName;

/// A leader's state of affairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Whether there is no pool, so that no service is touched.
    pub dormant: bool,
    /// The allocator in numbers.
    pub figures: Figures,
    /// The pools.
    pub pools: BTreeMap<ObjectName, PoolConditions>,
    /// Objects that are to be written, or are being written.
    pub waiting: usize,
    /// The objects that could not be written when last tried, and why.
    pub faults: BTreeMap<Key, WriteError>,
    /// How much each feature knows.
    pub progress: BTreeMap<&'static str, Inputs>,
}

impl Summary {
    /// Whether every kind of every feature was listed.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        let mut progress = self.progress.values();
        !self.progress.is_empty() && progress.all(|inputs| *inputs != Inputs::Incomplete)
    }
}
