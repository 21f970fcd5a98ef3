//! Pools and services, as the allocator of addresses sees them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::annotations::SharingNamespaces;
use api::{
    Block, IpFamilyPolicy, LabelSelector, Labels, LoadBalancerIPPool, Operator, Service,
    ServiceType, Timestamp, TrafficPolicy, condition, keys,
};
use lb_ipam::{
    Allocator, Families, FamilyPolicy, Grant, Listener, Notices, Pool, Quotas, Range, Request,
    Requirement, Reservation, Selector, Sharing, Shown, Test, Time, Traffic,
};

use crate::{Facts, Role};

/// Which Services' addresses the allocator gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpamOptions {
    /// Whether it gives any at all (`enable-lb-ipam`).
    pub enabled: bool,
    /// Who gives addresses to Services without a class (`default-lb-service-ipam`).
    pub default: DefaultIpam,
    /// Whether the class `io.cilium/bgp-control-plane` is its own, which it is where BGP runs.
    pub bgp: bool,
    /// Whether the class `io.cilium/l2-announcer` is its own, which it is where addresses are announced
    /// by ARP and NDP.
    pub l2: bool,
    /// For how long a Service keeps an address that no pool has for it any more: time to undo a mistake.
    pub grace: Duration,
}

/// Who gives addresses to Services without a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultIpam {
    /// The allocator: `lbipam`.
    #[default]
    LbIpam,
    /// The Services get the addresses of nodes: `nodeipam`.
    NodeIpam,
    /// Nobody: `none`.
    Nobody,
}

impl Default for IpamOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            default: DefaultIpam::default(),
            bgp: true,
            l2: false,
            grace: Allocator::DEFAULT_GRACE,
        }
    }
}

impl IpamOptions {
    /// Whether the allocator gives the Service its addresses.
    #[must_use]
    pub fn is_given(&self, service: &Service) -> bool {
        let by_class = match service.load_balancer_class.as_deref() {
            None => self.default == DefaultIpam::LbIpam,
            Some(keys::CLASS_BGP) => self.bgp,
            Some(keys::CLASS_L2) => self.l2,
            Some(_) => false,
        };
        self.enabled && service.kind == ServiceType::LoadBalancer && by_class
    }
}

/// Whether the Service's addresses are balanced here.
pub(crate) fn is_ours(service: &Service) -> bool {
    service.kind == ServiceType::LoadBalancer && class_is_ours(service)
}

/// Whether the Service's class leaves it to us: none, or BGP's.
pub(crate) fn class_is_ours(service: &Service) -> bool {
    let class = service.load_balancer_class.as_deref();
    class.is_none_or(|class| class == keys::CLASS_BGP)
}

pub(crate) fn pool(pool: &LoadBalancerIPPool) -> Pool {
    let block = |block: &Block| match *block {
        Block::Cidr(prefix) => Some(lb_ipam::Block::Cidr(prefix)),
        // The object was validated by the same rule.
        Block::Range { start, stop } => Range::new(start, stop).ok().map(lb_ipam::Block::Range),
    };
    let quotas = pool.settings.quotas.iter();
    let reserved = api::ipam::read_reservations(&pool.conditions).into_iter();
    Pool {
        created: seconds(pool.meta.created),
        blocks: pool.blocks.iter().filter_map(block).collect(),
        // Without a selector every service may have addresses, as with an empty one.
        selector: pool
            .service_selector
            .as_ref()
            .map(selector)
            .unwrap_or_default(),
        allow_first_last: pool.allow_first_last_ips,
        disabled: pool.disabled,
        priority: pool.settings.priority,
        quotas: Quotas {
            by_namespace: quotas
                .map(|(namespace, limit)| (namespace.as_str().into(), *limit))
                .collect(),
            others: pool.settings.quota_of_others,
        },
        reserve: pool.settings.reserve,
        reserved: reserved
            .map(|(addr, service, until)| Reservation {
                addr,
                service,
                until: time(until),
            })
            .collect(),
    }
}

pub(crate) fn service(service: &Service, facts: &Facts) -> lb_ipam::Service {
    if !facts.ipam.is_given(service) {
        return lb_ipam::Service::Foreign(shown(service));
    }
    let created = match facts.role {
        // One decides for all.
        Role::Operator => seconds(service.meta.created),
        // The age of a file is each node's own: names decide, so that all decide alike.
        Role::Standalone | Role::Agent => 0,
    };
    lb_ipam::Service::Request(Request {
        created,
        labels: labels(&service.meta.labels),
        families: Families {
            order: service.ip_families.clone(),
            policy: policy(service.ip_family_policy),
        },
        requested: service.requested.clone(),
        sharing: sharing(service).map(Arc::new),
        shown: shown(service),
    })
}

fn shown(service: &Service) -> Shown {
    let is_ours = |kind: &str| kind == condition::service::IPAM_SATISFIED;
    let leaving = api::ipam::read_leaving(&service.conditions).into_iter();
    Shown {
        addresses: service.ingress_ips().collect(),
        marked: service.conditions.iter().any(|held| is_ours(&held.kind)),
        notices: Notices {
            leaving: leaving.map(|(addr, until)| (addr, time(until))).collect(),
            foreign: api::ipam::read_foreign(&service.conditions),
        },
    }
}

fn sharing(service: &Service) -> Option<Sharing> {
    let sharing = service.sharing.as_ref()?;
    let listeners = service.ports.iter().map(|port| Listener {
        port: port.port,
        protocol: port.protocol,
    });
    let grant = match &sharing.namespaces {
        SharingNamespaces::All => Grant::All,
        SharingNamespaces::These(namespaces) => {
            Grant::These(namespaces.iter().map(|name| name.as_str().into()).collect())
        }
    };
    let traffic = match service.external_traffic_policy {
        TrafficPolicy::Cluster => Traffic::Cluster,
        TrafficPolicy::Local => Traffic::Local {
            pods: labels(&service.selector),
            permits_others: sharing.permits_different_pods,
        },
    };
    Some(Sharing {
        key: sharing.key.as_str().into(),
        grant,
        listeners: listeners.collect(),
        traffic,
    })
}

fn seconds(created: Option<Timestamp>) -> u64 {
    let created = created.map_or(0, Timestamp::as_second);
    u64::try_from(created).unwrap_or(0)
}

/// Nothing was written before 1970.
fn time(at: Timestamp) -> Time {
    Duration::try_from(at.as_duration()).unwrap_or_default()
}

fn policy(policy: Option<IpFamilyPolicy>) -> FamilyPolicy {
    match policy {
        None | Some(IpFamilyPolicy::SingleStack) => FamilyPolicy::SingleStack,
        Some(IpFamilyPolicy::PreferDualStack) => FamilyPolicy::PreferDualStack,
        Some(IpFamilyPolicy::RequireDualStack) => FamilyPolicy::RequireDualStack,
    }
}

fn selector(selector: &LabelSelector) -> Selector {
    let values = |values: &[String]| values.iter().map(|value| value.as_str().into()).collect();
    let requirements = selector.match_expressions.iter();
    let requirements = requirements.map(|requirement| Requirement {
        key: requirement.key.as_str().into(),
        test: match &requirement.operator {
            Operator::In(of) => Test::In(values(of)),
            Operator::NotIn(of) => Test::NotIn(values(of)),
            Operator::Exists => Test::Exists,
            Operator::DoesNotExist => Test::DoesNotExist,
        },
    });
    Selector {
        match_labels: labels(&selector.match_labels),
        match_expressions: requirements.collect(),
    }
}

fn labels(labels: &Labels) -> BTreeMap<Arc<str>, Arc<str>> {
    let pairs = labels.iter();
    pairs
        .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
        .collect()
}
