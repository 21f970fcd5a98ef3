//! What flows between the parts: objects in, each part's desired state out.
//!
//! ```text
//!  hub -------> desired --> allocator (its statuses come back through the hub)
//!  drains ----> desired --> balancer --> ready VIPs --+
//!                  ^                                  |
//!                  +----------------------------------+
//!               desired --> gate --> speaker
//! ```
//!
//! Where another program balances there is no balancer; where the operator is elsewhere, no allocator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use api::{Key, Kind, Object, StatusPatch};
use bgp_speaker_core::desired::{ExportChange, Instance, InstanceName};
use desired::{Changes, Desired, Drained, Facts, Inputs};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use types::{BackendAddr, ObjectName, Vip};

use super::end_of_rib::{EndOfRib, Standing};
use super::gate::Gate;
use super::node::Node;
use crate::surroundings::{Scout, Surroundings};

/// Owns the plan of the whole node.
pub(super) struct Wiring {
    node: Arc<Node>,
    desired: Desired,
    /// Of the allocator, where it is this node's.
    inputs: Option<mpsc::Sender<operator::Input>>,
    /// This node's CiliumBGPNodeConfig.
    own: Key,
    instances: BTreeMap<InstanceName, Instance>,
    gate: Gate,
    ready: Arc<BTreeSet<Vip>>,
    /// Whether everything that traffic depends on is known.
    synced: bool,
    end_of_rib: EndOfRib,
}

impl Wiring {
    pub(super) fn new(
        node: Arc<Node>,
        facts: Facts,
        inputs: Option<mpsc::Sender<operator::Input>>,
    ) -> Self {
        let name = ObjectName::of_cluster(facts.node.as_str());
        Self {
            own: Key::new(Kind::CiliumBGPNodeConfig, name),
            node,
            desired: Desired::new(facts),
            inputs,
            instances: BTreeMap::new(),
            gate: Gate::default(),
            ready: Arc::default(),
            synced: false,
            end_of_rib: EndOfRib::default(),
        }
    }

    /// Runs until a part has ended.
    pub(super) async fn run(mut self) -> Result<()> {
        let mut objects = self.node.hub.watch();
        let mut orders = self.node.overrides.orders();
        let mut balanced = self.node.balancer.as_ref().map(xdp_l4lb::Balancer::state);
        let scout = Scout::start();
        let mut around = scout.found();
        self.on_orders(&mut orders).await?;
        loop {
            tokio::select! {
                delta = objects.changed() => {
                    self.keep_own(&delta.objects);
                    let changes = self.desired.on_change(&delta);
                    self.tell(changes, delta.objects).await?;
                }
                changed = orders.changed() => {
                    changed.context("the state database has closed")?;
                    self.on_orders(&mut orders).await?;
                }
                Ok(()) = around.changed() => {
                    let found = around.borrow_and_update().clone();
                    self.on_surroundings(found).await?;
                }
                ready = next_ready(&mut balanced) => self.on_ready(ready?).await?,
                () = passed(self.end_of_rib.deadline()) => self.consider_end_of_rib().await?,
            }
        }
    }

    async fn on_orders(&mut self, orders: &mut watch::Receiver<Arc<store::Orders>>) -> Result<()> {
        let orders = Arc::clone(&orders.borrow_and_update());
        let changes = self.desired.on_drained(drains(&orders.drained));
        self.tell(changes, BTreeMap::new()).await?;
        let exports = self.gate.set(orders.withdrawn);
        self.export(exports).await
    }

    async fn on_surroundings(&mut self, found: Surroundings) -> Result<()> {
        let changes = self.desired.on_gateways(found.gateways);
        self.tell(changes, BTreeMap::new()).await?;
        let changes = self.desired.on_interfaces(found.interfaces);
        self.tell(changes, BTreeMap::new()).await
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
        self.keep_conditions(&changes.statuses);
        self.tell_balancer(changes.balancer, changes.progress)
            .await?;
        if let Some(inputs) = &self.inputs {
            let statements = changes.statuses.into_iter();
            let input = operator::Input {
                objects,
                ipam: changes.ipam,
                statements: statements
                    .map(|(key, patch)| (key, patch.conditions))
                    .collect(),
                // Nothing is written to a file that is refused.
                ..operator::Input::default()
            };
            inputs
                .send(input)
                .await
                .context("the allocator has ended")?;
        }
        self.tell_speaker(changes.bgp).await?;
        self.consider_end_of_rib().await
    }

    async fn tell_balancer(
        &mut self,
        delta: xdp_l4lb_core::desired::Delta,
        progress: desired::Progress,
    ) -> Result<()> {
        let Some(balancer) = &self.node.balancer else {
            self.synced |= progress.bgp == Inputs::Complete;
            return Ok(());
        };
        if !delta.services.is_empty() {
            balancer.change(delta).await?;
        }
        if progress.balancer == Inputs::Complete && !self.synced {
            self.synced = true;
            balancer.synced().await?;
        }
        Ok(())
    }

    async fn tell_speaker(&mut self, changes: desired::BgpChanges) -> Result<()> {
        if !self.node.speaks {
            return Ok(());
        }
        self.pass(changes.exports).await?;
        if !changes.instances.is_empty() {
            for (name, instance) in changes.instances {
                match instance {
                    Some(instance) => self.instances.insert(name, instance),
                    None => self.instances.remove(&name),
                };
            }
            let instances = self.instances.values().cloned().collect();
            self.node.speaker.update(instances).await?;
        }
        let cleared = changes.cleared.into_iter().map(ExportChange::Clear);
        self.pass(cleared.collect()).await
    }

    /// Exports change, as far as peers may hear of it.
    async fn pass(&mut self, changes: Vec<ExportChange>) -> Result<()> {
        let changes = self.gate.pass(changes);
        self.export(changes).await
    }

    async fn export(&self, changes: Vec<ExportChange>) -> Result<()> {
        if !changes.is_empty() {
            self.node.speaker.export(changes).await?;
        }
        Ok(())
    }

    async fn consider_end_of_rib(&mut self) -> Result<()> {
        if self.end_of_rib == EndOfRib::Told {
            return Ok(());
        }
        let standing = Standing {
            known: self.synced && self.desired.progress().bgp == Inputs::Complete,
            in_place: self.all_in_place(),
        };
        if self.end_of_rib.consider(Instant::now(), standing) {
            if !standing.in_place {
                tracing::warn!("not every VIP is in place; End-of-RIB is sent all the same");
            }
            self.node.told().end_of_rib = true;
            self.node.boot.announces();
            self.node.speaker.end_of_rib_allowed().await?;
        }
        Ok(())
    }

    /// Whether every VIP that is asked for may be announced.
    fn all_in_place(&self) -> bool {
        let told = self.node.told();
        let mut wanted = told
            .services
            .values()
            .flat_map(|service| &service.frontends);
        self.node.balancer.is_none() || wanted.all(|vip| self.ready.contains(vip))
    }

    /// Keeps this node's own CiliumBGPNodeConfig.
    fn keep_own(&self, objects: &BTreeMap<Key, Option<Object>>) {
        let config = match objects.get(&self.own) {
            None => return,
            Some(Some(Object::CiliumBGPNodeConfig(config))) => Some(Arc::clone(config)),
            Some(_) => None,
        };
        let subject = &self.node.subject;
        subject.send_modify(|subject| subject.config = config);
    }

    /// Keeps what is to be said in it.
    fn keep_conditions(&self, statuses: &BTreeMap<Key, StatusPatch>) {
        if let Some(patch) = statuses.get(&self.own) {
            let said = patch.conditions.clone();
            let subject = &self.node.subject;
            subject.send_modify(|subject| subject.conditions.extend(said));
        }
    }

    /// Keeps what people are shown.
    fn keep(&self, changes: &Changes) {
        let mut told = self.node.told();
        told.progress = changes.progress;
        for (key, service) in &changes.balancer.services {
            match service {
                Some(service) => told.services.insert(key.clone(), service.clone()),
                None => told.services.remove(key),
            };
        }
        told.remark = self.desired.remark();
        told.left_out = self
            .desired
            .left_out()
            .iter()
            .map(ToString::to_string)
            .collect();
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

/// The VIPs that are in place whenever they change; never where there is no balancer. Cancel safe.
async fn next_ready(
    balanced: &mut Option<watch::Receiver<Arc<xdp_l4lb::State>>>,
) -> Result<Arc<BTreeSet<Vip>>> {
    match balanced {
        Some(balanced) => {
            balanced.changed().await.context("the balancer has ended")?;
            Ok(Arc::clone(&balanced.borrow_and_update().ready))
        }
        None => std::future::pending().await,
    }
}

/// Waits for a point in time, for ever if there is none. Cancel safe.
async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
