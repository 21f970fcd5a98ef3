//! The kinds of objects that Sluicegate reads, and what names one object.

use std::fmt;

use types::ObjectName;

/// A kind of object that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A virtual service.
    Service,
    /// Backends of a service.
    EndpointSlice,
    /// A machine.
    Node,
    /// Passwords of BGP peers.
    Secret,
    /// Addresses for services.
    CiliumLoadBalancerIPPool,
    /// BGP instances and their peers, for the nodes it selects.
    CiliumBGPClusterConfig,
    /// How to speak to a peer.
    CiliumBGPPeerConfig,
    /// What is announced, and with which attributes.
    CiliumBGPAdvertisement,
    /// What one node is to run; written by the operator.
    CiliumBGPNodeConfig,
    /// What one node has different from its CiliumBGPClusterConfig.
    CiliumBGPNodeConfigOverride,
}

/// Kinds that are known by name and refused, with the API versions they have.
pub(crate) const NOT_YET: [(&str, &[&str]); 20] = [
    ("Namespace", V1),
    ("Pod", V1),
    ("CiliumL2AnnouncementPolicy", CILIUM),
    ("CiliumEgressGatewayPolicy", CILIUM),
    ("CiliumNetworkPolicy", CILIUM),
    ("CiliumClusterwideNetworkPolicy", CILIUM),
    ("CiliumCIDRGroup", CILIUM),
    ("CiliumNode", CILIUM),
    ("CiliumEndpoint", CILIUM),
    ("CiliumIdentity", CILIUM),
    ("CiliumPodIPPool", CILIUM),
    ("CiliumNodeConfig", CILIUM),
    ("CiliumEnvoyConfig", CILIUM),
    ("CiliumClusterwideEnvoyConfig", CILIUM),
    ("CiliumEndpointSlice", CILIUM),
    ("CiliumExternalWorkload", CILIUM),
    ("CiliumLocalRedirectPolicy", CILIUM),
    ("CiliumBGPPeeringPolicy", CILIUM),
    ("Ingress", NETWORKING),
    ("NetworkPolicy", NETWORKING),
];

const V1: &[&str] = &["v1"];
const DISCOVERY: &[&str] = &["discovery.k8s.io/v1"];
const CILIUM: &[&str] = &["cilium.io/v2", "cilium.io/v2alpha1"];
const NETWORKING: &[&str] = &["networking.k8s.io/v1"];

impl Kind {
    /// Every kind, in the order of [`Ord`].
    pub const ALL: [Kind; 10] = [
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Node,
        Kind::Secret,
        Kind::CiliumLoadBalancerIPPool,
        Kind::CiliumBGPClusterConfig,
        Kind::CiliumBGPPeerConfig,
        Kind::CiliumBGPAdvertisement,
        Kind::CiliumBGPNodeConfig,
        Kind::CiliumBGPNodeConfigOverride,
    ];

    /// The name, as `kind` has it in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Node => "Node",
            Self::Secret => "Secret",
            Self::CiliumLoadBalancerIPPool => "CiliumLoadBalancerIPPool",
            Self::CiliumBGPClusterConfig => "CiliumBGPClusterConfig",
            Self::CiliumBGPPeerConfig => "CiliumBGPPeerConfig",
            Self::CiliumBGPAdvertisement => "CiliumBGPAdvertisement",
            Self::CiliumBGPNodeConfig => "CiliumBGPNodeConfig",
            Self::CiliumBGPNodeConfigOverride => "CiliumBGPNodeConfigOverride",
        }
    }

    /// The kind of that name, whatever its API version.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The values of `apiVersion` that are understood, the one to write first.
    #[must_use]
    pub const fn api_versions(self) -> &'static [&'static str] {
        match self {
            Self::Service | Self::Node | Self::Secret => V1,
            Self::EndpointSlice => DISCOVERY,
            Self::CiliumLoadBalancerIPPool
            | Self::CiliumBGPClusterConfig
            | Self::CiliumBGPPeerConfig
            | Self::CiliumBGPAdvertisement
            | Self::CiliumBGPNodeConfig
            | Self::CiliumBGPNodeConfigOverride => CILIUM,
        }
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub const fn group(self) -> &'static str {
        match self {
            Self::Service | Self::Node | Self::Secret => "",
            Self::EndpointSlice => "discovery.k8s.io",
            Self::CiliumLoadBalancerIPPool
            | Self::CiliumBGPClusterConfig
            | Self::CiliumBGPPeerConfig
            | Self::CiliumBGPAdvertisement
            | Self::CiliumBGPNodeConfig
            | Self::CiliumBGPNodeConfigOverride => "cilium.io",
        }
    }

    /// The resource's name in URLs.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Service => "services",
            Self::EndpointSlice => "endpointslices",
            Self::Node => "nodes",
            Self::Secret => "secrets",
            Self::CiliumLoadBalancerIPPool => "ciliumloadbalancerippools",
            Self::CiliumBGPClusterConfig => "ciliumbgpclusterconfigs",
            Self::CiliumBGPPeerConfig => "ciliumbgppeerconfigs",
            Self::CiliumBGPAdvertisement => "ciliumbgpadvertisements",
            Self::CiliumBGPNodeConfig => "ciliumbgpnodeconfigs",
            Self::CiliumBGPNodeConfigOverride => "ciliumbgpnodeconfigoverrides",
        }
    }

    /// Whether objects of this kind are in a namespace.
    #[must_use]
    pub const fn namespaced(self) -> bool {
        match self {
            Self::Service | Self::EndpointSlice | Self::Secret => true,
            Self::Node
            | Self::CiliumLoadBalancerIPPool
            | Self::CiliumBGPClusterConfig
            | Self::CiliumBGPPeerConfig
            | Self::CiliumBGPAdvertisement
            | Self::CiliumBGPNodeConfig
            | Self::CiliumBGPNodeConfigOverride => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What names one object. Shown as `KIND/NAME` or `KIND/NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, empty if the kind has none, and its name.
    pub name: ObjectName,
}

impl Key {
    /// The key of the object of that kind and name.
    #[must_use]
    pub fn new(kind: Kind, name: ObjectName) -> Self {
        Self { kind, name }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}
