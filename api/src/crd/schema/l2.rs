//! CiliumL2AnnouncementPolicy.
#![expect(dead_code, reason = "only the schema of these types is used")]

use schemars::JsonSchema;

use super::common::{ConditionsStatus, LabelSelector};

/// Which Services' addresses are announced by ARP and NDP, from which nodes and interfaces.
#[derive(JsonSchema)]
pub(in crate::crd) struct CiliumL2AnnouncementPolicy {
    /// What is announced from where.
    spec: Option<Spec>,
    /// What is wrong with the policy.
    status: Option<ConditionsStatus>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Spec {
    /// Whether spec.externalIPs of Services are announced.
    #[schemars(rename = "externalIPs")]
    external_ips: Option<bool>,
    /// Regular expressions of which one must match the interface's name. Without any all match.
    interfaces: Option<Vec<String>>,
    /// Whether the addresses in Services' statuses are announced.
    #[schemars(rename = "loadBalancerIPs")]
    load_balancer_ips: Option<bool>,
    /// Which nodes may announce. Without a selector all may.
    node_selector: Option<LabelSelector>,
    /// Which Services. Without a selector all.
    service_selector: Option<LabelSelector>,
}
