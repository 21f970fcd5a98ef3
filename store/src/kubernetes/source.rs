//! The objects of a cluster as a source: one watch a kind, or a kind and namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use api::{Change, Kind};
use tokio::sync::{mpsc, watch as latest};
use tokio::task::JoinSet;

use super::connect::Cluster;
use super::follow::{Follower, Kindred};
use super::scope::Scope;
use super::troubles::{Desk, Troubles, Watched};
use crate::source::Source;

/// Reports that may wait; a watch waits once it is full, and the API server with it.
const WAITING: usize = 16;

/// What one call of `next` returns at most, and a report more.
const MOST_AT_ONCE: usize = 4096;

/// What to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The kind.
    pub kind: Kind,
    /// The namespaces; none means all of them.
    pub namespaces: BTreeSet<String>,
    /// Which labels they have, as Kubernetes writes selectors.
    pub labels: Option<String>,
    /// Which fields they have, as Kubernetes writes selectors.
    pub fields: Option<String>,
}

/// The objects of a cluster. Dropping it ends its watches.
#[derive(Debug)]
pub struct KubernetesSource {
    changes: mpsc::Receiver<Vec<Change>>,
    troubles: Arc<latest::Sender<Troubles>>,
    watches: JoinSet<()>,
}

impl Watch {
    /// All objects of a kind.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            namespaces: BTreeSet::new(),
            labels: None,
            fields: None,
        }
    }

    /// Only those in these namespaces.
    #[must_use]
    pub fn in_namespaces<N: Into<String>>(
        mut self,
        namespaces: impl IntoIterator<Item = N>,
    ) -> Self {
        self.namespaces = namespaces.into_iter().map(Into::into).collect();
        self
    }

    /// Only those with these labels.
    #[must_use]
    pub fn with_labels(mut self, selector: impl Into<String>) -> Self {
        self.labels = Some(selector.into());
        self
    }

    /// Only those with these fields, such as `metadata.name=NAME`.
    #[must_use]
    pub fn with_fields(mut self, selector: impl Into<String>) -> Self {
        self.fields = Some(selector.into());
        self
    }
}

impl Cluster {
    /// Begins to watch. The first thing it reports of each kind is all there is of it, as it is now
    /// and not as it was once. Must be called in a tokio runtime.
    #[must_use]
    pub fn source(&self, watches: &[Watch]) -> KubernetesSource {
        let (to, changes) = mpsc::channel(WAITING);
        let (troubles, _) = latest::channel(Troubles::default());
        let troubles = Arc::new(troubles);
        let mut tasks = JoinSet::new();
        for (kind, parts) in by_kind(watches) {
            let kindred = Arc::new(Mutex::new(Kindred::new(parts.len())));
            let is_whole = parts.len() == 1;
            for (part, (namespace, watch)) in parts.into_iter().enumerate() {
                let desk = Desk {
                    watched: Watched { kind, namespace },
                    troubles: Arc::clone(&troubles),
                };
                let scope = if is_whole {
                    Scope::whole(kind)
                } else {
                    Scope::part()
                };
                let follower = Follower {
                    cluster: self.clone(),
                    watch: watch.clone(),
                    part,
                    kindred: Arc::clone(&kindred),
                    scope,
                    desk,
                    to: to.clone(),
                };
                tasks.spawn(follower.run());
            }
        }
        KubernetesSource {
            changes,
            troubles,
            watches: tasks,
        }
    }
}

impl KubernetesSource {
    /// Everything that is wrong between us and the API server, now and whenever it changes.
    #[must_use]
    pub fn troubles(&self) -> latest::Receiver<Troubles> {
        self.troubles.subscribe()
    }
}

impl Source for KubernetesSource {
    async fn next(&mut self) -> Vec<Change> {
        loop {
            tokio::select! {
                Some(mut changes) = self.changes.recv() => {
                    while changes.len() < MOST_AT_ONCE
                        && let Ok(more) = self.changes.try_recv()
                    {
                        changes.extend(more);
                    }
                    return changes;
                }
                Some(ended) = self.watches.join_next() => {
                    if let Err(error) = ended
                        && error.is_panic()
                    {
                        std::panic::resume_unwind(error.into_panic());
                    }
                }
                // Nothing is watched, or the runtime is going away.
                else => std::future::pending().await,
            }
        }
    }
}

/// The watches of each kind, a namespace at a time.
fn by_kind(watches: &[Watch]) -> BTreeMap<Kind, Vec<(Option<String>, &Watch)>> {
    let mut kinds: BTreeMap<Kind, Vec<_>> = BTreeMap::new();
    for watch in watches {
        let parts = kinds.entry(watch.kind).or_default();
        if watch.namespaces.is_empty() || !watch.kind.namespaced() {
            parts.push((None, watch));
        } else {
            let namespaces = watch.namespaces.iter();
            parts.extend(namespaces.map(|namespace| (Some(namespace.clone()), watch)));
        }
    }
    kinds
}
