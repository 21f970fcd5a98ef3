//! Follows the objects in etcd in a task.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use api::{Change, Fault, Key, Kind};
use etcd_client::{
    EventType, GetOptions, KeyValue, ResponseHeader, WatchOptions, WatchResponse, WatchStream,
};
use serde_json::Value;
use tokio::sync::{mpsc, watch as latest};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::document::{change, read};
use super::fault::Failure;
use super::fleet::{after, end_of};
use super::follow::{At, Event, Follower, Step};
use super::layout::Layout;
use super::session::{Session, keys, watches};
use crate::source::Source;

/// How many keys are read at a time: as many of the largest as a message may have.
const PAGE: i64 = 128;

/// How many reports may wait. When they are that many etcd is read no further.
const WAITING: usize = 16;

/// One thing that was seen in etcd, as the JSON that it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Sight {
    /// An object is there, with its version in it.
    Put(Key, Value),
    /// What is there is no object.
    Broken(Key, Vec<Fault>),
    /// An object is not there any more.
    Gone(Key),
    /// All objects of a kind follow, from nothing, up to [`Sight::Synced`].
    Restart(Kind),
    /// All objects of a kind were reported.
    Synced(Kind),
}

/// What is in etcd, and what happens to it. Dropping it ends its task.
#[derive(Debug)]
pub struct Sights {
    reports: mpsc::Receiver<Vec<Sight>>,
    trouble: latest::Receiver<Option<Arc<str>>>,
    task: JoinHandle<()>,
}

/// etcd as a source of objects.
#[derive(Debug)]
pub struct FleetSource {
    sights: Sights,
}

struct Task {
    session: Session,
    layout: Layout,
    kinds: BTreeSet<Kind>,
    follower: Follower,
    reports: mpsc::Sender<Vec<Sight>>,
    trouble: latest::Sender<Option<Arc<str>>>,
    start: Instant,
}

/// Nobody listens any more.
struct Ended;

/// Why a step came to nothing.
enum Stop {
    Ended,
    Failed(Failure),
    /// The follower wants to do something else now.
    Distrusted,
}

impl Sights {
    /// Begins to follow objects of these kinds. Must be called in a tokio runtime.
    pub(super) fn follow(session: Session, layout: Layout, kinds: BTreeSet<Kind>) -> Self {
        let (sender, reports) = mpsc::channel(WAITING);
        let (trouble, troubles) = latest::channel(None);
        let task = Task {
            session,
            layout,
            kinds,
            follower: Follower::default(),
            reports: sender,
            trouble,
            start: Instant::now(),
        };
        Self {
            reports,
            trouble: troubles,
            task: tokio::spawn(async move {
                let Ended = task.run().await;
            }),
        }
    }

    /// What was seen since the last call. Cancel safe.
    ///
    /// # Panics
    /// If its task did.
    pub async fn next(&mut self) -> Vec<Sight> {
        match self.reports.recv().await {
            Some(report) => report,
            None => match (&mut self.task).await {
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime is going away.
                Ok(()) | Err(_) => std::future::pending().await,
            },
        }
    }

    /// Why etcd cannot be followed just now, if that is so.
    #[must_use]
    pub fn trouble(&self) -> latest::Receiver<Option<Arc<str>>> {
        self.trouble.clone()
    }
}

impl Drop for Sights {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FleetSource {
    pub(super) fn new(sights: Sights) -> Self {
        Self { sights }
    }

    /// Why etcd cannot be followed just now, if that is so.
    #[must_use]
    pub fn trouble(&self) -> latest::Receiver<Option<Arc<str>>> {
        self.sights.trouble()
    }
}

impl Source for FleetSource {
    async fn next(&mut self) -> Vec<Change> {
        let sights = self.sights.next().await;
        let changes = sights.into_iter().map(|sight| match sight {
            Sight::Put(key, document) => change(key, document),
            Sight::Broken(key, faults) => Change::Refused(key, faults, None),
            Sight::Gone(key) => Change::Gone(key),
            Sight::Restart(kind) => Change::Restart(kind),
            Sight::Synced(kind) => Change::Synced(kind),
        });
        changes.collect()
    }
}

impl Task {
    async fn run(mut self) -> Ended {
        loop {
            if let Some(pause) = self.follower.pause(random()) {
                sleep(pause).await;
            }
            let outcome = match self.follower.step() {
                Step::List => self.list().await,
                Step::Check => self.check().await,
                Step::Watch { from } => self.watch(from).await,
            };
            match outcome {
                Ok(()) | Err(Stop::Distrusted) => {}
                Err(Stop::Ended) => return Ended,
                Err(Stop::Failed(failure)) => self.on_failure(&failure).await,
            }
        }
    }

    /// Reads everything in pages, all at the revision of the first.
    async fn list(&mut self) -> Result<(), Stop> {
        let restarts = self.kinds.iter().copied().map(Sight::Restart);
        self.report(restarts.collect()).await?;
        let mut begun: Option<At> = None;
        let mut from = self.layout.root().as_bytes().to_vec();
        loop {
            let mut options = GetOptions::new()
                .with_range(end_of(self.layout.root()))
                .with_limit(PAGE);
            if let Some(begun) = begun {
                options = options.with_revision(begun.revision);
            }
            let asked = (from.clone(), options);
            let page = self.session.ask(|client| {
                let (from, options) = asked.clone();
                async move { keys(&client).get(from, Some(options)).await }
            });
            let page = page.await.map_err(Stop::Failed)?;
            let now = page.header().map(at);
            let first = *begun.get_or_insert(now.unwrap_or(At {
                cluster: 0,
                revision: 0,
            }));
            let sights = page.kvs().iter().filter_map(|kv| self.put(kv)).collect();
            self.report(sights).await?;
            match page.kvs().last() {
                Some(last) if page.more() => from = after(last.key()),
                Some(_) | None => {
                    let synced = self.kinds.iter().copied().map(Sight::Synced);
                    self.report(synced.collect()).await?;
                    self.event(Event::Listed(first));
                    return Ok(());
                }
            }
        }
    }

    /// Asks for the revision that a majority has.
    async fn check(&mut self) -> Result<(), Stop> {
        let root = self.layout.root().to_owned();
        let answer = self.session.ask(|client| {
            let options = GetOptions::new()
                .with_prefix()
                .with_keys_only()
                .with_limit(1);
            let root = root.clone();
            async move { keys(&client).get(root, Some(options)).await }
        });
        let answer = answer.await.map_err(Stop::Failed)?;
        if let Some(header) = answer.header() {
            self.event(Event::Checked(at(header)));
        }
        Ok(())
    }

    /// Reports what happens, until the watch ends.
    async fn watch(&mut self, from: i64) -> Result<(), Stop> {
        let mut stream = self.begin(from).await.map_err(Stop::Failed)?;
        loop {
            let message = tokio::select! {
                message = stream.message() => message,
                () = self.reports.closed() => return Err(Stop::Ended),
            };
            let message = message.map_err(|error| Failure::of(&error));
            let ended = || Failure::Unavailable("the watch has ended".to_owned());
            let message = message.and_then(|message| message.ok_or_else(ended));
            self.on_message(&message.map_err(Stop::Failed)?).await?;
        }
    }

    async fn begin(&self, from: i64) -> Result<WatchStream, Failure> {
        let root = self.layout.root().to_owned();
        let stream = self.session.ask(|client| {
            let options = WatchOptions::new()
                .with_prefix()
                .with_start_revision(from)
                .with_progress_notify()
                .with_fragment();
            let root = root.clone();
            async move { watches(&client).watch(root, Some(options)).await }
        });
        stream.await
    }

    async fn on_message(&mut self, message: &WatchResponse) -> Result<(), Stop> {
        if message.canceled() {
            let failure = match (message.compact_revision(), message.cancel_reason()) {
                (1.., _) => Failure::Compacted,
                (_, reason) => Failure::Unavailable(format!("the watch was ended: {reason}")),
            };
            return Err(Stop::Failed(failure));
        }
        if message.created() {
            return self.on_begun(message);
        }
        let seen = message.events().iter().filter_map(|event| {
            let kv = event.kv()?;
            match event.event_type() {
                EventType::Put => self.put(kv),
                EventType::Delete => Some(Sight::Gone(self.key(kv)?)),
            }
        });
        let seen: Vec<Sight> = seen.collect();
        let last = message.events().iter().filter_map(|event| event.kv());
        let last = last.map(KeyValue::mod_revision).max();
        if !seen.is_empty() {
            self.report(seen).await?;
        }
        match (last, message.header()) {
            (Some(revision), _) => self.event(Event::Saw { revision }),
            (None, Some(header)) => self.event(Event::Progressed {
                revision: header.revision(),
            }),
            (None, None) => {}
        }
        Ok(())
    }

    fn on_begun(&mut self, message: &WatchResponse) -> Result<(), Stop> {
        if let Some(header) = message.header() {
            self.event(Event::Began(at(header)));
        }
        match self.follower.step() {
            Step::Watch { .. } => {
                self.well();
                Ok(())
            }
            Step::List | Step::Check => Err(Stop::Distrusted),
        }
    }

    async fn on_failure(&mut self, failure: &Failure) {
        let event = match failure {
            Failure::Compacted => Event::Compacted,
            Failure::Denied(_)
            | Failure::Unknown(_)
            | Failure::Refused(_)
            | Failure::Unavailable(_) => Event::Failed,
        };
        self.event(event);
        if matches!(failure, Failure::Compacted) {
            info!("etcd has compacted what was next: everything is listed anew");
            return;
        }
        // The files may have been replaced.
        self.session.forget().await;
        let user = self.session.user();
        let cause = failure.clone().about(user, self.layout.root()).to_string();
        let cause: Arc<str> = cause.into();
        let was_well = self.trouble.borrow().is_none();
        if was_well {
            warn!(%cause, "etcd cannot be followed: everything stays as it is known");
        } else {
            debug!(%cause, "etcd still cannot be followed");
        }
        self.trouble.send_replace(Some(cause));
    }

    fn well(&self) {
        let news = self
            .trouble
            .send_if_modified(|trouble| trouble.take().is_some());
        if news {
            info!("etcd is followed");
        }
    }

    fn event(&mut self, event: Event) {
        self.follower.on_event(self.start.elapsed(), event);
    }

    async fn report(&self, sights: Vec<Sight>) -> Result<(), Stop> {
        let sent = self.reports.send(sights).await;
        sent.map_err(|_| Stop::Ended)
    }

    fn put(&self, kv: &KeyValue) -> Option<Sight> {
        let key = self.key(kv)?;
        Some(match read(&key, kv.value(), kv.mod_revision()) {
            Ok(document) => Sight::Put(key, document),
            Err(faults) => Sight::Broken(key, faults),
        })
    }

    fn key(&self, kv: &KeyValue) -> Option<Key> {
        let key = self.layout.key_of(kv.key())?;
        self.kinds.contains(&key.kind).then_some(key)
    }
}

fn at(header: &ResponseHeader) -> At {
    At {
        cluster: header.cluster_id(),
        revision: header.revision(),
    }
}

/// Between zero and one, and another number in each process.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(Instant::now());
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
