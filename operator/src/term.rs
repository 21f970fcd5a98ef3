//! A leader's term: a fresh source, the desired state that follows from it, and the writers.
//!
//! ```text
//!   source -> hub -> desired --> allocator and statuses --> fence -> writer
//!                            \-> whole objects -----------> fence -> writer
//! ```

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{Delta, Key, Kind};
use desired::{Changes, Desired, Facts, Inputs};
use lb_ipam::Allocator;
use store::{Hub, Objects, Source, Statuses};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::info;
use types::{Family, NodeName, ObjectName};

use crate::duty::Input;
use crate::election::{Fence, Terms};
use crate::operator::{Operator, OperatorHandle};
use crate::registrar::{Registrar, Wishes};
use crate::summary::Summary;

/// What a leader decides, and how.
#[derive(Clone, Debug)]
pub struct Duties {
    /// What [`Desired`] knows without any object; its role says which objects are needed.
    pub facts: Facts,
    /// The families that addresses are given of.
    pub families: Vec<Family>,
    /// Whether nodes are given their BGP configurations, and BGP's objects their conditions.
    pub bgp: bool,
    /// How many statuses, and how many objects, may be written at a time.
    pub writes: usize,
}

/// A term under way; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Term {
    fence: Fence,
    live: Arc<Live>,
    task: JoinHandle<()>,
}

/// What runs in a term, as far as it has begun.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<Option<Parts>>);

#[derive(Debug)]
struct Parts {
    operator: OperatorHandle,
    registrar: Registrar,
    progress: BTreeMap<&'static str, Inputs>,
}

/// Passes on what differs.
struct Pump {
    live: Arc<Live>,
    duties: Duties,
    desired: Desired,
    inputs: mpsc::Sender<Input>,
    wishes: mpsc::Sender<Wishes>,
}

impl Term {
    /// Begins with a source of its own, so that what earlier leaders wrote is seen before anything is
    /// decided.
    pub(crate) fn begin<S: Source + 'static>(
        fence: Fence,
        source: impl Future<Output = S> + Send + 'static,
        writer: impl Statuses + Objects + Clone + 'static,
        duties: Duties,
    ) -> Self {
        let live = Arc::new(Live::default());
        let writer = fence.around(writer);
        let task = tokio::spawn(run(Arc::clone(&live), source, writer, duties));
        Self { fence, live, task }
    }

    /// Ends it: no write starts any more, and those under way end. Whether it is known of every write
    /// whether it was done.
    pub(crate) async fn finish(self, terms: &Terms) -> bool {
        let all = timeout(terms.write_limit(), self.fence.drained()).await;
        all.is_ok() && self.fence.is_certain(terms)
    }

    /// Waits until it ends by itself, which is by a panic. Cancel safe.
    pub(crate) async fn ended(&mut self) {
        if let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }

    /// What it is doing.
    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.task.abort();
        *self.live.lock() = None;
    }
}

impl Live {
    /// The state of affairs; none before the source is there.
    pub(crate) fn summary(&self) -> Option<Summary> {
        let parts = self.lock();
        let parts = parts.as_ref()?;
        let mut summary = parts.operator.summary();
        summary.waiting += parts.registrar.waiting();
        summary.faults.extend(parts.registrar.faults());
        summary.progress.clone_from(&parts.progress);
        Some(summary)
    }

    /// A panic ends the term; what it left is still worth reading.
    fn lock(&self) -> MutexGuard<'_, Option<Parts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run<S: Source + 'static>(
    live: Arc<Live>,
    source: impl Future<Output = S> + Send + 'static,
    writer: impl Statuses + Objects + Clone + 'static,
    duties: Duties,
) {
    let mut hub = Hub::spawn(source.await);
    // Full only while the writers are busy; the watcher then gathers what differs.
    let (inputs, to_operator) = mpsc::channel(1);
    let (wishes, to_registrar) = mpsc::channel(1);
    let allocator = Allocator::new(&duties.families);
    let operator = Operator::spawn_with(allocator, duties.writes, to_operator, writer.clone());
    *live.lock() = Some(Parts {
        operator,
        registrar: Registrar::spawn(writer, to_registrar, duties.writes),
        progress: BTreeMap::new(),
    });
    let mut pump = Pump {
        desired: Desired::new(duties.facts.clone()),
        live,
        duties,
        inputs,
        wishes,
    };
    let mut objects = hub.watch();
    loop {
        let delta = tokio::select! {
            delta = objects.changed() => delta,
            () = hub.ended() => panic!("the source of objects has ended"),
        };
        if !pump.on_delta(delta).await {
            return;
        }
    }
}

impl Pump {
    /// Whether somebody listens.
    async fn on_delta(&mut self, delta: Delta) -> bool {
        let changes = self.desired.on_change(&delta);
        self.keep(&changes);
        let (input, wishes) = self.split(changes, delta);
        if !wishes.is_empty() && self.wishes.send(wishes).await.is_err() {
            return false;
        }
        self.inputs.send(input).await.is_ok()
    }

    /// What goes to whom.
    fn split(&self, changes: Changes, delta: Delta) -> (Input, Wishes) {
        let mut input = Input {
            objects: delta.objects,
            shown: delta.shown,
            ipam: changes.ipam,
            ..Input::default()
        };
        let mut wishes = Wishes::new();
        let (bgp, statuses) = (self.duties.bgp, changes.statuses.into_iter());
        input.statements = statuses
            .filter(|(key, _)| bgp || is_ipams(key.kind))
            .map(|(key, patch)| (key, patch.conditions))
            .collect();
        if bgp {
            for (node, spec) in changes.node_configs {
                let manifest = spec.map(|spec| spec.manifest(&node));
                wishes.insert(key_of(&node), manifest);
            }
        }
        (input, wishes)
    }

    fn keep(&self, changes: &Changes) {
        let mut parts = self.live.lock();
        let Some(parts) = parts.as_mut() else {
            return;
        };
        let progress = changes.progress;
        for (feature, inputs) in [("LB-IPAM", progress.ipam), ("BGP", progress.bgp)] {
            let before = parts.progress.insert(feature, inputs);
            if before.is_some_and(|before| before != inputs) && inputs != Inputs::Incomplete {
                info!(feature, ?inputs, "every kind is listed");
            }
        }
    }
}

fn is_ipams(kind: Kind) -> bool {
    matches!(kind, Kind::Service | Kind::CiliumLoadBalancerIPPool)
}

fn key_of(node: &NodeName) -> Key {
    Key::new(
        Kind::CiliumBGPNodeConfig,
        ObjectName::of_cluster(node.as_str()),
    )
}
