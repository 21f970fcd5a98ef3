//! What the agent is to do on this node, checked before anything starts.
//!
//! A configuration file says what the node is; the command line says where it is told so, and may
//! say where objects come from. Without a file the node announces what another program balances.

mod cluster;
mod file;
mod start;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use desired::Facts;
use serde::Deserialize;
use types::{NodeName, Prefix, RouterId};

pub(crate) use start::{Environment, Flags};

/// What the agent does on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// This node's name, as in Node objects.
    pub(crate) node: NodeName,
    /// Where the local API listens.
    pub(crate) socket: PathBuf,
    /// The pins of programs, maps and links.
    pub(crate) bpf_dir: PathBuf,
    /// Where Prometheus metrics are served, if at all.
    pub(crate) metrics: Option<SocketAddr>,
    /// How to log.
    pub(crate) log: Log,
    /// What the node does, with that role's settings.
    pub(crate) role: RoleConfig,
    /// What has no effect although somebody wrote it.
    pub(crate) remarks: Vec<String>,
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Log {
    /// A level, or a filter such as `info,bgp_speaker=debug`.
    pub(crate) level: String,
    /// Text for a terminal or JSON for a collector.
    pub(crate) format: LogFormat,
}

/// Text for a terminal or JSON for a collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// One line a message.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A role with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RoleConfig {
    /// Announces, and balances unless another program does.
    Edge(Box<Edge>),
    /// Takes encapsulated packets from balancers.
    Backend(Backend),
}

/// The settings of a node that announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Where objects come from.
    pub(crate) source: SourceConfig,
    /// What must outlive the agent: a directory's allocations and statuses, and drains. Without it,
    /// drains end with the agent.
    pub(crate) state_dir: Option<PathBuf>,
    /// How to balance; none if another program, such as kube-proxy, does.
    pub(crate) balancer: Option<Balancer>,
    /// How to speak BGP.
    pub(crate) bgp: Bgp,
}

/// Where objects come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceConfig {
    /// A directory of manifests.
    Directory(PathBuf),
    /// A Kubernetes API server.
    Kubernetes(Kubernetes),
    /// An etcd that a fleet of nodes shares.
    Etcd(Etcd),
}

/// Which API server, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Kubernetes {
    /// A kubeconfig; without it, the pod's service account.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// A context of it, other than the current one.
    pub(crate) context: Option<String>,
    /// Where the operator's lease is.
    pub(crate) namespace: Option<String>,
    /// Namespaces whose Services are watched; all where it is empty.
    pub(crate) namespaces: BTreeSet<String>,
    /// How many writes a second; the client's own limit where it is not given.
    pub(crate) writes_per_second: Option<u32>,
    /// How many writes at once after a rest.
    pub(crate) burst: Option<u32>,
}

/// Which etcd, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Etcd {
    /// `http://` or `https://` URLs of its members.
    pub(crate) endpoints: Vec<String>,
    /// What every key begins with; the source's own default without it.
    pub(crate) prefix: Option<String>,
    /// Who may have signed the servers' certificates.
    pub(crate) ca: Option<PathBuf>,
    /// This client's certificate.
    pub(crate) certificate: Option<PathBuf>,
    /// Its key.
    pub(crate) key: Option<PathBuf>,
    /// A user of etcd.
    pub(crate) user: Option<String>,
    /// A file with that user's password.
    pub(crate) password_file: Option<PathBuf>,
    /// Labels that the agent gives to its own Node object.
    pub(crate) labels: BTreeMap<String, String>,
    /// Addresses that the agent gives to its own Node object.
    pub(crate) addresses: Vec<IpAddr>,
}

/// The settings of a balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Balancer {
    /// Where client traffic comes in.
    pub(crate) interfaces: Vec<String>,
    /// Native, generic, or native where the driver has it.
    pub(crate) xdp: XdpMode,
    /// The source of encapsulated IPv4 packets: the prefix plus the flow's hash.
    pub(crate) outer_v4: (Ipv4Addr, u8),
    /// The source of encapsulated IPv6 packets: the prefix plus the flow's hash.
    pub(crate) outer_v6: Ipv6Addr,
    /// Table sizes.
    pub(crate) tables: Tables,
}

/// How to speak BGP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bgp {
    /// The BGP identifier; the node's IPv4 address where it is not given.
    pub(crate) router_id: Option<RouterId>,
    /// Whether BGP is spoken at all.
    pub(crate) enabled: bool,
    /// Where the Secrets of peers are.
    pub(crate) secrets_namespace: String,
    /// Whether the state of sessions is written to the CiliumBGPNodeConfig.
    pub(crate) status_report: bool,
    /// Whether addresses of services without any endpoint are announced.
    pub(crate) announce_empty: bool,
}

/// How programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum XdpMode {
    /// Native where the driver has it, generic else.
    #[default]
    Auto,
    /// Native or not at all.
    Native,
    /// Generic always.
    Generic,
}

/// How large the kernel's tables are; fixed when they are first made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Tables {
    /// Service records: one for each address and one for each address, port and protocol.
    pub(crate) services: u32,
    /// Slots of all services together.
    pub(crate) slots: u32,
    /// Memberships of backends in services.
    pub(crate) backends: u32,
    /// Flows that can be remembered while their slots are in change.
    pub(crate) flows: u32,
}

/// The settings of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    /// Where encapsulated packets come in.
    pub(crate) interfaces: Vec<String>,
    /// The outer sources of trusted balancers.
    pub(crate) balancers: Vec<Prefix>,
    /// The virtual addresses that this host serves.
    pub(crate) vips: Vec<IpAddr>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl Default for Bgp {
    fn default() -> Self {
        Self {
            router_id: None,
            enabled: true,
            secrets_namespace: Facts::SECRETS_NAMESPACE.to_owned(),
            status_report: true,
            announce_empty: true,
        }
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            services: 1 << 17,
            slots: 1 << 22,
            backends: 1 << 17,
            flows: 1 << 18,
        }
    }
}
