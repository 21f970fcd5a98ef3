//! CiliumBGPNodeConfig: what one node is to run, written by the operator, and how that goes.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use types::{Asn, NodeName, RouterId};

use super::cluster::{BgpPeer, RawDiscovery, RawPeer, RawPeerConfigRef, named};
use super::node_status::NodeStatus;
use crate::fault::{At, Faults};
use crate::meta::Owner;
use crate::object::{Document, Raw};
use crate::read;
use crate::{Condition, Fault, Kind, Metadata};

/// What one node is to run, and how that goes.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// Its name is the node's.
    pub meta: Metadata,
    /// The node.
    pub node: NodeName,
    /// What the operator wrote.
    pub spec: NodeSpec,
    /// What the node's agent wrote.
    pub status: NodeStatus,
    /// What its status says so far.
    pub conditions: Vec<Condition>,
}

/// What one node is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSpec {
    /// The CiliumBGPClusterConfig that this was made of; it goes with that.
    pub owner: Option<Owner>,
    /// Virtual routers, each of its own; names are unique.
    pub instances: Vec<NodeInstance>,
}

/// A virtual router of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInstance {
    /// Unique on the node.
    pub name: String,
    /// Without one it cannot start.
    pub local_asn: Option<Asn>,
    /// Its BGP identifier; without one the node takes its own address.
    pub router_id: Option<RouterId>,
    /// Where it listens; without one it only connects.
    pub local_port: Option<u16>,
    /// Its peers; names are unique.
    pub peers: Vec<NodePeer>,
}

/// Whom an instance of one node speaks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePeer {
    /// As the CiliumBGPClusterConfig has it.
    pub peer: BgpPeer,
    /// The session's own address, where it must be a certain one.
    pub local_address: Option<IpAddr>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawNodeSpec {
    bgp_instances: Option<Vec<RawInstance>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawInstance {
    name: Option<String>,
    #[serde(rename = "localASN")]
    local_asn: Option<i64>,
    #[serde(rename = "routerID")]
    router_id: Option<String>,
    local_port: Option<i64>,
    peers: Option<Vec<RawNodePeer>>,
}

/// Not flattened: serde would no longer see which fields are not known.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawNodePeer {
    name: Option<String>,
    peer_address: Option<String>,
    #[serde(rename = "peerASN")]
    peer_asn: Option<i64>,
    local_address: Option<String>,
    auto_discovery: Option<RawDiscovery>,
    peer_config_ref: Option<RawPeerConfigRef>,
}

/// What the agent writes is read as far as it can be: it is only compared with.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawNodeStatus {
    bgp_instances: Option<Value>,
    conditions: Option<Vec<Condition>>,
}

impl NodeSpec {
    /// The object for a node, as it is to be written.
    #[must_use]
    pub fn manifest(&self, node: &NodeName) -> Value {
        let kind = Kind::CiliumBGPNodeConfig;
        let mut metadata = Map::new();
        metadata.insert("name".to_owned(), json!(node.as_str()));
        if let Some(owner) = &self.owner {
            metadata.insert("ownerReferences".to_owned(), json!([owner.reference()]));
        }
        let instances: Vec<Value> = self.instances.iter().map(NodeInstance::to_value).collect();
        json!({
            "apiVersion": kind.api_versions().first(),
            "kind": kind.as_str(),
            "metadata": metadata,
            "spec": {"bgpInstances": instances},
        })
    }
}

impl NodeInstance {
    fn to_value(&self) -> Value {
        let peers: Vec<Value> = self.peers.iter().map(NodePeer::to_value).collect();
        fields([
            ("name", Some(json!(self.name))),
            ("localASN", self.local_asn.map(|asn| json!(asn))),
            ("routerID", self.router_id.map(|id| json!(id.to_string()))),
            ("localPort", self.local_port.map(|port| json!(port))),
            ("peers", Some(json!(peers))),
        ])
    }
}

impl NodePeer {
    fn to_value(&self) -> Value {
        let peer = &self.peer;
        let address = peer.address.as_ref().map(|addr| json!(addr.to_string()));
        let discovery = peer.default_gateway.map(|family| {
            let gateway = json!({"addressFamily": family});
            json!({"mode": "DefaultGateway", "defaultGateway": gateway})
        });
        let config = peer.peer_config.as_ref();
        fields([
            ("name", Some(json!(peer.name))),
            ("peerAddress", address),
            ("peerASN", Some(json!(peer.asn.map_or(0, Asn::get)))),
            ("localAddress", self.local_address.map(|addr| json!(addr))),
            ("autoDiscovery", discovery),
            ("peerConfigRef", config.map(|name| json!({"name": name}))),
        ])
    }
}

fn fields<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields.into_iter();
    fields
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

impl Raw for NodeConfig {
    type Form = Document<RawNodeSpec, RawNodeStatus>;
}

impl TryFrom<Document<RawNodeSpec, RawNodeStatus>> for NodeConfig {
    type Error = Vec<Fault>;

    fn try_from(document: Document<RawNodeSpec, RawNodeStatus>) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let owner = document.controller(Kind::CiliumBGPClusterConfig);
        let (meta, spec, status) = document.open(Kind::CiliumBGPNodeConfig, &mut faults);
        // The rule for both names is the same, so a fault of it was added with the metadata.
        let node = meta.name.name.parse().ok();
        let at = At::ROOT.field("spec");
        let spec = read::required(spec, &at, &mut faults).unwrap_or_default();
        let at = at.field("bgpInstances");
        let raw = spec.bgp_instances;
        let names = raw.iter().flatten().map(|raw| raw.name.as_deref());
        read::unique(names, "name", &at, &mut faults);
        let instances = read::each(raw, &at, &mut faults, RawInstance::check);
        let held = status.bgp_instances.map(NodeStatus::held);
        faults.finish(node.map(|node| Self {
            meta,
            node,
            spec: NodeSpec { owner, instances },
            status: held.unwrap_or_default(),
            conditions: status.conditions.unwrap_or_default(),
        }))
    }
}

impl RawInstance {
    fn check(self, at: &At<'_>, faults: &mut Faults) -> Option<NodeInstance> {
        let asns = 1..=i64::from(u32::MAX);
        let asn = read::optional(self.local_asn, asns, &at.field("localASN"), faults);
        let peers_at = at.field("peers");
        let names = self.peers.iter().flatten().map(|peer| peer.name.as_deref());
        read::unique(names, "name", &peers_at, faults);
        let router_id = router_id(self.router_id, &at.field("routerID"), faults);
        let local_port = read::optional(self.local_port, 1..=65535, &at.field("localPort"), faults);
        let peers = read::each(self.peers, &peers_at, faults, RawNodePeer::check);
        Some(NodeInstance {
            name: named(self.name, at, faults)?,
            local_asn: asn.and_then(|number: u32| Asn::try_from(number).ok()),
            router_id,
            local_port,
            peers,
        })
    }
}

impl RawNodePeer {
    fn check(self, at: &At<'_>, faults: &mut Faults) -> Option<NodePeer> {
        let local_address = local_address(self.local_address, &at.field("localAddress"), faults);
        let peer = RawPeer {
            name: self.name,
            peer_address: self.peer_address,
            peer_asn: self.peer_asn,
            auto_discovery: self.auto_discovery,
            peer_config_ref: self.peer_config_ref,
        };
        // What is not acted upon is said of the CiliumBGPClusterConfig.
        Some(NodePeer {
            peer: peer.check(at, faults, &mut Vec::new())?,
            local_address,
        })
    }
}

/// A BGP identifier, if there is one.
pub(super) fn router_id(
    text: Option<String>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Option<RouterId> {
    let text = text.filter(|text| !text.is_empty())?;
    let Ok(addr) = text.parse::<std::net::Ipv4Addr>() else {
        faults.add(at, format_args!("\"{text}\" is not an IPv4 address"));
        return None;
    };
    RouterId::try_from(addr)
        .map_err(|error| faults.add(at, error))
        .ok()
}

/// An address of the node, if there is one.
pub(super) fn local_address(
    text: Option<String>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Option<IpAddr> {
    let text = text.filter(|text| !text.is_empty())?;
    read::address(&text, at, faults)
}
