//! CiliumBGPClusterConfig.
#![expect(dead_code, reason = "only the schema of these types is used")]

use schemars::JsonSchema;

use super::common::{ConditionsStatus, LabelSelector};

/// BGP instances and their peers, for the nodes it selects.
#[derive(JsonSchema)]
pub(in crate::crd) struct CiliumBGPClusterConfig {
    /// Which nodes run which instances.
    spec: Spec,
    /// What does not fit together.
    status: Option<ConditionsStatus>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Spec {
    /// The instances that each selected node runs.
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    bgp_instances: Vec<Instance>,
    /// Which nodes. Without a selector every node.
    node_selector: Option<LabelSelector>,
}

/// A virtual router.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Instance {
    /// The number of its autonomous system. May be given for each node by an override.
    #[schemars(rename = "localASN", range(min = 1, max = 4_294_967_295_u32))]
    local_asn: Option<i64>,
    /// The TCP port at which it listens. Without one it only connects.
    #[schemars(range(min = 1, max = 65535))]
    local_port: Option<i32>,
    /// Unique in this object.
    #[schemars(length(min = 1, max = 255))]
    name: String,
    /// Whom it speaks to.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    peers: Option<Vec<Peer>>,
}

/// Whom an instance speaks to.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Peer {
    /// How the address is found if none is given.
    auto_discovery: Option<AutoDiscovery>,
    /// Unique in the instance.
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
    /// The CiliumBGPPeerConfig with the rest. Without one the defaults apply.
    peer_config_ref: Option<PeerConfigRef>,
}

/// How a peer's address is found.
#[derive(JsonSchema)]
#[schemars(
    rename_all = "camelCase",
    extend("x-kubernetes-validations" = [{
        "rule": "self.mode != 'DefaultGateway' || has(self.defaultGateway)",
        "message": "defaultGateway is required with mode DefaultGateway",
    }])
)]
pub(super) struct AutoDiscovery {
    /// Which default gateway.
    default_gateway: Option<DefaultGateway>,
    /// Where to look.
    mode: DiscoveryMode,
}

#[derive(JsonSchema)]
enum DiscoveryMode {
    DefaultGateway,
}

/// The next hop of the node's default route.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct DefaultGateway {
    /// The family of the route.
    address_family: AddressFamily,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum AddressFamily {
    Ipv4,
    Ipv6,
}

/// Names a CiliumBGPPeerConfig.
#[derive(JsonSchema)]
pub(super) struct PeerConfigRef {
    /// Always cilium.io.
    #[schemars(extend("default" = "cilium.io"))]
    group: Option<String>,
    /// Always CiliumBGPPeerConfig.
    #[schemars(extend("default" = "CiliumBGPPeerConfig"))]
    kind: Option<String>,
    /// Its name.
    name: String,
}

/// Digits and dots, or hexadecimal digits and colons with an optional IPv4 tail and zone. What exactly
/// is an address is checked when the object is read.
pub(super) const ADDRESS: &str =
    r"^(\d{1,3}(\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9._-]+)?)$";
