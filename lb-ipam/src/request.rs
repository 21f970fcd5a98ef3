//! The services that the allocator is told of, and what they want.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use types::{Family, ObjectName};

use crate::desired::Time;
use crate::holders::{Holder, Rank};
use crate::sharing::Sharing;

/// A service of type LoadBalancer whose address is the allocator's to give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Seconds since the Unix epoch, from `metadata.creationTimestamp`: of two services that want one
    /// address the older one has it; where both are equally old, the first by namespace and name. 0 where
    /// names alone should decide, as on nodes that read the same directory at different times.
    pub created: u64,
    /// The labels that pools select by.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// The families to allocate. Plays no part if `requested` is not empty.
    pub families: Families,
    /// `spec.loadBalancerIP` and the annotation `lbipam.cilium.io/ips`: these addresses and no others.
    pub requested: Vec<IpAddr>,
    /// On what terms it shares addresses with others, if it does.
    pub sharing: Option<Arc<Sharing>>,
    /// What its status says.
    pub shown: Shown,
}

/// What a service's status says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The addresses of `status.loadBalancer.ingress`.
    pub addresses: Vec<IpAddr>,
    /// Whether it carries the allocator's condition, so that addresses in it are the allocator's.
    pub marked: bool,
    /// What [`Action::SetNotices`](crate::Action::SetNotices) said of it last. Read when the service is
    /// first seen.
    pub notices: Notices,
}

/// What else is to be said of a service's addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// Addresses that no pool has for the service any more, and when it loses them.
    pub leaving: BTreeMap<IpAddr, Time>,
    /// Addresses that another program gave. They stay.
    pub foreign: BTreeSet<IpAddr>,
}

/// `spec.ipFamilies` and `spec.ipFamilyPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Families {
    /// In the order of the manifest; may be empty.
    pub order: Vec<Family>,
    /// How many of them are wanted.
    pub policy: FamilyPolicy,
}

/// `spec.ipFamilyPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FamilyPolicy {
    /// The first of `ipFamilies`; if none is given, IPv4 if that is enabled, else IPv6.
    #[default]
    SingleStack,
    /// Those of `ipFamilies` that are enabled.
    PreferDualStack,
    /// Both, and it is a fault if one is not enabled.
    RequireDualStack,
}

/// What a source says about a Service object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// It wants addresses.
    Request(Request),
    /// Its addresses are not the allocator's business: another type or another class.
    Foreign(Shown),
    /// It exists and cannot be read, and no good version of it is known. It keeps its addresses, and
    /// nothing is written to it.
    Unreadable {
        /// The addresses of `status.loadBalancer.ingress`.
        current: Vec<IpAddr>,
    },
}

impl Service {
    /// As it stands in line and holds addresses.
    pub(crate) fn holder(&self, name: &ObjectName) -> Holder {
        let (created, sharing) = match self {
            Self::Request(request) => (request.created, request.sharing.clone()),
            Self::Foreign(_) | Self::Unreadable { .. } => (0, None),
        };
        let rank = Rank {
            created,
            name: name.clone(),
        };
        Holder { rank, sharing }
    }
}

impl Notices {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leaving.is_empty() && self.foreign.is_empty()
    }
}
