//! The objects as they are known, and how much is known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use api::bgp::{
    BgpAdvertisement, BgpClusterConfig, BgpPeerConfig, NodeConfig, NodeConfigOverride, NodeSpec,
};
use api::{
    EndpointSlice, Fault, Ingress, Key, Kind, LoadBalancerIPPool, Metadata, Node, Object, Secret,
    Service, Shown,
};
use lb_ipam::Inputs;
use types::{NodeName, ObjectName};

/// What LB-IPAM's decisions depend on.
pub(crate) const IPAM: [Kind; 2] = [Kind::Service, Kind::CiliumLoadBalancerIPPool];

/// The objects as they are known: the last good value of each.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) services: BTreeMap<ObjectName, Arc<Service>>,
    pub(crate) slices: BTreeMap<ObjectName, Arc<EndpointSlice>>,
    pub(crate) nodes: BTreeMap<ObjectName, Arc<Node>>,
    pub(crate) secrets: BTreeMap<ObjectName, Arc<Secret>>,
    pub(crate) pools: BTreeMap<ObjectName, Arc<LoadBalancerIPPool>>,
    pub(crate) clusters: BTreeMap<ObjectName, Arc<BgpClusterConfig>>,
    pub(crate) peer_configs: BTreeMap<ObjectName, Arc<BgpPeerConfig>>,
    pub(crate) advertisements: BTreeMap<ObjectName, Arc<BgpAdvertisement>>,
    pub(crate) node_configs: BTreeMap<ObjectName, Arc<NodeConfig>>,
    pub(crate) overrides: BTreeMap<ObjectName, Arc<NodeConfigOverride>>,
    synced: BTreeSet<Kind>,
    /// With the addresses that those which are Services have.
    refused: BTreeMap<Key, Vec<IpAddr>>,
}

impl Objects {
    /// Takes a new value, or none. The old one comes back.
    pub(crate) fn put(&mut self, key: &Key, new: Option<&Object>) -> Option<Object> {
        let old = self.remove(key);
        if let Some(object) = new {
            self.insert(key.name.clone(), object.clone());
        }
        old
    }

    /// Whether the newest value of the object was refused.
    pub(crate) fn refuse(&mut self, key: &Key, faults: &[Fault], shown: Option<&Shown>) {
        if faults.is_empty() {
            self.refused.remove(key);
        } else {
            let entries = shown.map_or(&[][..], |shown| &shown.ingress).iter();
            let addresses = entries.filter_map(|entry| match entry {
                Ingress::Ip(addr) => Some(*addr),
                Ingress::Hostname(_) => None,
            });
            self.refused.insert(key.clone(), addresses.collect());
        }
    }

    pub(crate) fn sync(&mut self, kinds: &BTreeSet<Kind>) {
        self.synced.extend(kinds);
    }

    /// How much is known of those kinds.
    pub(crate) fn inputs(&self, kinds: &[Kind]) -> Inputs {
        let concerns = |key: &&Key| kinds.contains(&key.kind) && self.is_unknown(key);
        if !kinds.iter().all(|kind| self.synced.contains(kind)) {
            Inputs::Incomplete
        } else if self.refused.keys().any(|key| concerns(&key)) {
            Inputs::Faulty
        } else {
            Inputs::Complete
        }
    }

    /// Whether the object was refused and no good value of it is known.
    pub(crate) fn is_unknown(&self, key: &Key) -> bool {
        self.refused.contains_key(key) && self.get(key).is_none()
    }

    /// The addresses of a Service that was refused and of which no good value is known.
    pub(crate) fn unreadable(&self, key: &Key) -> Option<&[IpAddr]> {
        let addresses = self.refused.get(key)?;
        self.get(key).is_none().then_some(addresses)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Object> {
        let name = &key.name;
        match key.kind {
            Kind::Service => self.services.get(name).cloned().map(Object::Service),
            Kind::EndpointSlice => self.slices.get(name).cloned().map(Object::EndpointSlice),
            Kind::Node => self.nodes.get(name).cloned().map(Object::Node),
            Kind::Secret => self.secrets.get(name).cloned().map(Object::Secret),
            Kind::CiliumLoadBalancerIPPool => {
                let found = self.pools.get(name).cloned();
                found.map(Object::CiliumLoadBalancerIPPool)
            }
            Kind::CiliumBGPClusterConfig => {
                let found = self.clusters.get(name).cloned();
                found.map(Object::CiliumBGPClusterConfig)
            }
            Kind::CiliumBGPPeerConfig => {
                let found = self.peer_configs.get(name).cloned();
                found.map(Object::CiliumBGPPeerConfig)
            }
            Kind::CiliumBGPAdvertisement => {
                let found = self.advertisements.get(name).cloned();
                found.map(Object::CiliumBGPAdvertisement)
            }
            Kind::CiliumBGPNodeConfig => {
                let found = self.node_configs.get(name).cloned();
                found.map(Object::CiliumBGPNodeConfig)
            }
            Kind::CiliumBGPNodeConfigOverride => {
                let found = self.overrides.get(name).cloned();
                found.map(Object::CiliumBGPNodeConfigOverride)
            }
        }
    }

    /// The node of that name. A directory need not have an object for each node: one that is
    /// missing has its name and nothing else.
    pub(crate) fn node(&self, name: &NodeName) -> Arc<Node> {
        let key = ObjectName::of_cluster(name.as_str());
        self.nodes.get(&key).cloned().unwrap_or_else(|| {
            Arc::new(Node {
                meta: Metadata {
                    name: key,
                    ..Metadata::default()
                },
                name: name.clone(),
                addresses: Vec::new(),
                pod_cidrs: Vec::new(),
                unschedulable: false,
            })
        })
    }

    /// What the node is to run, by its own object.
    pub(crate) fn node_config(&self, name: &NodeName) -> Option<&NodeSpec> {
        let key = ObjectName::of_cluster(name.as_str());
        self.node_configs.get(&key).map(|config| &config.spec)
    }

    fn insert(&mut self, name: ObjectName, object: Object) {
        match object {
            Object::Service(object) => drop(self.services.insert(name, object)),
            Object::EndpointSlice(object) => drop(self.slices.insert(name, object)),
            Object::Node(object) => drop(self.nodes.insert(name, object)),
            Object::Secret(object) => drop(self.secrets.insert(name, object)),
            Object::CiliumLoadBalancerIPPool(object) => drop(self.pools.insert(name, object)),
            Object::CiliumBGPClusterConfig(object) => drop(self.clusters.insert(name, object)),
            Object::CiliumBGPPeerConfig(object) => drop(self.peer_configs.insert(name, object)),
            Object::CiliumBGPAdvertisement(object) => {
                drop(self.advertisements.insert(name, object));
            }
            Object::CiliumBGPNodeConfig(object) => drop(self.node_configs.insert(name, object)),
            Object::CiliumBGPNodeConfigOverride(object) => {
                drop(self.overrides.insert(name, object));
            }
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Object> {
        let name = &key.name;
        match key.kind {
            Kind::Service => self.services.remove(name).map(Object::Service),
            Kind::EndpointSlice => self.slices.remove(name).map(Object::EndpointSlice),
            Kind::Node => self.nodes.remove(name).map(Object::Node),
            Kind::Secret => self.secrets.remove(name).map(Object::Secret),
            Kind::CiliumLoadBalancerIPPool => {
                let found = self.pools.remove(name);
                found.map(Object::CiliumLoadBalancerIPPool)
            }
            Kind::CiliumBGPClusterConfig => {
                let found = self.clusters.remove(name);
                found.map(Object::CiliumBGPClusterConfig)
            }
            Kind::CiliumBGPPeerConfig => {
                let found = self.peer_configs.remove(name);
                found.map(Object::CiliumBGPPeerConfig)
            }
            Kind::CiliumBGPAdvertisement => {
                let found = self.advertisements.remove(name);
                found.map(Object::CiliumBGPAdvertisement)
            }
            Kind::CiliumBGPNodeConfig => {
                let found = self.node_configs.remove(name);
                found.map(Object::CiliumBGPNodeConfig)
            }
            Kind::CiliumBGPNodeConfigOverride => {
                let found = self.overrides.remove(name);
                found.map(Object::CiliumBGPNodeConfigOverride)
            }
        }
    }
}
