//! Which Services would have which addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use api::{Ingress, Key, LoadBalancerIPPool, Metadata, Object, Service};
use lb_ipam::{Action, Allocator, Delta, Satisfaction, Time};
use types::ObjectName;

use super::{Assumptions, Layout, Situation, everything};
use crate::{Facts, Role, ipam};

/// What the allocator comes to.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) allocator: Allocator,
    /// The addresses of each Service's status, those of other programs included.
    pub(super) shown: BTreeMap<ObjectName, Vec<IpAddr>>,
    /// Which of them have had notice, and until when.
    pub(super) noticed: BTreeMap<ObjectName, BTreeMap<IpAddr, Time>>,
}

impl Addresses {
    /// What objects come to by themselves. What has had notice stays.
    pub(super) fn of(objects: &Situation, assumptions: &Assumptions) -> Self {
        let mut addresses = Self {
            allocator: Allocator::new(&assumptions.families),
            shown: services(objects)
                .map(|service| (service.name().clone(), service.ingress_ips().collect()))
                .collect(),
            noticed: BTreeMap::new(),
        };
        addresses.tell(assumptions.now, everything(objects, assumptions));
        addresses
    }

    /// What they come to once `before` has become `after`, and every notice has run out.
    pub(super) fn changed(
        &self,
        before: &Situation,
        after: &Situation,
        assumptions: &Assumptions,
    ) -> Self {
        let mut next = self.clone();
        next.shown.retain(|service, _| {
            let key = Key::new(api::Kind::Service, service.clone());
            after.contains_key(&key)
        });
        next.tell(assumptions.now, delta(before, after, assumptions));
        let noticed = next.noticed.clone();
        while next.allocator.figures().leaving > 0 {
            let Some(due) = next.allocator.next_deadline() else {
                break;
            };
            next.tell(due, Delta::default());
        }
        next.noticed = noticed;
        next
    }

    /// What the Service's condition says; `None` if the allocator says nothing about it.
    pub(super) fn satisfaction(&self) -> BTreeMap<&ObjectName, Satisfaction> {
        let allocations = self.allocator.allocations();
        allocations
            .map(|held| (held.service, held.satisfaction))
            .collect()
    }

    /// The objects with these addresses.
    pub(super) fn put_into(&self, objects: &Situation) -> Situation {
        let mut objects = objects.clone();
        for object in objects.values_mut() {
            let Object::Service(service) = object else {
                continue;
            };
            let addresses = self.shown.get(service.name()).into_iter().flatten();
            let addresses: Vec<IpAddr> = addresses.copied().collect();
            if service.ingress_ips().eq(addresses.iter().copied()) {
                continue;
            }
            let service = Arc::make_mut(service);
            let is_name = |ingress: &Ingress| matches!(ingress, Ingress::Hostname(_));
            service.ingress.retain(is_name);
            let given = addresses.into_iter().map(Ingress::Ip);
            service.ingress.splice(0..0, given);
        }
        objects
    }

    fn tell(&mut self, now: Time, delta: Delta) {
        for action in self.allocator.on_change(now, delta) {
            match action {
                Action::SetIngress { service, addresses } => {
                    self.shown.insert(service, addresses);
                }
                Action::ClearService { service, addresses } => {
                    if let Some(shown) = self.shown.get_mut(&service) {
                        shown.retain(|addr| !addresses.contains(addr));
                    }
                }
                Action::SetNotices { service, notices } => {
                    self.noticed.insert(service, notices.leaving);
                }
                // What there is to say is asked of the allocator.
                Action::SetServiceCondition { .. }
                | Action::SetPoolConditions { .. }
                | Action::SetReservations { .. } => {}
            }
        }
    }
}

/// What differs for the allocator.
pub(super) fn delta(before: &Situation, after: &Situation, assumptions: &Assumptions) -> Delta {
    let facts = Facts {
        role: match assumptions.layout {
            Layout::Nodes => Role::Standalone,
            Layout::Cluster => Role::Operator,
        },
        ..assumptions.facts(&assumptions.node)
    };
    let mut delta = Delta::default();
    if !assumptions.ipam.enabled {
        return delta;
    }
    let keys: BTreeSet<&Key> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let name = key.name.clone();
        match (before.get(key), after.get(key)) {
            (was, is) if was == is => {}
            (_, Some(Object::Service(service))) => {
                let service = ipam::service(service, &facts);
                delta.services.insert(name, Some(service));
            }
            (_, Some(Object::CiliumLoadBalancerIPPool(pool))) => {
                delta.pools.insert(name, Some(ipam::pool(pool)));
            }
            (Some(Object::Service(_)), None) => drop(delta.services.insert(name, None)),
            (Some(Object::CiliumLoadBalancerIPPool(_)), None) => {
                delta.pools.insert(name, None);
            }
            // Others play no part.
            (_, _) => {}
        }
    }
    delta
}

/// Gives objects that were there before what a manifest does not say: age, status, what an API server
/// filled in.
pub(super) fn grown(before: &Situation, after: &Situation) -> Situation {
    let mut grown = after.clone();
    for (key, object) in &mut grown {
        match (object, before.get(key)) {
            (Object::Service(service), Some(Object::Service(was))) => {
                if was != service {
                    grow_service(Arc::make_mut(service), was);
                }
            }
            (
                Object::CiliumLoadBalancerIPPool(pool),
                Some(Object::CiliumLoadBalancerIPPool(was)),
            ) => grow_pool(Arc::make_mut(pool), was),
            (Object::CiliumBGPClusterConfig(config), Some(Object::CiliumBGPClusterConfig(was))) => {
                grow_meta(&mut Arc::make_mut(config).meta, &was.meta);
            }
            // Neither age nor status of the others matters.
            (_, _) => {}
        }
    }
    grown
}

fn grow_service(service: &mut Service, was: &Service) {
    grow_meta(&mut service.meta, &was.meta);
    service.ingress.clone_from(&was.ingress);
    service.conditions.clone_from(&was.conditions);
    if service.cluster_ips.is_empty() && !service.headless {
        service.cluster_ips.clone_from(&was.cluster_ips);
    }
    if service.ip_families.is_empty() {
        service.ip_families.clone_from(&was.ip_families);
        service.ip_family_policy = service.ip_family_policy.or(was.ip_family_policy);
    }
}

fn grow_pool(pool: &mut LoadBalancerIPPool, was: &LoadBalancerIPPool) {
    grow_meta(&mut pool.meta, &was.meta);
    pool.conditions.clone_from(&was.conditions);
}

fn grow_meta(meta: &mut Metadata, was: &Metadata) {
    meta.created = was.created;
    meta.uid.clone_from(&was.uid);
    meta.resource_version.clone_from(&was.resource_version);
    meta.generation = was.generation;
}

fn services(objects: &Situation) -> impl Iterator<Item = &Service> {
    objects.values().filter_map(|object| {
        if let Object::Service(service) = object {
            Some(&**service)
        } else {
            None
        }
    })
}
