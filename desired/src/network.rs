//! What this node's network is like, as its agent sees it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use types::Family;

use crate::Interface;

/// What this node's network is like.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) gateways: BTreeMap<Family, IpAddr>,
    pub(crate) interfaces: BTreeMap<String, Interface>,
}
