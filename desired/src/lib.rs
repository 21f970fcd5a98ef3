//! Objects in; each feature's desired state and each object's conditions out.
//!
//! [`Desired`] keeps indexes from each object to what depends on it, so one change costs what it
//! concerns. A full pass is the same code over all keys.
//!
//! ```text
//!  Service, pool ---------------------------> lb_ipam::Delta
//!  Service, EndpointSlice, drains ----------> the balancer's Delta
//!  ClusterConfig, Node, PeerConfig, Secret -> this node's BGP instances
//!  Advertisement, Service, ready VIPs ------> what they export
//!  all of them -----------------------------> conditions
//! ```
//!
//! Nothing is said of a feature before every kind it depends on was reported in whole. What was there
//! before the agent may be removed once [`Progress`] says that all of them are valid, too.

mod balancer;
mod conditions;
mod exports;
mod instances;
mod ipam;
mod objects;
mod ownership;
mod role;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::bgp::NodeSpec;
use api::{Delta, Key, Kind, Object, StatusPatch};
use bgp_speaker_core::desired::{ExportChange, ExportId, Instance, InstanceName};
use types::{NodeName, ObjectName, RouterId, Vip};

use balancer::Balancer;
use conditions::Conditions;
use exports::Exports;
use instances::{ExportKey, Wanted};
use objects::{BALANCER, BGP, IPAM, Objects};
use ownership::Ownership;

pub use balancer::Drained;
pub use instances::{LeftOut, Reason};
pub use ipam::{DefaultIpam, IpamOptions};
pub use lb_ipam::Inputs;
pub use role::{Forwarding, Role};

/// What is known of this node without any object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its name; an operator's own is of no consequence.
    pub node: NodeName,
    /// What is decided here.
    pub role: Role,
    /// Who forwards packets for Services.
    pub forwarding: Forwarding,
    /// The BGP identifier that is configured; it wins over the node's address.
    pub router_id: Option<RouterId>,
    /// The BGP identifier of a node without an IPv4 address.
    pub spare_router_id: Option<RouterId>,
    /// Where the Secrets of BGP peers are.
    pub secrets_namespace: Arc<str>,
    /// Which Services' addresses are given.
    pub ipam: IpamOptions,
}

impl Facts {
    /// Where Cilium looks for the Secrets of BGP peers.
    pub const SECRETS_NAMESPACE: &str = "kube-system";

    /// A node of which only the name is known.
    #[must_use]
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            role: Role::default(),
            forwarding: Forwarding::default(),
            router_id: None,
            spare_router_id: None,
            secrets_namespace: Self::SECRETS_NAMESPACE.into(),
            ipam: IpamOptions::default(),
        }
    }
}

/// What differs since the last change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// For the allocator of addresses.
    pub ipam: lb_ipam::Delta,
    /// For the balancer's planner.
    pub balancer: xdp_l4lb_core::desired::Delta,
    /// For the BGP speaker.
    pub bgp: BgpChanges,
    /// What is to be written to objects. A later patch of an object adds to an earlier one.
    pub statuses: BTreeMap<Key, StatusPatch>,
    /// What nodes' CiliumBGPNodeConfigs are to be, for an operator; none for those to be deleted. See
    /// [`NodeSpec::manifest`].
    pub node_configs: BTreeMap<NodeName, Option<NodeSpec>>,
    /// How much each feature's desired state is based on.
    pub progress: Progress,
}

/// What differs for the BGP speaker. Told in the order of the fields, routes that only move from one
/// export to another are never withdrawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BgpChanges {
    /// Routes, announcements first.
    pub exports: Vec<ExportChange>,
    /// Instances that are new or different; none for those that should not be.
    pub instances: BTreeMap<InstanceName, Option<Instance>>,
    /// Exports that no peer names any more.
    pub cleared: Vec<ExportId>,
}

/// How much each feature's desired state is based on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The allocator's: pools and services.
    pub ipam: Inputs,
    /// The balancer's: services and endpoint slices. Once complete, its planner may remove what it
    /// found and nobody wants.
    pub balancer: Inputs,
    /// The speaker's: every kind but pools. Once complete, End-of-RIB may be sent when what is exported
    /// is in place.
    pub bgp: Inputs,
}

/// The index from objects to each feature's desired state.
#[derive(Debug)]
pub struct Desired {
    facts: Facts,
    objects: Objects,
    balancer: Balancer,
    ownership: Ownership,
    exports: Exports,
    conditions: Conditions,
    /// What the speaker was told.
    instances: BTreeMap<InstanceName, Instance>,
    left_out: Vec<LeftOut>,
    /// Whether something that instances are made of has changed.
    dirty_instances: bool,
    ipam: Inputs,
}

impl Desired {
    /// Nothing is known of any object yet.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        Self {
            ownership: Ownership::new(facts.node.clone()),
            facts,
            objects: Objects::default(),
            balancer: Balancer::default(),
            exports: Exports::default(),
            conditions: Conditions::default(),
            instances: BTreeMap::new(),
            left_out: Vec::new(),
            dirty_instances: true,
            ipam: Inputs::default(),
        }
    }

    /// Objects changed.
    pub fn on_change(&mut self, delta: &Delta) -> Changes {
        let mut changes = Changes::default();
        self.objects.sync(&delta.synced);
        for (key, faults) in &delta.refused {
            self.objects.refuse(key, faults);
        }
        for (key, object) in &delta.objects {
            let old = self.objects.put(key, object.as_ref());
            self.conditions.on_object(key, object.as_ref());
            self.note(key, old.as_ref(), object.as_ref());
        }
        for key in delta.objects.keys().chain(delta.refused.keys()) {
            self.tell_ipam(key, &mut changes.ipam);
        }
        let inputs = self.objects.inputs(&IPAM);
        if inputs != self.ipam {
            self.ipam = inputs;
            changes.ipam.inputs = Some(inputs);
            changes.ipam.grace = Some(self.facts.ipam.grace);
        }
        self.settle(changes)
    }

    /// Frontends became ready to be announced, or stopped being. What the planner says in one go
    /// belongs into one call.
    pub fn on_ready(&mut self, vips: impl IntoIterator<Item = (Vip, bool)>) -> Changes {
        for service in self.balancer.on_ready(vips) {
            self.exports.touch_service(&service);
        }
        self.settle(Changes::default())
    }

    /// Exactly these backends are drained: they keep their flows and get no new ones.
    pub fn on_drained(&mut self, drained: BTreeSet<Drained>) -> Changes {
        self.balancer.on_drained(drained);
        self.settle(Changes::default())
    }

    /// What of this node's BGP configuration is not run, and why.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// How much each feature's desired state is based on.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            ipam: self.ipam,
            balancer: self.objects.inputs(&BALANCER),
            bgp: self.objects.inputs(&BGP),
        }
    }

    /// Touches what depends on an object.
    fn note(&mut self, key: &Key, old: Option<&Object>, new: Option<&Object>) {
        let name = &key.name;
        match key.kind {
            Kind::Service => {
                self.balancer.touch(name);
                self.exports.touch_service(name);
            }
            Kind::EndpointSlice => {
                self.balancer
                    .on_slice(name, service_of(old), service_of(new));
            }
            Kind::Node => self.note_node(name),
            Kind::Secret => {
                self.dirty_instances = true;
                self.note_secret(name);
            }
            Kind::CiliumLoadBalancerIPPool => {}
            Kind::CiliumBGPClusterConfig => self.ownership.touch_config(name),
            Kind::CiliumBGPPeerConfig => {
                self.dirty_instances = true;
                for config in self.objects.clusters.keys() {
                    self.conditions.touch(Kind::CiliumBGPClusterConfig, config);
                }
            }
            Kind::CiliumBGPAdvertisement => self.exports.touch_advertisement(name),
            Kind::CiliumBGPNodeConfig | Kind::CiliumBGPNodeConfigOverride => {}
        }
    }

    fn note_node(&mut self, name: &ObjectName) {
        // A key in a delta names a node that was validated, now or before.
        if let Ok(node) = name.name.parse::<NodeName>() {
            self.dirty_instances |= node == self.facts.node;
            self.ownership.touch_node(node);
        }
    }

    fn note_secret(&mut self, name: &ObjectName) {
        let refers = |secret: Option<&String>| secret.is_some_and(|secret| **secret == *name.name);
        let configs = self.objects.peer_configs.iter();
        for (config, _) in configs.filter(|(_, c)| refers(c.session.auth_secret.as_ref())) {
            self.conditions.touch(Kind::CiliumBGPPeerConfig, config);
        }
    }

    fn tell_ipam(&self, key: &Key, delta: &mut lb_ipam::Delta) {
        if !self.facts.ipam.enabled {
            return;
        }
        let name = key.name.clone();
        if key.kind == Kind::Service {
            let unreadable = || lb_ipam::Service::Unreadable {
                current: Vec::new(),
            };
            let service = match self.objects.services.get(&name) {
                Some(service) => Some(ipam::service(service, &self.facts)),
                None => self.objects.is_unknown(key).then(unreadable),
            };
            delta.services.insert(name, service);
        } else if key.kind == Kind::CiliumLoadBalancerIPPool {
            let pool = self.objects.pools.get(&name);
            delta.pools.insert(name, pool.map(|pool| ipam::pool(pool)));
        }
    }

    /// Works through what was touched, as far as enough is known.
    fn settle(&mut self, mut changes: Changes) -> Changes {
        changes.progress = self.progress();
        if changes.progress.balancer != Inputs::Incomplete {
            let services = self.balancer.settle(&self.objects, &mut changes.balancer);
            for service in services {
                self.exports.touch_service(&service);
                self.conditions.touch(Kind::Service, &service);
            }
        }
        if changes.progress.bgp != Inputs::Incomplete {
            changes.bgp = self.settle_bgp();
        }
        changes.statuses = self.conditions.settle(&conditions::Context {
            facts: &self.facts,
            objects: &self.objects,
            balancer: &self.balancer,
            ownership: &self.ownership,
        });
        changes
    }

    fn settle_bgp(&mut self) -> BgpChanges {
        let mut changes = BgpChanges::default();
        for config in self.ownership.settle(&self.objects) {
            self.dirty_instances = true;
            self.conditions.touch(Kind::CiliumBGPClusterConfig, &config);
        }
        if std::mem::take(&mut self.dirty_instances) {
            self.settle_instances(&mut changes);
        }
        changes.exports = self.exports.settle(&exports::Context {
            objects: &self.objects,
            balancer: &self.balancer,
            node: &self.facts.node,
        });
        changes
    }

    fn settle_instances(&mut self, changes: &mut BgpChanges) {
        let owner = self.ownership.owner(&self.objects, &self.facts.node);
        let mut named: BTreeSet<ExportKey> = BTreeSet::new();
        let exports = &mut self.exports;
        let mut number = |key: ExportKey| {
            named.insert(key.clone());
            exports.number(key)
        };
        let wanted = Wanted::new(&self.facts, &self.objects, owner.as_ref(), &mut number);
        changes.cleared = self.exports.activate(&named);
        for name in self.instances.keys() {
            if !wanted.instances.contains_key(name) {
                changes.instances.insert(name.clone(), None);
            }
        }
        for (name, instance) in &wanted.instances {
            if self.instances.get(name) != Some(instance) {
                changes
                    .instances
                    .insert(name.clone(), Some(instance.clone()));
            }
        }
        self.instances = wanted.instances;
        self.left_out = wanted.left_out;
    }
}

fn service_of(object: Option<&Object>) -> Option<&ObjectName> {
    match object {
        Some(Object::EndpointSlice(slice)) => slice.service.as_ref(),
        Some(
            Object::Service(_)
            | Object::Node(_)
            | Object::Secret(_)
            | Object::CiliumLoadBalancerIPPool(_)
            | Object::CiliumBGPClusterConfig(_)
            | Object::CiliumBGPPeerConfig(_)
            | Object::CiliumBGPAdvertisement(_)
            | Object::CiliumBGPNodeConfig(_)
            | Object::CiliumBGPNodeConfigOverride(_),
        )
        | None => None,
    }
}
