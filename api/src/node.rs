//! Node: a machine, its labels and addresses.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;
use types::{Family, NodeName, Prefix};

use crate::fault::{At, Faults};
use crate::object::{Document, Raw};
use crate::{Fault, Kind, Labels, Metadata, keys, read};

/// A machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Labels are what node selectors match.
    pub meta: Metadata,
    /// The same name as in the metadata.
    pub name: NodeName,
    /// The addresses in its status, in that order.
    pub addresses: Vec<NodeAddress>,
    /// The prefixes of its pods.
    pub pod_cidrs: Vec<Prefix>,
    /// Whether it is to get no new pods (`kubectl cordon`).
    pub unschedulable: bool,
}

/// An address of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// What the address is for.
    pub kind: NodeAddressType,
    /// The address itself.
    pub addr: IpAddr,
}

/// What an address of a node is for. Host names are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeAddressType {
    /// Within the cluster.
    InternalIp,
    /// From outside.
    ExternalIp,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "fields that are accepted and have no meaning here"
)]
pub(crate) struct RawNodeSpec {
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
    #[serde(rename = "providerID")]
    provider_id: Option<Value>,
    unschedulable: Option<bool>,
    taints: Option<Value>,
    config_source: Option<Value>,
    #[serde(rename = "externalID")]
    external_id: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "fields that are accepted and have no meaning here"
)]
pub(crate) struct RawNodeStatus {
    addresses: Option<Vec<RawNodeAddress>>,
    capacity: Option<Value>,
    allocatable: Option<Value>,
    phase: Option<Value>,
    conditions: Option<Value>,
    daemon_endpoints: Option<Value>,
    node_info: Option<Value>,
    images: Option<Value>,
    volumes_in_use: Option<Value>,
    volumes_attached: Option<Value>,
    config: Option<Value>,
    runtime_handlers: Option<Value>,
    features: Option<Value>,
    declared_features: Option<Value>,
}

#[derive(Deserialize)]
struct RawNodeAddress {
    #[serde(rename = "type")]
    kind: Option<String>,
    address: Option<String>,
}

impl Node {
    /// Its first address of a family within the cluster, or else from outside.
    #[must_use]
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        let of_kind = |kind| {
            let mut addresses = self.addresses.iter();
            addresses.find(|a| a.kind == kind && Family::of(a.addr) == family)
        };
        of_kind(NodeAddressType::InternalIp)
            .or_else(|| of_kind(NodeAddressType::ExternalIp))
            .map(|found| found.addr)
    }

    /// The zone that it is in, if it says.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.meta.labels.get(keys::ZONE).map(String::as_str)
    }

    /// Whether it is to announce no addresses of Services. What the label says does not matter.
    #[must_use]
    pub fn is_excluded(&self) -> bool {
        self.meta.labels.contains_key(keys::EXCLUDE)
    }

    /// The labels that node selectors see. A node that was written by hand need not repeat its name
    /// as `kubernetes.io/hostname`.
    #[must_use]
    pub fn extra_labels(&self) -> Vec<(&'static str, &str)> {
        extra_node_labels(&self.meta.labels, &self.name)
    }
}

/// The labels that a node of that name has beside `labels`.
#[must_use]
pub fn extra_node_labels<'n>(labels: &Labels, name: &'n NodeName) -> Vec<(&'static str, &'n str)> {
    if labels.contains_key(keys::HOSTNAME) {
        Vec::new()
    } else {
        vec![(keys::HOSTNAME, name.as_str())]
    }
}

impl Raw for Node {
    type Form = Document<RawNodeSpec, RawNodeStatus>;
}

impl TryFrom<Document<RawNodeSpec, RawNodeStatus>> for Node {
    type Error = Vec<Fault>;

    fn try_from(document: Document<RawNodeSpec, RawNodeStatus>) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let (meta, spec, status) = document.open(Kind::Node, &mut faults);
        // The rule for both names is the same, so a fault of it was added with the metadata.
        let name = meta.name.name.parse().ok();
        let spec = spec.unwrap_or_default();
        let unschedulable = spec.unschedulable.unwrap_or_default();
        let pod_cidrs = spec.pod_cidrs(&mut faults);
        let at = At::ROOT.field("status");
        let at = at.field("addresses");
        let addresses = read::each(status.addresses, &at, &mut faults, RawNodeAddress::check);
        faults.finish(name.map(|name| Self {
            meta,
            name,
            addresses,
            pod_cidrs,
            unschedulable,
        }))
    }
}

impl RawNodeSpec {
    /// `podCIDRs`, or the older `podCIDR`, which repeats the first.
    fn pod_cidrs(self, faults: &mut Faults) -> Vec<Prefix> {
        let at = At::ROOT.field("spec");
        let single = self.pod_cidr.filter(|text| !text.is_empty());
        match (self.pod_cidrs, single) {
            (None, Some(text)) => {
                let prefix = read::parsed(&text, &at.field("podCIDR"), faults);
                prefix.into_iter().collect()
            }
            (listed, _) => {
                let at = at.field("podCIDRs");
                read::each(listed, &at, faults, |text: String, at, faults| {
                    read::parsed(&text, at, faults)
                })
            }
        }
    }
}

impl RawNodeAddress {
    fn check(self, at: &At<'_>, faults: &mut Faults) -> Option<NodeAddress> {
        const KINDS: [(&str, Option<NodeAddressType>); 5] = [
            ("InternalIP", Some(NodeAddressType::InternalIp)),
            ("ExternalIP", Some(NodeAddressType::ExternalIp)),
            ("Hostname", None),
            ("InternalDNS", None),
            ("ExternalDNS", None),
        ];
        let kind = read::required(self.kind, &at.field("type"), faults)?;
        let kind = read::one_of(&kind, &KINDS, &at.field("type"), faults)??;
        let addr = read::required(self.address, &at.field("address"), faults)?;
        let addr = read::address(&addr, &at.field("address"), faults)?;
        Some(NodeAddress { kind, addr })
    }
}
