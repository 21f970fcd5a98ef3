//! The custom resources of Cilium's BGP control plane, version 2.

mod advertisement;
mod cluster;
mod community;
mod peer;

pub use advertisement::{
    Advertisement, AdvertisementSource, Attributes, BgpAdvertisement, ServiceAddress,
};
pub use cluster::{BgpClusterConfig, BgpInstance, BgpPeer, PeerAddress};
pub use community::LargeCommunity;
pub use peer::{BgpPeerConfig, PeerFamily, SessionSettings};
