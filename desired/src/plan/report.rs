//! A plan as it is printed: one document, whose names do not change.

use std::net::IpAddr;

use serde::Serialize;
use types::{NodeName, Prefix};

/// What would change. Lists are sorted; what does not change is not in them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// What would stop working.
    pub cuts: Vec<Cut>,
    /// Services that would get, move or lose addresses, or be refused one.
    pub addresses: Vec<AddressChange>,
    /// Pools.
    pub pools: Vec<PoolChange>,
    /// BGP sessions.
    pub sessions: Vec<SessionChange>,
    /// Routes, as nodes tell them to peers.
    pub routes: Vec<RouteChange>,
    /// What the balancer's maps hold.
    pub services: Vec<ServiceChange>,
    /// What nodes would leave out of their BGP configuration, whether or not that is new.
    pub left_out: Vec<String>,
    /// Objects that are not valid; they would stay as they are.
    pub refused: Vec<Refused>,
}

/// Something that works and would not any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cut {
    /// What kind of thing.
    pub kind: CutKind,
    /// Which one.
    pub what: String,
    /// Why, for a person to read.
    pub why: String,
}

/// What kind of thing would be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutKind {
    /// An address that a Service has.
    Address,
    /// What clients dial, with a backend behind it.
    Vip,
    /// A prefix that no node would announce any more.
    Route,
    /// A BGP session that would be reset or closed.
    Session,
}

/// A Service whose addresses would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressChange {
    /// `NAMESPACE/NAME`.
    pub service: String,
    /// What becomes of them.
    pub fate: AddressFate,
    /// What it has now.
    pub was: Vec<IpAddr>,
    /// What it would have.
    pub becomes: Vec<IpAddr>,
    /// How long after the change addresses are lost, where there is notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_secs: Option<u64>,
    /// The condition's reason, if it would not have all that it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The condition's message, in that case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What becomes of a Service's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressFate {
    /// It has what it had, and more.
    Given,
    /// It has others instead.
    Moved,
    /// It has fewer.
    Lost,
    /// It asks for one that it does not get.
    Refused,
}

/// A pool that would be different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolChange {
    /// Its name.
    pub pool: String,
    /// What is said of it now; none if it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<PoolState>,
    /// What would be said; none if it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub becomes: Option<PoolState>,
}

/// What is said of a pool. Counts are decimal strings, since those of IPv6 outgrow a number of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolState {
    /// How many addresses it has.
    pub total: String,
    /// How many are free.
    pub available: String,
    /// How many are given, or wait for a Service.
    pub used: String,
    /// What it conflicts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
}

/// What happens to something that comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// It is new.
    Added,
    /// It is different.
    Changed,
    /// It goes.
    Removed,
}

/// A BGP session that would be opened, closed or different.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SessionChange {
    /// The instance.
    pub instance: String,
    /// The peer.
    pub peer: String,
    /// Its address.
    pub address: IpAddr,
    /// What happens to the session.
    pub fate: SessionFate,
    /// What is different, for a person to read.
    pub why: Vec<String>,
    /// On which nodes.
    pub nodes: Vec<NodeName>,
}

/// What happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionFate {
    /// There is none yet.
    Opened,
    /// It goes.
    Closed,
    /// It ends and begins anew.
    Reset,
    /// It stays up.
    Updated,
}

/// A route that would be announced, withdrawn or different.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RouteChange {
    /// What is announced.
    pub prefix: Prefix,
    /// By which instance.
    pub instance: String,
    /// To which of its peers.
    pub peer: String,
    /// What happens.
    pub step: Step,
    /// What it carries now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<Route>,
    /// What it would carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub becomes: Option<Route>,
    /// On which nodes.
    pub nodes: Vec<NodeName>,
}

/// What a route carries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The session's own address; `self` where the kernel chooses that.
    pub next_hop: String,
    /// To internal peers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_preference: Option<u32>,
    /// RFC 1997.
    pub communities: Vec<String>,
    /// RFC 8092.
    pub large_communities: Vec<String>,
}

/// A service of the balancer that would be different.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceChange {
    /// `NAMESPACE/NAME:PORT`.
    pub service: String,
    /// What happens.
    pub step: Step,
    /// Frontends that are new.
    pub frontends_added: Vec<String>,
    /// Frontends that go.
    pub frontends_removed: Vec<String>,
    /// Backends that are new, or have another state or weight.
    pub backends_added: Vec<String>,
    /// Backends that go.
    pub backends_removed: Vec<String>,
    /// On which nodes.
    pub nodes: Vec<NodeName>,
}

/// An object that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Refused {
    /// `FILE:LINE`, or the object's name where it is not in a file.
    pub place: String,
    /// The object and its field, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What is wrong.
    pub reason: String,
}

impl Plan {
    /// Whether traffic would be cut.
    #[must_use]
    pub fn cuts_traffic(&self) -> bool {
        !self.cuts.is_empty()
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.addresses.is_empty()
            && self.pools.is_empty()
            && self.sessions.is_empty()
            && self.routes.is_empty()
            && self.services.is_empty()
    }
}
