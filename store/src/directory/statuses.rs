//! Statuses of a directory's objects, and the objects with them.

use std::sync::{Arc, Mutex};

use api::{Key, StatusPatch, Timestamp, Version};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

use super::ledger::{Ledger, StatusWrite};
use super::lock;
use crate::source::{Statuses, WriteError};

/// Writes statuses into the directory's database. Cheap to clone.
///
/// Writes that are made at the same time become one commit, so many are best made together.
#[derive(Clone, Debug)]
pub struct DirectoryStatuses {
    pub(super) ledger: Arc<Mutex<Ledger>>,
    written: Arc<Notify>,
    /// As long as there are callers waiting, one entry each.
    queue: Arc<Mutex<Vec<Queued>>>,
}

/// Reads the directory's objects with all that was given to them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DirectoryDocuments {
    ledger: Arc<Mutex<Ledger>>,
}

#[derive(Debug)]
struct Queued {
    write: StatusWrite,
    reply: oneshot::Sender<Result<(), WriteError>>,
}

impl DirectoryDocuments {
    pub(super) fn new(ledger: Arc<Mutex<Ledger>>) -> Self {
        Self { ledger }
    }

    /// The objects as JSON, as they were last good. Waits for what is being written.
    #[must_use]
    pub fn all(&self) -> Vec<Value> {
        lock(&self.ledger).documents()
    }
}

impl DirectoryStatuses {
    pub(super) fn new(ledger: Arc<Mutex<Ledger>>, written: Arc<Notify>) -> Self {
        Self {
            ledger,
            written,
            queue: Arc::default(),
        }
    }

    /// Writes everything that is queued, the callers' own and others'.
    fn write_queued(&self) {
        let mut ledger = lock(&self.ledger);
        let queued = std::mem::take(&mut *lock(&self.queue));
        if queued.is_empty() {
            return;
        }
        let (writes, replies): (Vec<StatusWrite>, Vec<_>) = queued
            .into_iter()
            .map(|queued| (queued.write, queued.reply))
            .unzip();
        let results = ledger.write_statuses(&writes, whole_second(Timestamp::now()));
        drop(ledger);
        self.written.notify_one();
        for (reply, result) in replies.into_iter().zip(results) {
            // Who does not wait any more does not need to know.
            let _ = reply.send(result);
        }
    }
}

impl Statuses for DirectoryStatuses {
    async fn write(&self, key: Key, seen: Version, status: StatusPatch) -> Result<(), WriteError> {
        let (reply, result) = oneshot::channel();
        let write = StatusWrite { key, seen, status };
        lock(&self.queue).push(Queued { write, reply });
        let this = self.clone();
        // Whoever comes first writes for all that wait; the others then find nothing to do.
        tokio::task::spawn_blocking(move || this.write_queued());
        let ended = |_| WriteError::Unavailable("the agent is ending".to_owned());
        result.await.map_err(ended)?
    }
}

/// Conditions have their times in seconds, as in Kubernetes.
fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
