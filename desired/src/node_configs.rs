//! What each node's CiliumBGPNodeConfig is to be.
//!
//! ```text
//!  ClusterConfig, Node -> owner of the node --+
//!  NodeConfigOverride ------------------------+--> NodeSpec, compared with what the object shows
//!  router IDs of all nodes -------------------+
//! ```
//!
//! An operator does this for all nodes and has the objects written. A node on its own does it for itself
//! and takes the result as it is, so there is one way from a CiliumBGPClusterConfig to what a node runs.

mod build;
mod router_ids;

use std::collections::{BTreeMap, BTreeSet};

use api::bgp::NodeSpec;
use api::{Key, Kind, Owner};
use lb_ipam::Inputs;
use types::{NodeName, ObjectName};

use crate::objects::Objects;
use crate::ownership::{Concerned, Ownership};
use crate::{Facts, Role};
use router_ids::RouterIds;

pub use router_ids::{BadRouterIdPool, RouterIdPool};

/// The index from nodes to what they are to run.
#[derive(Debug)]
pub(crate) struct NodeConfigs {
    role: Role,
    own: NodeName,
    ownership: Ownership,
    /// The config that each node belongs to.
    owners: BTreeMap<NodeName, ObjectName>,
    /// What each node's object shows, and what was told since. Of a node on its own: what it runs.
    told: BTreeMap<NodeName, NodeSpec>,
    router_ids: RouterIds,
    dirty: BTreeSet<NodeName>,
    /// Nodes whose object stays as it is until everything that it depends on is valid.
    held: BTreeSet<NodeName>,
}

/// What became of a node.
enum Verdict {
    /// This is what it is to run, and the object is to say so.
    Is(NodeSpec),
    /// It is to run nothing, and its object is to go.
    Gone,
    /// Its object is not ours, or there is none.
    NotOurs,
    /// What decides about it is not valid.
    Unknown,
}

impl NodeConfigs {
    pub(crate) fn new(facts: &Facts) -> Self {
        let own = (facts.role == Role::Standalone).then(|| facts.node.clone());
        Self {
            role: facts.role,
            own: facts.node.clone(),
            owners: BTreeMap::new(),
            told: BTreeMap::new(),
            // Several nodes on their own would all take the first.
            router_ids: RouterIds::new(facts.router_id_pool.filter(|_| own.is_none())),
            dirty: BTreeSet::new(),
            held: BTreeSet::new(),
            ownership: Ownership::new(own),
        }
    }

    /// A node is there, has other labels, or is gone.
    pub(crate) fn touch_node(&mut self, node: NodeName) {
        self.ownership.touch_node(node);
    }

    pub(crate) fn touch_config(&mut self, config: &ObjectName) {
        self.ownership.touch_config(config);
    }

    pub(crate) fn touch_override(&mut self, node: NodeName) {
        self.dirty.insert(node);
    }

    /// A node's object shows this now.
    pub(crate) fn on_shown(&mut self, node: NodeName, spec: Option<&NodeSpec>) {
        if self.told.get(&node) == spec {
            return;
        }
        match spec {
            Some(spec) => self.told.insert(node.clone(), spec.clone()),
            None => self.told.remove(&node),
        };
        self.dirty.insert(node);
    }

    /// What this node is to run, if it is on its own.
    pub(crate) fn own(&self) -> Option<&NodeSpec> {
        self.told.get(&self.own)
    }

    /// Whether the config selects no node at all.
    pub(crate) fn selects_none(&self, config: &ObjectName) -> bool {
        self.ownership.selected(config).next().is_none()
    }

    /// The configs that nodes selected by this one belong to instead.
    pub(crate) fn winners(&self, config: &ObjectName) -> BTreeSet<String> {
        let nodes = self.ownership.selected(config);
        let owners = nodes.filter_map(|node| self.owners.get(node));
        owners
            .filter(|owner| *owner != config)
            .map(|owner| owner.name.as_ref().to_owned())
            .collect()
    }

    /// What is wrong with the router IDs of the config's nodes, by node.
    pub(crate) fn router_id_problems(&self, config: &ObjectName) -> Vec<String> {
        let nodes = self.ownership.selected(config);
        let owned = nodes.filter(|node| self.owners.get(*node) == Some(config));
        owned
            .filter_map(|node| Some((node, self.router_ids.problems(node)?)))
            .map(|(node, problem)| format!("{node}: {problem}"))
            .collect()
    }

    /// Works through what was touched. The configs whose conditions may have changed.
    pub(crate) fn settle(
        &mut self,
        objects: &Objects,
        changes: &mut BTreeMap<NodeName, Option<NodeSpec>>,
    ) -> BTreeSet<ObjectName> {
        let inputs = objects.inputs(self.role.bgp());
        let Concerned { mut configs, nodes } = self.ownership.settle(objects);
        self.dirty.extend(nodes);
        if inputs == Inputs::Complete {
            self.dirty.append(&mut self.held);
        }
        self.router_ids.adopt(&self.told);
        while let Some(node) = self.dirty.pop_first() {
            let problems = self.router_ids.problems(&node);
            let before = (self.owners.get(&node).cloned(), problems);
            self.settle_node(objects, &node, inputs, changes);
            let after = (
                self.owners.get(&node).cloned(),
                self.router_ids.problems(&node),
            );
            if before != after {
                configs.extend(self.ownership.selecting(&node).cloned());
                configs.extend(before.0);
            }
            self.dirty.append(&mut self.router_ids.retries());
        }
        configs
    }

    fn settle_node(
        &mut self,
        objects: &Objects,
        node: &NodeName,
        inputs: Inputs,
        changes: &mut BTreeMap<NodeName, Option<NodeSpec>>,
    ) {
        match self.judge(objects, node) {
            Verdict::Is(spec) => {
                if self.told.get(node) != Some(&spec) {
                    self.told.insert(node.clone(), spec.clone());
                    changes.insert(node.clone(), Some(spec));
                }
            }
            // Nothing is removed while something that is not valid might want it.
            Verdict::Gone if self.role == Role::Operator && inputs != Inputs::Complete => {
                self.held.insert(node.clone());
            }
            Verdict::Gone => {
                self.router_ids.release(node);
                self.told.remove(node);
                changes.insert(node.clone(), None);
            }
            Verdict::NotOurs => self.router_ids.release(node),
            Verdict::Unknown => drop(self.held.insert(node.clone())),
        }
    }

    fn judge(&mut self, objects: &Objects, node: &NodeName) -> Verdict {
        let key = ObjectName::of_cluster(node.as_str());
        let unknown = |kind, name| objects.is_unknown(&Key::new(kind, name));
        let told = self.told.get(node);
        let incumbent = told.and_then(|told| told.owner.as_ref());
        // A node on its own has no memory of who had it.
        let incumbent = incumbent.filter(|_| self.role == Role::Operator);
        if let Some(Owner { name, .. }) = incumbent
            && unknown(Kind::CiliumBGPClusterConfig, ObjectName::of_cluster(name))
        {
            self.owners
                .insert(node.clone(), ObjectName::of_cluster(name));
            return Verdict::Unknown;
        }
        let Some(owner) = self.ownership.owner(objects, node, incumbent) else {
            self.owners.remove(node);
            return match told {
                Some(told) if told.owner.is_some() => Verdict::Gone,
                Some(_) | None => Verdict::NotOurs,
            };
        };
        self.owners.insert(node.clone(), owner.meta.name.clone());
        if self.role == Role::Standalone && *node != self.own {
            return Verdict::NotOurs;
        }
        // A node on its own runs what is valid; it has no object that could stay as it is.
        if self.role == Role::Operator && unknown(Kind::CiliumBGPNodeConfigOverride, key.clone()) {
            return Verdict::Unknown;
        }
        let differs = objects.overrides.get(&key).map(AsRef::as_ref);
        let spec = build::spec(owner, differs, |wanted| {
            self.router_ids.assign(node, wanted)
        });
        Verdict::Is(spec)
    }
}
