//! Which CiliumBGPClusterConfig a node belongs to.
//!
//! Departs from Cilium: there the first config to reach a node keeps it. Here the oldest config that
//! selects a node has it (of two equally old ones the first by name), so that the answer follows from the
//! objects and is the same after a restart.

use std::collections::{BTreeMap, BTreeSet};

use api::Timestamp;
use types::{NodeName, ObjectName};

use crate::objects::Objects;

/// The index over configs and the nodes they select.
#[derive(Debug)]
pub(crate) struct Ownership {
    /// This node counts as one, also without an object.
    own: NodeName,
    /// The nodes that each config selects.
    selected: BTreeMap<ObjectName, BTreeSet<NodeName>>,
    /// The configs that select each node.
    selecting: BTreeMap<NodeName, BTreeSet<ObjectName>>,
    dirty_nodes: BTreeSet<NodeName>,
    dirty_configs: BTreeSet<ObjectName>,
}

impl Ownership {
    pub(crate) fn new(own: NodeName) -> Self {
        Self {
            dirty_nodes: [own.clone()].into(),
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

    /// Works through what was touched. The configs whose nodes may have changed, or the owners of those.
    pub(crate) fn settle(&mut self, objects: &Objects) -> BTreeSet<ObjectName> {
        let mut concerned = BTreeSet::new();
        for config in std::mem::take(&mut self.dirty_configs) {
            // Its age may have changed, so whoever shares a node with it may win or lose.
            self.share(&config, &mut concerned);
            let nodes = match objects.clusters.get(&config) {
                Some(found) => {
                    let known = objects.nodes.values().map(|node| &node.name);
                    let known: BTreeSet<&NodeName> = known.chain([&self.own]).collect();
                    let selects = |name: &&NodeName| found.selects(&objects.node(name));
                    known.into_iter().filter(selects).cloned().collect()
                }
                None => BTreeSet::new(),
            };
            let old = self.selected.remove(&config).unwrap_or_default();
            for node in &old {
                self.deselect(node, &config);
            }
            for node in &nodes {
                let selecting = self.selecting.entry(node.clone()).or_default();
                selecting.insert(config.clone());
            }
            self.selected.insert(config.clone(), nodes);
            self.share(&config, &mut concerned);
            if !objects.clusters.contains_key(&config) {
                self.selected.remove(&config);
            }
            concerned.insert(config);
        }
        for node in std::mem::take(&mut self.dirty_nodes) {
            self.select(objects, &node, &mut concerned);
        }
        concerned
    }

    /// The config that the node belongs to.
    pub(crate) fn owner(&self, objects: &Objects, node: &NodeName) -> Option<ObjectName> {
        let configs = self.selecting.get(node)?.iter();
        let configs = configs.filter_map(|name| objects.clusters.get(name));
        let oldest = configs.min_by_key(|config| age(config.meta.created, &config.meta.name))?;
        Some(oldest.meta.name.clone())
    }

    /// Whether the config selects no node at all.
    pub(crate) fn selects_none(&self, config: &ObjectName) -> bool {
        self.selected.get(config).is_none_or(BTreeSet::is_empty)
    }

    /// The configs that nodes selected by this one belong to instead.
    pub(crate) fn winners(&self, objects: &Objects, config: &ObjectName) -> BTreeSet<String> {
        let nodes = self.selected.get(config).into_iter().flatten();
        let owners = nodes.filter_map(|node| self.owner(objects, node));
        owners
            .filter(|owner| owner != config)
            .map(|owner| owner.name.as_ref().to_owned())
            .collect()
    }

    fn select(&mut self, objects: &Objects, name: &NodeName, concerned: &mut BTreeSet<ObjectName>) {
        let exists = *name == self.own
            || objects
                .nodes
                .contains_key(&ObjectName::of_cluster(name.as_str()));
        let new: BTreeSet<ObjectName> = if exists {
            let node = objects.node(name);
            let configs = objects.clusters.iter();
            let selecting = configs.filter(|(_, config)| config.selects(&node));
            selecting.map(|(name, _)| name.clone()).collect()
        } else {
            BTreeSet::new()
        };
        let old = self.selecting.remove(name).unwrap_or_default();
        if old != new {
            // Those that selected it before and after are concerned too: its owner may have changed.
            concerned.extend(old.union(&new).cloned());
        }
        for config in old.difference(&new) {
            if let Some(nodes) = self.selected.get_mut(config) {
                nodes.remove(name);
            }
        }
        for config in new.difference(&old) {
            let nodes = self.selected.entry(config.clone()).or_default();
            nodes.insert(name.clone());
        }
        if !new.is_empty() {
            self.selecting.insert(name.clone(), new);
        }
    }

    fn deselect(&mut self, node: &NodeName, config: &ObjectName) {
        if let Some(configs) = self.selecting.get_mut(node) {
            configs.remove(config);
            if configs.is_empty() {
                self.selecting.remove(node);
            }
        }
    }

    /// Adds the configs that select a node which this one selects too.
    fn share(&self, config: &ObjectName, concerned: &mut BTreeSet<ObjectName>) {
        let nodes = self.selected.get(config).into_iter().flatten();
        let others = nodes.filter_map(|node| self.selecting.get(node));
        concerned.extend(others.flatten().cloned());
    }
}

/// What is least is oldest. Objects without a time come from before there were times.
fn age(created: Option<Timestamp>, name: &ObjectName) -> (Option<Timestamp>, &ObjectName) {
    (created, name)
}
