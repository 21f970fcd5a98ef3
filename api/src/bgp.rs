//! The custom resources of Cilium's BGP control plane, version 2.

mod advertisement;
mod cluster;
mod community;
mod node;
mod node_override;
mod node_status;
mod peer;

pub use advertisement::{
    Advertisement, AdvertisementSource, Attributes, BgpAdvertisement, ServiceAddress,
};
pub use cluster::{BgpClusterConfig, BgpInstance, BgpPeer, PeerAddress};
pub use community::LargeCommunity;
pub use node::{NodeConfig, NodeInstance, NodePeer, NodeSpec};
pub use node_override::{InstanceOverride, NodeConfigOverride, PeerOverride};
pub use node_status::{InstanceStatus, NodeStatus, PeerStatus, PeerTimers, RouteCount};
pub use peer::{BgpPeerConfig, PeerFamily, SessionSettings};
