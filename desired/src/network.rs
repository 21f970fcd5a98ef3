//! What this node's network is like, as its agent sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use types::Family;

/// What this node's network is like.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) gateways: BTreeMap<Family, IpAddr>,
    /// Every address of the interfaces that are up.
    pub(crate) interfaces: BTreeMap<String, BTreeSet<IpAddr>>,
}

impl Network {
    /// The addresses of an interface that others can reach it at; none unless it is up.
    pub(crate) fn addresses(&self, interface: &str) -> impl Iterator<Item = IpAddr> + '_ {
        let addresses = self.interfaces.get(interface).into_iter().flatten();
        addresses.copied().filter(is_usable)
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
