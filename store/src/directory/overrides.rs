//! What an operator orders beside the manifests, kept across restarts.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::sync::watch as latest;
use types::BackendAddr;

use super::ledger::Ledger;
use super::{chain, lock};

/// The backends that an operator drains. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Overrides {
    ledger: Arc<Mutex<Ledger>>,
    drained: Arc<latest::Sender<Arc<BTreeSet<BackendAddr>>>>,
}

/// Why an order was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("writing the order to the state database: {0}")]
pub struct OverrideError(String);

impl Overrides {
    pub(super) fn new(ledger: Arc<Mutex<Ledger>>, drained: BTreeSet<BackendAddr>) -> Self {
        let (drained, _) = latest::channel(Arc::new(drained));
        Self {
            ledger,
            drained: Arc::new(drained),
        }
    }

    /// The backends that get no new flows, now and whenever they change.
    #[must_use]
    pub fn drained(&self) -> latest::Receiver<Arc<BTreeSet<BackendAddr>>> {
        self.drained.subscribe()
    }

    /// Gives a backend no new flows, whatever services it is in. Whether that is new.
    ///
    /// # Errors
    /// If the order cannot be written down: then it is not taken.
    pub async fn drain(&self, backend: BackendAddr) -> Result<bool, OverrideError> {
        self.change(move |drained| drained.insert(backend)).await
    }

    /// Takes [`Self::drain`] back. Whether it was drained.
    ///
    /// # Errors
    /// If that cannot be written down: then it stays drained.
    pub async fn undrain(&self, backend: BackendAddr) -> Result<bool, OverrideError> {
        self.change(move |drained| drained.remove(&backend)).await
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut BTreeSet<BackendAddr>) -> bool + Send + 'static,
    ) -> Result<bool, OverrideError> {
        let this = self.clone();
        let work = tokio::task::spawn_blocking(move || {
            let mut ledger = lock(&this.ledger);
            let mut drained = ledger.drained().clone();
            if !change(&mut drained) {
                return Ok(false);
            }
            let written = ledger.set_drained(drained.clone());
            written.map_err(|error| OverrideError(chain(&error)))?;
            // Told while the ledger is locked, so that the last order is told last.
            this.drained.send_replace(Arc::new(drained));
            Ok(true)
        });
        work.await
            .unwrap_or_else(|error| Err(OverrideError(error.to_string())))
    }
}
