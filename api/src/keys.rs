//! Label and annotation keys that have a meaning.

/// A Service's name, to selectors.
pub const SERVICE_NAME: &str = "io.kubernetes.service.name";
/// A Service's namespace, to selectors.
pub const SERVICE_NAMESPACE: &str = "io.kubernetes.service.namespace";
/// A node's name, to selectors.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
/// On a node: the zone that it is in.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// On a node: it is to have no traffic from load balancers.
pub const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
/// On an EndpointSlice: which Service it belongs to.
pub const SLICE_SERVICE: &str = "kubernetes.io/service-name";

/// Addresses that a Service asks for, separated by commas; the newer spelling first.
pub const LB_IPAM_IPS: [&str; 2] = ["lbipam.cilium.io/ips", "io.cilium/lb-ipam-ips"];
/// How annotations begin that say which Services share addresses; the newer spelling first.
pub const LB_IPAM_SHARING_PREFIXES: [&str; 2] =
    ["lbipam.cilium.io/sharing-", "io.cilium/lb-ipam-sharing-"];
/// Services with the same value may share addresses; the newer spelling first.
pub const LB_IPAM_SHARING_KEY: [&str; 2] = [
    "lbipam.cilium.io/sharing-key",
    "io.cilium/lb-ipam-sharing-key",
];
/// The other namespaces that a Service shares addresses with; the newer spelling first.
pub const LB_IPAM_SHARING_CROSS_NAMESPACE: [&str; 2] = [
    "lbipam.cilium.io/sharing-cross-namespace",
    "io.cilium/lb-ipam-sharing-cross-namespace",
];
/// Whether a Service shares addresses with Services of other pods where the traffic policy is Local.
pub const LB_IPAM_SHARING_DIFFERENT_PODS: &str = "lbipam.cilium.io/sharing-permit-different-pods";
/// How annotations begin that say how Cilium is to balance a Service.
pub const CILIUM_SERVICE_PREFIX: &str = "service.cilium.io/";

/// The load balancer class for addresses that BGP announces.
pub const CLASS_BGP: &str = "io.cilium/bgp-control-plane";
/// The load balancer class for addresses that ARP and NDP announce.
pub const CLASS_L2: &str = "io.cilium/l2-announcer";
/// The load balancer class for addresses of the nodes themselves.
pub const CLASS_NODE: &str = "io.cilium/node";
