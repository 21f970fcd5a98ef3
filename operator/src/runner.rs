//! An operator among others: waits for the lease, leads while it has it, and gives it back.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{LeaseName, LeaseRecord, Leases, Objects, Source, Statuses, WriteError};
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

/// What a leader works on.
pub trait World: Send + 'static {
    /// Where a leader reads from.
    type Source: Source + 'static;
    /// Where it writes to.
    type Writer: Statuses + Objects + Clone + 'static;

    /// Begins a term: makes a source that lists everything anew, and writes behind the fence what has
    /// to be there before that.
    fn source(&self, fence: Fence) -> impl Future<Output = Self::Source> + Send + use<Self>;

    /// The writer of a term. A store that can, refuses its writes once the lease says something else.
    fn writer(&self, lease: &LeaseName, term: &LeaseRecord) -> Self::Writer;
}

/// An operator among others. Dropping it ends it at once, and the lease runs out;
/// [`Runner::stop`] gives it back.
#[derive(Debug)]
pub struct Runner {
    shared: Arc<Shared>,
    stop: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

/// Looks at an operator.
#[derive(Clone, Debug)]
pub struct View(Arc<Shared>);

/// How an operator stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits.
    Standby {
        /// Who leads, as far as it is known.
        holder: Option<String>,
        /// Why the lease cannot be reached.
        trouble: Option<WriteError>,
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
    Standby {
        holder: Option<String>,
        trouble: Option<WriteError>,
    },
    Leading(Arc<Live>),
    Ended,
}

struct Shell<W> {
    shared: Arc<Shared>,
    world: W,
    options: Options,
}

impl Runner {
    /// Competes for the lease, and leads while it has it. Must be called in a tokio runtime.
    pub fn spawn<L, W>(leases: L, world: W, options: Options) -> Self
    where
        L: Leases + Clone + 'static,
        W: World,
    {
        let elector = Elector::spawn(
            leases,
            options.lease.clone(),
            options.identity.clone(),
            options.terms,
        );
        let role = Role::Standby {
            holder: None,
            trouble: None,
        };
        let shared = Arc::new(Shared {
            role: Mutex::new(role),
            tally: Tally::default(),
        });
        let (stop, stopped) = mpsc::channel(1);
        let shell = Shell {
            shared: Arc::clone(&shared),
            world,
            options,
        };
        let task = tokio::spawn(shell.run(elector, stopped));
        Self { shared, stop, task }
    }

    /// Shows how it stands, also after it has ended.
    #[must_use]
    pub fn view(&self) -> View {
        View(Arc::clone(&self.shared))
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

impl View {
    /// How the operator stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match &*self.0.role() {
            Role::Standby { holder, trouble } => Standing::Standby {
                holder: holder.clone(),
                trouble: trouble.clone(),
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
        &self.0.tally
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

impl<W: World> Shell<W> {
    async fn run(self, mut elector: Elector, mut stopped: mpsc::Receiver<()>) {
        let mut term = None;
        loop {
            tokio::select! {
                turn = elector.changed() => {
                    // The old term ends before another begins.
                    drop(term.take());
                    match turn {
                        Turn::Standby { holder, trouble } => {
                            self.turn(Role::Standby { holder, trouble });
                        }
                        Turn::Leading(fence, record) => term = Some(self.begin(fence, &record)),
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

    fn begin(&self, fence: Fence, record: &LeaseRecord) -> Term {
        let source = self.world.source(fence.clone());
        let writer = self.world.writer(&self.options.lease, record);
        let writer = self.shared.tally.around(writer);
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
