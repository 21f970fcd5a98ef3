//! Turns what a source sees into what differs, for any number of watchers.
//!
//! The hub holds one value an object and, for each watcher, the names of what it has not been told.
//! A watcher that lags costs no more than names, and is told the newest value when it asks.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::Delta;
use tokio::sync::watch as latest;
use tokio::task::JoinHandle;

use crate::source::Source;
use state::{State, WatcherId};

pub use state::Snapshot;

/// Follows a source.
#[derive(Debug)]
pub enum Hub {}

/// Owns the hub's task: dropping it ends the task, and watchers are told nothing more.
#[derive(Debug)]
pub struct HubHandle {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// Is told what differs since it last asked.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    id: WatcherId,
    news: latest::Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Sent after every change, so that watchers look.
    news: latest::Sender<()>,
}

impl Hub {
    /// Follows the source in a task. Must be called in a tokio runtime.
    pub fn spawn(mut source: impl Source + 'static) -> HubHandle {
        let (news, _) = latest::channel(());
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            news,
        });
        let to = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let changes = source.next().await;
                to.state().on_changes(changes);
                to.news.send_replace(());
            }
        });
        HubHandle { shared, task }
    }
}

impl HubHandle {
    /// A watcher that is first told everything there is.
    #[must_use]
    pub fn watch(&self) -> Watcher {
        Watcher {
            id: self.shared.state().add_watcher(),
            news: self.shared.news.subscribe(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Waits until the hub ends by itself, which is by a panic in its source. Cancel safe.
    pub async fn ended(&mut self) {
        if !self.task.is_finished() {
            let _ = (&mut self.task).await;
        }
    }

    /// What there is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.state().snapshot()
    }
}

impl Drop for HubHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watcher {
    /// Waits until something differs from what it was told, and tells all of it. Cancel safe.
    ///
    /// Waits for ever once the hub has ended.
    pub async fn changed(&mut self) -> Delta {
        loop {
            // Marked as seen before looking, so that what comes after wakes it again.
            self.news.mark_unchanged();
            let delta = self.shared.state().take(self.id);
            if !delta.is_empty() {
                return delta;
            }
            if self.news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.state().remove_watcher(self.id);
    }
}

impl Shared {
    /// A panic leaves the state as some number of changes left it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
