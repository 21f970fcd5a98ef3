//! CiliumEgressGatewayPolicy.
#![expect(dead_code, reason = "only the schema of these types is used")]

use schemars::JsonSchema;

use super::common::LabelSelector;

/// Which pods leave the cluster through which node, with which address.
#[derive(JsonSchema)]
pub(in crate::crd) struct CiliumEgressGatewayPolicy {
    /// Which traffic leaves where.
    spec: Option<Spec>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Spec {
    /// To which destinations.
    #[schemars(rename = "destinationCIDRs")]
    destination_cidrs: Vec<String>,
    /// Through which node.
    egress_gateway: Gateway,
    /// Through which nodes, if there are several.
    egress_gateways: Option<Vec<Gateway>>,
    /// Destinations that are left out; the longest prefix wins.
    #[schemars(rename = "excludedCIDRs")]
    excluded_cidrs: Option<Vec<String>>,
    /// Which pods: those that any entry selects.
    selectors: Vec<Rule>,
}

/// A gateway: interface and egressIP exclude each other.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Gateway {
    /// The address that packets leave with. The node must have it.
    #[schemars(rename = "egressIP")]
    egress_ip: Option<String>,
    /// The interface whose first address packets leave with.
    interface: Option<String>,
    /// Which nodes.
    node_selector: LabelSelector,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Rule {
    /// Pods of namespaces with these labels.
    namespace_selector: Option<LabelSelector>,
    /// Pods on nodes with these labels.
    node_selector: Option<LabelSelector>,
    /// Pods with these labels.
    pod_selector: Option<LabelSelector>,
}
