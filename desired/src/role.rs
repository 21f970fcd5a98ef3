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

/// What the balancer's tables, and announcements instead of it, depend on.
const ENDPOINTS: &[Kind] = &[Kind::Service, Kind::EndpointSlice];

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

    /// Whether this process runs what it decides on a node.
    pub(crate) const fn is_node(self) -> bool {
        match self {
            Self::Standalone | Self::Agent => true,
            Self::Operator => false,
        }
    }

    /// Whether this process decides which node belongs to which CiliumBGPClusterConfig.
    pub(crate) const fn assigns_nodes(self) -> bool {
        match self {
            Self::Standalone | Self::Operator => true,
            Self::Agent => false,
        }
    }

    /// What BGP depends on: sessions and routes of a node, or the configurations of nodes.
    pub(crate) const fn bgp(self) -> &'static [Kind] {
        match self {
            Self::Standalone => &[
                Kind::Service,
                Kind::EndpointSlice,
                Kind::Node,
                Kind::Secret,
                Kind::CiliumBGPClusterConfig,
                Kind::CiliumBGPPeerConfig,
                Kind::CiliumBGPAdvertisement,
                Kind::CiliumBGPNodeConfigOverride,
            ],
            Self::Operator => &[
                Kind::Node,
                Kind::CiliumBGPClusterConfig,
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

    /// What the balancer depends on.
    pub(crate) const fn balancer(self) -> &'static [Kind] {
        ENDPOINTS
    }

    /// What must be known before an object of the kind can be judged; none if it is not judged here.
    pub(crate) const fn judging(self, kind: Kind) -> Option<&'static [Kind]> {
        match (self, kind) {
            (Self::Standalone, Kind::Service) => Some(ENDPOINTS),
            (Self::Operator, Kind::Service) => Some(&[Kind::Service]),
            // The allocator says the rest.
            (Self::Standalone | Self::Operator, Kind::CiliumLoadBalancerIPPool) => {
                Some(&[Kind::CiliumLoadBalancerIPPool])
            }
            (
                Self::Standalone,
                Kind::CiliumBGPClusterConfig
                | Kind::CiliumBGPPeerConfig
                | Kind::CiliumBGPAdvertisement
                | Kind::CiliumBGPNodeConfig,
            ) => Some(Self::Standalone.bgp()),
            (Self::Operator, Kind::CiliumBGPClusterConfig) => Some(&[
                Kind::Node,
                Kind::CiliumBGPClusterConfig,
                Kind::CiliumBGPPeerConfig,
                Kind::CiliumBGPNodeConfig,
                Kind::CiliumBGPNodeConfigOverride,
            ]),
            (Self::Operator, Kind::CiliumBGPPeerConfig) => {
                Some(&[Kind::CiliumBGPPeerConfig, Kind::Secret])
            }
            (Self::Operator, Kind::CiliumBGPAdvertisement) => Some(&[Kind::CiliumBGPAdvertisement]),
            (Self::Agent, Kind::CiliumBGPNodeConfig) => Some(Self::Agent.bgp()),
            // What an operator says of an object, the agents of its nodes do not say again.
            (
                Self::Agent,
                Kind::Service
                | Kind::CiliumLoadBalancerIPPool
                | Kind::CiliumBGPClusterConfig
                | Kind::CiliumBGPPeerConfig
                | Kind::CiliumBGPAdvertisement,
            )
            // Its agent says how a node is.
            | (Self::Operator, Kind::CiliumBGPNodeConfig)
            // The others have no conditions.
            | (
                _,
                Kind::EndpointSlice
                | Kind::Node
                | Kind::Secret
                | Kind::CiliumBGPNodeConfigOverride,
            ) => None,
        }
    }
}
