//! The agent as a whole, and services as they are asked for.

use std::fmt;

use serde::{Deserialize, Serialize};
use types::{BackendAddr, NodeName, Vip};

use crate::Ipam;

/// The agent as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The node.
    pub node: NodeName,
    /// The agent's version.
    pub version: String,
    /// What the node does.
    pub role: Role,
    /// Since the agent's start.
    pub uptime_secs: u64,
    /// Whether everything that was asked for is in place.
    pub ready: bool,
    /// What is not in place, a sentence each.
    pub problems: Vec<String>,
    /// What objects say of themselves that is worth knowing, and leaves the node ready.
    pub remarks: Vec<String>,
    /// Where objects come from; a backend has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<Source>,
    /// Who gives addresses, where that is not this node.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub operator: Option<Operator>,
    /// How many objects of each kind are in use.
    pub objects: Vec<KindCount>,
    /// Objects and files that were refused; what ran before keeps running.
    pub refused: Vec<Refused>,
    /// The interfaces that programs are attached to.
    pub interfaces: Vec<Interface>,
    /// BGP in numbers.
    pub bgp: Bgp,
    /// The allocator in numbers.
    pub ipam: Ipam,
    /// Services, as NAMESPACE/NAME:PORT, of which more than half of the backends fail their checks.
    pub alarms: Vec<String>,
    /// Virtual addresses in place and asked for.
    pub vips_ready: usize,
    /// See `vips_ready`.
    pub vips_wanted: usize,
    /// Stores into kernel tables since the agent's start; zero after a restart that changed nothing.
    pub stores: u64,
    /// Backends that the operator has drained.
    pub drained: Vec<BackendAddr>,
    /// Whether the operator has taken the whole node out of service.
    #[serde(default)]
    pub withdrawn: bool,
}

/// Where objects come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// What it is.
    pub kind: SourceKind,
    /// The directory, or the servers.
    pub place: String,
    /// What is wrong with it now, a sentence each. The last state stays.
    pub faults: Vec<String>,
}

/// The operators of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Their lease, as NAMESPACE/NAME.
    pub lease: String,
    /// Who leads them, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub holder: Option<String>,
}

/// What objects come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A directory of manifests.
    Directory,
    /// A Kubernetes API server.
    Kubernetes,
    /// An etcd that a fleet shares.
    Etcd,
}

/// What the node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Balances and announces.
    Balancer,
    /// Announces what another program balances.
    Announcer,
    /// Takes encapsulated packets from balancers.
    Backend,
}

impl Role {
    /// The word that is printed, and that configuration files have.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Balancer => "balancer",
            Self::Announcer => "announcer",
            Self::Backend => "backend",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl SourceKind {
    /// The word that is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Kubernetes => "kubernetes",
            Self::Etcd => "etcd",
        }
    }
}

/// How many objects of a kind are in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindCount {
    /// The kind.
    pub kind: String,
    /// How many.
    pub count: usize,
}

/// Something that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Where it is, as FILE:LINE, if it is in a file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<String>,
    /// KIND/NAME, as far as known.
    pub object: String,
    /// The field, and why.
    pub reason: String,
}

/// An interface that a program is attached to, or should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The name.
    pub name: String,
    /// `native`, `generic`, `absent` or `refused`.
    pub mode: String,
    /// Why it is not attached, or not natively.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// BGP in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bgp {
    /// Configured sessions.
    pub peers: usize,
    /// Established sessions.
    pub established: usize,
    /// Prefixes ready to be advertised.
    pub prefixes: usize,
}

/// A service as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// What clients dial; empty until addresses are given.
    pub vips: Vec<Vip>,
    /// Whether every one of them is in place in the kernel.
    pub ready: bool,
    /// Why not, or what else is worth saying.
    pub notes: Vec<String>,
    /// The backends, with what is known of them.
    pub backends: Vec<Backend>,
}

/// A backend of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Its identity.
    pub address: BackendAddr,
    /// Its share, relative to the others.
    pub weight: u16,
    /// Whether it takes new flows.
    pub state: BackendState,
    /// What its checks say.
    pub health: BackendHealth,
}

/// Whether a backend takes new flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendState {
    /// Takes new flows.
    Active,
    /// Ends: keeps its flows, takes no new ones.
    Draining,
    /// Drained by the operator, or of weight zero: keeps its flows, takes no new ones.
    Maintenance,
    /// Fails its checks.
    Quarantined,
}

/// What a backend's checks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendHealth {
    /// It answers.
    Up,
    /// It does not.
    Down,
    /// No result yet.
    Unknown,
    /// The service asks for no checks.
    Unchecked,
}

/// The operator's word on a backend, as it stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// The backend.
    pub backend: BackendAddr,
    /// Whether it is drained now.
    pub drained: bool,
    /// Services that have it, as NAMESPACE/NAME.
    pub services: Vec<String>,
}

/// The operator's word on the whole node, as it stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Whether the node announces nothing.
    pub withdrawn: bool,
    /// Whether that outlives the agent.
    pub kept: bool,
}
