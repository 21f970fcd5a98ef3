//! CiliumBGPNodeConfigOverride: what one node has different from its CiliumBGPClusterConfig.

use std::net::IpAddr;

use serde::Deserialize;
use types::{Asn, NodeName, RouterId};

use super::cluster::named;
use super::node::{local_address, router_id};
use crate::fault::{At, Faults};
use crate::object::{Document, Raw, RawStatus, Unenforced};
use crate::read;
use crate::{Fault, Kind, Metadata};

/// What one node has different from its CiliumBGPClusterConfig.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfigOverride {
    /// Its name is the node's.
    pub meta: Metadata,
    /// The node.
    pub node: NodeName,
    /// By the name of the instance; names are unique.
    pub instances: Vec<InstanceOverride>,
    /// Fields that are accepted and not acted upon.
    pub unenforced: Vec<Unenforced>,
}

/// What one instance has different on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceOverride {
    /// The instance's name.
    pub name: String,
    /// Its BGP identifier.
    pub router_id: Option<RouterId>,
    /// Where it listens.
    pub local_port: Option<u16>,
    /// Its number.
    pub local_asn: Option<Asn>,
    /// By the name of the peer; names are unique.
    pub peers: Vec<PeerOverride>,
}

/// What one peer has different on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerOverride {
    /// The peer's name.
    pub name: String,
    /// The session's own address.
    pub local_address: Option<IpAddr>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawOverrideSpec {
    bgp_instances: Option<Vec<RawInstance>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawInstance {
    name: Option<String>,
    #[serde(rename = "routerID")]
    router_id: Option<String>,
    local_port: Option<i64>,
    #[serde(rename = "localASN")]
    local_asn: Option<i64>,
    peers: Option<Vec<RawPeer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPeer {
    name: Option<String>,
    local_address: Option<String>,
    local_port: Option<i64>,
}

impl Raw for NodeConfigOverride {
    type Form = Document<RawOverrideSpec, RawStatus>;
}

impl TryFrom<Document<RawOverrideSpec, RawStatus>> for NodeConfigOverride {
    type Error = Vec<Fault>;

    fn try_from(document: Document<RawOverrideSpec, RawStatus>) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let (meta, spec, _) = document.open(Kind::CiliumBGPNodeConfigOverride, &mut faults);
        // The rule for both names is the same, so a fault of it was added with the metadata.
        let node = meta.name.name.parse().ok();
        let at = At::ROOT.field("spec");
        let spec = read::required(spec, &at, &mut faults).unwrap_or_default();
        let at = at.field("bgpInstances");
        if spec.bgp_instances.as_ref().is_none_or(Vec::is_empty) {
            faults.add(&at, "must have at least one item");
        }
        let raw = spec.bgp_instances;
        let names = raw.iter().flatten().map(|raw| raw.name.as_deref());
        read::unique(names, "name", &at, &mut faults);
        let mut unenforced = Vec::new();
        let instances = read::each(raw, &at, &mut faults, |raw, at, faults| {
            raw.check(at, faults, &mut unenforced)
        });
        faults.finish(node.map(|node| Self {
            meta,
            node,
            instances,
            unenforced,
        }))
    }
}

impl RawInstance {
    fn check(
        self,
        at: &At<'_>,
        faults: &mut Faults,
        unenforced: &mut Vec<Unenforced>,
    ) -> Option<InstanceOverride> {
        let asns = 1..=i64::from(u32::MAX);
        let asn = read::optional(self.local_asn, asns, &at.field("localASN"), faults);
        let router_id = router_id(self.router_id, &at.field("routerID"), faults);
        let local_port = read::optional(self.local_port, 1..=65535, &at.field("localPort"), faults);
        let peers_at = at.field("peers");
        let names = self.peers.iter().flatten().map(|peer| peer.name.as_deref());
        read::unique(names, "name", &peers_at, faults);
        let peers = read::each(self.peers, &peers_at, faults, |raw, at, faults| {
            raw.check(at, faults, unenforced)
        });
        Some(InstanceOverride {
            name: named(self.name, at, faults)?,
            router_id,
            local_port,
            local_asn: asn.and_then(|number: u32| Asn::try_from(number).ok()),
            peers,
        })
    }
}

impl RawPeer {
    fn check(
        self,
        at: &At<'_>,
        faults: &mut Faults,
        unenforced: &mut Vec<Unenforced>,
    ) -> Option<PeerOverride> {
        let port_at = at.field("localPort");
        let port: Option<u16> = read::optional(self.local_port, 1..=65535, &port_at, faults);
        if port.is_some() {
            let note = "the system chooses the port that a session is opened from";
            unenforced.push(Unenforced::new(&port_at, note));
        }
        let address_at = at.field("localAddress");
        Some(PeerOverride {
            local_address: local_address(self.local_address, &address_at, faults),
            name: named(self.name, at, faults)?,
        })
    }
}
