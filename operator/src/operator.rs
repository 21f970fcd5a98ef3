//! Carries out what the duty decides: writes statuses, keeps time, logs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::StatusPatch;
use lb_ipam::{Allocator, export};
use store::{Statuses, WriteError};
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};
use types::Family;

use crate::duty::{Duty, Input, Report};
use crate::outbox::{Ticket, Write};
use crate::summary::Summary;

/// Writes under way at a time: enough for a source to make few commits of many.
const WRITES: usize = 128;

/// The operator as a task.
#[derive(Debug)]
pub enum Operator {}

/// Owns the operator's task: dropping it ends the task.
#[derive(Debug)]
pub struct OperatorHandle {
    duty: Arc<Mutex<Duty>>,
    task: JoinHandle<()>,
}

struct Shell<S> {
    duty: Arc<Mutex<Duty>>,
    statuses: Arc<S>,
    writes: JoinSet<Ended>,
    start: Instant,
}

struct Ended {
    ticket: Ticket,
    patch: StatusPatch,
    result: Result<(), WriteError>,
}

impl Operator {
    /// Begins the operator's duties; `enabled` are the families that addresses are given of. Must be
    /// called in a tokio runtime. Once `inputs` is closed it finishes its writes and ends.
    pub fn spawn(
        enabled: &[Family],
        inputs: Receiver<Input>,
        statuses: impl Statuses + 'static,
    ) -> OperatorHandle {
        Self::spawn_with(Allocator::new(enabled), WRITES, inputs, statuses)
    }

    /// As [`Operator::spawn`], with this allocator and at most `most` writes under way.
    pub(crate) fn spawn_with(
        allocator: Allocator,
        most: usize,
        inputs: Receiver<Input>,
        statuses: impl Statuses + 'static,
    ) -> OperatorHandle {
        // From here on by a clock that nobody sets.
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let duty = Duty::new(allocator, most, epoch.unwrap_or_default());
        let duty = Arc::new(Mutex::new(duty));
        let shell = Shell {
            duty: Arc::clone(&duty),
            statuses: Arc::new(statuses),
            writes: JoinSet::new(),
            start: Instant::now(),
        };
        let task = tokio::spawn(shell.run(inputs));
        OperatorHandle { duty, task }
    }
}

impl OperatorHandle {
    /// The state of affairs.
    #[must_use]
    pub fn report(&self) -> Report {
        lock(&self.duty).report()
    }

    /// The state of affairs in few words.
    pub(crate) fn summary(&self) -> Summary {
        lock(&self.duty).summary()
    }

    /// The allocations as requests to put into manifests, in YAML.
    #[must_use]
    pub fn export(&self) -> String {
        let duty = lock(&self.duty);
        let allocations = duty.allocator.allocations();
        export::manifests(allocations.map(|held| (held.service, held.addresses)))
    }

    /// Waits until the operator has ended, which it does once its inputs are closed.
    pub async fn ended(&mut self) {
        if let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

impl Drop for OperatorHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<S: Statuses + 'static> Shell<S> {
    async fn run(mut self, mut inputs: Receiver<Input>) {
        let mut is_open = true;
        while is_open || !self.writes.is_empty() {
            let deadline = lock(&self.duty).next_deadline();
            let deadline = deadline.map(|deadline| self.start + deadline);
            tokio::select! {
                Some(ended) = self.writes.join_next() => match ended {
                    Ok(ended) => self.on_ended(ended),
                    Err(error) if error.is_panic() => {
                        std::panic::resume_unwind(error.into_panic())
                    }
                    // The runtime is going away.
                    Err(_) => return,
                },
                () = passed(deadline), if is_open => {
                    let now = self.now();
                    lock(&self.duty).on_deadline(now);
                }
                input = inputs.recv(), if is_open => match input {
                    Some(input) => {
                        let now = self.now();
                        lock(&self.duty).on_input(now, input);
                    }
                    None => is_open = false,
                },
            }
            self.start_writes();
        }
    }

    fn start_writes(&mut self) {
        let writes = lock(&self.duty).writes();
        for write in writes {
            self.writes
                .spawn(perform(Arc::clone(&self.statuses), write));
        }
    }

    fn on_ended(&mut self, ended: Ended) {
        let Ended {
            ticket,
            patch,
            result,
        } = ended;
        let key = ticket.key.clone();
        let now = self.now();
        let is_news = lock(&self.duty).on_ended(now, ticket, result.clone());
        match result {
            Ok(()) => log_written(&key, &patch),
            Err(WriteError::Conflict | WriteError::Gone) => {
                debug!(object = %key, "the object changed before its status was written");
            }
            Err(error @ (WriteError::Forbidden(_) | WriteError::Unavailable(_))) if is_news => {
                warn!(object = %key, %error, "a status is not written, and will be tried again");
            }
            Err(WriteError::Forbidden(_) | WriteError::Unavailable(_)) => {
                debug!(object = %key, "a status is still not written");
            }
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Waits for a point in time, for ever if there is none. Cancel safe.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn perform<S: Statuses>(statuses: Arc<S>, write: Write) -> Ended {
    let Write {
        ticket,
        seen,
        patch,
    } = write;
    let result = statuses.write(ticket.key.clone(), seen, patch.clone());
    let result = result.await;
    Ended {
        ticket,
        patch,
        result,
    }
}

fn log_written(key: &api::Key, patch: &StatusPatch) {
    if let Some(addresses) = &patch.ingress {
        info!(object = %key, ?addresses, "addresses are given");
    }
    for (condition, statement) in &patch.conditions {
        match statement {
            Some(statement) => debug!(
                object = %key, condition, status = ?statement.status, reason = statement.reason,
                message = statement.message, "a condition is set"
            ),
            None => debug!(object = %key, condition, "a condition is removed"),
        }
    }
}

/// A panic ends the operator; what it left is still worth reading.
fn lock(duty: &Mutex<Duty>) -> MutexGuard<'_, Duty> {
    duty.lock().unwrap_or_else(PoisonError::into_inner)
}
