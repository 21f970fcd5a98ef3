//! What an object's conditions should say.

use std::collections::BTreeSet;

use api::bgp::{BgpClusterConfig, BgpPeerConfig};
use api::condition::{cluster_config, node_config, own, peer_config};
use api::{Object, Service, Statement, Truth};
use types::ObjectName;

use super::{Statements, notes};
use crate::balancer::Balancer;
use crate::instances::{LeftOut, password};
use crate::node_configs::NodeConfigs;
use crate::objects::Objects;
use crate::{Facts, Role, ipam, remarks};

/// What conditions depend on.
pub(crate) struct Context<'c> {
    pub(crate) facts: &'c Facts,
    pub(crate) objects: &'c Objects,
    pub(crate) balancer: &'c Balancer,
    pub(crate) node_configs: &'c NodeConfigs,
    pub(crate) left_out: &'c [LeftOut],
}

impl Context<'_> {
    pub(super) fn statements(&self, object: &Object) -> Statements {
        let mut statements = Statements::new();
        match object {
            Object::Service(service) if ipam::is_ours(service) => {
                self.of_service(service, &mut statements);
            }
            // Somebody else's services carry nothing of ours.
            Object::Service(_) => {}
            Object::CiliumBGPClusterConfig(config) if self.facts.status_reports => {
                self.of_cluster(config, &mut statements);
            }
            Object::CiliumBGPPeerConfig(config) if self.facts.status_reports => {
                self.of_peer_config(config, &mut statements);
            }
            Object::CiliumBGPNodeConfig(_) if self.facts.status_reports => {
                self.of_node(&mut statements);
            }
            // Nothing is reported, or there is nothing but the fields that are not acted upon.
            Object::CiliumBGPClusterConfig(_)
            | Object::CiliumBGPPeerConfig(_)
            | Object::CiliumBGPNodeConfig(_)
            | Object::CiliumBGPAdvertisement(_)
            // Pools carry what the allocator says, and the others have no conditions.
            | Object::CiliumLoadBalancerIPPool(_)
            | Object::EndpointSlice(_)
            | Object::Node(_)
            | Object::Secret(_)
            | Object::CiliumBGPNodeConfigOverride(_) => {}
        }
        let notes = notes::of(self.facts, object);
        if !notes.is_empty() {
            let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
            let statement = Statement::new(Truth::True, own::REASON_NOT_ENFORCED, notes.join("; "));
            statements.insert(own::NOT_ENFORCED.to_owned(), statement);
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
        let missing = self.missing_peer_configs(config);
        let winners = self.node_configs.winners(name);
        let rows = [
            (
                cluster_config::NO_MATCHING_NODE,
                self.node_configs.selects_none(name),
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
            let statement = Statement::new(truth(holds), reason, message);
            statements.insert(kind.to_owned(), statement);
        }
        let problems = self.node_configs.router_id_problems(name);
        if !problems.is_empty() {
            let message = problems.join("; ");
            let statement = Statement::new(Truth::True, own::REASON_ROUTER_IDS, message);
            statements.insert(own::ROUTER_IDS.to_owned(), statement);
        }
    }

    fn missing_peer_configs(&self, config: &BgpClusterConfig) -> BTreeSet<String> {
        let peers = config.instances.iter().flat_map(|instance| &instance.peers);
        let names = peers.filter_map(|peer| peer.peer_config.as_ref());
        let is_missing = |name: &&String| {
            let key = ObjectName::of_cluster(name);
            !self.objects.peer_configs.contains_key(&key)
        };
        names.filter(is_missing).cloned().collect()
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

    /// What this node does of its CiliumBGPNodeConfig.
    fn of_node(&self, statements: &mut Statements) {
        if self.facts.role != Role::Agent {
            return;
        }
        let errors: Vec<String> = self.left_out.iter().map(ToString::to_string).collect();
        let statement = Statement::new(
            truth(!errors.is_empty()),
            node_config::REASON_RECONCILE_ERROR,
            errors.join("; "),
        );
        statements.insert(node_config::RECONCILE_ERROR.to_owned(), statement);
        let node = self.objects.node(&self.facts.node);
        if let Some((reason, message)) = remarks::of(&node, self.facts.forwarding) {
            let statement = Statement::new(Truth::True, reason, message);
            statements.insert(own::NODE_STATE.to_owned(), statement);
        }
    }
}

fn said_if(holds: bool, message: impl FnOnce() -> String) -> String {
    if holds { message() } else { String::new() }
}

fn truth(holds: bool) -> Truth {
    if holds { Truth::True } else { Truth::False }
}
