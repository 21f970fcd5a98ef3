//! What a process is for: which objects it needs, and what it decides.

use api::Kind;

/// What a process decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Everything of one node, from all objects: a node without anybody else.
    #[default]
    Standalone,
    /// What is said of a whole cluster: addresses, nodes' BGP configurations, conditions.
    Operator,
    /// One node of a cluster that has an operator.
    Agent,
}

/// Who forwards packets for Services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forwarding {
    /// The balancer here: an address is announced once its tables are in place.
    #[default]
    Balancer,
    /// Another program, such as kube-proxy: an address is announced as its Service's policies say.
    Elsewhere,
}

impl Role {
    /// The kinds of objects that are needed, all of which must be reported.
    #[must_use]
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Standalone => &[
                Kind::Service,
                Kind::EndpointSlice,
                Kind::Node,
                Kind::Secret,
                Kind::CiliumLoadBalancerIPPool,
                Kind::CiliumBGPClusterConfig,
                Kind::CiliumBGPPeerConfig,
                Kind::CiliumBGPAdvertisement,
                Kind::CiliumBGPNodeConfigOverride,
            ],
            Self::Operator => &[
                Kind::Service,
                Kind::Node,
                Kind::Secret,
                Kind::CiliumLoadBalancerIPPool,
                Kind::CiliumBGPClusterConfig,
                Kind::CiliumBGPPeerConfig,
                Kind::CiliumBGPAdvertisement,
                Kind::CiliumBGPNodeConfig,
                Kind::CiliumBGPNodeConfigOverride,
            ],
            Self::Agent => &[
                Kind::Service,
                Kind::EndpointSlice,
                Kind::Node,
                Kind::Secret,
                Kind::CiliumBGPPeerConfig,
                Kind::CiliumBGPAdvertisement,
                Kind::CiliumBGPNodeConfig,
            ],
        }
    }
}
