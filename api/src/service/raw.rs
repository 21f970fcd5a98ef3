//! A Service as a file has it, and what is checked of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;
use types::{Family, Prefix};

use super::ports::{self, RawServicePort};
use super::{Ingress, IpFamilyPolicy, Service, ServiceType, SessionAffinity, TrafficPolicy};
use crate::annotations::ServiceSettings;
use crate::fault::{At, Faults};
use crate::object::{Document, Raw};
use crate::{Condition, Fault, Kind, Metadata, Unenforced, annotations, read};

/// How long Kubernetes keeps a client with its backend if not told.
const DEFAULT_AFFINITY_SECS: u32 = 10800;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawServiceSpec {
    #[serde(rename = "type")]
    kind: Option<String>,
    ports: Option<Vec<RawServicePort>>,
    selector: Option<BTreeMap<String, String>>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<String>>,
    #[serde(rename = "externalIPs")]
    external_ips: Option<Vec<String>>,
    external_name: Option<String>,
    external_traffic_policy: Option<String>,
    internal_traffic_policy: Option<String>,
    health_check_node_port: Option<i64>,
    ip_families: Option<Vec<String>>,
    ip_family_policy: Option<String>,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: Option<String>,
    load_balancer_class: Option<String>,
    load_balancer_source_ranges: Option<Vec<String>>,
    #[expect(dead_code, reason = "node ports are not opened, so none is allocated")]
    allocate_load_balancer_node_ports: Option<bool>,
    #[expect(dead_code, reason = "whoever writes the EndpointSlices reads it")]
    publish_not_ready_addresses: Option<bool>,
    session_affinity: Option<String>,
    session_affinity_config: Option<RawAffinityConfig>,
    traffic_distribution: Option<String>,
}

#[derive(Deserialize)]
struct RawAffinityConfig {
    #[serde(rename = "clientIP")]
    client_ip: Option<RawClientIp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawClientIp {
    timeout_seconds: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawServiceStatus {
    load_balancer: Option<RawLoadBalancer>,
    conditions: Option<Vec<Condition>>,
}

#[derive(Deserialize)]
struct RawLoadBalancer {
    ingress: Option<Vec<RawIngress>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "fields that are accepted and have no meaning here"
)]
struct RawIngress {
    ip: Option<String>,
    hostname: Option<String>,
    ip_mode: Option<String>,
    ports: Option<Value>,
}

/// Where faults and remarks of one Service go.
struct Reader<'r> {
    at: At<'r>,
    faults: &'r mut Faults,
    unenforced: &'r mut Vec<Unenforced>,
}

impl Raw for Service {
    type Form = Document<RawServiceSpec, RawServiceStatus>;
}

impl TryFrom<Document<RawServiceSpec, RawServiceStatus>> for Service {
    type Error = Vec<Fault>;

    fn try_from(document: Document<RawServiceSpec, RawServiceStatus>) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let at = At::ROOT.field("spec");
        let (meta, spec, status) = document.open(Kind::Service, &mut faults);
        let mut spec = read::required(spec, &at, &mut faults).unwrap_or_default();
        let mut unenforced = annotations::unenforced(&meta.annotations);
        let settings = ServiceSettings::read(&meta.annotations, &mut faults);
        let requested = annotations::requested(&meta.annotations, &mut faults);
        let sharing = annotations::sharing(&meta.annotations);
        let needs_ports = spec.cluster_ip.as_deref() != Some("None")
            && spec.kind.as_deref() != Some("ExternalName");
        let ports = ports::check(
            spec.ports.take(),
            needs_ports,
            &at.field("ports"),
            &mut faults,
            &mut unenforced,
        );
        let mut reader = Reader {
            at,
            faults: &mut faults,
            unenforced: &mut unenforced,
        };
        reader.remarks(&spec);
        let service = Self {
            meta,
            settings,
            sharing,
            ports,
            ingress: ingress(status.load_balancer, reader.faults),
            conditions: status.conditions.unwrap_or_default(),
            ..reader.service(spec, requested)
        };
        faults.finish(Some(Self {
            unenforced,
            ..service
        }))
    }
}

impl Reader<'_> {
    /// What the spec says by itself; the rest is empty.
    fn service(&mut self, spec: RawServiceSpec, requested: Vec<IpAddr>) -> Service {
        let headless = spec.cluster_ip.as_deref() == Some("None");
        let cluster_ips = spec.cluster_ips.or_else(|| Some(vec![spec.cluster_ip?]));
        let external = spec.external_traffic_policy.as_deref();
        let internal = spec.internal_traffic_policy.as_deref();
        let affinity = spec.session_affinity.as_deref();
        Service {
            meta: Metadata::default(),
            kind: self.kind(spec.kind.as_deref()),
            ports: Vec::new(),
            selector: spec.selector.unwrap_or_default(),
            headless,
            cluster_ips: self.addresses("clusterIPs", cluster_ips),
            external_ips: self.addresses("externalIPs", spec.external_ips),
            requested: self.requested(requested, spec.load_balancer_ip.as_deref()),
            sharing: None,
            load_balancer_class: spec.load_balancer_class.filter(|class| !class.is_empty()),
            ip_families: self.families(spec.ip_families),
            ip_family_policy: self.family_policy(spec.ip_family_policy.as_deref()),
            external_traffic_policy: self.traffic_policy("externalTrafficPolicy", external),
            internal_traffic_policy: self.traffic_policy("internalTrafficPolicy", internal),
            session_affinity: self.affinity(affinity, spec.session_affinity_config),
            source_ranges: self.source_ranges(spec.load_balancer_source_ranges),
            settings: ServiceSettings::default(),
            ingress: Vec::new(),
            conditions: Vec::new(),
            unenforced: Vec::new(),
        }
    }

    /// What is accepted and not acted upon, said so.
    fn remarks(&mut self, spec: &RawServiceSpec) {
        let some = |field, given: bool, note| given.then_some((field, note));
        let local = |policy: &Option<String>| policy.as_deref() == Some("Local");
        let remarks = [
            some(
                "externalIPs",
                spec.external_ips
                    .as_ref()
                    .is_some_and(|ips| !ips.is_empty()),
                "only addresses of status.loadBalancer are balanced",
            ),
            some(
                "externalName",
                spec.external_name.is_some(),
                "nothing is balanced to a name in DNS",
            ),
            some(
                "externalTrafficPolicy",
                local(&spec.external_traffic_policy),
                "nodes with an active backend announce host routes, and balance to all backends",
            ),
            some(
                "internalTrafficPolicy",
                local(&spec.internal_traffic_policy),
                "traffic from pods is not balanced",
            ),
            some(
                "healthCheckNodePort",
                spec.health_check_node_port.is_some_and(|port| port != 0),
                "the port is not opened",
            ),
            some(
                "loadBalancerSourceRanges",
                spec.load_balancer_source_ranges
                    .as_ref()
                    .is_some_and(|ranges| !ranges.is_empty()),
                "clients from anywhere are served",
            ),
            some(
                "sessionAffinity",
                spec.session_affinity.as_deref() == Some("ClientIP"),
                "connections of one client are spread over the backends",
            ),
            some(
                "trafficDistribution",
                spec.traffic_distribution.is_some(),
                "traffic is spread over all backends",
            ),
        ];
        for (field, note) in remarks.into_iter().flatten() {
            let remark = Unenforced::new(&self.at.field(field), note);
            self.unenforced.push(remark);
        }
    }

    fn kind(&mut self, text: Option<&str>) -> ServiceType {
        const KINDS: [(&str, ServiceType); 4] = [
            ("ClusterIP", ServiceType::ClusterIp),
            ("NodePort", ServiceType::NodePort),
            ("LoadBalancer", ServiceType::LoadBalancer),
            ("ExternalName", ServiceType::ExternalName),
        ];
        let kind = self.choice("type", text, &KINDS).unwrap_or_default();
        if kind == ServiceType::NodePort {
            let note = "node ports are not opened";
            let remark = Unenforced::new(&self.at.field("type"), note);
            self.unenforced.push(remark);
        }
        kind
    }

    fn addresses(&mut self, field: &str, list: Option<Vec<String>>) -> Vec<IpAddr> {
        let at = self.at.field(field);
        let is_none = |text: &String| text.is_empty() || text == "None";
        read::each(list, &at, self.faults, |text, at, faults| {
            if is_none(&text) {
                None
            } else {
                read::address(&text, at, faults)
            }
        })
    }

    /// What the annotation asks for, and the older field after it.
    fn requested(&mut self, mut requested: Vec<IpAddr>, field: Option<&str>) -> Vec<IpAddr> {
        let at = self.at.field("loadBalancerIP");
        let field = field.filter(|text| !text.is_empty());
        let more = field.and_then(|text| read::address(text, &at, self.faults));
        requested.extend(more.filter(|addr| !requested.contains(addr)));
        requested
    }

    fn families(&mut self, list: Option<Vec<String>>) -> Vec<Family> {
        const FAMILIES: [(&str, Family); 2] = [("IPv4", Family::V4), ("IPv6", Family::V6)];
        let at = self.at.field("ipFamilies");
        for (index, text) in list.iter().flatten().enumerate() {
            if list
                .iter()
                .flatten()
                .take(index)
                .any(|earlier| earlier == text)
            {
                let reason = format_args!("{text} is there twice");
                self.faults.add(&at.index(index), reason);
            }
        }
        read::each(list, &at, self.faults, |text, at, faults| {
            read::one_of(&text, &FAMILIES, at, faults)
        })
    }

    fn family_policy(&mut self, text: Option<&str>) -> Option<IpFamilyPolicy> {
        const POLICIES: [(&str, IpFamilyPolicy); 3] = [
            ("SingleStack", IpFamilyPolicy::SingleStack),
            ("PreferDualStack", IpFamilyPolicy::PreferDualStack),
            ("RequireDualStack", IpFamilyPolicy::RequireDualStack),
        ];
        self.choice("ipFamilyPolicy", text, &POLICIES)
    }

    fn traffic_policy(&mut self, field: &str, text: Option<&str>) -> TrafficPolicy {
        const POLICIES: [(&str, TrafficPolicy); 2] = [
            ("Cluster", TrafficPolicy::Cluster),
            ("Local", TrafficPolicy::Local),
        ];
        self.choice(field, text, &POLICIES).unwrap_or_default()
    }

    fn affinity(
        &mut self,
        text: Option<&str>,
        config: Option<RawAffinityConfig>,
    ) -> SessionAffinity {
        let at = self.at.field("sessionAffinityConfig");
        let at = at.field("clientIP");
        let secs = config.and_then(|config| config.client_ip?.timeout_seconds);
        let timeout_secs = read::number(
            secs,
            1..=86400,
            DEFAULT_AFFINITY_SECS,
            &at.field("timeoutSeconds"),
            self.faults,
        );
        let choices = [
            ("None", SessionAffinity::None),
            ("ClientIP", SessionAffinity::ClientIp { timeout_secs }),
        ];
        self.choice("sessionAffinity", text, &choices)
            .unwrap_or_default()
    }

    fn source_ranges(&mut self, list: Option<Vec<String>>) -> Vec<Prefix> {
        let at = self.at.field("loadBalancerSourceRanges");
        read::each(list, &at, self.faults, |text, at, faults| {
            // Kubernetes takes blanks around a range.
            read::parsed(text.trim(), at, faults)
        })
    }

    fn choice<T: Copy>(
        &mut self,
        field: &str,
        text: Option<&str>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = text.filter(|text| !text.is_empty())?;
        read::one_of(text, choices, &self.at.field(field), self.faults)
    }
}

fn ingress(raw: Option<RawLoadBalancer>, faults: &mut Faults) -> Vec<Ingress> {
    let at = At::ROOT.field("status");
    let at = at.field("loadBalancer");
    let list = raw.and_then(|raw| raw.ingress);
    read::each(list, &at.field("ingress"), faults, |raw, at, faults| {
        let ip = raw.ip.filter(|ip| !ip.is_empty());
        let hostname = raw.hostname.filter(|name| !name.is_empty());
        match (ip, hostname) {
            (Some(ip), _) => read::address(&ip, &at.field("ip"), faults).map(Ingress::Ip),
            (None, Some(name)) => Some(Ingress::Hostname(name)),
            (None, None) => {
                faults.add(at, "needs an ip or a hostname");
                None
            }
        }
    })
}
