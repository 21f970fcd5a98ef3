//! Service: what clients dial, and how it is to be balanced.

mod ports;
mod raw;

use std::collections::BTreeMap;
use std::net::IpAddr;

use types::{Family, ObjectName, Prefix, Protocol};

use crate::annotations::{ServiceSettings, Sharing};
use crate::{Condition, Metadata, Unenforced, keys};

/// A virtual service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Name, labels, annotations.
    pub meta: Metadata,
    /// How it is reached.
    pub kind: ServiceType,
    /// The ports that are balanced; SCTP ports are left out and in `unenforced`.
    pub ports: Vec<ServicePort>,
    /// Which pods serve it; whoever writes the EndpointSlices reads this.
    pub selector: BTreeMap<String, String>,
    /// Addresses within the cluster; none if headless.
    pub cluster_ips: Vec<IpAddr>,
    /// Whether `clusterIP` is `None`.
    pub headless: bool,
    /// Addresses that the user routes to the nodes.
    pub external_ips: Vec<IpAddr>,
    /// The addresses it asks for: of the annotation, then `spec.loadBalancerIP`.
    pub requested: Vec<IpAddr>,
    /// On what terms it shares addresses with other Services, if it does.
    pub sharing: Option<Sharing>,
    /// Who is to serve it; none means the cluster's default.
    pub load_balancer_class: Option<String>,
    /// The families wanted, first one first.
    pub ip_families: Vec<Family>,
    /// How many families are wanted.
    pub ip_family_policy: Option<IpFamilyPolicy>,
    /// Whether traffic from outside may go to backends on other nodes.
    pub external_traffic_policy: TrafficPolicy,
    /// Whether traffic from inside may go to backends on other nodes.
    pub internal_traffic_policy: TrafficPolicy,
    /// Whether a client is to stay with its backend.
    pub session_affinity: SessionAffinity,
    /// From where clients may come; empty means anywhere.
    pub source_ranges: Vec<Prefix>,
    /// What Sluicegate's own annotations say.
    pub settings: ServiceSettings,
    /// The addresses it was given.
    pub ingress: Vec<Ingress>,
    /// What its status says so far.
    pub conditions: Vec<Condition>,
    /// Fields that are accepted and not acted upon.
    pub unenforced: Vec<Unenforced>,
}

/// How a Service is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    /// Within the cluster.
    #[default]
    ClusterIp,
    /// At a port of every node.
    NodePort,
    /// At addresses of its own.
    LoadBalancer,
    /// A name in DNS; nothing is balanced.
    ExternalName,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name, which EndpointSlices refer to; empty if it has none.
    pub name: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// What clients dial.
    pub port: u16,
    /// What pods listen at; whoever writes the EndpointSlices reads this.
    pub target_port: Option<TargetPort>,
}

/// A number, or the name of a pod's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// The same for every pod.
    Number(u16),
    /// Looked up in each pod.
    Name(String),
}

/// How many families a Service wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpFamilyPolicy {
    /// One.
    SingleStack,
    /// Both where there are both.
    PreferDualStack,
    /// Both.
    RequireDualStack,
}

/// Where traffic may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrafficPolicy {
    /// To any backend.
    #[default]
    Cluster,
    /// To backends on the node that received it.
    Local,
}

/// Whether a client is to stay with its backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionAffinity {
    /// It need not.
    #[default]
    None,
    /// By its address, for that many seconds.
    ClientIp {
        /// How long after its last packet.
        timeout_secs: u32,
    },
}

/// An address that a Service was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// An address.
    Ip(IpAddr),
    /// A name, from a load balancer that is not ours.
    Hostname(String),
}

impl Service {
    /// The labels that selectors see, beside the Service's own: its name and namespace.
    #[must_use]
    pub fn extra_labels(&self) -> [(&'static str, &str); 2] {
        [
            (keys::SERVICE_NAME, &self.meta.name.name),
            (keys::SERVICE_NAMESPACE, &self.meta.name.namespace),
        ]
    }

    /// The addresses among what it was given.
    pub fn ingress_ips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.ingress.iter().filter_map(|ingress| match ingress {
            Ingress::Ip(addr) => Some(*addr),
            Ingress::Hostname(_) => None,
        })
    }

    /// Namespace and name.
    #[must_use]
    pub fn name(&self) -> &ObjectName {
        &self.meta.name
    }
}
