//! Carries out deeds: applies and deletes whole objects, keeps time, logs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::Key;
use serde_json::Value;
use store::{Applied, Objects, WriteError};
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use crate::deeds::{Deed, Deeds, Event, Ticket};

/// Objects that are to be as their manifests say, or not to be.
pub(crate) type Wishes = BTreeMap<Key, Option<Value>>;

/// Owns the registrar's task: dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Registrar {
    deeds: Arc<Mutex<Deeds>>,
    task: JoinHandle<()>,
}

struct Shell<O> {
    deeds: Arc<Mutex<Deeds>>,
    objects: O,
    under_way: JoinSet<(Ticket, Result<Outcome, WriteError>)>,
    start: Instant,
}

/// What a deed came to.
enum Outcome {
    Applied(Applied),
    Deleted(bool),
}

impl Registrar {
    /// Carries out wishes, at most `most` at a time. Must be called in a tokio runtime.
    pub(crate) fn spawn<O: Objects + Clone + 'static>(
        objects: O,
        wishes: Receiver<Wishes>,
        most: usize,
    ) -> Self {
        let deeds = Arc::new(Mutex::new(Deeds::new(most)));
        let shell = Shell {
            deeds: Arc::clone(&deeds),
            objects,
            under_way: JoinSet::new(),
            start: Instant::now(),
        };
        let task = tokio::spawn(shell.run(wishes));
        Self { deeds, task }
    }

    /// How many objects are not yet as they should be.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.deeds).len()
    }

    /// The objects that could not be written when last tried, and why.
    pub(crate) fn faults(&self) -> BTreeMap<Key, WriteError> {
        let deeds = lock(&self.deeds);
        let faults = deeds.faults();
        faults
            .map(|(key, error)| (key.clone(), error.clone()))
            .collect()
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<O: Objects + Clone + 'static> Shell<O> {
    /// Runs until nobody can wish any more.
    async fn run(mut self, mut wishes: Receiver<Wishes>) {
        loop {
            let deadline = lock(&self.deeds).next_deadline();
            let deadline = deadline.map(|deadline| self.start + deadline);
            tokio::select! {
                Some(ended) = self.under_way.join_next() => match ended {
                    Ok((ticket, result)) => self.on_ended(ticket, result),
                    Err(error) if error.is_panic() => {
                        std::panic::resume_unwind(error.into_panic())
                    }
                    // The runtime is going away.
                    Err(_) => return,
                },
                () = passed(deadline) => self.feed(Event::DeadlineReached),
                wished = wishes.recv() => match wished {
                    Some(wished) => {
                        for (key, manifest) in wished {
                            self.feed(Event::Wished(key, manifest));
                        }
                    }
                    None => return,
                },
            }
            let begun = lock(&self.deeds).begin();
            for deed in begun {
                self.under_way.spawn(perform(self.objects.clone(), deed));
            }
        }
    }

    fn feed(&self, event: Event) {
        let now: Duration = self.start.elapsed();
        lock(&self.deeds).on_event(now, event);
    }

    fn on_ended(&self, ticket: Ticket, result: Result<Outcome, WriteError>) {
        let key = &ticket.key;
        match &result {
            Ok(Outcome::Applied(Applied::Created)) => info!(object = %key, "an object is created"),
            Ok(Outcome::Applied(Applied::Changed)) => info!(object = %key, "an object is changed"),
            Ok(Outcome::Applied(Applied::Unchanged)) => {
                debug!(object = %key, "an object is as it should be");
            }
            Ok(Outcome::Deleted(true)) => info!(object = %key, "an object is deleted"),
            Ok(Outcome::Deleted(false)) => debug!(object = %key, "an object was gone already"),
            Err(error) if lock(&self.deeds).fault(key) != Some(error) => {
                warn!(object = %key, %error, "an object is not written, and will be tried again");
            }
            Err(_) => debug!(object = %key, "an object is still not written"),
        }
        self.feed(Event::Ended(ticket, result.map(|_| ())));
    }
}

async fn perform<O: Objects>(objects: O, deed: Deed) -> (Ticket, Result<Outcome, WriteError>) {
    let Deed { ticket, manifest } = deed;
    let result = match manifest {
        Some(manifest) => objects.apply(&manifest).await.map(Outcome::Applied),
        None => match objects.delete(&ticket.key).await {
            // To be gone is what a deletion is for.
            Err(WriteError::Gone) => Ok(Outcome::Deleted(false)),
            result => result.map(Outcome::Deleted),
        },
    };
    (ticket, result)
}

/// Waits for a point in time, for ever if there is none. Cancel safe.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// A panic ends the registrar; what it left is still worth reading.
fn lock(deeds: &Mutex<Deeds>) -> MutexGuard<'_, Deeds> {
    deeds.lock().unwrap_or_else(PoisonError::into_inner)
}
