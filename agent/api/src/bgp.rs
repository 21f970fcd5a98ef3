//! BGP sessions and routes, with the columns that Cilium's users know.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use types::{Asn, Family, NodeName, Prefix};

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// The node.
    pub node: NodeName,
    /// The instance's name.
    pub instance: String,
    /// The peer's name in its instance.
    pub name: String,
    /// This side's AS.
    pub local_asn: Asn,
    /// The peer's AS: configured, or from its OPEN; zero while neither is known.
    pub peer_asn: u32,
    /// The peer's address.
    pub address: IpAddr,
    /// The peer's port.
    pub port: u16,
    /// The session's state.
    pub state: SessionState,
    /// Since the session was established.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uptime_secs: Option<u64>,
    /// Negotiated, in an established session.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold_time_secs: Option<u64>,
    /// Negotiated, in an established session.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keepalive_secs: Option<u64>,
    /// Routes by family, IPv4 first.
    pub families: Vec<FamilyRoutes>,
    /// Why the session last ended, or cannot carry a family.
    pub notes: Vec<String>,
}

/// The state of a session's machine (RFC 4271 §8.2.2), spelled as Cilium prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Waits before it tries again.
    Idle,
    /// Dials.
    Connect,
    /// Waits for the peer to dial.
    Active,
    /// Has sent an OPEN.
    OpenSent,
    /// Has accepted the peer's OPEN.
    OpenConfirm,
    /// Exchanges routes.
    Established,
}

impl SessionState {
    /// The word that is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::Active => "active",
            Self::OpenSent => "open_sent",
            Self::OpenConfirm => "open_confirm",
            Self::Established => "established",
        }
    }
}

/// Routes of one family on one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyRoutes {
    /// The family; unicast.
    pub family: Family,
    /// Received from the peer.
    pub received: u64,
    /// Advertised to the peer.
    pub advertised: u64,
}

/// One route that can be, or is, advertised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The node.
    pub node: NodeName,
    /// The AS of the instance.
    pub vrouter: Asn,
    /// The peer it is advertised to; none in the table of available routes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<IpAddr>,
    /// The prefix.
    pub prefix: Prefix,
    /// The next hop; unspecified where the session decides it.
    pub next_hop: IpAddr,
    /// Since it was originated.
    pub age_secs: u64,
    /// The attributes, in words: `{Origin: i}`.
    pub attrs: Vec<String>,
}
