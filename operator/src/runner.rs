//! An operator among others: waits for the lease, leads while it has it, and gives it back.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{LeaseName, Leases, Objects, Source, Statuses};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::info;

use crate::election::{Elector, Fence, Terms, Turn};
use crate::summary::Summary;
use crate::tally::Tally;
use crate::term::{Duties, Live, Term};

/// Which lease, by whom, and what its holder does.
#[derive(Clone, Debug)]
pub struct Options {
    /// The lease that operators compete for.
    pub lease: LeaseName,
    /// Who this operator is. No other one may ever have the same, not even an earlier one.
    pub identity: String,
    /// How long the lease lasts.
    pub terms: Terms,
    /// What its holder does.
    pub duties: Duties,
}

/// An operator among others. Dropping it ends it at once, and the lease runs out;
/// [`Runner::stop`] gives it back.
#[derive(Debug)]
pub struct Runner {
    shared: Arc<Shared>,
    stop: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

/// How an operator stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits; this one holds the lease, as far as it is known.
    Standby {
        /// Who leads.
        holder: Option<String>,
    },
    /// It leads.
    Leading {
        /// The state of affairs; none before its source is there.
        summary: Option<Summary>,
    },
    /// It has ended.
    Ended,
}

#[derive(Debug)]
struct Shared {
    role: Mutex<Role>,
    tally: Tally,
}

#[derive(Debug)]
enum Role {
    Standby { holder: Option<String> },
    Leading(Arc<Live>),
    Ended,
}

struct Shell<W, B> {
    shared: Arc<Shared>,
    writer: W,
    begin: B,
    options: Options,
}

impl Runner {
    /// Competes for the lease. With each term `begin` makes a source that lists everything anew; it is
    /// given the term's fence for what it has to write before that. Must be called in a tokio runtime.
    pub fn spawn<L, W, S, F>(
        leases: L,
        writer: W,
        begin: impl Fn(Fence) -> F + Send + 'static,
        options: Options,
    ) -> Self
    where
        L: Leases + Clone + 'static,
        W: Statuses + Objects + Clone + 'static,
        S: Source + 'static,
        F: Future<Output = S> + Send + 'static,
    {
        let elector = Elector::spawn(
            leases,
            options.lease.clone(),
            options.identity.clone(),
            options.terms,
        );
        let shared = Arc::new(Shared {
            role: Mutex::new(Role::Standby { holder: None }),
            tally: Tally::default(),
        });
        let (stop, stopped) = mpsc::channel(1);
        let shell = Shell {
            shared: Arc::clone(&shared),
            writer,
            begin,
            options,
        };
        let task = tokio::spawn(shell.run(elector, stopped));
        Self { shared, stop, task }
    }

    /// How it stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match &*self.shared.role() {
            Role::Standby { holder } => Standing::Standby {
                holder: holder.clone(),
            },
            Role::Leading(live) => Standing::Leading {
                summary: live.summary(),
            },
            Role::Ended => Standing::Ended,
        }
    }

    /// What it has written.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.shared.tally
    }

    /// Ends it: nothing new is written, what is under way ends, and the lease is given back so that
    /// another may lead at once.
    pub async fn stop(&mut self) {
        // It has ended already if it does not listen.
        let _ = self.stop.send(()).await;
        self.ended().await;
    }

    /// Waits until it has ended, by itself only by a panic, which goes on here. Cancel safe.
    pub async fn ended(&mut self) {
        if let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.task.abort();
        *self.shared.role() = Role::Ended;
    }
}

impl Shared {
    /// A panic ends the operator; what it left is still worth reading.
    fn role(&self) -> MutexGuard<'_, Role> {
        self.role.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W, B, S, F> Shell<W, B>
where
    W: Statuses + Objects + Clone + 'static,
    B: Fn(Fence) -> F,
    S: Source + 'static,
    F: Future<Output = S> + Send + 'static,
{
    async fn run(self, mut elector: Elector, mut stopped: mpsc::Receiver<()>) {
        let mut term = None;
        loop {
            tokio::select! {
                turn = elector.changed() => {
                    // The old term ends before another begins.
                    drop(term.take());
                    match turn {
                        Turn::Standby { holder } => self.turn(Role::Standby { holder }),
                        Turn::Leading(fence) => term = Some(self.begin(fence)),
                        Turn::Ended => break,
                    }
                }
                () = ended(&mut term) => break,
                _ = stopped.recv() => break,
            }
        }
        let terms = &self.options.terms;
        let certain = match term {
            Some(term) => term.finish(terms).await,
            None => true,
        };
        self.turn(Role::Ended);
        elector.retire(certain).await;
        info!("the operator has ended");
    }

    fn begin(&self, fence: Fence) -> Term {
        let source = (self.begin)(fence.clone());
        let writer = self.shared.tally.around(self.writer.clone());
        let term = Term::begin(fence, source, writer, self.options.duties.clone());
        self.turn(Role::Leading(term.live()));
        term
    }

    fn turn(&self, role: Role) {
        *self.shared.role() = role;
    }
}

/// Waits until the term, if there is one, ends by itself. Cancel safe.
async fn ended(term: &mut Option<Term>) {
    match term {
        Some(term) => term.ended().await,
        None => std::future::pending().await,
    }
}
