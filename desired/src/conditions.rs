//! What each object's conditions should say, and what is to be written so that they do.

use std::collections::{BTreeMap, BTreeSet};

use api::bgp::{BgpClusterConfig, BgpPeerConfig};
use api::condition::{cluster_config, own, peer_config};
use api::{Condition, Key, Kind, Object, Service, Statement, StatusPatch, Truth, Unenforced};
use lb_ipam::Inputs;
use types::ObjectName;

use crate::Facts;
use crate::balancer::Balancer;
use crate::instances::password;
use crate::ipam;
use crate::objects::{BALANCER, BGP, Objects};
use crate::ownership::Ownership;

/// The types of conditions that are decided here.
const TYPES: [&str; 6] = [
    cluster_config::NO_MATCHING_NODE,
    cluster_config::MISSING_PEER_CONFIGS,
    cluster_config::CONFLICTING,
    peer_config::MISSING_AUTH_SECRET,
    own::NOT_ENFORCED,
    own::UNUSABLE_BACKENDS,
];

/// The index over objects and what they refer to.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    /// What objects show, and what was written since.
    shown: BTreeMap<Key, BTreeMap<String, Statement>>,
    dirty: BTreeSet<Key>,
}

/// What conditions depend on.
pub(crate) struct Context<'c> {
    pub(crate) facts: &'c Facts,
    pub(crate) objects: &'c Objects,
    pub(crate) balancer: &'c Balancer,
    pub(crate) ownership: &'c Ownership,
}

type Statements = BTreeMap<String, Statement>;

impl Conditions {
    /// An object has a new value, or is gone.
    pub(crate) fn on_object(&mut self, key: &Key, object: Option<&Object>) {
        let held = object.map_or(&[][..], Object::conditions).iter();
        let ours = held.filter(|condition| TYPES.contains(&condition.kind.as_str()));
        let shown: Statements = ours.map(|held| (held.kind.clone(), said(held))).collect();
        if shown.is_empty() {
            self.shown.remove(key);
        } else {
            self.shown.insert(key.clone(), shown);
        }
        self.dirty.insert(key.clone());
    }

    pub(crate) fn touch(&mut self, kind: Kind, name: &ObjectName) {
        self.dirty.insert(Key::new(kind, name.clone()));
    }

    /// Works through what was touched and can be judged.
    pub(crate) fn settle(&mut self, context: &Context<'_>) -> BTreeMap<Key, StatusPatch> {
        let mut patches = BTreeMap::new();
        let services = context.objects.inputs(&BALANCER) == Inputs::Incomplete;
        let bgp = context.objects.inputs(&BGP) == Inputs::Incomplete;
        let must_wait = |key: &Key| match key.kind {
            Kind::Service => services,
            Kind::CiliumBGPClusterConfig
            | Kind::CiliumBGPPeerConfig
            | Kind::CiliumBGPAdvertisement => bgp,
            Kind::EndpointSlice
            | Kind::Node
            | Kind::Secret
            | Kind::CiliumLoadBalancerIPPool
            | Kind::CiliumBGPNodeConfig
            | Kind::CiliumBGPNodeConfigOverride => false,
        };
        let (waiting, ready) = std::mem::take(&mut self.dirty)
            .into_iter()
            .partition(must_wait);
        self.dirty = waiting;
        let ready: BTreeSet<Key> = ready;
        for key in ready {
            let Some(object) = context.objects.get(&key) else {
                continue;
            };
            let patch = self.patch(&key, context.statements(&object));
            if !patch.is_empty() {
                patches.insert(key, patch);
            }
        }
        patches
    }

    /// What differs from what is shown.
    fn patch(&mut self, key: &Key, wanted: Statements) -> StatusPatch {
        let shown = self.shown.remove(key).unwrap_or_default();
        let mut patch = StatusPatch::default();
        for kind in shown.keys().filter(|kind| !wanted.contains_key(*kind)) {
            patch.conditions.insert(kind.clone(), None);
        }
        for (kind, statement) in &wanted {
            if !shown
                .get(kind)
                .is_some_and(|shown| says_the_same(shown, statement))
            {
                patch
                    .conditions
                    .insert(kind.clone(), Some(statement.clone()));
            }
        }
        if !wanted.is_empty() {
            self.shown.insert(key.clone(), wanted);
        }
        patch
    }
}

impl Context<'_> {
    fn statements(&self, object: &Object) -> Statements {
        let mut statements = Statements::new();
        match object {
            Object::Service(service) if ipam::is_ours(service) => {
                self.of_service(service, &mut statements);
                not_enforced(object.unenforced(), &mut statements);
            }
            // Somebody else's services carry nothing of ours.
            Object::Service(_) => {}
            Object::CiliumBGPClusterConfig(config) => {
                self.of_cluster(config, &mut statements);
                not_enforced(object.unenforced(), &mut statements);
            }
            Object::CiliumBGPPeerConfig(config) => {
                self.of_peer_config(config, &mut statements);
                not_enforced(object.unenforced(), &mut statements);
            }
            Object::CiliumBGPAdvertisement(_) => {
                not_enforced(object.unenforced(), &mut statements);
            }
            // Pools carry what the allocator says, and the others have no conditions.
            Object::CiliumLoadBalancerIPPool(_)
            | Object::EndpointSlice(_)
            | Object::Node(_)
            | Object::Secret(_)
            | Object::CiliumBGPNodeConfig(_)
            | Object::CiliumBGPNodeConfigOverride(_) => {}
        }
        let generation = object.meta().generation;
        for statement in statements.values_mut() {
            statement.observed_generation = generation;
        }
        statements
    }

    fn of_service(&self, service: &Service, statements: &mut Statements) {
        let remarks = self.balancer.remarks(service.name());
        if !remarks.is_empty() {
            let statement = Statement::new(
                Truth::True,
                own::REASON_UNUSABLE_BACKENDS,
                remarks.join("; "),
            );
            statements.insert(own::UNUSABLE_BACKENDS.to_owned(), statement);
        }
    }

    fn of_cluster(&self, config: &BgpClusterConfig, statements: &mut Statements) {
        let name = &config.meta.name;
        let peers = config.instances.iter().flat_map(|instance| &instance.peers);
        let missing: BTreeSet<String> = peers
            .filter_map(|peer| peer.peer_config.as_ref())
            .filter(|name| {
                let key = ObjectName::of_cluster(name);
                !self.objects.peer_configs.contains_key(&key)
            })
            .cloned()
            .collect();
        let winners = self.ownership.winners(self.objects, name);
        let rows = [
            (
                cluster_config::NO_MATCHING_NODE,
                self.ownership.selects_none(name),
                cluster_config::REASON_NO_MATCHING_NODE,
                cluster_config::MESSAGE_NO_MATCHING_NODE.to_owned(),
            ),
            (
                cluster_config::MISSING_PEER_CONFIGS,
                !missing.is_empty(),
                cluster_config::REASON_MISSING_PEER_CONFIGS,
                said_if(!missing.is_empty(), || {
                    cluster_config::missing_peer_configs(&missing)
                }),
            ),
            (
                cluster_config::CONFLICTING,
                !winners.is_empty(),
                cluster_config::REASON_CONFLICTING,
                said_if(!winners.is_empty(), || {
                    cluster_config::conflicting(&winners)
                }),
            ),
        ];
        for (kind, holds, reason, message) in rows {
            statements.insert(
                kind.to_owned(),
                Statement::new(truth(holds), reason, message),
            );
        }
    }

    fn of_peer_config(&self, config: &BgpPeerConfig, statements: &mut Statements) {
        let secret = config.session.auth_secret.as_deref();
        let is_missing = |name: &&str| password(self.facts, self.objects, name).is_none();
        let missing = secret.filter(is_missing).map(|name| {
            let key = ObjectName::new(&self.facts.secrets_namespace, name);
            if self.objects.secrets.contains_key(&key) {
                let message = format!("Referenced Auth Secret \"{key}\" has no key \"password\"");
                (peer_config::REASON_MISSING_PASSWORD, message)
            } else {
                let message = format!("Referenced Auth Secret \"{key}\" is missing");
                (peer_config::REASON_MISSING_AUTH_SECRET, message)
            }
        });
        let holds = truth(missing.is_some());
        let (reason, message) =
            missing.unwrap_or((peer_config::REASON_MISSING_AUTH_SECRET, String::new()));
        let statement = Statement::new(holds, reason, message);
        statements.insert(peer_config::MISSING_AUTH_SECRET.to_owned(), statement);
    }
}

fn not_enforced(fields: &[Unenforced], statements: &mut Statements) {
    if !fields.is_empty() {
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        let statement = Statement::new(Truth::True, own::REASON_NOT_ENFORCED, fields.join("; "));
        statements.insert(own::NOT_ENFORCED.to_owned(), statement);
    }
}

fn said(condition: &Condition) -> Statement {
    Statement {
        status: condition.status,
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        observed_generation: condition.observed_generation,
    }
}

/// The generation alone is not worth a write.
fn says_the_same(one: &Statement, other: &Statement) -> bool {
    (one.status, &one.reason, &one.message) == (other.status, &other.reason, &other.message)
}

fn said_if(holds: bool, message: impl FnOnce() -> String) -> String {
    if holds { message() } else { String::new() }
}

fn truth(holds: bool) -> Truth {
    if holds { Truth::True } else { Truth::False }
}
