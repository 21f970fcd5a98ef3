//! This node's BGP instances and their peers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use api::SecretValue;
use api::bgp::{NodeInstance, NodePeer, NodeSpec, PeerAddress, SessionSettings};
use api::condition::peer_config::PASSWORD;
use bgp_speaker_core::desired::{
    ExportId, HoldTime, Instance, InstanceName, Peer, PeerName, Secret, Timers,
};
use types::{Family, ObjectName, RouterId};

use crate::Facts;
use crate::network::Network;
use crate::objects::Objects;

/// Names the set of routes that peers with the same CiliumBGPPeerConfig get in a family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ExportKey {
    pub(crate) config: ObjectName,
    pub(crate) family: Family,
}

/// Something of this node's BGP configuration that is not run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// The instance.
    pub instance: String,
    /// The peer; none if it is all of the instance.
    pub peer: Option<String>,
    /// Why, for a person to read.
    pub reason: Reason,
}

/// Why something of this node's BGP configuration is not run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The instance has no `localASN`.
    NoLocalAsn,
    /// No router ID is configured, and the node has no IPv4 address to take one from.
    NoRouterId,
    /// The peer has no `peerAddress`.
    NoAddress,
    /// The peer is the default gateway, and there is none of that family.
    NoGateway(Family),
    /// The session's own address is not of the peer's family.
    OtherFamily(IpAddr),
    /// The interface of the source address has no address of the peer's family.
    NoSource(String),
    /// The interface of the source address has several addresses of the peer's family.
    ManySources(String),
    /// The peer's CiliumBGPPeerConfig is not there.
    NoPeerConfig(String),
    /// The Secret is not there, or has no `password`. A session without it would be open to anybody.
    NoPassword(String),
}

/// What this node is to run.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) instances: BTreeMap<InstanceName, Instance>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// Builds one instance.
struct Builder<'b> {
    facts: &'b Facts,
    objects: &'b Objects,
    network: &'b Network,
    export: &'b mut dyn FnMut(ExportKey) -> ExportId,
    left_out: &'b mut Vec<LeftOut>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLocalAsn => f.write_str("localASN is not set"),
            Self::NoRouterId => {
                f.write_str("no router ID is configured and the node has no IPv4 address")
            }
            Self::NoAddress => f.write_str("peerAddress is not set"),
            Self::NoGateway(family) => write!(f, "there is no default gateway of {family}"),
            Self::OtherFamily(addr) => {
                write!(f, "the local address {addr} is not of the peer's family")
            }
            Self::NoSource(interface) => {
                write!(f, "{interface} has no address to take as the source")
            }
            Self::ManySources(interface) => {
                write!(f, "{interface} has several addresses to take as the source")
            }
            Self::NoPeerConfig(name) => write!(f, "CiliumBGPPeerConfig {name} is not there"),
            Self::NoPassword(name) => write!(f, "Secret {name} with a password is not there"),
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            Some(peer) => write!(f, "BGP peer {peer} of {}: {}", self.instance, self.reason),
            None => write!(f, "BGP instance {}: {}", self.instance, self.reason),
        }
    }
}

impl Wanted {
    /// What the node is to run. `export` gives the number of a set of routes.
    pub(crate) fn new(
        facts: &Facts,
        objects: &Objects,
        network: &Network,
        spec: Option<&NodeSpec>,
        export: &mut dyn FnMut(ExportKey) -> ExportId,
    ) -> Self {
        let mut wanted = Self::default();
        let mut builder = Builder {
            facts,
            objects,
            network,
            export,
            left_out: &mut wanted.left_out,
        };
        for instance in spec.iter().flat_map(|spec| &spec.instances) {
            if let Some(built) = builder.instance(instance) {
                wanted.instances.insert(built.name.clone(), built);
            }
        }
        wanted
    }
}

/// The password that a Secret holds, if it is there.
pub(crate) fn password<'o>(facts: &Facts, objects: &'o Objects, name: &str) -> Option<&'o [u8]> {
    let name = ObjectName::new(&facts.secrets_namespace, name);
    let secret = objects.secrets.get(&name)?;
    secret.data.get(PASSWORD).map(SecretValue::expose)
}

impl Builder<'_> {
    fn instance(&mut self, instance: &NodeInstance) -> Option<Instance> {
        let Some(local_asn) = instance.local_asn else {
            self.leave_out(instance, None, Reason::NoLocalAsn);
            return None;
        };
        let router_id = instance.router_id;
        let Some(router_id) = router_id.or_else(|| self.router_id()) else {
            self.leave_out(instance, None, Reason::NoRouterId);
            return None;
        };
        let mut peers = BTreeMap::new();
        for peer in &instance.peers {
            match self.peer(peer) {
                Ok(built) => drop(peers.insert(PeerName::from(peer.peer.name.as_str()), built)),
                Err(reason) => self.leave_out(instance, Some(peer), reason),
            }
        }
        Some(Instance {
            name: InstanceName::from(instance.name.as_str()),
            local_asn,
            router_id,
            local_port: instance.local_port,
            peers,
        })
    }

    fn peer(&mut self, peer: &NodePeer) -> Result<Peer, Reason> {
        let address = self.address(peer)?;
        let defaults = SessionSettings::default();
        let (config, session) = match &peer.peer.peer_config {
            None => (None, &defaults),
            Some(name) => {
                let key = ObjectName::of_cluster(name);
                let found = self.objects.peer_configs.get(&key);
                let found = found.ok_or_else(|| Reason::NoPeerConfig(name.clone()))?;
                (Some(key), &found.session)
            }
        };
        let password = session.auth_secret.as_ref().map(|name| {
            let found = password(self.facts, self.objects, name);
            found
                .map(Secret::new)
                .ok_or_else(|| Reason::NoPassword(name.clone()))
        });
        Ok(Peer {
            scope: address.zone.as_deref().map(Into::into),
            port: session.peer_port,
            asn: peer.peer.asn,
            local_address: self.local_address(peer, session, Family::of(address.addr))?,
            timers: timers(session),
            ebgp_multihop: session.multihop,
            password: password.transpose()?,
            graceful_restart: session.graceful_restart,
            families: self.families(config.as_ref(), session),
            ..Peer::new(address.addr)
        })
    }

    /// Where the peer is: where it is said to be, else the default gateway if it is that.
    fn address(&self, peer: &NodePeer) -> Result<PeerAddress, Reason> {
        match (&peer.peer.address, peer.peer.default_gateway) {
            (Some(address), _) => Ok(address.clone()),
            (None, Some(family)) => {
                let gateway = self.network.gateways.get(&family);
                let gateway = gateway.ok_or(Reason::NoGateway(family))?;
                Ok(PeerAddress {
                    addr: *gateway,
                    zone: None,
                })
            }
            (None, None) => Err(Reason::NoAddress),
        }
    }

    /// The session's own address: the node's override, else the only one of an interface, else any.
    fn local_address(
        &self,
        peer: &NodePeer,
        session: &SessionSettings,
        family: Family,
    ) -> Result<Option<IpAddr>, Reason> {
        if let Some(addr) = peer.local_address {
            let fits = Family::of(addr) == family;
            return if fits {
                Ok(Some(addr))
            } else {
                Err(Reason::OtherFamily(addr))
            };
        }
        let Some(name) = &session.source_interface else {
            return Ok(None);
        };
        let addresses = self.network.addresses(name);
        let mut addresses = addresses.filter(|addr| Family::of(*addr) == family);
        match (addresses.next(), addresses.next()) {
            (Some(addr), None) => Ok(Some(addr)),
            (None, _) => Err(Reason::NoSource(name.clone())),
            (Some(_), Some(_)) => Err(Reason::ManySources(name.clone())),
        }
    }

    /// The configured one, else the node's IPv4 address, else what the agent made up.
    fn router_id(&self) -> Option<RouterId> {
        let of_node = || match self.objects.node(&self.facts.node).address(Family::V4)? {
            IpAddr::V4(addr) => RouterId::try_from(addr).ok(),
            IpAddr::V6(_) => None,
        };
        let configured = self.facts.router_id.or_else(of_node);
        configured.or(self.facts.spare_router_id)
    }

    fn families(
        &mut self,
        config: Option<&ObjectName>,
        session: &SessionSettings,
    ) -> BTreeMap<Family, Option<ExportId>> {
        let mut families = BTreeMap::new();
        for family in &session.families {
            let exports = family.advertisements.as_ref().and(config);
            let export = exports.map(|config| {
                (self.export)(ExportKey {
                    config: config.clone(),
                    family: family.family,
                })
            });
            let known = families.entry(family.family).or_insert(None);
            *known = known.or(export);
        }
        families
    }

    fn leave_out(&mut self, instance: &NodeInstance, peer: Option<&NodePeer>, reason: Reason) {
        self.left_out.push(LeftOut {
            instance: instance.name.clone(),
            peer: peer.map(|peer| peer.peer.name.clone()),
            reason,
        });
    }
}

fn timers(session: &SessionSettings) -> Timers {
    let defaults = Timers::default();
    let hold = u16::try_from(session.hold.as_secs()).ok();
    Timers {
        connect_retry: session.connect_retry,
        hold: hold
            .and_then(|secs| HoldTime::try_from(secs).ok())
            .unwrap_or(defaults.hold),
        keepalive: session.keepalive,
    }
}
