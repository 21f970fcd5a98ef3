//! CiliumBGPClusterConfig: BGP instances and their peers, for the nodes it selects.

use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;
use types::{Asn, Family};

use crate::fault::{At, Faults};
use crate::object::{Document, Raw, RawStatus, Unenforced};
use crate::read;
use crate::selector::RawSelector;
use crate::{Condition, Fault, Kind, LabelSelector, Metadata, Node};

/// BGP instances and their peers, for the nodes it selects.
#[derive(Clone, Debug, PartialEq)]
pub struct BgpClusterConfig {
    /// Its name.
    pub meta: Metadata,
    /// Which nodes; see [`BgpClusterConfig::selects`].
    pub node_selector: Option<LabelSelector>,
    /// Virtual routers, each of its own; 1 to 16, names are unique.
    pub instances: Vec<BgpInstance>,
    /// What its status says so far.
    pub conditions: Vec<Condition>,
    /// Fields that are accepted and not acted upon.
    pub unenforced: Vec<Unenforced>,
}

/// A virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BgpInstance {
    /// Unique in its config.
    pub name: String,
    /// Without one it cannot start.
    pub local_asn: Option<Asn>,
    /// Where it listens; without one it only connects.
    pub local_port: Option<u16>,
    /// Its peers; names are unique.
    pub peers: Vec<BgpPeer>,
}

/// Whom an instance speaks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BgpPeer {
    /// Unique in its instance.
    pub name: String,
    /// Where it is; without one it is to be discovered.
    pub address: Option<PeerAddress>,
    /// Its number; without one (0 in the file) any is accepted.
    pub asn: Option<Asn>,
    /// The family of the default gateway that is to be the peer.
    pub default_gateway: Option<Family>,
    /// The name of its CiliumBGPPeerConfig; without one the defaults apply.
    pub peer_config: Option<String>,
}

/// A peer's address, with the zone that a link-local one needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddress {
    /// IPv4 or IPv6.
    pub addr: IpAddr,
    /// The interface of an IPv6 address.
    pub zone: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawClusterSpec {
    node_selector: Option<RawSelector>,
    bgp_instances: Option<Vec<RawInstance>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawInstance {
    name: Option<String>,
    #[serde(rename = "localASN")]
    local_asn: Option<i64>,
    local_port: Option<i64>,
    peers: Option<Vec<RawPeer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPeer {
    pub(super) name: Option<String>,
    pub(super) peer_address: Option<String>,
    #[serde(rename = "peerASN")]
    pub(super) peer_asn: Option<i64>,
    pub(super) auto_discovery: Option<RawDiscovery>,
    pub(super) peer_config_ref: Option<RawPeerConfigRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawDiscovery {
    mode: Option<String>,
    default_gateway: Option<RawDefaultGateway>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDefaultGateway {
    address_family: Option<String>,
}

/// Older manifests also say the group and kind, which can only be these.
#[derive(Deserialize)]
pub(super) struct RawPeerConfigRef {
    group: Option<String>,
    kind: Option<String>,
    name: Option<String>,
}

impl BgpClusterConfig {
    /// Whether the node is to run these instances. Without a selector every node is.
    #[must_use]
    pub fn selects(&self, node: &Node) -> bool {
        self.node_selector
            .as_ref()
            .is_none_or(|selector| selector.matches(&node.meta.labels, &node.extra_labels()))
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.zone {
            Some(zone) => write!(f, "{}%{zone}", self.addr),
            None => self.addr.fmt(f),
        }
    }
}

impl Raw for BgpClusterConfig {
    type Form = Document<RawClusterSpec, RawStatus>;
}

impl TryFrom<Document<RawClusterSpec, RawStatus>> for BgpClusterConfig {
    type Error = Vec<Fault>;

    fn try_from(document: Document<RawClusterSpec, RawStatus>) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let at = At::ROOT.field("spec");
        let (meta, spec, status) = document.open(Kind::CiliumBGPClusterConfig, &mut faults);
        let spec = read::required(spec, &at, &mut faults).unwrap_or_default();
        let node_selector = spec
            .node_selector
            .map(|raw| raw.check(&at.field("nodeSelector"), &mut faults));
        let mut unenforced = Vec::new();
        let instances_at = at.field("bgpInstances");
        let raw = spec.bgp_instances.unwrap_or_default();
        let count = raw.len();
        if !(1..=16).contains(&count) {
            let reason = format_args!("must have 1 to 16 items, not {count}");
            faults.add(&instances_at, reason);
        }
        let names = raw.iter().map(|instance| instance.name.as_deref());
        read::unique(names, "name", &instances_at, &mut faults);
        let instances = read::each(Some(raw), &instances_at, &mut faults, |raw, at, faults| {
            raw.check(at, faults, &mut unenforced)
        });
        faults.finish(Some(Self {
            meta,
            node_selector,
            instances,
            conditions: status.conditions.unwrap_or_default(),
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
    ) -> Option<BgpInstance> {
        let name = named(self.name, at, faults);
        let asn_at = at.field("localASN");
        let asn = read::optional(self.local_asn, 1..=i64::from(u32::MAX), &asn_at, faults);
        if self.local_asn.is_none() {
            unenforced.push(Unenforced::new(
                &asn_at,
                "without a number, here or in a node's override, it does not start",
            ));
        }
        let peers_at = at.field("peers");
        let names = self.peers.iter().flatten().map(|peer| peer.name.as_deref());
        read::unique(names, "name", &peers_at, faults);
        let peers = read::each(self.peers, &peers_at, faults, |raw, at, faults| {
            raw.check(at, faults, unenforced)
        });
        let local_port = read::optional(self.local_port, 1..=65535, &at.field("localPort"), faults);
        Some(BgpInstance {
            name: name?,
            local_asn: asn.and_then(|number: u32| Asn::try_from(number).ok()),
            local_port,
            peers,
        })
    }
}

impl RawPeer {
    pub(super) fn check(
        self,
        at: &At<'_>,
        faults: &mut Faults,
        unenforced: &mut Vec<Unenforced>,
    ) -> Option<BgpPeer> {
        let name = named(self.name, at, faults);
        let asn_at = at.field("peerASN");
        let asn = read::number(
            self.peer_asn,
            0..=i64::from(u32::MAX),
            0u32,
            &asn_at,
            faults,
        );
        let address_at = at.field("peerAddress");
        let address = self
            .peer_address
            .filter(|text| !text.is_empty())
            .and_then(|text| peer_address(&text, &address_at, faults));
        let discovery_at = at.field("autoDiscovery");
        let default_gateway = self
            .auto_discovery
            .and_then(|raw| raw.check(&discovery_at, faults));
        if default_gateway.is_none() && address.is_none() {
            let note = "without an address there is no session";
            unenforced.push(Unenforced::new(&address_at, note));
        }
        let reference_at = at.field("peerConfigRef");
        let peer_config = self
            .peer_config_ref
            .and_then(|raw| raw.check(&reference_at, faults));
        Some(BgpPeer {
            name: name?,
            address,
            asn: Asn::try_from(asn).ok(),
            default_gateway,
            peer_config,
        })
    }
}

impl RawDiscovery {
    fn check(self, at: &At<'_>, faults: &mut Faults) -> Option<Family> {
        const FAMILIES: [(&str, Family); 2] = [("ipv4", Family::V4), ("ipv6", Family::V6)];
        let mode = read::required(self.mode, &at.field("mode"), faults)?;
        read::one_of(&mode, &[("DefaultGateway", ())], &at.field("mode"), faults)?;
        let at = at.field("defaultGateway");
        let gateway = read::required(self.default_gateway, &at, faults)?;
        let at = at.field("addressFamily");
        let family = read::required(gateway.address_family, &at, faults)?;
        read::one_of(&family, &FAMILIES, &at, faults)
    }
}

impl RawPeerConfigRef {
    fn check(self, at: &At<'_>, faults: &mut Faults) -> Option<String> {
        let kind = Kind::CiliumBGPPeerConfig;
        if let Some(group) = self.group.filter(|group| !group.is_empty()) {
            read::one_of(&group, &[(kind.group(), ())], &at.field("group"), faults);
        }
        if let Some(name) = self.kind.filter(|name| !name.is_empty()) {
            read::one_of(&name, &[(kind.as_str(), ())], &at.field("kind"), faults);
        }
        let name = read::required(self.name, &at.field("name"), faults)?;
        read::object_name(&name, &at.field("name"), faults);
        Some(name)
    }
}

/// The name of an instance or a peer: any text of 1 to 255 characters.
pub(super) fn named(name: Option<String>, at: &At<'_>, faults: &mut Faults) -> Option<String> {
    let name = read::required(name, &at.field("name"), faults)?;
    if !(1..=255).contains(&name.chars().count()) {
        faults.add(&at.field("name"), "must have 1 to 255 characters");
    }
    Some(name)
}

fn peer_address(text: &str, at: &At<'_>, faults: &mut Faults) -> Option<PeerAddress> {
    let (addr, zone) = match text.split_once('%') {
        Some((addr, zone)) => (addr, Some(zone)),
        None => (text, None),
    };
    let addr = read::address(addr, at, faults)?;
    match zone {
        Some(_) if addr.is_ipv4() => faults.add(at, "an IPv4 address has no zone"),
        Some("") => faults.add(at, "the zone after % is empty"),
        Some(_) | None => {}
    }
    Some(PeerAddress {
        addr,
        zone: zone.map(str::to_owned),
    })
}
