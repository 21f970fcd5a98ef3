//! CiliumLoadBalancerIPPool.
#![expect(dead_code, reason = "only the schema of these types is used")]

use schemars::JsonSchema;

use super::super::definition::Column;
use super::common::{ConditionsStatus, LabelSelector};

/// What `kubectl get` prints of a pool.
pub(in crate::crd) const COLUMNS: &[Column] = &[
    Column {
        name: "Disabled",
        kind: "boolean",
        path: ".spec.disabled",
        description: "Whether the pool gives no new addresses",
    },
    Column {
        name: "Conflicting",
        kind: "string",
        path: r#".status.conditions[?(@.type=="cilium.io/PoolConflict")].status"#,
        description: "Whether a block overlaps one of another pool",
    },
    Column {
        name: "IPs Available",
        kind: "string",
        path: r#".status.conditions[?(@.type=="cilium.io/IPsAvailable")].message"#,
        description: "How many addresses are free",
    },
];

/// Addresses for Services of type LoadBalancer.
#[derive(JsonSchema)]
pub(in crate::crd) struct CiliumLoadBalancerIPPool {
    /// Which addresses, and for whom.
    spec: Spec,
    /// How many addresses there are, and whether they conflict with another pool's.
    status: Option<ConditionsStatus>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Spec {
    /// Whether the first and last address of a CIDR block may be given. A block of one or two addresses
    /// has none to spare, and start and stop are taken as they are.
    #[schemars(rename = "allowFirstLastIPs")]
    allow_first_last_ips: Option<AllowFirstLastIps>,
    /// The addresses, in the order in which they are given.
    blocks: Option<Vec<Block>>,
    /// Whether no more addresses are given. Those given stay.
    #[schemars(extend("default" = false))]
    disabled: Option<bool>,
    /// Which Services may have addresses. Without a selector every Service may.
    service_selector: Option<LabelSelector>,
}

#[derive(JsonSchema)]
enum AllowFirstLastIps {
    Yes,
    No,
}

/// A run of addresses: either cidr, or start with or without stop.
#[derive(JsonSchema)]
struct Block {
    /// All addresses of a prefix.
    cidr: Option<String>,
    /// The first address; the only one if there is no stop.
    start: Option<String>,
    /// The last address.
    stop: Option<String>,
}
