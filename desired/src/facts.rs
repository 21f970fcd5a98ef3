//! What is known without any object.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use types::{NodeName, RouterId};

use crate::{Forwarding, Role, RouterIdPool};

/// What is known of this node without any object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its name; an operator's own is of no consequence.
    pub node: NodeName,
    /// What is decided here.
    pub role: Role,
    /// Who forwards packets for Services; an operator says who does on the nodes.
    pub forwarding: Forwarding,
    /// The BGP identifier that is configured; it wins over the node's address.
    pub router_id: Option<RouterId>,
    /// The BGP identifier of a node without an IPv4 address.
    pub spare_router_id: Option<RouterId>,
    /// Where an operator takes BGP identifiers from; with none nodes use their own addresses.
    pub router_id_pool: Option<RouterIdPool>,
    /// Where the Secrets of BGP peers are.
    pub secrets_namespace: Arc<str>,
    /// Whether statuses of BGP objects are written. If not, what is there is removed.
    pub status_reports: bool,
    /// Whether addresses of Services without endpoints stay announced where another program
    /// forwards. A Service's own annotation wins.
    pub announce_empty: bool,
}

/// An interface of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Whether it is administratively up, and its link is up or does not say.
    pub up: bool,
    /// All of its addresses.
    pub addresses: BTreeSet<IpAddr>,
}

impl Facts {
    /// Where Cilium looks for the Secrets of BGP peers.
    pub const SECRETS_NAMESPACE: &str = "kube-system";

    /// A node of which only the name is known.
    #[must_use]
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            role: Role::default(),
            forwarding: Forwarding::default(),
            router_id: None,
            spare_router_id: None,
            router_id_pool: None,
            secrets_namespace: Self::SECRETS_NAMESPACE.into(),
            status_reports: true,
            announce_empty: true,
        }
    }
}

impl Interface {
    /// Its addresses that others can reach it at.
    pub(crate) fn usable(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().copied().filter(is_usable)
    }
}

fn is_usable(addr: &IpAddr) -> bool {
    if addr.is_loopback() || addr.is_multicast() || addr.is_unspecified() {
        return false;
    }
    match addr {
        IpAddr::V4(addr) => !addr.is_link_local(),
        IpAddr::V6(addr) => !addr.is_unicast_link_local() && addr.to_ipv4_mapped().is_none(),
    }
}
