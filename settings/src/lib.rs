//! What a cluster's ConfigMap tells its agents and operators: keys with the names that Cilium's have
//! where the meaning is the same, in; typed settings and remarks, out.
//!
//! - A key that is not known, or asks for what is not implemented yet, is a [`Remark`]: it is said and
//!   changes nothing.
//! - A value that is not what its key takes is a [`Fault`], and nothing starts with one.

mod missing;
mod read;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipnet::Ipv4Net;

pub use value::duration;

/// What agents and operators do, as far as the cluster says. The default is what an empty ConfigMap
/// means.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// The BGP control plane.
    pub bgp: Bgp,
    /// The allocator of LoadBalancer addresses.
    pub ipam: Ipam,
    /// Address families.
    pub families: Families,
    /// The XDP balancer; none where another program balances.
    pub balancer: Option<Balancer>,
    /// The operators' lease.
    pub lease: LeaseTerms,
    /// How often the API server may be asked.
    pub client: ClientLimits,
    /// How to log.
    pub log: Log,
    /// Where agents serve metrics; their own default where it is not given.
    pub agent_metrics: Option<Serve>,
    /// Where operators serve metrics and health; their own default where it is not given.
    pub operator_metrics: Option<Serve>,
    /// Namespaces whose objects are watched; all where it is empty.
    pub namespaces: BTreeSet<String>,
}

/// The BGP control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bgp {
    /// `enable-bgp-control-plane`.
    pub enabled: bool,
    /// `bgp-secrets-namespace`: where passwords of peers are.
    pub secrets_namespace: String,
    /// `enable-bgp-control-plane-status-report`: agents write the status of their NodeConfig.
    pub status_report: bool,
    /// `bgp-router-id-allocation-mode` and `bgp-router-id-allocation-ip-pool`.
    pub router_ids: RouterIds,
    /// `enable-no-service-endpoints-routable`: a Service without endpoints stays announced.
    pub announce_without_endpoints: bool,
}

/// Where BGP identifiers come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouterIds {
    /// The node's IPv4 address, unless an override says otherwise.
    #[default]
    Node,
    /// The operator gives each instance of each node one of these.
    Pool(Ipv4Net),
}

/// The allocator of LoadBalancer addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipam {
    /// `enable-lb-ipam`.
    pub enabled: bool,
    /// `default-lb-service-ipam`: who serves Services without a class.
    pub classless: Classless,
}

/// Who gives addresses to Services without a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Classless {
    /// The pools.
    #[default]
    Pools,
    /// The addresses of nodes: not implemented, so nobody.
    Nodes,
    /// Nobody here.
    Nobody,
}

/// Address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// `enable-ipv4`.
    pub v4: bool,
    /// `enable-ipv6`.
    pub v6: bool,
}

/// The XDP balancer of every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balancer {
    /// `balancer-interfaces`: where clients' packets arrive. Not empty.
    pub interfaces: Vec<String>,
    /// `balancer-xdp`.
    pub xdp: Xdp,
    /// `balancer-outer-source-ipv4`: the source of encapsulated IPv4 packets, at most 31 bits of it.
    pub outer_v4: (Ipv4Addr, u8),
    /// `balancer-outer-source-ipv6`: the source of encapsulated IPv6 packets, a prefix of at most 64
    /// bits.
    pub outer_v6: Ipv6Addr,
}

/// How programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Xdp {
    /// Native where the driver has it, generic else.
    #[default]
    Auto,
    /// Native or not at all.
    Native,
    /// Generic always.
    Generic,
}

/// The terms of the operators' lease: `leader-election-lease-duration`, `-renew-deadline` and
/// `-retry-period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// For how long it is held after each renewal.
    pub duration: Duration,
    /// For how long a leader tries to renew before it stops.
    pub renew_deadline: Duration,
    /// How often it tries.
    pub retry_period: Duration,
}

/// How often the API server may be asked; the programs' own limits where nothing is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientLimits {
    /// `k8s-client-qps`: requests a second.
    pub qps: Option<u32>,
    /// `k8s-client-burst`: requests at once.
    pub burst: Option<u32>,
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `log-level` (or `debug`): a level, or a filter such as `info,bgp_speaker=debug`.
    pub level: String,
    /// `log-format`.
    pub format: LogFormat,
}

/// Text for a person or JSON for a collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line a message.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where something is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// Nowhere.
    Off,
    /// There.
    On(SocketAddr),
}

/// Settings, and what is to be said about the keys that they came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What to do.
    pub settings: Settings,
    /// What has no effect, in the order of keys.
    pub remarks: Vec<Remark>,
}

/// A key that does not do what its reader may think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// No such key.
    Unknown {
        /// The key.
        key: String,
    },
    /// It asks for what is not implemented yet.
    NotImplemented {
        /// The key.
        key: String,
        /// What it asks for.
        value: String,
        /// What is so instead.
        instead: String,
    },
    /// It was corrected.
    Corrected {
        /// The key.
        key: String,
        /// As it was given.
        value: String,
        /// As it is used.
        used: String,
        /// What was wrong.
        why: &'static str,
    },
}

/// A value that is not what its key takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: \"{value}\" {reason}")]
pub struct Fault {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What is wrong, as in "is not a duration".
    pub reason: String,
}

/// Every fault of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Settings {
    /// Reads the keys of a ConfigMap.
    ///
    /// # Errors
    /// Every value that is not what its key takes.
    pub fn parse(keys: &BTreeMap<String, String>) -> Result<Parsed, Faults> {
        read::read(keys)
    }

    /// Every key that has an effect.
    pub fn keys() -> impl Iterator<Item = &'static str> {
        read::KEYS.iter().copied()
    }
}

impl Default for Bgp {
    fn default() -> Self {
        Self {
            enabled: true,
            secrets_namespace: "kube-system".to_owned(),
            status_report: true,
            router_ids: RouterIds::Node,
            announce_without_endpoints: true,
        }
    }
}

impl Default for Ipam {
    fn default() -> Self {
        Self {
            enabled: true,
            classless: Classless::Pools,
        }
    }
}

impl Default for Families {
    fn default() -> Self {
        Self { v4: true, v6: true }
    }
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { key } => write!(f, "{key}: no such key; it has no effect"),
            Self::NotImplemented {
                key,
                value,
                instead,
            } => write!(f, "{key}: \"{value}\" is not implemented: {instead}"),
            Self::Corrected {
                key,
                value,
                used,
                why,
            } => write!(f, "{key}: \"{value}\" {why}; {used} is used"),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            let gap = if number == 0 { "" } else { "; " };
            write!(f, "{gap}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests;
