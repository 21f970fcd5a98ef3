//! Conditions in the shape Kubernetes gives them, and the literal words that users' tools look for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A statement about an object, as its status carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the statement is about; one condition a type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: Truth,
    /// One word for programs.
    #[serde(default)]
    pub reason: String,
    /// A sentence for people.
    #[serde(default)]
    pub message: String,
    /// The generation of the object that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When `status` last changed. Set by who writes the status, never by a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Timestamp>,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// That cannot be said.
    Unknown,
}

/// Types and reasons of conditions on a CiliumLoadBalancerIPPool.
pub mod pool {
    /// Whether a block overlaps one of another pool.
    pub const CONFLICT: &str = "cilium.io/PoolConflict";
    /// How many addresses there are: a decimal number in the message.
    pub const IPS_TOTAL: &str = "cilium.io/IPsTotal";
    /// How many addresses are free: a decimal number in the message.
    pub const IPS_AVAILABLE: &str = "cilium.io/IPsAvailable";
    /// How many addresses are given: a decimal number in the message.
    pub const IPS_USED: &str = "cilium.io/IPsUsed";
    /// The reason of a conflict.
    pub const REASON_OVERLAP: &str = "cidr_overlap";
    /// The reason once there is no conflict.
    pub const REASON_RESOLVED: &str = "resolved";
    /// The reason of the counts.
    pub const REASON_COUNT: &str = "noreason";
}

/// The type of the condition on a Service; the allocator has its reasons and messages.
pub mod service {
    /// Whether LB-IPAM gave what the Service asks for.
    pub const IPAM_SATISFIED: &str = "cilium.io/IPAMRequestSatisfied";
}

/// Types, reasons and messages of conditions on a CiliumBGPClusterConfig.
pub mod cluster_config {
    /// Whether no node is selected.
    pub const NO_MATCHING_NODE: &str = "cilium.io/NoMatchingNode";
    /// Its reason.
    pub const REASON_NO_MATCHING_NODE: &str = "NoMatchingNode";
    /// Its message, whether true or false.
    pub const MESSAGE_NO_MATCHING_NODE: &str = "No node matches spec.nodeSelector";
    /// Whether a peer names a CiliumBGPPeerConfig that is not there.
    pub const MISSING_PEER_CONFIGS: &str = "cilium.io/MissingPeerConfigs";
    /// Its reason.
    pub const REASON_MISSING_PEER_CONFIGS: &str = "MissingPeerConfigs";
    /// Whether a selected node belongs to another CiliumBGPClusterConfig.
    pub const CONFLICTING: &str = "cilium.io/ConflictingClusterConfig";
    /// Its reason.
    pub const REASON_CONFLICTING: &str = "ConflictingClusterConfigs";

    /// The message when peer configs are missing: sorted and without duplicates.
    #[must_use]
    pub fn missing_peer_configs(names: &std::collections::BTreeSet<String>) -> String {
        let names = Vec::from_iter(names.iter().map(String::as_str)).join(" ");
        format!("Referenced CiliumBGPPeerConfig(s) are missing: [{names}]")
    }

    /// The message when other configs own selected nodes.
    #[must_use]
    pub fn conflicting(names: &std::collections::BTreeSet<String>) -> String {
        let names = Vec::from_iter(names.iter().map(String::as_str)).join(" ");
        format!("Selecting the same node(s) with ClusterConfig(s): [{names}]")
    }
}

/// Types and reasons of conditions on a CiliumBGPPeerConfig.
pub mod peer_config {
    /// Whether `authSecretRef` names a Secret that is not there.
    pub const MISSING_AUTH_SECRET: &str = "cilium.io/MissingAuthSecret";
    /// Its reason.
    pub const REASON_MISSING_AUTH_SECRET: &str = "MissingAuthSecret";
    /// The reason when the Secret is there and has no key `password`.
    pub const REASON_MISSING_PASSWORD: &str = "MissingPassword";
    /// The key of the password in the Secret.
    pub const PASSWORD: &str = "password";
}

/// Types and reasons of conditions on a CiliumBGPNodeConfig.
pub mod node_config {
    /// Whether a part of it is not run: what and why are in the message.
    pub const RECONCILE_ERROR: &str = "cilium.io/BGPReconcileError";
    /// Its reason.
    pub const REASON_RECONCILE_ERROR: &str = "BGPReconcileError";
}

/// Sluicegate's own conditions, on objects of any kind.
pub mod own {
    /// Whether the node of a CiliumBGPNodeConfig is in a state that has to do with announcements.
    pub const NODE_STATE: &str = "sluicegate.io/NodeState";
    /// The reason when the node gets no new pods.
    pub const REASON_CORDONED: &str = "Cordoned";
    /// The reason when the node announces no addresses of Services.
    pub const REASON_EXCLUDED: &str = "Excluded";
    /// Whether nodes of a CiliumBGPClusterConfig cannot have the router IDs that they should.
    pub const ROUTER_IDS: &str = "sluicegate.io/RouterIDs";
    /// Its reason.
    pub const REASON_ROUTER_IDS: &str = "RouterIDsMissing";

    /// Whether the object has fields that are accepted and not acted upon: they are in the message.
    pub const NOT_ENFORCED: &str = "sluicegate.io/NotEnforced";
    /// Its reason.
    pub const REASON_NOT_ENFORCED: &str = "FieldsNotEnforced";
    /// Whether the object is not acted upon, since it does not validate: why is in the message.
    pub const REFUSED: &str = "sluicegate.io/Refused";
    /// Its reason.
    pub const REASON_REFUSED: &str = "DoesNotValidate";
    /// Whether backends of the Service cannot be used as they are.
    pub const UNUSABLE_BACKENDS: &str = "sluicegate.io/UnusableBackends";
    /// Its reason.
    pub const REASON_UNUSABLE_BACKENDS: &str = "UnusableBackends";
}
