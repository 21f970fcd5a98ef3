//! CiliumBGPPeerConfig.
#![expect(dead_code, reason = "only the schema of these types is used")]

use schemars::JsonSchema;

use super::common::{ConditionsStatus, LabelSelector};

/// How to speak to a peer.
#[derive(JsonSchema)]
pub(in crate::crd) struct CiliumBGPPeerConfig {
    /// How to speak to a peer.
    spec: Spec,
    /// What is missing.
    status: Option<ConditionsStatus>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Spec {
    /// The Secret with the password that signs the session's segments (RFC 2385), under the key password.
    auth_secret_ref: Option<String>,
    /// The TTL of packets to an external peer.
    #[schemars(range(min = 1, max = 255), extend("default" = 1))]
    ebgp_multihop: Option<i32>,
    /// The families of routes that are exchanged, and what is announced in each.
    families: Option<Vec<Family>>,
    /// Whether the peer keeps routes while this side restarts (RFC 4724).
    graceful_restart: Option<GracefulRestart>,
    /// The session's timers.
    timers: Option<Timers>,
    /// The session's TCP connection.
    transport: Option<Transport>,
}

#[derive(JsonSchema)]
struct Family {
    /// Which CiliumBGPAdvertisements. Without a selector nothing is announced.
    advertisements: Option<LabelSelector>,
    /// The address family.
    afi: Afi,
    /// The subsequent address family.
    safi: Safi,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Afi {
    Ipv4,
    Ipv6,
    L2vpn,
    Ls,
    Opaque,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Safi {
    Unicast,
    Multicast,
    MplsLabel,
    Encapsulation,
    Vpls,
    Evpn,
    Ls,
    SrPolicy,
    Mup,
    MplsVpn,
    MplsVpnMulticast,
    RouteTargetConstraints,
    FlowspecUnicast,
    FlowspecVpn,
    KeyValue,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct GracefulRestart {
    /// Whether it is offered.
    enabled: bool,
    /// How long the peer keeps routes.
    #[schemars(range(min = 1, max = 4095), extend("default" = 120))]
    restart_time_seconds: Option<i32>,
}

#[derive(JsonSchema)]
#[schemars(
    rename_all = "camelCase",
    extend("x-kubernetes-validations" = [{
        "rule": "self.keepAliveTimeSeconds <= self.holdTimeSeconds",
        "message": "keepAliveTimeSeconds can not be larger than holdTimeSeconds",
    }])
)]
struct Timers {
    /// From one attempt to connect to the next, before jitter.
    #[schemars(range(min = 1, max = 2_147_483_647), extend("default" = 120))]
    connect_retry_time_seconds: Option<i32>,
    /// How long the peer may be silent.
    #[schemars(range(min = 3, max = 65535), extend("default" = 90))]
    hold_time_seconds: Option<i32>,
    /// How often this side says that it is there.
    #[schemars(range(min = 1, max = 65535), extend("default" = 30))]
    keep_alive_time_seconds: Option<i32>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Transport {
    /// The peer's TCP port.
    #[schemars(range(min = 1, max = 65535), extend("default" = 179))]
    peer_port: Option<i32>,
    /// The interface whose address is the session's source.
    #[schemars(length(min = 1))]
    source_interface: Option<String>,
}
