//! What flows between the parts: objects in, each part's desired state out.
//!
//! ```text
//!  hub -------> desired --> allocator (its statuses come back through the hub)
//!  drains ----> desired --> balancer --> ready VIPs --+
//!                  ^                                  |
//!                  +----------------------------------+
//!               desired --> speaker
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use api::{Key, Object};
use bgp_speaker_core::desired::{ExportChange, Instance, InstanceName};
use desired::{Changes, Desired, Drained, Facts, Inputs};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use types::{BackendAddr, RouterId, Vip};

use super::node::{Node, Told};

/// How long End-of-RIB waits for VIPs that are asked for and not in place. Routers keep the routes
/// of a restarting speaker until then, or until its restart time is over.
const LATEST_END_OF_RIB: Duration = Duration::from_secs(10);

/// Owns the plan of the whole node.
pub(super) struct Wiring {
    node: Arc<Node>,
    desired: Desired,
    inputs: mpsc::Sender<operator::Input>,
    instances: BTreeMap<InstanceName, Instance>,
    ready: Arc<BTreeSet<Vip>>,
    synced: bool,
    end_of_rib: EndOfRib,
}

/// Whether the speaker may say that it has announced everything.
enum EndOfRib {
    /// Not everything is known yet.
    NotYet,
    /// Everything is known; VIPs are being put in place.
    Due(Instant),
    /// It was told.
    Told,
}

impl Wiring {
    pub(super) fn new(
        node: Arc<Node>,
        router_id: Option<RouterId>,
        inputs: mpsc::Sender<operator::Input>,
    ) -> Self {
        let facts = Facts {
            router_id,
            ..Facts::new(node.name.clone())
        };
        Self {
            node,
            desired: Desired::new(facts),
            inputs,
            instances: BTreeMap::new(),
            ready: Arc::default(),
            synced: false,
            end_of_rib: EndOfRib::NotYet,
        }
    }

    /// Runs until a part has ended.
    pub(super) async fn run(mut self) -> Result<()> {
        let mut objects = self.node.hub.watch();
        let mut drained = self.node.overrides.drained();
        let mut balanced = self.node.balancer.state();
        let changes = self
            .desired
            .on_drained(drains(&drained.borrow_and_update()));
        self.tell(changes, BTreeMap::new()).await?;
        loop {
            let deadline = match self.end_of_rib {
                EndOfRib::Due(at) => Some(at),
                EndOfRib::NotYet | EndOfRib::Told => None,
            };
            tokio::select! {
                delta = objects.changed() => {
                    let changes = self.desired.on_change(&delta);
                    self.tell(changes, delta.objects).await?;
                }
                changed = drained.changed() => {
                    changed.context("the state database has closed")?;
                    let drained = drains(&drained.borrow_and_update());
                    let changes = self.desired.on_drained(drained);
                    self.tell(changes, BTreeMap::new()).await?;
                }
                changed = balanced.changed() => {
                    changed.context("the balancer has ended")?;
                    let ready = Arc::clone(&balanced.borrow_and_update().ready);
                    self.on_ready(ready).await?;
                }
                () = passed(deadline) => {
                    tracing::warn!("not every VIP is in place; End-of-RIB is sent all the same");
                    self.allow_end_of_rib().await?;
                }
            }
        }
    }

    async fn on_ready(&mut self, ready: Arc<BTreeSet<Vip>>) -> Result<()> {
        let lost = self.ready.difference(&ready).map(|vip| (*vip, false));
        let gained = ready.difference(&self.ready).map(|vip| (*vip, true));
        let changed: Vec<(Vip, bool)> = lost.chain(gained).collect();
        self.ready = ready;
        if !changed.is_empty() {
            let changes = self.desired.on_ready(changed);
            self.tell(changes, BTreeMap::new()).await?;
        }
        self.consider_end_of_rib().await
    }

    /// Passes on what changed: what is added to the kernel before what is announced.
    async fn tell(
        &mut self,
        changes: Changes,
        objects: BTreeMap<Key, Option<Object>>,
    ) -> Result<()> {
        self.keep(&changes);
        if !changes.balancer.services.is_empty() {
            self.node.balancer.change(changes.balancer).await?;
        }
        if changes.progress.balancer == Inputs::Complete && !self.synced {
            self.synced = true;
            self.node.balancer.synced().await?;
        }
        let statements = changes
            .statuses
            .into_iter()
            .map(|(key, patch)| (key, patch.conditions))
            .collect();
        let input = operator::Input {
            objects,
            ipam: changes.ipam,
            statements,
        };
        self.inputs
            .send(input)
            .await
            .context("the allocator has ended")?;
        self.tell_speaker(changes.bgp).await?;
        self.consider_end_of_rib().await
    }

    async fn tell_speaker(&mut self, changes: desired::BgpChanges) -> Result<()> {
        let speaker = &self.node.speaker;
        if !changes.exports.is_empty() {
            speaker.export(changes.exports).await?;
        }
        if !changes.instances.is_empty() {
            for (name, instance) in changes.instances {
                match instance {
                    Some(instance) => self.instances.insert(name, instance),
                    None => self.instances.remove(&name),
                };
            }
            speaker
                .update(self.instances.values().cloned().collect())
                .await?;
        }
        if !changes.cleared.is_empty() {
            let cleared = changes.cleared.into_iter().map(ExportChange::Clear);
            speaker.export(cleared.collect()).await?;
        }
        Ok(())
    }

    /// RFC 4724 §4.1: End-of-RIB says that everything has been announced. It waits until every
    /// object is known and every VIP that is asked for is in place.
    async fn consider_end_of_rib(&mut self) -> Result<()> {
        if matches!(self.end_of_rib, EndOfRib::NotYet) {
            let progress = self.desired.progress();
            if !self.synced || progress.bgp != Inputs::Complete {
                return Ok(());
            }
            self.end_of_rib = EndOfRib::Due(Instant::now() + LATEST_END_OF_RIB);
        }
        if self.all_in_place() && matches!(self.end_of_rib, EndOfRib::Due(_)) {
            self.allow_end_of_rib().await?;
        }
        Ok(())
    }

    /// Whether every VIP that is asked for may be announced.
    fn all_in_place(&self) -> bool {
        let told = self.told();
        let mut wanted = told
            .services
            .values()
            .flat_map(|service| &service.frontends);
        wanted.all(|vip| self.ready.contains(vip))
    }

    async fn allow_end_of_rib(&mut self) -> Result<()> {
        self.end_of_rib = EndOfRib::Told;
        self.told().end_of_rib = true;
        self.node.speaker.end_of_rib_allowed().await?;
        Ok(())
    }

    /// Keeps what people are shown.
    fn keep(&self, changes: &Changes) {
        let mut told = self.told();
        told.progress = changes.progress;
        for (key, service) in &changes.balancer.services {
            match service {
                Some(service) => told.services.insert(key.clone(), service.clone()),
                None => told.services.remove(key),
            };
        }
        told.left_out = self
            .desired
            .left_out()
            .iter()
            .map(ToString::to_string)
            .collect();
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        let told = self.node.told.lock();
        told.unwrap_or_else(PoisonError::into_inner)
    }
}

fn drains(drained: &BTreeSet<BackendAddr>) -> BTreeSet<Drained> {
    drained
        .iter()
        .map(|backend| Drained {
            addr: backend.addr,
            port: Some(backend.port),
        })
        .collect()
}

/// Waits for a point in time, for ever if there is none. Cancel safe.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
