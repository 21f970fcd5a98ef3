//! The source that reads a directory of manifests.
//!
//! A pass lists the directory, reads what changed, commits what that makes of the objects to the
//! database, and reports it as one `Vec`. Passes follow the kernel's events once they have settled,
//! and a clock, since a link's target or a network file system has no events.
//!
//! What cannot be read stays as it was and is a fault: a file that does not parse, one without
//! permission, a directory that vanished, or an empty one in its place. A deleted file removes its
//! objects. A file that was written just now is given time, and with it all others. The database remembers the manifests, so all of this holds across a restart.

mod ledger;
mod overrides;
mod plan;
mod reader;
mod statuses;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::{Change, Timestamp};
use tokio::sync::{Notify, mpsc, watch as latest};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use crate::database::{Database, OpenError};
use crate::manifest::FileFault;
use crate::source::Source;
use ledger::Ledger;
use reader::{Reader, Settled};

pub use overrides::{OverrideError, Overrides};
pub use statuses::{DirectoryDocuments, DirectoryStatuses};

/// How many new faults are logged at a time; all of them are in the status.
const MAX_LOGGED: usize = 20;

/// A pass waits this many times [`DirectoryConfig::settle`] at most, however busy the directory is.
const MAX_SETTLES: u32 = 10;

/// Where objects come from, and where what they are given is kept.
#[derive(Clone, Debug)]
pub struct DirectoryConfig {
    /// The directory of manifests.
    pub manifests: PathBuf,
    /// The state directory, made if it is not there; one agent each.
    pub state_dir: PathBuf,
    /// How long the directory must be quiet before it is read.
    pub settle: Duration,
    /// How long at most until it is looked at without an event.
    pub rescan: Duration,
}

/// A directory of manifests as a source.
#[derive(Debug)]
pub struct Directory {
    ledger: Arc<Mutex<Ledger>>,
    reader: Arc<Mutex<Reader>>,
    faults: Arc<latest::Sender<Faults>>,
    /// A status was written.
    written: Arc<Notify>,
    /// Something in the directory may have changed.
    events: mpsc::Receiver<()>,
    /// Events that no pass has followed yet.
    unsettled: Option<Unsettled>,
    /// When to look without an event.
    rescan: Instant,
    /// The work that is under way; it outlives a dropped [`Source::next`].
    work: Option<JoinHandle<Done>>,
    config: DirectoryConfig,
}

#[derive(Clone, Copy, Debug)]
struct Unsettled {
    since: Instant,
    due: Instant,
}

/// Everything that is wrong with the manifests, by place; as [`crate::manifest::check`] has it.
pub type Faults = Arc<[FileFault]>;

#[derive(Debug)]
struct Done {
    changes: Vec<Change>,
    /// What a pass says about the directory; none if it was no pass.
    settled: Option<Settled>,
}

impl DirectoryConfig {
    /// The usual times for these directories.
    #[must_use]
    pub fn new(manifests: impl Into<PathBuf>, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            manifests: manifests.into(),
            state_dir: state_dir.into(),
            settle: Duration::from_millis(100),
            rescan: Duration::from_secs(5),
        }
    }
}

impl Directory {
    /// Opens the state and begins to watch the manifests. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// If the state cannot be used: see [`OpenError`]. Manifests that cannot be read are faults.
    pub fn open(
        config: DirectoryConfig,
    ) -> Result<(Self, DirectoryStatuses, Overrides), OpenError> {
        let (database, content) = Database::open(&config.state_dir)?;
        let ledger = Ledger::new(database, content);
        let (reader, events) = Reader::new(&config.manifests, config.settle);
        let orders = ledger.orders().clone();
        let ledger = Arc::new(Mutex::new(ledger));
        let written = Arc::new(Notify::new());
        let (faults, _) = latest::channel(Faults::default());
        let statuses = DirectoryStatuses::new(Arc::clone(&ledger), Arc::clone(&written));
        let overrides = Overrides::new(Arc::clone(&ledger), orders);
        let directory = Self {
            ledger,
            reader: Arc::new(Mutex::new(reader)),
            faults: Arc::new(faults),
            written,
            events,
            unsettled: None,
            rescan: Instant::now(),
            work: None,
            config,
        };
        Ok((directory, statuses, overrides))
    }

    /// Everything that is wrong with the manifests, now and whenever it changes.
    #[must_use]
    pub fn faults(&self) -> latest::Receiver<Faults> {
        self.faults.subscribe()
    }

    /// The objects as JSON, for people.
    #[must_use]
    pub fn documents(&self) -> DirectoryDocuments {
        DirectoryDocuments::new(Arc::clone(&self.ledger))
    }

    /// Reads the directory, off the runtime's own threads.
    fn start_pass(&mut self) {
        self.unsettled = None;
        let ledger = Arc::clone(&self.ledger);
        let reader = Arc::clone(&self.reader);
        let faults = Arc::clone(&self.faults);
        self.work = Some(tokio::task::spawn_blocking(move || {
            pass(&ledger, &mut lock(&reader), &faults)
        }));
    }

    /// Reports the written statuses. The ledger may be waiting for the disk.
    fn start_report(&mut self) {
        let ledger = Arc::clone(&self.ledger);
        self.work = Some(tokio::task::spawn_blocking(move || Done {
            changes: lock(&ledger).take_pending(),
            settled: None,
        }));
    }

    /// Waits for the work that is under way, if there is any. Cancel safe.
    async fn finish(&mut self) -> Vec<Change> {
        let Some(work) = &mut self.work else {
            return Vec::new();
        };
        let done = work.await;
        self.work = None;
        let done = match done {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is going away.
            Err(_) => std::future::pending().await,
        };
        match done.settled {
            None => {}
            Some(Settled::Yes) => self.rescan = Instant::now() + self.config.rescan,
            Some(Settled::No) => self.on_event(),
        }
        done.changes
    }

    fn on_event(&mut self) {
        let now = Instant::now();
        let since = self.unsettled.map_or(now, |unsettled| unsettled.since);
        let last = since + self.config.settle * MAX_SETTLES;
        let due = last.min(now + self.config.settle);
        self.unsettled = Some(Unsettled { since, due });
    }

    fn due(&self) -> Instant {
        let settled = self.unsettled.map(|unsettled| unsettled.due);
        settled.map_or(self.rescan, |settled| settled.min(self.rescan))
    }
}

impl Source for Directory {
    async fn next(&mut self) -> Vec<Change> {
        loop {
            let changes = self.finish().await;
            if !changes.is_empty() {
                return changes;
            }
            let due = self.due();
            tokio::select! {
                biased; // A flood of events must not hold back a status, or a pass.
                () = self.written.notified() => self.start_report(),
                () = sleep_until(due) => self.start_pass(),
                Some(()) = self.events.recv() => self.on_event(),
            }
        }
    }
}

/// Reads what changed and takes it over.
fn pass(ledger: &Mutex<Ledger>, reader: &mut Reader, faults: &latest::Sender<Faults>) -> Done {
    let (remembered, is_started) = {
        let ledger = lock(ledger);
        (ledger.directory(), ledger.is_started())
    };
    let (found, settled) = reader.pass(remembered, !is_started);
    let Some(found) = found else {
        return Done {
            changes: Vec::new(),
            settled: Some(settled),
        };
    };
    let mut ledger = lock(ledger);
    let reloaded = ledger.reload(&found.set, found.directory, Timestamp::now());
    let mut now_wrong = found.set.faults;
    let changes = reloaded.unwrap_or_else(|error| {
        let cause = chain(&error);
        error!(%cause, "manifests are not taken over: the state database cannot be written");
        let reason =
            format_args!("nothing changes until the state database can be written: {cause}");
        now_wrong.push(FileFault::whole(".", 1, reason));
        reader.forget();
        ledger.start_from_memory()
    });
    drop(ledger);
    publish(faults, now_wrong.into());
    Done {
        changes,
        settled: Some(settled),
    }
}

/// Tells those who ask, and the log, once a change.
fn publish(faults: &latest::Sender<Faults>, now_wrong: Faults) {
    faults.send_if_modified(|known| {
        if *known == now_wrong {
            return false;
        }
        for fault in now_wrong
            .iter()
            .filter(|fault| !known.contains(fault))
            .take(MAX_LOGGED)
        {
            warn!(%fault, "a manifest is refused");
        }
        if now_wrong.is_empty() {
            info!("all manifests are valid");
        }
        *known = now_wrong;
        true
    });
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What a panic left behind is still whole: every change is made in memory after it is on the disk.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
