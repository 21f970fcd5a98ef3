//! EndpointSlice: some of a service's backends.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;
use types::{Family, NodeName, ObjectName, Protocol};

use crate::fault::{At, Faults};
use crate::meta::RawMetadata;
use crate::object::Raw;
use crate::{Fault, Kind, Metadata, Unenforced, annotations, keys, read};

/// Some of a service's backends.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSlice {
    /// Name and labels.
    pub meta: Metadata,
    /// The Service it belongs to, by its label; without one it belongs to none.
    pub service: Option<ObjectName>,
    /// What kind of addresses it has.
    pub address_type: AddressType,
    /// Its endpoints; none if the addresses are names.
    pub endpoints: Vec<Endpoint>,
    /// Where each endpoint listens; SCTP ports are left out and in `unenforced`.
    pub ports: Vec<EndpointPort>,
    /// The weight of each endpoint.
    pub weight: u16,
    /// Fields that are accepted and not acted upon.
    pub unenforced: Vec<Unenforced>,
}

/// What kind of addresses a slice has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressType {
    /// IP addresses of that family.
    Ip(Family),
    /// Names in DNS; they are not resolved.
    Fqdn,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Addresses that can be used alike; never empty.
    pub addresses: Vec<IpAddr>,
    /// Whether it takes new connections; true if not said.
    pub ready: bool,
    /// Whether it serves connections, terminating or not; the same as `ready` if not said.
    pub serving: bool,
    /// Whether it is about to end.
    pub terminating: bool,
    /// Where it runs.
    pub node: Option<NodeName>,
    /// In which zone it runs.
    pub zone: Option<String>,
    /// For whom it is meant, where somebody says so.
    pub hints: Option<Box<Hints>>,
}

/// For whom an endpoint is meant: whoever is elsewhere takes another one while there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Clients on nodes of these zones.
    pub zones: Vec<String>,
    /// Clients on these nodes.
    pub nodes: Vec<NodeName>,
}

/// Where each endpoint of a slice listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPort {
    /// The name of the Service's port; empty if that has none.
    pub name: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port; none means every port.
    pub port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "fields that are accepted and have no meaning here"
)]
pub(crate) struct RawSlice {
    api_version: Value,
    kind: Value,
    metadata: Option<RawMetadata>,
    address_type: Option<String>,
    endpoints: Option<Vec<RawEndpoint>>,
    ports: Option<Vec<RawPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "fields that are accepted and have no meaning here"
)]
struct RawEndpoint {
    addresses: Option<Vec<String>>,
    conditions: Option<RawConditions>,
    hostname: Option<String>,
    target_ref: Option<Value>,
    deprecated_topology: Option<Value>,
    node_name: Option<String>,
    zone: Option<String>,
    hints: Option<RawHints>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHints {
    for_zones: Option<Vec<RawHint>>,
    for_nodes: Option<Vec<RawHint>>,
}

#[derive(Deserialize)]
struct RawHint {
    name: Option<String>,
}

#[derive(Default, Deserialize)]
struct RawConditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "fields that are accepted and have no meaning here"
)]
struct RawPort {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<i64>,
    app_protocol: Option<String>,
}

impl Raw for EndpointSlice {
    type Form = RawSlice;
}

impl TryFrom<RawSlice> for EndpointSlice {
    type Error = Vec<Fault>;

    fn try_from(raw: RawSlice) -> Result<Self, Vec<Fault>> {
        const TYPES: [(&str, AddressType); 3] = [
            ("IPv4", AddressType::Ip(Family::V4)),
            ("IPv6", AddressType::Ip(Family::V6)),
            ("FQDN", AddressType::Fqdn),
        ];
        let mut faults = Faults::default();
        let mut unenforced = Vec::new();
        let meta = raw.metadata.unwrap_or_default();
        let meta = meta.check(Kind::EndpointSlice, &mut faults);
        let weight = annotations::weight(&meta.annotations, &mut faults);
        let at = At::ROOT.field("addressType");
        let address_type = read::required(raw.address_type, &at, &mut faults)
            .and_then(|text| read::one_of(&text, &TYPES, &at, &mut faults));
        let endpoints = match address_type {
            Some(AddressType::Ip(family)) => {
                let at = At::ROOT.field("endpoints");
                read::each(raw.endpoints, &at, &mut faults, |raw, at, faults| {
                    raw.check(family, at, faults)
                })
            }
            Some(AddressType::Fqdn) => {
                unenforced.push(Unenforced::new(&at, "names are not resolved"));
                Vec::new()
            }
            None => Vec::new(),
        };
        let at = At::ROOT.field("ports");
        let ports = read::each(raw.ports, &at, &mut faults, |raw, at, faults| {
            raw.check(at, faults, &mut unenforced)
        });
        faults.finish(address_type.map(|address_type| Self {
            service: service_of(&meta),
            meta,
            address_type,
            endpoints,
            ports,
            weight,
            unenforced,
        }))
    }
}

impl RawEndpoint {
    fn check(self, family: Family, at: &At<'_>, faults: &mut Faults) -> Option<Endpoint> {
        let addresses_at = at.field("addresses");
        if self.addresses.as_ref().is_none_or(Vec::is_empty) {
            faults.add(&addresses_at, "must have at least one item");
        }
        let addresses = read::each(self.addresses, &addresses_at, faults, |text, at, faults| {
            let addr = read::address(&text, at, faults)?;
            if Family::of(addr) != family {
                let reason = format_args!("{addr} is not of the slice's family, {family}");
                faults.add(at, reason);
            }
            Some(addr)
        });
        let conditions = self.conditions.unwrap_or_default();
        let ready = conditions.ready.unwrap_or(true);
        let node = self
            .node_name
            .and_then(|name| read::parsed(&name, &at.field("nodeName"), faults));
        Some(Endpoint {
            addresses,
            ready,
            serving: conditions.serving.unwrap_or(ready),
            terminating: conditions.terminating.unwrap_or(false),
            node,
            zone: self.zone,
            hints: self
                .hints
                .and_then(|raw| raw.check(&at.field("hints"), faults)),
        })
    }
}

impl RawHints {
    /// Nothing, if it says nothing: most endpoints have none, and there are many endpoints.
    fn check(self, at: &At<'_>, faults: &mut Faults) -> Option<Box<Hints>> {
        let name = |raw: RawHint, at: &At<'_>, faults: &mut Faults| {
            read::required(raw.name, &at.field("name"), faults)
        };
        let zones = read::each(self.for_zones, &at.field("forZones"), faults, name);
        let nodes_at = at.field("forNodes");
        let nodes = read::each(self.for_nodes, &nodes_at, faults, |raw, at, faults| {
            let text = name(raw, at, faults)?;
            read::parsed(&text, &at.field("name"), faults)
        });
        let is_empty = zones.is_empty() && nodes.is_empty();
        (!is_empty).then(|| Box::new(Hints { zones, nodes }))
    }
}

impl RawPort {
    fn check(
        self,
        at: &At<'_>,
        faults: &mut Faults,
        unenforced: &mut Vec<Unenforced>,
    ) -> Option<EndpointPort> {
        let protocol = self.protocol.as_deref();
        let protocol = read::protocol(protocol, &at.field("protocol"), faults, unenforced);
        let port = read::optional(self.port, 1..=65535, &at.field("port"), faults);
        Some(EndpointPort {
            name: self.name.unwrap_or_default(),
            protocol: protocol?,
            port,
        })
    }
}

/// The Service that a slice belongs to is in the slice's own namespace.
fn service_of(meta: &Metadata) -> Option<ObjectName> {
    let name = meta.labels.get(keys::SLICE_SERVICE)?;
    Some(ObjectName::new(&meta.name.namespace, name))
}
