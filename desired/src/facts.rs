//! What is known without any object.

use std::sync::Arc;

use types::{NodeName, RouterId};

use crate::{Forwarding, IpamOptions, Role, RouterIdPool};

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
    /// Which Services' addresses are given.
    pub ipam: IpamOptions,
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
            ipam: IpamOptions::default(),
        }
    }
}
