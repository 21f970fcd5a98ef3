//! What an agent writes into its CiliumBGPNodeConfig: sessions, timers, numbers of routes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a node's BGP instances are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// By name.
    #[serde(rename = "bgpInstances", default)]
    pub instances: Vec<InstanceStatus>,
}

/// How an instance is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// Its name.
    pub name: String,
    /// Its number.
    #[serde(rename = "localASN", default, skip_serializing_if = "Option::is_none")]
    pub local_asn: Option<u32>,
    /// By name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerStatus>,
}

/// How a session is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// The peer's name.
    pub name: String,
    /// Where it is.
    pub peer_address: String,
    /// Its number, as it is configured or as it said; none while nobody knows.
    #[serde(rename = "peerASN", default, skip_serializing_if = "Option::is_none")]
    pub peer_asn: Option<u32>,
    /// The session's state, such as `established`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peering_state: Option<String>,
    /// Since when it is established; none while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub established_time: Option<Timestamp>,
    /// The timers that were agreed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<PeerTimers>,
    /// Numbers of routes; one entry a family, while established.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub route_count: Vec<RouteCount>,
}

/// The timers of a session, as they were agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerTimers {
    /// Silence after which the peer is dead.
    #[serde(rename = "appliedHoldTimeSeconds", default)]
    pub hold_secs: u32,
    /// How often this side says that it is there.
    #[serde(rename = "appliedKeepaliveSeconds", default)]
    pub keepalive_secs: u32,
}

/// The numbers of routes of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCount {
    /// `ipv4` or `ipv6`.
    pub afi: String,
    /// `unicast`.
    pub safi: String,
    /// Routes that the peer has sent.
    #[serde(default)]
    pub received: u32,
    /// Routes that the peer was told.
    #[serde(default)]
    pub advertised: u32,
}

impl NodeStatus {
    /// What a status holds; what another program wrote and does not read is as good as nothing.
    pub(super) fn held(instances: Value) -> Self {
        let instances = serde_json::from_value(instances).unwrap_or_default();
        Self { instances }
    }
}
