//! Carries out what the election decides: reads and writes the lease, keeps time, logs.

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::time::Duration;

use store::{LeaseName, LeaseRecord, Leases, WriteError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use super::clock;
use super::fence::Fence;
use super::machine::{Action, Election, Event, Now, Reason};
use super::terms::Terms;

/// How this operator stands.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    /// It waits.
    Standby {
        /// Who holds the lease, as far as it is known.
        holder: Option<String>,
        /// Why the lease cannot be reached.
        trouble: Option<WriteError>,
    },
    /// It leads, and writes behind this fence; the lease says so in these words.
    Leading(Fence, LeaseRecord),
    /// It has no part in the election any more.
    Ended,
}

/// Takes part in an election. Dropping it ends that; the lease then runs out.
#[derive(Debug)]
pub(crate) struct Elector {
    turns: watch::Receiver<Turn>,
    retire: mpsc::Sender<bool>,
    task: JoinHandle<()>,
}

struct Shell<L> {
    leases: L,
    name: LeaseName,
    terms: Terms,
    election: Election,
    /// The term, and what the lease says of it.
    term: Option<(Fence, LeaseRecord)>,
    /// What the lease was asked to say last.
    claim: Option<LeaseRecord>,
    request: Option<Request>,
    turns: watch::Sender<Turn>,
    /// What was said last, so that it is said once.
    trouble: Option<WriteError>,
}

/// A request about the lease under way.
type Request = Pin<Box<dyn Future<Output = Event> + Send>>;

impl Elector {
    /// Takes part in the election for that lease. Must be called in a tokio runtime.
    pub(crate) fn spawn<L: Leases + Clone + 'static>(
        leases: L,
        name: LeaseName,
        identity: String,
        terms: Terms,
    ) -> Self {
        let (told, turns) = watch::channel(Turn::Standby {
            holder: None,
            trouble: None,
        });
        let (retire, retired) = mpsc::channel(1);
        let shell = Shell {
            leases,
            name,
            terms,
            election: Election::new(identity, terms, RandomState::new().hash_one(())),
            term: None,
            claim: None,
            request: None,
            turns: told,
            trouble: None,
        };
        let task = tokio::spawn(shell.run(retired));
        Self {
            turns,
            retire,
            task,
        }
    }

    /// Waits until this operator stands differently. Cancel safe.
    pub(crate) async fn changed(&mut self) -> Turn {
        match self.turns.changed().await {
            Ok(()) => self.turns.borrow_and_update().clone(),
            Err(_) => Turn::Ended,
        }
    }

    /// Ends this operator's part, and gives the lease back if `certain`: if it is known of everything
    /// that was written behind the fence whether it was done, and nothing is being written.
    pub(crate) async fn retire(mut self, certain: bool) {
        // It has ended by itself if it does not listen.
        let _ = self.retire.send(certain).await;
        if let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

impl Drop for Elector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<L: Leases + Clone + 'static> Shell<L> {
    async fn run(mut self, mut retired: mpsc::Receiver<bool>) {
        while !self.election.has_ended() {
            let deadline = self.election.next_deadline();
            let event = tokio::select! {
                biased; // The end of a term must not wait for an answer.
                () = passed(deadline) => Event::DeadlineReached,
                event = answered(&mut self.request) => event,
                Some(certain) = retired.recv() => Event::Retired { certain },
            };
            self.note(&event);
            let now = Now {
                clock: clock::now(),
                wall: jiff::Timestamp::now(),
            };
            for action in self.election.on_event(now, event) {
                self.perform(action);
            }
            self.tell();
        }
        self.close();
        self.turns.send_replace(Turn::Ended);
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Read => {
                let (leases, name) = (self.leases.clone(), self.name.clone());
                let limit = self.terms.request_limit();
                self.request = Some(Box::pin(async move {
                    Event::Read(within(limit, leases.read(&name)).await)
                }));
            }
            Action::Write { record, seen } => {
                let (leases, name) = (self.leases.clone(), self.name.clone());
                let limit = self.terms.request_limit();
                self.claim = Some(record.clone());
                self.request = Some(Box::pin(async move {
                    let write = leases.write(&name, &record, seen.as_ref());
                    Event::Written(within(limit, write).await)
                }));
            }
            Action::Lead { until } => self.lead(until),
            Action::Yield(reason) => {
                if self.close() {
                    self.election.absolve();
                }
                match reason {
                    Reason::Taken(holder) => warn!(holder, "another operator leads"),
                    Reason::Removed => warn!(lease = %self.name, "the lease was removed"),
                    Reason::NotRenewed => {
                        warn!(lease = %self.name, "the lease is not renewed in time; nothing is written");
                    }
                    Reason::Retired => info!(lease = %self.name, "this operator ends its term"),
                }
            }
        }
    }

    fn lead(&mut self, until: Duration) {
        if let Some((fence, _)) = &self.term {
            fence.extend(until);
        } else if let Some(claim) = self.claim.take() {
            info!(lease = %self.name, "this operator leads");
            self.term = Some((Fence::new(&self.terms, until), claim));
        }
    }

    /// Ends the term. Whether it is known of all its writes whether they were done.
    fn close(&mut self) -> bool {
        let Some((fence, _)) = self.term.take() else {
            return true;
        };
        fence.close();
        fence.is_certain(&self.terms)
    }

    fn tell(&self) {
        let told = self.turns.borrow().clone();
        let holder = self.election.holder();
        let turn = match (&self.term, told) {
            (Some((fence, _)), Turn::Leading(told, _)) if fence.is_same(&told) => return,
            (Some((fence, record)), _) => Turn::Leading(fence.clone(), record.clone()),
            (
                None,
                Turn::Standby {
                    holder: told,
                    trouble,
                },
            ) if told.as_deref() == holder && trouble == self.trouble => {
                return;
            }
            (None, told) => {
                let was = match &told {
                    Turn::Standby { holder, .. } => holder.as_deref(),
                    Turn::Leading(..) | Turn::Ended => None,
                };
                if let Some(holder) = holder.filter(|holder| was != Some(*holder)) {
                    info!(holder, "another operator leads; this one waits");
                }
                Turn::Standby {
                    holder: holder.map(str::to_owned),
                    trouble: self.trouble.clone(),
                }
            }
        };
        self.turns.send_replace(turn);
    }

    /// Says what is wrong with the lease, once.
    fn note(&mut self, event: &Event) {
        let error = match event {
            Event::Read(Err(error)) | Event::Written(Err(error)) => error,
            Event::Read(Ok(_)) | Event::Written(Ok(_)) => {
                if self.trouble.take().is_some() {
                    info!(lease = %self.name, "the lease can be reached again");
                }
                return;
            }
            Event::Retired { .. } | Event::DeadlineReached => return,
        };
        match error {
            WriteError::Conflict | WriteError::Gone => {
                debug!(lease = %self.name, "another operator was faster");
            }
            WriteError::Forbidden(_) | WriteError::Unavailable(_) => {
                if self.trouble.as_ref() != Some(error) {
                    warn!(lease = %self.name, %error, "the lease cannot be reached");
                    self.trouble = Some(error.clone());
                }
            }
        }
    }
}

/// Waits for a point in time, for ever if there is none. Cancel safe.
async fn passed(deadline: Option<Duration>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.saturating_sub(clock::now())).await,
        None => std::future::pending().await,
    }
}

/// Waits for the answer to the request, for ever if there is none. Cancel safe.
async fn answered(request: &mut Option<Request>) -> Event {
    let Some(pending) = request else {
        return std::future::pending().await;
    };
    let event = pending.await;
    *request = None;
    event
}

/// An answer that does not come in time is none.
async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, WriteError>>,
) -> Result<T, WriteError> {
    let late = || WriteError::Unavailable(format!("no answer within {limit:?}"));
    tokio::time::timeout(limit, answer)
        .await
        .unwrap_or_else(|_| Err(late()))
}
