//! Which CiliumBGPClusterConfig a node belongs to.
//!
//! The config that has a node keeps it while it selects it: a CiliumBGPNodeConfig says which that is. A
//! node without one goes to the oldest config that selects it (of two equally old ones the first by
//! name). A node on its own has no such object: there the oldest config has it, so that the answer
//! follows from the objects and is the same after a restart.

use std::collections::{BTreeMap, BTreeSet};

use api::bgp::BgpClusterConfig;
use api::{Owner, Timestamp};
use types::{NodeName, ObjectName};

use crate::objects::Objects;

/// The index over configs and the nodes they select.
#[derive(Debug)]
pub(crate) struct Ownership {
    /// This node counts as one, also without an object; none for an operator.
    own: Option<NodeName>,
    /// The nodes that each config selects.
    selected: BTreeMap<ObjectName, BTreeSet<NodeName>>,
    /// The configs that select each node.
    selecting: BTreeMap<NodeName, BTreeSet<ObjectName>>,
    dirty_nodes: BTreeSet<NodeName>,
    dirty_configs: BTreeSet<ObjectName>,
}

/// What a change of configs and nodes concerns.
#[derive(Debug, Default)]
pub(crate) struct Concerned {
    /// Configs whose nodes may be others, or belong to others.
    pub(crate) configs: BTreeSet<ObjectName>,
    /// Nodes that may belong to another config, or whose config is another.
    pub(crate) nodes: BTreeSet<NodeName>,
}

impl Ownership {
    pub(crate) fn new(own: Option<NodeName>) -> Self {
        Self {
            dirty_nodes: own.iter().cloned().collect(),
            own,
            selected: BTreeMap::new(),
            selecting: BTreeMap::new(),
            dirty_configs: BTreeSet::new(),
        }
    }

    pub(crate) fn touch_node(&mut self, node: NodeName) {
        self.dirty_nodes.insert(node);
    }

    pub(crate) fn touch_config(&mut self, config: &ObjectName) {
        self.dirty_configs.insert(config.clone());
    }

    /// Works through what was touched.
    pub(crate) fn settle(&mut self, objects: &Objects) -> Concerned {
        let mut concerned = Concerned::default();
        for config in std::mem::take(&mut self.dirty_configs) {
            self.settle_config(objects, config, &mut concerned);
        }
        for node in std::mem::take(&mut self.dirty_nodes) {
            self.settle_node(objects, node, &mut concerned);
        }
        concerned
    }

    /// The config that the node belongs to. `incumbent` is the one that has it.
    pub(crate) fn owner<'o>(
        &self,
        objects: &'o Objects,
        node: &NodeName,
        incumbent: Option<&Owner>,
    ) -> Option<&'o BgpClusterConfig> {
        let names = self.selecting.get(node)?.iter();
        let configs = names.filter_map(|name| objects.clusters.get(name).map(AsRef::as_ref));
        let has_it =
            |config: &&BgpClusterConfig| incumbent.is_some_and(|owner| is_same(owner, config));
        let found = configs.clone().find(has_it);
        found.or_else(|| configs.min_by_key(|config| age(config)))
    }

    /// The nodes that the config selects.
    pub(crate) fn selected(&self, config: &ObjectName) -> impl Iterator<Item = &NodeName> {
        self.selected.get(config).into_iter().flatten()
    }

    /// The configs that select the node.
    pub(crate) fn selecting(&self, node: &NodeName) -> impl Iterator<Item = &ObjectName> {
        self.selecting.get(node).into_iter().flatten()
    }

    fn settle_config(&mut self, objects: &Objects, config: ObjectName, concerned: &mut Concerned) {
        // Its age may have changed, so whoever shares a node with it may win or lose.
        self.share(&config, concerned);
        let nodes = match objects.clusters.get(&config) {
            Some(found) => {
                let known = objects.nodes.values().map(|node| &node.name);
                let known: BTreeSet<&NodeName> = known.chain(&self.own).collect();
                let selects = |name: &&NodeName| found.selects(&objects.node(name));
                known.into_iter().filter(selects).cloned().collect()
            }
            None => BTreeSet::new(),
        };
        for node in self.selected.remove(&config).unwrap_or_default() {
            self.deselect(&node, &config);
        }
        for node in &nodes {
            let selecting = self.selecting.entry(node.clone()).or_default();
            selecting.insert(config.clone());
        }
        self.selected.insert(config.clone(), nodes);
        self.share(&config, concerned);
        if !objects.clusters.contains_key(&config) {
            self.selected.remove(&config);
        }
        concerned.configs.insert(config);
    }

    fn settle_node(&mut self, objects: &Objects, name: NodeName, concerned: &mut Concerned) {
        let key = ObjectName::of_cluster(name.as_str());
        let exists = self.own.as_ref() == Some(&name) || objects.nodes.contains_key(&key);
        let new: BTreeSet<ObjectName> = if exists {
            let node = objects.node(&name);
            let configs = objects.clusters.iter();
            let selecting = configs.filter(|(_, config)| config.selects(&node));
            selecting.map(|(name, _)| name.clone()).collect()
        } else {
            BTreeSet::new()
        };
        let old = self.selecting.remove(&name).unwrap_or_default();
        if old != new {
            // Those that selected it before and after are concerned too: its owner may have changed.
            concerned.configs.extend(old.union(&new).cloned());
        }
        for config in old.difference(&new) {
            if let Some(nodes) = self.selected.get_mut(config) {
                nodes.remove(&name);
            }
        }
        for config in new.difference(&old) {
            let nodes = self.selected.entry(config.clone()).or_default();
            nodes.insert(name.clone());
        }
        if !new.is_empty() {
            self.selecting.insert(name.clone(), new);
        }
        concerned.nodes.insert(name);
    }

    fn deselect(&mut self, node: &NodeName, config: &ObjectName) {
        if let Some(configs) = self.selecting.get_mut(node) {
            configs.remove(config);
            if configs.is_empty() {
                self.selecting.remove(node);
            }
        }
    }

    /// Adds the nodes that the config selects, and the configs that select one of those too.
    fn share(&self, config: &ObjectName, concerned: &mut Concerned) {
        for node in self.selected(config) {
            concerned.configs.extend(self.selecting(node).cloned());
            concerned.nodes.insert(node.clone());
        }
    }
}

/// Whether the owner that an object names is this config, and not an earlier one of the same name.
fn is_same(owner: &Owner, config: &BgpClusterConfig) -> bool {
    let uids = (&owner.uid, &config.meta.uid);
    let same_uid = !matches!(uids, (Some(theirs), Some(its)) if theirs != its);
    *owner.name == *config.meta.name.name && same_uid
}

/// What is least is oldest. Objects without a time come from before there were times.
fn age(config: &BgpClusterConfig) -> (Option<Timestamp>, &ObjectName) {
    (config.meta.created, &config.meta.name)
}
