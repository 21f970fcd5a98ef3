//! Works through what was touched, as far as enough is known.

use std::collections::{BTreeMap, BTreeSet};

use api::Kind;
use bgp_speaker_core::desired::InstanceName;

use crate::instances::{ExportKey, Wanted};
use crate::{
    BgpChanges, Changes, Desired, Forwarding, Inputs, Progress, Role, conditions, exports,
};

impl Desired {
    /// How much each feature's desired state is based on.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let role = self.facts.role;
        Progress {
            ipam: self.ipam,
            balancer: self.objects.inputs(role.balancer()),
            bgp: self.objects.inputs(role.bgp()),
        }
    }

    pub(crate) fn settle(&mut self, mut changes: Changes) -> Changes {
        changes.progress = self.progress();
        let balances = self.facts.role.is_node() && self.facts.forwarding == Forwarding::Balancer;
        if balances && changes.progress.balancer != Inputs::Incomplete {
            let (objects, endpoints) = (&self.objects, &self.endpoints);
            let services = self
                .balancer
                .settle(objects, endpoints, &mut changes.balancer);
            for service in services {
                self.exports.touch_service(&service);
                self.conditions.touch(Kind::Service, &service);
            }
        }
        if changes.progress.bgp != Inputs::Incomplete {
            self.settle_nodes(&mut changes);
            if self.facts.role.is_node() {
                changes.bgp = self.settle_bgp();
            }
        }
        changes.statuses = self.conditions.settle(&conditions::Context {
            facts: &self.facts,
            objects: &self.objects,
            balancer: &self.balancer,
            node_configs: &self.node_configs,
            left_out: &self.left_out,
        });
        changes
    }

    /// Which node runs what, where that is decided here.
    fn settle_nodes(&mut self, changes: &mut Changes) {
        if !self.facts.role.assigns_nodes() {
            return;
        }
        let mut node_configs = BTreeMap::new();
        for config in self.node_configs.settle(&self.objects, &mut node_configs) {
            self.conditions.touch(Kind::CiliumBGPClusterConfig, &config);
        }
        match self.facts.role {
            // Its own stays in the process.
            Role::Standalone => self.dirty_instances |= !node_configs.is_empty(),
            Role::Operator | Role::Agent => changes.node_configs = node_configs,
        }
    }

    fn settle_bgp(&mut self) -> BgpChanges {
        let mut changes = BgpChanges::default();
        if std::mem::take(&mut self.dirty_instances) {
            self.settle_instances(&mut changes);
        }
        changes.exports = self.exports.settle(&exports::Context {
            facts: &self.facts,
            objects: &self.objects,
            endpoints: &self.endpoints,
            balancer: &self.balancer,
            network: &self.network,
            excluded: self.objects.node(&self.facts.node).is_excluded(),
        });
        changes
    }

    fn settle_instances(&mut self, changes: &mut BgpChanges) {
        let mut named: BTreeSet<ExportKey> = BTreeSet::new();
        let exports = &mut self.exports;
        let mut number = |key: ExportKey| {
            named.insert(key.clone());
            exports.number(key)
        };
        let spec = match self.facts.role {
            Role::Standalone | Role::Operator => self.node_configs.own(),
            Role::Agent => self.objects.node_config(&self.facts.node),
        };
        let wanted = Wanted::new(&self.facts, &self.objects, &self.network, spec, &mut number);
        changes.cleared = self.exports.activate(&named);
        let gone = |name: &&InstanceName| !wanted.instances.contains_key(*name);
        for name in self.instances.keys().filter(gone) {
            changes.instances.insert(name.clone(), None);
        }
        for (name, instance) in &wanted.instances {
            if self.instances.get(name) != Some(instance) {
                let instance = Some(instance.clone());
                changes.instances.insert(name.clone(), instance);
            }
        }
        self.instances = wanted.instances;
        self.left_out = wanted.left_out;
        self.conditions.touch_own();
    }
}
