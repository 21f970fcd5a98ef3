//! CiliumBGPNodeConfig and CiliumBGPNodeConfigOverride.
#![expect(dead_code, reason = "only the schema of these types is used")]

use schemars::JsonSchema;

use super::cluster::{ADDRESS, AutoDiscovery, PeerConfigRef};
use super::common::Condition;

/// What one node runs: written by the operator, read by the node's agent. Its name is the node's.
#[derive(JsonSchema)]
pub(in crate::crd) struct CiliumBGPNodeConfig {
    /// What the node runs.
    spec: Spec,
    /// What the node's agent says of its sessions.
    status: Option<Status>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Spec {
    /// The instances that the node runs.
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    bgp_instances: Vec<Instance>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Instance {
    /// The number of its autonomous system.
    #[schemars(rename = "localASN", range(min = 1, max = 4_294_967_295_u32))]
    local_asn: Option<i64>,
    /// The TCP port at which it listens. Without one it only connects.
    #[schemars(range(min = 1, max = 65535))]
    local_port: Option<i32>,
    /// As in the CiliumBGPClusterConfig.
    #[schemars(length(min = 1, max = 255))]
    name: String,
    /// Whom it speaks to.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    peers: Option<Vec<Peer>>,
    /// Its BGP identifier.
    #[schemars(rename = "routerID", extend("format" = "ipv4"))]
    router_id: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Peer {
    /// How the address is found if none is given.
    auto_discovery: Option<AutoDiscovery>,
    /// The source address of the session.
    #[schemars(regex(pattern = ADDRESS))]
    local_address: Option<String>,
    /// As in the CiliumBGPClusterConfig.
    #[schemars(length(min = 1, max = 255))]
    name: String,
    /// The number of its autonomous system; 0 accepts any.
    #[schemars(
        rename = "peerASN",
        range(min = 0, max = 4_294_967_295_u32),
        extend("default" = 0)
    )]
    peer_asn: Option<i64>,
    /// An IPv4 or IPv6 address without a prefix length.
    #[schemars(regex(pattern = ADDRESS))]
    peer_address: Option<String>,
    /// The CiliumBGPPeerConfig with the rest.
    peer_config_ref: Option<PeerConfigRef>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Status {
    /// The instances that run.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    bgp_instances: Option<Vec<InstanceStatus>>,
    /// Statements about the object, one a type.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    conditions: Option<Vec<Condition>>,
}

#[derive(JsonSchema)]
struct InstanceStatus {
    /// The number of its autonomous system.
    #[schemars(rename = "localASN")]
    local_asn: Option<i64>,
    /// As in the spec.
    name: String,
    /// Its sessions.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    peers: Option<Vec<PeerStatus>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct PeerStatus {
    /// Since when the session is up.
    #[schemars(extend("format" = "date-time"))]
    established_time: Option<String>,
    /// As in the spec.
    name: String,
    /// What the peer's OPEN said.
    #[schemars(rename = "peerASN")]
    peer_asn: Option<i64>,
    /// Where the session goes to.
    peer_address: String,
    /// The state of the session's machine (RFC 4271 §8.2.2).
    peering_state: Option<String>,
    /// How many routes were exchanged.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    route_count: Option<Vec<RouteCount>>,
    /// The timers that both sides agreed upon.
    timers: Option<TimersStatus>,
}

#[derive(JsonSchema)]
struct RouteCount {
    /// Routes that were announced to the peer.
    advertised: Option<i32>,
    /// The address family.
    afi: String,
    /// Routes that the peer announced.
    received: Option<i32>,
    /// The subsequent address family.
    safi: String,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct TimersStatus {
    /// How long the peer may be silent.
    applied_hold_time_seconds: Option<i32>,
    /// How often this side says that it is there.
    applied_keepalive_seconds: Option<i32>,
}

/// What differs on one node. Its name must be the node's.
#[derive(JsonSchema)]
pub(in crate::crd) struct CiliumBGPNodeConfigOverride {
    /// What differs.
    spec: OverrideSpec,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct OverrideSpec {
    /// What differs of the instances with these names.
    #[schemars(
        length(min = 1),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    bgp_instances: Vec<InstanceOverride>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct InstanceOverride {
    /// The number of its autonomous system.
    #[schemars(rename = "localASN", range(min = 1, max = 4_294_967_295_u32))]
    local_asn: Option<i64>,
    /// The TCP port at which it listens.
    #[schemars(range(min = 1, max = 65535))]
    local_port: Option<i32>,
    /// As in the CiliumBGPClusterConfig.
    #[schemars(length(min = 1, max = 255))]
    name: String,
    /// What differs of the peers with these names.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    peers: Option<Vec<PeerOverride>>,
    /// Its BGP identifier.
    #[schemars(rename = "routerID", extend("format" = "ipv4"))]
    router_id: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct PeerOverride {
    /// The source address of the session.
    #[schemars(regex(pattern = ADDRESS))]
    local_address: Option<String>,
    /// Deprecated, and without effect.
    #[schemars(range(min = 1, max = 65535))]
    local_port: Option<i32>,
    /// As in the CiliumBGPClusterConfig.
    #[schemars(length(min = 1, max = 255))]
    name: String,
}
