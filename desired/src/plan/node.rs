//! What every node would do.

use std::collections::{BTreeMap, BTreeSet};

use api::{Delta, Key, Kind, Object, Strictness};
use bgp_speaker_core::desired::{
    Attributes, ExportChange, ExportId, Instance, InstanceName, Peer, PeerName,
};
use types::{NodeName, ObjectName, Prefix, Vip};
use xdp_l4lb_core::desired::{Service, ServiceKey, WhenEmpty};

use super::{Assumptions, Layout, Situation};
use crate::{Changes, Desired, Facts, LeftOut, Role};

/// What one node would do.
#[derive(Debug, Default)]
pub(super) struct NodeState {
    pub(super) instances: BTreeMap<InstanceName, Instance>,
    exports: BTreeMap<ExportId, BTreeMap<Prefix, Attributes>>,
    pub(super) services: BTreeMap<ServiceKey, Service>,
    pub(super) left_out: Vec<LeftOut>,
}

/// A peer, by its instance and its name.
pub(super) type PeerId<'n> = (&'n InstanceName, &'n PeerName);

/// What every node that an object names would do; that of the assumptions, if there is none.
pub(super) fn of_all_nodes(
    objects: &Situation,
    assumptions: &Assumptions,
) -> BTreeMap<NodeName, NodeState> {
    let mut nodes = BTreeSet::new();
    for object in objects.values() {
        if let Object::Node(node) = object {
            nodes.insert(node.name.clone());
        }
    }
    if nodes.is_empty() {
        nodes.insert(assumptions.node.clone());
    }
    let configured;
    let (role, objects) = match assumptions.layout {
        Layout::Nodes => (Role::Standalone, objects),
        Layout::Cluster => {
            configured = with_node_configs(objects, assumptions);
            (Role::Agent, &configured)
        }
    };
    nodes
        .into_iter()
        .map(|node| {
            let facts = Facts {
                role,
                ..assumptions.facts(&node)
            };
            let state = NodeState::of(objects, facts);
            (node, state)
        })
        .collect()
}

/// The objects with the CiliumBGPNodeConfigs that an operator would make of them.
fn with_node_configs(objects: &Situation, assumptions: &Assumptions) -> Situation {
    let mut desired = Desired::new(Facts {
        role: Role::Operator,
        ..assumptions.facts(&assumptions.node)
    });
    let changes = desired.on_change(&all_of(objects, Role::Operator));
    let mut objects = objects.clone();
    for (node, spec) in changes.node_configs {
        let name = ObjectName::of_cluster(node.as_str());
        let key = Key::new(Kind::CiliumBGPNodeConfig, name);
        let manifest = spec.map(|spec| spec.manifest(&node));
        let object = manifest.map(|manifest| Object::from_value(manifest, Strictness::Lenient));
        match object {
            Some(Ok(object)) => drop(objects.insert(key, object)),
            // An object that an operator would write and no agent could read is none.
            Some(Err(_)) | None => drop(objects.remove(&key)),
        }
    }
    objects
}

fn all_of(objects: &Situation, role: Role) -> Delta {
    let of_role = objects
        .iter()
        .filter(|(key, _)| role.kinds().contains(&key.kind));
    Delta {
        objects: of_role
            .map(|(key, object)| (key.clone(), Some(object.clone())))
            .collect(),
        synced: role.kinds().iter().copied().collect(),
        ..Delta::default()
    }
}

impl NodeState {
    fn of(objects: &Situation, facts: Facts) -> Self {
        let role = facts.role;
        let mut desired = Desired::new(facts);
        let mut state = Self::default();
        state.take(desired.on_change(&all_of(objects, role)));
        let ready: Vec<(Vip, bool)> = state
            .services
            .values()
            .filter(|service| is_ready(service))
            .flat_map(|service| service.frontends.iter().map(|vip| (*vip, true)))
            .collect();
        state.take(desired.on_ready(ready));
        state.left_out = desired.left_out().to_vec();
        state
    }

    fn take(&mut self, changes: Changes) {
        for (key, service) in changes.balancer.services {
            match service {
                Some(service) => self.services.insert(key, service),
                None => self.services.remove(&key),
            };
        }
        for (name, instance) in changes.bgp.instances {
            match instance {
                Some(instance) => self.instances.insert(name, instance),
                None => self.instances.remove(&name),
            };
        }
        for change in changes.bgp.exports {
            match change {
                ExportChange::Announce {
                    export,
                    prefix,
                    attributes,
                } => {
                    let routes = self.exports.entry(export).or_default();
                    routes.insert(prefix, attributes);
                }
                ExportChange::Withdraw { export, prefix } => {
                    if let Some(routes) = self.exports.get_mut(&export) {
                        routes.remove(&prefix);
                    }
                }
                ExportChange::Clear(export) => drop(self.exports.remove(&export)),
            }
        }
    }

    /// Its peers.
    pub(super) fn peers(&self) -> impl Iterator<Item = (PeerId<'_>, &Instance, &Peer)> {
        self.instances.iter().flat_map(|(instance_name, instance)| {
            let peers = instance.peers.iter();
            peers.map(move |(name, peer)| ((instance_name, name), instance, peer))
        })
    }

    /// What it tells each peer.
    pub(super) fn routes(
        &self,
    ) -> impl Iterator<Item = (PeerId<'_>, &Instance, &Peer, Prefix, &Attributes)> {
        self.peers().flat_map(|(id, instance, peer)| {
            let exports = peer.families.values().flatten();
            let routes = exports
                .filter_map(|export| self.exports.get(export))
                .flatten();
            routes.map(move |(prefix, attributes)| (id, instance, peer, *prefix, attributes))
        })
    }

    /// Every prefix that it tells anybody.
    pub(super) fn prefixes(&self) -> BTreeSet<Prefix> {
        self.routes().map(|(_, _, _, prefix, _)| prefix).collect()
    }
}

/// Whether packets to the service's frontends would be served, or refused on purpose.
fn is_ready(service: &Service) -> bool {
    !service.backends.is_empty() || service.when_empty == WhenEmpty::Refuse
}
