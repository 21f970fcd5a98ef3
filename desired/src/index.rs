//! The index from objects to each feature's desired state: what a change touches.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::{Delta, Key, Kind, Node, Object};
use bgp_speaker_core::desired::{Instance, InstanceName};
use types::{Family, NodeName, ObjectName, Vip};

use crate::balancer::{Balancer, Place};
use crate::conditions::Conditions;
use crate::endpoints::Endpoints;
use crate::exports::Exports;
use crate::network::Network;
use crate::node_configs::NodeConfigs;
use crate::objects::Objects;
use crate::{Changes, Drained, Facts, Forwarding, Inputs, LeftOut, Role, ipam, objects, remarks};

/// The index from objects to each feature's desired state.
#[derive(Debug)]
pub struct Desired {
    pub(crate) facts: Facts,
    pub(crate) objects: Objects,
    pub(crate) endpoints: Endpoints,
    pub(crate) balancer: Balancer,
    pub(crate) node_configs: NodeConfigs,
    pub(crate) network: Network,
    pub(crate) exports: Exports,
    pub(crate) conditions: Conditions,
    /// What the speaker was told.
    pub(crate) instances: BTreeMap<InstanceName, Instance>,
    pub(crate) left_out: Vec<LeftOut>,
    /// Whether something that instances are made of has changed.
    pub(crate) dirty_instances: bool,
    pub(crate) ipam: Inputs,
}

impl Desired {
    /// Nothing is known of any object yet.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        let mut desired = Self {
            node_configs: NodeConfigs::new(&facts),
            conditions: Conditions::new(&facts),
            objects: Objects::default(),
            endpoints: Endpoints::default(),
            balancer: Balancer::default(),
            network: Network::default(),
            exports: Exports::default(),
            instances: BTreeMap::new(),
            left_out: Vec::new(),
            dirty_instances: true,
            ipam: Inputs::default(),
            facts,
        };
        desired.note_place(None);
        desired
    }

    /// Objects changed.
    pub fn on_change(&mut self, delta: &Delta) -> Changes {
        let mut changes = Changes::default();
        self.objects.sync(&delta.synced);
        for (key, faults) in &delta.refused {
            let shown = delta.shown.get(key);
            self.objects.refuse(key, faults, shown);
            self.conditions.on_refused(key, faults, shown);
        }
        for (key, object) in &delta.objects {
            let old = self.objects.put(key, object.as_ref());
            self.conditions.on_object(key, object.as_ref());
            self.note(key, old.as_ref(), object.as_ref());
        }
        if self.facts.role != Role::Agent {
            for key in delta.objects.keys().chain(delta.refused.keys()) {
                self.tell_ipam(key, &mut changes.ipam);
            }
            let inputs = self.objects.inputs(&objects::IPAM);
            if inputs != self.ipam {
                self.ipam = inputs;
                changes.ipam.inputs = Some(inputs);
                changes.ipam.grace = Some(self.facts.ipam.grace);
            }
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

    /// Exactly these are this node's default gateways: of each family the next hop of the default route
    /// with the lowest metric whose link is up, unless it is a link-local address. Peers by
    /// `autoDiscovery` are run once they are known.
    pub fn on_gateways(&mut self, gateways: BTreeMap<Family, IpAddr>) -> Changes {
        self.dirty_instances |= self.network.gateways != gateways;
        self.network.gateways = gateways;
        self.settle(Changes::default())
    }

    /// Exactly these interfaces of this node are up, each with all of its addresses: administratively up,
    /// with a link that is up or does not say. Peers with a `sourceInterface` are run, and addresses of
    /// interfaces announced, once they are known.
    pub fn on_interfaces(&mut self, interfaces: BTreeMap<String, BTreeSet<IpAddr>>) -> Changes {
        if self.network.interfaces != interfaces {
            self.network.interfaces = interfaces;
            self.dirty_instances = true;
            self.exports.touch_node();
        }
        self.settle(Changes::default())
    }

    /// What of this node's BGP configuration is not run, and why.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// What a person should know of this node's own state, such as that it is cordoned.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let node = self.objects.node(&self.facts.node);
        remarks::of(&node, self.facts.forwarding).map(|(_, words)| words)
    }

    /// Touches what depends on an object.
    fn note(&mut self, key: &Key, old: Option<&Object>, new: Option<&Object>) {
        let name = &key.name;
        let role = self.facts.role;
        match key.kind {
            Kind::Service => self.touch_service(name),
            Kind::EndpointSlice => {
                let services = [service_of(old), service_of(new)];
                self.endpoints.on_slice(name, services[0], services[1]);
                for service in services.into_iter().flatten() {
                    self.touch_service(service);
                }
            }
            Kind::Node => self.note_node(name, node_of(old), node_of(new)),
            Kind::Secret => {
                self.dirty_instances = true;
                self.note_secret(name);
            }
            Kind::CiliumLoadBalancerIPPool => {}
            Kind::CiliumBGPClusterConfig if role.assigns_nodes() => {
                self.node_configs.touch_config(name);
            }
            // An agent runs what the operator made of it.
            Kind::CiliumBGPClusterConfig => {}
            Kind::CiliumBGPPeerConfig => {
                self.dirty_instances = true;
                for config in self.objects.clusters.keys() {
                    self.conditions.touch(Kind::CiliumBGPClusterConfig, config);
                }
            }
            Kind::CiliumBGPAdvertisement if role.is_node() => {
                self.exports.touch_advertisement(name);
            }
            Kind::CiliumBGPAdvertisement => {}
            Kind::CiliumBGPNodeConfig => self.note_node_config(name, new),
            Kind::CiliumBGPNodeConfigOverride => {
                if let Some(node) = node_name(name).filter(|_| role.assigns_nodes()) {
                    self.node_configs.touch_override(node);
                }
            }
        }
    }

    /// Whoever forwards, its addresses may be announced from other places now.
    fn touch_service(&mut self, service: &ObjectName) {
        if !self.facts.role.is_node() {
            return;
        }
        if self.facts.forwarding == Forwarding::Balancer {
            self.balancer.touch(service);
        }
        self.exports.touch_service(service);
    }

    /// A node's heartbeat changes nothing that matters here, and costs nothing more.
    fn note_node(&mut self, name: &ObjectName, old: Option<&Node>, new: Option<&Node>) {
        let Some(node) = node_name(name) else {
            return;
        };
        let relabelled = differs(old, new, |node| &node.meta.labels);
        if relabelled && self.facts.role.assigns_nodes() {
            self.node_configs.touch_node(node.clone());
        }
        if node != self.facts.node || !self.facts.role.is_node() {
            return;
        }
        self.dirty_instances |= differs(old, new, |node| &node.addresses);
        if differs(old, new, |node| &node.pod_cidrs) {
            self.exports.touch_node();
        }
        if relabelled {
            self.exports.touch_services();
            self.note_place(new);
        }
        self.conditions.touch_own();
    }

    fn note_node_config(&mut self, name: &ObjectName, new: Option<&Object>) {
        let Some(node) = node_name(name) else {
            return;
        };
        match self.facts.role {
            // What it runs does not come from there.
            Role::Standalone => {}
            Role::Operator => {
                let spec = match new {
                    Some(Object::CiliumBGPNodeConfig(config)) => Some(&config.spec),
                    Some(_) | None => None,
                };
                self.node_configs.on_shown(node, spec);
            }
            Role::Agent => self.dirty_instances |= node == self.facts.node,
        }
    }

    fn note_secret(&mut self, name: &ObjectName) {
        let refers = |secret: Option<&String>| secret.is_some_and(|secret| **secret == *name.name);
        let configs = self.objects.peer_configs.iter();
        for (config, _) in configs.filter(|(_, c)| refers(c.session.auth_secret.as_ref())) {
            self.conditions.touch(Kind::CiliumBGPPeerConfig, config);
        }
    }

    /// An agent's balancer is on a node that Services may keep connections to.
    fn note_place(&mut self, node: Option<&Node>) {
        if self.facts.role == Role::Agent && self.facts.forwarding == Forwarding::Balancer {
            self.balancer.on_place(Place {
                node: self.facts.node.clone(),
                zone: node.and_then(Node::zone).map(str::to_owned),
            });
        }
    }

    fn tell_ipam(&self, key: &Key, delta: &mut lb_ipam::Delta) {
        if !self.facts.ipam.enabled {
            return;
        }
        let name = key.name.clone();
        if key.kind == Kind::Service {
            let unreadable = |current: &[IpAddr]| lb_ipam::Service::Unreadable {
                current: current.to_vec(),
            };
            let service = match self.objects.services.get(&name) {
                Some(service) => Some(ipam::service(service, &self.facts)),
                None => self.objects.unreadable(key).map(unreadable),
            };
            delta.services.insert(name, service);
        } else if key.kind == Kind::CiliumLoadBalancerIPPool {
            let pool = self.objects.pools.get(&name);
            delta.pools.insert(name, pool.map(|pool| ipam::pool(pool)));
        }
    }
}

/// A key in a delta names a node that was validated, now or before.
fn node_name(name: &ObjectName) -> Option<NodeName> {
    name.name.parse().ok()
}

/// Whether there is a node that was not there, or the other way round, or it has another value.
fn differs<T: PartialEq>(
    old: Option<&Node>,
    new: Option<&Node>,
    value: impl Fn(&Node) -> &T,
) -> bool {
    old.map(&value) != new.map(&value)
}

fn node_of(object: Option<&Object>) -> Option<&Node> {
    match object {
        Some(Object::Node(node)) => Some(node),
        Some(_) | None => None,
    }
}

fn service_of(object: Option<&Object>) -> Option<&ObjectName> {
    match object {
        Some(Object::EndpointSlice(slice)) => slice.service.as_ref(),
        Some(_) | None => None,
    }
}
