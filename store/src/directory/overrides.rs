//! What an operator orders beside the objects, kept across restarts where there is a place for it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::watch as latest;
use types::BackendAddr;

use super::ledger::Ledger;
use super::{chain, lock};
use crate::database::{Database, OpenError, Orders};

/// What an operator orders. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Overrides {
    kept: Kept,
    orders: Arc<latest::Sender<Arc<Orders>>>,
}

/// Where orders are written down.
#[derive(Clone, Debug)]
enum Kept {
    Disk(Arc<Mutex<Ledger>>),
    /// Nowhere: the lock keeps them in order.
    Memory(Arc<Mutex<Orders>>),
}

/// Why an order was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("writing the order to the state database: {0}")]
pub struct OverrideError(String);

impl Overrides {
    pub(super) fn new(ledger: Arc<Mutex<Ledger>>, orders: Orders) -> Self {
        Self::kept(Kept::Disk(ledger), orders)
    }

    /// Opens a state directory for orders alone, where objects come from elsewhere.
    ///
    /// # Errors
    /// If the state cannot be used: see [`OpenError`].
    pub fn open(state_dir: &Path) -> Result<Self, OpenError> {
        let (database, content) = Database::open(state_dir)?;
        let orders = content.orders.clone();
        let ledger = Ledger::new(database, content);
        Ok(Self::new(Arc::new(Mutex::new(ledger)), orders))
    }

    /// Orders that end with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::kept(Kept::Memory(Arc::default()), Orders::default())
    }

    /// Whether orders outlive the process.
    #[must_use]
    pub fn are_kept(&self) -> bool {
        matches!(self.kept, Kept::Disk(_))
    }

    /// All orders, now and whenever they change.
    #[must_use]
    pub fn orders(&self) -> latest::Receiver<Arc<Orders>> {
        self.orders.subscribe()
    }

    /// Gives a backend no new flows, whatever services it is in. Whether that is new.
    ///
    /// # Errors
    /// If the order cannot be written down: then it is not taken.
    pub async fn drain(&self, backend: BackendAddr) -> Result<bool, OverrideError> {
        self.change(move |orders| orders.drained.insert(backend))
            .await
    }

    /// Takes [`Self::drain`] back. Whether it was drained.
    ///
    /// # Errors
    /// If that cannot be written down: then it stays drained.
    pub async fn undrain(&self, backend: BackendAddr) -> Result<bool, OverrideError> {
        self.change(move |orders| orders.drained.remove(&backend))
            .await
    }

    /// Takes the whole node out of service, or lets it back. Whether that is new.
    ///
    /// # Errors
    /// If the order cannot be written down: then it is not taken.
    pub async fn set_withdrawn(&self, withdrawn: bool) -> Result<bool, OverrideError> {
        self.change(move |orders| std::mem::replace(&mut orders.withdrawn, withdrawn) != withdrawn)
            .await
    }

    fn kept(kept: Kept, orders: Orders) -> Self {
        let (orders, _) = latest::channel(Arc::new(orders));
        Self {
            kept,
            orders: Arc::new(orders),
        }
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut Orders) -> bool + Send + 'static,
    ) -> Result<bool, OverrideError> {
        let this = self.clone();
        let work = tokio::task::spawn_blocking(move || match &this.kept {
            Kept::Disk(ledger) => {
                let mut ledger = lock(ledger);
                let mut orders = ledger.orders().clone();
                if !change(&mut orders) {
                    return Ok(false);
                }
                let written = ledger.set_orders(orders.clone());
                written.map_err(|error| OverrideError(chain(&error)))?;
                // Told while the ledger is locked, so that the last order is told last.
                this.orders.send_replace(Arc::new(orders));
                Ok(true)
            }
            Kept::Memory(orders) => {
                let mut orders = lock(orders);
                let is_new = change(&mut orders);
                if is_new {
                    this.orders.send_replace(Arc::new(orders.clone()));
                }
                Ok(is_new)
            }
        });
        work.await
            .unwrap_or_else(|error| Err(OverrideError(error.to_string())))
    }
}
