//! Pools and services, as the allocator of addresses sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{
    Block, IpFamilyPolicy, LabelSelector, Labels, LoadBalancerIPPool, Operator, Service,
    ServiceType, Timestamp, condition, keys,
};
use lb_ipam::{Families, FamilyPolicy, Pool, Range, Request, Requirement, Selector, Test};

/// Whether the Service's addresses are given and balanced here.
pub(crate) fn is_ours(service: &Service) -> bool {
    service.kind == ServiceType::LoadBalancer && class_is_ours(service)
}

/// Whether the Service's class leaves it to us: none, or BGP's.
pub(crate) fn class_is_ours(service: &Service) -> bool {
    let class = service.load_balancer_class.as_deref();
    class.is_none_or(|class| class == keys::CLASS_BGP)
}

pub(crate) fn pool(pool: &LoadBalancerIPPool) -> Pool {
    let created = pool.meta.created.map_or(0, Timestamp::as_second);
    let block = |block: &Block| match *block {
        Block::Cidr(prefix) => Some(lb_ipam::Block::Cidr(prefix)),
        // The object was validated by the same rule.
        Block::Range { start, stop } => Range::new(start, stop).ok().map(lb_ipam::Block::Range),
    };
    Pool {
        created: u64::try_from(created).unwrap_or(0),
        blocks: pool.blocks.iter().filter_map(block).collect(),
        // Without a selector every service may have addresses, as with an empty one.
        selector: pool
            .service_selector
            .as_ref()
            .map(selector)
            .unwrap_or_default(),
        allow_first_last: pool.allow_first_last_ips,
        disabled: pool.disabled,
    }
}

pub(crate) fn service(service: &Service) -> lb_ipam::Service {
    let current = service.ingress_ips().collect();
    if is_ours(service) {
        lb_ipam::Service::Request(Request {
            labels: labels(&service.meta.labels),
            families: Families {
                order: service.ip_families.clone(),
                policy: policy(service.ip_family_policy),
            },
            requested: service.requested.clone(),
            current,
        })
    } else {
        let ours = |kind: &str| kind == condition::service::IPAM_SATISFIED;
        lb_ipam::Service::Foreign {
            current,
            marked: service.conditions.iter().any(|held| ours(&held.kind)),
        }
    }
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
