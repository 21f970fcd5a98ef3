//! A world that does what it is told: the outputs of [`Desired`], applied.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::bgp::NodeSpec;
use api::{Delta, Fault, FieldPath, Key, Kind, Object, Statement, Strictness};
use bgp_speaker_core::desired::{
    Attributes, ExportChange, ExportId, Instance, InstanceName, PeerName,
};
use desired::{
    BgpChanges, Changes, Desired, Drained, Facts, Forwarding, Inputs, LeftOut, Progress, Role,
};
use serde_json::Value;
use types::{Family, NodeName, ObjectName, Prefix, Vip};
use xdp_l4lb_core::desired::{Service, ServiceKey};

/// Routes by instance, peer and family; none where nothing is exported.
pub(crate) type Heard = BTreeMap<(InstanceName, PeerName, Family), Option<Routes>>;
pub(crate) type Routes = BTreeMap<Prefix, Attributes>;

/// Outputs, applied to what was there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Applied {
    pub(crate) services: BTreeMap<ServiceKey, Service>,
    pub(crate) instances: BTreeMap<InstanceName, Instance>,
    pub(crate) exports: BTreeMap<ExportId, Routes>,
    pub(crate) statuses: BTreeMap<Key, BTreeMap<String, Statement>>,
    pub(crate) node_configs: BTreeMap<NodeName, NodeSpec>,
    pub(crate) pools: BTreeMap<ObjectName, lb_ipam::Pool>,
    pub(crate) requests: BTreeMap<ObjectName, lb_ipam::Service>,
    pub(crate) inputs: Inputs,
    pub(crate) progress: Progress,
}

/// [`Desired`] and what it was told and said.
pub(crate) struct World {
    pub(crate) facts: Facts,
    pub(crate) desired: Desired,
    pub(crate) applied: Applied,
    pub(crate) objects: BTreeMap<Key, Object>,
    pub(crate) refused: BTreeSet<Key>,
    pub(crate) synced: BTreeSet<Kind>,
    pub(crate) ready: BTreeSet<Vip>,
    pub(crate) drained: BTreeSet<Drained>,
    pub(crate) gateways: BTreeMap<Family, IpAddr>,
    pub(crate) interfaces: BTreeMap<String, BTreeSet<IpAddr>>,
}

/// The node edge1 in that role.
pub(crate) fn facts(role: Role, forwarding: Forwarding) -> Facts {
    Facts {
        role,
        forwarding,
        ..Facts::new("edge1".parse().expect("a name"))
    }
}

impl World {
    /// Nothing is known yet of a node on its own.
    pub(crate) fn unsynced() -> Self {
        Self::knowing(facts(Role::Standalone, Forwarding::Balancer))
    }

    /// Nothing is known yet.
    pub(crate) fn knowing(facts: Facts) -> Self {
        Self {
            desired: Desired::new(facts.clone()),
            facts,
            applied: Applied::default(),
            objects: BTreeMap::new(),
            refused: BTreeSet::new(),
            synced: BTreeSet::new(),
            ready: BTreeSet::new(),
            drained: BTreeSet::new(),
            gateways: BTreeMap::new(),
            interfaces: BTreeMap::new(),
        }
    }

    /// These objects and no others.
    pub(crate) fn with(objects: impl IntoIterator<Item = Value>) -> Self {
        Self::unsynced().told(objects)
    }

    /// The same, told these objects and no others.
    pub(crate) fn told(self, objects: impl IntoIterator<Item = Value>) -> Self {
        let mut world = self;
        world.tell(&Delta {
            objects: objects
                .into_iter()
                .map(|value| entry(object(value)))
                .collect(),
            refused: BTreeMap::new(),
            shown: BTreeMap::new(),
            synced: Kind::ALL.into(),
        });
        world
    }

    /// A world that is told at once what this one knows.
    pub(crate) fn rebuilt(&self) -> Self {
        let mut world = Self::knowing(self.facts.clone());
        world.tell(&Delta {
            objects: self.objects.values().cloned().map(entry).collect(),
            refused: self
                .refused
                .iter()
                .map(|key| (key.clone(), vec![fault()]))
                .collect(),
            shown: BTreeMap::new(),
            synced: self.synced.clone(),
        });
        world.connect(self.gateways.clone(), self.interfaces.clone());
        world.drain(self.drained.clone());
        world.ready(self.ready.iter().map(|vip| (*vip, true)));
        world
    }

    pub(crate) fn put(&mut self, value: Value) -> Changes {
        self.tell(&Delta {
            objects: [entry(object(value))].into(),
            ..Delta::default()
        })
    }

    pub(crate) fn remove(&mut self, kind: Kind, name: ObjectName) -> Changes {
        self.tell(&Delta {
            objects: [(Key::new(kind, name), None)].into(),
            ..Delta::default()
        })
    }

    pub(crate) fn refuse(&mut self, kind: Kind, name: ObjectName, refused: bool) -> Changes {
        let faults = if refused { vec![fault()] } else { Vec::new() };
        self.tell(&Delta {
            refused: [(Key::new(kind, name), faults)].into(),
            ..Delta::default()
        })
    }

    pub(crate) fn sync(&mut self, kinds: impl IntoIterator<Item = Kind>) -> Changes {
        self.tell(&Delta {
            synced: kinds.into_iter().collect(),
            ..Delta::default()
        })
    }

    pub(crate) fn ready(&mut self, vips: impl IntoIterator<Item = (Vip, bool)>) -> Changes {
        let vips: Vec<(Vip, bool)> = vips.into_iter().collect();
        for (vip, ready) in &vips {
            if *ready {
                self.ready.insert(*vip);
            } else {
                self.ready.remove(vip);
            }
        }
        let changes = self.desired.on_ready(vips);
        self.applied.apply(changes.clone());
        changes
    }

    /// Every frontend is in place.
    pub(crate) fn all_ready(&mut self) -> Changes {
        let services = self.applied.services.values();
        let vips: BTreeSet<Vip> = services
            .flat_map(|service| service.frontends.clone())
            .collect();
        self.ready(vips.into_iter().map(|vip| (vip, true)))
    }

    pub(crate) fn drain(&mut self, drained: BTreeSet<Drained>) -> Changes {
        self.drained.clone_from(&drained);
        let changes = self.desired.on_drained(drained);
        self.applied.apply(changes.clone());
        changes
    }

    pub(crate) fn connect(
        &mut self,
        gateways: BTreeMap<Family, IpAddr>,
        interfaces: BTreeMap<String, BTreeSet<IpAddr>>,
    ) {
        self.gateways.clone_from(&gateways);
        self.interfaces.clone_from(&interfaces);
        let changes = self.desired.on_gateways(gateways);
        self.applied.apply(changes);
        let changes = self.desired.on_interfaces(interfaces);
        self.applied.apply(changes);
    }

    /// Tells, and tells what is then shown of the objects that were written.
    pub(crate) fn tell(&mut self, delta: &Delta) -> Changes {
        let changes = self.tell_once(delta);
        let written = changes.node_configs.iter();
        let shown: BTreeMap<Key, Option<Object>> = written
            .map(|(node, spec)| {
                let name = ObjectName::of_cluster(node.as_str());
                let key = Key::new(Kind::CiliumBGPNodeConfig, name);
                (key, spec.as_ref().map(|spec| object(spec.manifest(node))))
            })
            .collect();
        if !shown.is_empty() {
            let more = self.tell_once(&Delta {
                objects: shown,
                ..Delta::default()
            });
            assert_eq!(
                more.node_configs,
                BTreeMap::new(),
                "they are as they were to be"
            );
        }
        changes
    }

    fn tell_once(&mut self, delta: &Delta) -> Changes {
        for (key, object) in &delta.objects {
            self.applied.statuses.remove(key);
            match object {
                Some(object) => drop(self.objects.insert(key.clone(), object.clone())),
                None => drop(self.objects.remove(key)),
            }
        }
        for (key, faults) in &delta.refused {
            if faults.is_empty() {
                self.refused.remove(key);
            } else {
                self.refused.insert(key.clone());
            }
        }
        self.synced.extend(&delta.synced);
        let changes = self.desired.on_change(delta);
        self.applied.apply(changes.clone());
        changes
    }

    /// What a node's object shows.
    pub(crate) fn node_config(&self, node: &str) -> Option<&NodeSpec> {
        let key = Key::new(Kind::CiliumBGPNodeConfig, ObjectName::of_cluster(node));
        let Object::CiliumBGPNodeConfig(config) = self.objects.get(&key)? else {
            panic!("{key} is of another kind");
        };
        Some(&config.spec)
    }

    /// What each peer hears.
    pub(crate) fn heard(&self) -> Heard {
        let mut heard = Heard::new();
        for instance in self.applied.instances.values() {
            for (name, peer) in &instance.peers {
                for (family, export) in &peer.families {
                    let routes = export.map(|id| {
                        let routes = self.applied.exports.get(&id).cloned().unwrap_or_default();
                        let of_family = routes.into_iter().filter(|(p, _)| p.family() == *family);
                        of_family.collect()
                    });
                    heard.insert((instance.name.clone(), name.clone(), *family), routes);
                }
            }
        }
        heard
    }

    /// What a peer hears in a family, as text: prefix, then communities, then local preference.
    pub(crate) fn routes(&self, peer: &str, family: Family) -> Vec<String> {
        let heard = self.heard();
        let mut found = heard
            .iter()
            .filter(|((_, name, of), _)| name.as_str() == peer && *of == family);
        let routes = found
            .next()
            .and_then(|(_, routes)| routes.clone())
            .unwrap_or_default();
        let text = |(prefix, attributes): (&Prefix, &Attributes)| {
            let communities = attributes.communities.iter().map(|c| format!(" {c}"));
            let preference = attributes.local_pref.map(|p| format!(" pref {p}"));
            format!(
                "{prefix}{}{}",
                communities.collect::<String>(),
                preference.unwrap_or_default()
            )
        };
        routes.iter().map(text).collect()
    }

    /// All that must not depend on the order of deltas.
    pub(crate) fn outcome(&self) -> (Applied, Heard, Vec<LeftOut>) {
        let mut applied = self.applied.clone();
        applied.exports.clear();
        // What was written is among the objects.
        applied.node_configs.clear();
        for instance in applied.instances.values_mut() {
            for peer in instance.peers.values_mut() {
                for export in peer.families.values_mut() {
                    *export = export.map(|_| ExportId(0));
                }
            }
        }
        (applied, self.heard(), self.desired.left_out().to_vec())
    }

    /// What a condition of an object says: its status and message.
    pub(crate) fn says(&self, kind: Kind, name: &str, condition: &str) -> Option<String> {
        let name = if kind.namespaced() {
            ObjectName::new("default", name)
        } else {
            ObjectName::of_cluster(name)
        };
        let statements = self.applied.statuses.get(&Key::new(kind, name))?;
        let statement = statements.get(condition)?;
        Some(format!(
            "{:?} {}: {}",
            statement.status, statement.reason, statement.message
        ))
    }
}

impl Applied {
    fn apply(&mut self, changes: Changes) {
        for (key, service) in changes.balancer.services {
            match service {
                Some(service) => drop(self.services.insert(key, service)),
                None => assert!(self.services.remove(&key).is_some(), "{key} was not there"),
            }
        }
        self.apply_bgp(changes.bgp);
        for (key, patch) in changes.statuses {
            let held = self.statuses.entry(key.clone()).or_default();
            for (kind, statement) in patch.conditions {
                match statement {
                    Some(statement) => drop(held.insert(kind, statement)),
                    None => assert!(
                        held.remove(&kind).is_some(),
                        "{kind} of {key} was not there"
                    ),
                }
            }
            if held.is_empty() {
                self.statuses.remove(&key);
            }
        }
        for (node, spec) in changes.node_configs {
            match spec {
                Some(spec) => drop(self.node_configs.insert(node, spec)),
                None => drop(self.node_configs.remove(&node)),
            }
        }
        for (name, pool) in changes.ipam.pools {
            match pool {
                Some(pool) => drop(self.pools.insert(name, pool)),
                None => drop(self.pools.remove(&name)),
            }
        }
        for (name, service) in changes.ipam.services {
            match service {
                Some(service) => drop(self.requests.insert(name, service)),
                None => drop(self.requests.remove(&name)),
            }
        }
        self.inputs = changes.ipam.inputs.unwrap_or(self.inputs);
        self.progress = changes.progress;
    }

    fn apply_bgp(&mut self, changes: BgpChanges) {
        for change in changes.exports {
            match change {
                ExportChange::Announce {
                    export,
                    prefix,
                    attributes,
                } => {
                    let old = self
                        .exports
                        .entry(export)
                        .or_default()
                        .insert(prefix, attributes.clone());
                    assert_ne!(old, Some(attributes), "{prefix} was announced already");
                }
                ExportChange::Withdraw { export, prefix } => {
                    let old = self.exports.entry(export).or_default().remove(&prefix);
                    assert!(old.is_some(), "{prefix} was not announced");
                }
                ExportChange::Clear(export) => panic!("{export:?} is cleared among routes"),
            }
        }
        for (name, instance) in changes.instances {
            match instance {
                Some(instance) => drop(self.instances.insert(name, instance)),
                None => assert!(
                    self.instances.remove(&name).is_some(),
                    "{name} was not there"
                ),
            }
        }
        for export in changes.cleared {
            self.exports.remove(&export);
        }
    }
}

pub(crate) fn object(value: Value) -> Object {
    Object::from_value(value, Strictness::Strict)
        .unwrap_or_else(|refusal| panic!("{refusal}: {:?}", refusal.faults))
}

fn entry(object: Object) -> (Key, Option<Object>) {
    (object.key(), Some(object))
}

fn fault() -> Fault {
    Fault {
        path: FieldPath::default(),
        reason: "is not right".to_owned(),
    }
}
