//! What objects' conditions say that a person should know.

use api::condition::{cluster_config, own, peer_config, service};
use api::{Condition, Key, Kind, Truth};
use desired::Role;
use types::{NodeName, ObjectName};

/// What a condition has to say, if it says that something is not as it was meant.
pub(super) fn remark(condition: &Condition) -> Option<String> {
    let bad = match condition.kind.as_str() {
        service::IPAM_SATISFIED => Truth::False,
        own::NOT_ENFORCED
        | own::UNUSABLE_BACKENDS
        | cluster_config::NO_MATCHING_NODE
        | cluster_config::MISSING_PEER_CONFIGS
        | cluster_config::CONFLICTING
        | peer_config::MISSING_AUTH_SECRET => Truth::True,
        // Counts of a pool, and conditions of others.
        _ => return None,
    };
    if condition.status != bad {
        return None;
    }
    Some(match condition.kind.as_str() {
        own::NOT_ENFORCED => format!("accepted, but not acted upon: {}", condition.message),
        _ => condition.message.clone(),
    })
}

/// The remarks on objects of BGP, each with the object it is about.
pub(super) fn remarks(snapshot: &store::Snapshot) -> Vec<String> {
    let mut remarks = Vec::new();
    for (key, object) in &snapshot.objects {
        let concerns = match key.kind {
            Kind::CiliumBGPClusterConfig
            | Kind::CiliumBGPPeerConfig
            | Kind::CiliumBGPAdvertisement
            | Kind::CiliumBGPNodeConfig => true,
            // A service's are its notes, a pool's are problems, and the others have none.
            Kind::Service
            | Kind::CiliumLoadBalancerIPPool
            | Kind::EndpointSlice
            | Kind::Node
            | Kind::Secret
            | Kind::CiliumBGPNodeConfigOverride => false,
        };
        let found = object.conditions().iter().filter(|_| concerns);
        remarks.extend(
            found
                .filter_map(remark)
                .map(|remark| format!("{key}: {remark}")),
        );
    }
    remarks
}

/// What is missing of a node of a cluster, once it is known that it is.
pub(super) fn of_own(
    snapshot: &store::Snapshot,
    node: &NodeName,
    role: Role,
    speaks: bool,
) -> Option<String> {
    let is_missing = |kind: Kind| {
        let key = Key::new(kind, ObjectName::of_cluster(node.as_str()));
        snapshot.synced.contains(&kind) && !snapshot.objects.contains_key(&key)
    };
    if role != Role::Agent {
        None
    } else if is_missing(Kind::Node) {
        Some(format!("there is no Node {node}: is this the node's name?"))
    } else if speaks && is_missing(Kind::CiliumBGPNodeConfig) {
        Some(format!(
            "there is no CiliumBGPNodeConfig {node}: no CiliumBGPClusterConfig selects this node, or \
             no operator has seen it yet"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use api::condition::pool;

    use super::*;

    #[test]
    fn a_node_that_the_cluster_does_not_have_is_said_once_that_is_known() {
        let node = "n1".parse().unwrap();
        let mut snapshot = store::Snapshot::default();
        assert_eq!(of_own(&snapshot, &node, Role::Agent, true), None);

        snapshot.synced.insert(Kind::CiliumBGPNodeConfig);
        let said = of_own(&snapshot, &node, Role::Agent, true).unwrap();
        assert!(
            said.contains("no CiliumBGPClusterConfig selects this node"),
            "{said}"
        );
        assert_eq!(of_own(&snapshot, &node, Role::Agent, false), None);
        snapshot.synced.insert(Kind::Node);
        let said = of_own(&snapshot, &node, Role::Agent, true).unwrap();
        assert_eq!(said, "there is no Node n1: is this the node's name?");
        assert_eq!(of_own(&snapshot, &node, Role::Standalone, true), None);
    }

    #[test]
    fn only_a_condition_that_says_something_is_amiss_is_a_remark() {
        let missing = "Referenced Auth Secret \"kube-system/bgp\" is missing";
        for (kind, status, message, expected) in [
            (
                own::NOT_ENFORCED,
                Truth::True,
                "spec.x: y",
                Some("accepted, but not acted upon: spec.x: y"),
            ),
            (
                own::UNUSABLE_BACKENDS,
                Truth::True,
                "no port",
                Some("no port"),
            ),
            (
                service::IPAM_SATISFIED,
                Truth::False,
                "no pool",
                Some("no pool"),
            ),
            (service::IPAM_SATISFIED, Truth::True, "", None),
            (
                peer_config::MISSING_AUTH_SECRET,
                Truth::True,
                missing,
                Some(missing),
            ),
            (
                peer_config::MISSING_AUTH_SECRET,
                Truth::False,
                missing,
                None,
            ),
            (
                cluster_config::NO_MATCHING_NODE,
                Truth::True,
                "none",
                Some("none"),
            ),
            (
                cluster_config::MISSING_PEER_CONFIGS,
                Truth::True,
                "a",
                Some("a"),
            ),
            (cluster_config::CONFLICTING, Truth::True, "b", Some("b")),
            (pool::IPS_USED, Truth::Unknown, "3", None),
            ("example.org/Other", Truth::True, "whatever", None),
        ] {
            let condition = Condition {
                kind: kind.to_owned(),
                status,
                reason: String::new(),
                message: message.to_owned(),
                observed_generation: None,
                last_transition_time: None,
            };

            assert_eq!(remark(&condition).as_deref(), expected, "{kind} {status:?}");
        }
    }
}
