//! What people are shown of services that another program balances: where they are announced.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use agent_api::{Backend, BackendHealth, BackendState, Service};
use api::{EndpointSlice, Ingress, Object, ServiceType};
use types::{BackendAddr, ObjectName, Prefix, Vip};

use super::conditions::remark;

/// The share of a backend that another program balances to.
const WEIGHT: u16 = 1;

/// Every LoadBalancer service. One is ready if this node announces all of its addresses.
pub(super) fn services(snapshot: &store::Snapshot, announced: &BTreeSet<Prefix>) -> Vec<Service> {
    let slices = slices(snapshot);
    let services = load_balancers(snapshot);
    let one = |service: &api::Service| {
        let name = &service.meta.name;
        let notes = service.conditions.iter().filter_map(remark);
        let of_service = slices.get(name).into_iter().flatten();
        let mut backends: Vec<Backend> = of_service.copied().flat_map(backends).collect();
        backends.sort_by_key(|backend| backend.address);
        backends.dedup_by_key(|backend| backend.address);
        let missing = addresses(service).filter(|addr| !covers(announced, *addr));
        let missing: Vec<IpAddr> = missing.collect();
        let vips = vips(service);
        Service {
            namespace: name.namespace.to_string(),
            name: name.name.to_string(),
            ready: !vips.is_empty() && missing.is_empty(),
            notes: notes
                .chain(
                    missing
                        .iter()
                        .map(|addr| format!("{addr} is not announced by this node")),
                )
                .collect(),
            vips,
            backends,
        }
    };
    services.map(one).collect()
}

/// How many addresses of services this node announces, and how many there are.
pub(super) fn count(snapshot: &store::Snapshot, announced: &BTreeSet<Prefix>) -> (usize, usize) {
    let addresses: BTreeSet<IpAddr> = load_balancers(snapshot).flat_map(addresses).collect();
    let ready = addresses.iter().filter(|addr| covers(announced, **addr));
    (ready.count(), addresses.len())
}

/// The addresses that services hold, as their statuses say.
pub(super) fn allocations(snapshot: &store::Snapshot) -> Vec<agent_api::Allocation> {
    load_balancers(snapshot)
        .map(|service| agent_api::Allocation {
            namespace: service.meta.name.namespace.to_string(),
            name: service.meta.name.name.to_string(),
            addresses: addresses(service).collect(),
        })
        .filter(|held| !held.addresses.is_empty())
        .collect()
}

fn load_balancers(snapshot: &store::Snapshot) -> impl Iterator<Item = &api::Service> {
    let objects = snapshot.objects.values();
    objects.filter_map(|object| {
        let Object::Service(service) = object else {
            return None;
        };
        (service.kind == ServiceType::LoadBalancer).then_some(service.as_ref())
    })
}

fn slices(snapshot: &store::Snapshot) -> BTreeMap<ObjectName, Vec<&EndpointSlice>> {
    let mut slices: BTreeMap<ObjectName, Vec<&EndpointSlice>> = BTreeMap::new();
    for object in snapshot.objects.values() {
        if let Object::EndpointSlice(slice) = object
            && let Some(service) = &slice.service
        {
            slices.entry(service.clone()).or_default().push(slice);
        }
    }
    slices
}

fn addresses(service: &api::Service) -> impl Iterator<Item = IpAddr> {
    service.ingress.iter().filter_map(|ingress| match ingress {
        Ingress::Ip(addr) => Some(*addr),
        Ingress::Hostname(_) => None,
    })
}

fn vips(service: &api::Service) -> Vec<Vip> {
    let at = |addr: IpAddr| {
        service.ports.iter().map(move |port| Vip {
            addr,
            port: port.port,
            protocol: port.protocol,
        })
    };
    let mut vips: Vec<Vip> = addresses(service).flat_map(at).collect();
    vips.sort();
    vips
}

fn backends(slice: &EndpointSlice) -> impl Iterator<Item = Backend> {
    let ports = slice.ports.iter().filter_map(|port| port.port);
    let pairs = ports.flat_map(|port| slice.endpoints.iter().map(move |one| (port, one)));
    pairs.filter_map(|(port, endpoint)| {
        let address = BackendAddr {
            addr: *endpoint.addresses.first()?,
            port,
        };
        let state = match (endpoint.terminating, endpoint.ready) {
            (false, true) => BackendState::Active,
            (true, _) => BackendState::Draining,
            (false, false) => BackendState::Quarantined,
        };
        Some(Backend {
            address,
            weight: WEIGHT,
            state,
            health: BackendHealth::Unchecked,
        })
    })
}

/// Whether one of the prefixes contains the address.
fn covers(prefixes: &BTreeSet<Prefix>, addr: IpAddr) -> bool {
    (0..=Prefix::host(addr).len())
        .rev()
        .filter_map(|len| Prefix::containing(addr, len).ok())
        .any(|prefix| prefixes.contains(&prefix))
}

#[cfg(test)]
mod tests {
    use api::Strictness;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_service_is_ready_where_all_of_its_addresses_are_announced() {
        let snapshot = snapshot(&[service("web", &["192.0.2.1", "2001:db8::1"]), slice()]);

        let [web] = services(&snapshot, &prefixes(&["192.0.2.0/24"]))
            .try_into()
            .unwrap();

        assert!(!web.ready);
        assert_eq!(web.notes, ["2001:db8::1 is not announced by this node"]);
        let expected: Vec<Vip> = ["192.0.2.1:80/TCP", "[2001:db8::1]:80/TCP"]
            .map(|vip| vip.parse().unwrap())
            .into();
        assert_eq!(web.vips, expected);
        let states: Vec<_> = web
            .backends
            .iter()
            .map(|it| (it.address.port, it.state))
            .collect();
        assert_eq!(
            states,
            [
                (8080, BackendState::Active),
                (8080, BackendState::Quarantined),
                (8080, BackendState::Draining),
            ]
        );
        let both = prefixes(&["192.0.2.1/32", "2001:db8::1/128"]);
        assert!(
            services(&snapshot, &both)
                .iter()
                .all(|service| service.ready)
        );
        assert_eq!(count(&snapshot, &both), (2, 2));
        assert_eq!(count(&snapshot, &prefixes(&["192.0.2.1/32"])), (1, 2));
    }

    #[test]
    fn a_service_without_addresses_is_not_ready_and_holds_none() {
        let snapshot = snapshot(&[service("web", &[])]);

        let shown = services(&snapshot, &prefixes(&["0.0.0.0/0"]));

        assert!(
            shown
                .iter()
                .all(|service| !service.ready && service.notes.is_empty())
        );
        assert_eq!(allocations(&snapshot), []);
        assert_eq!(count(&snapshot, &BTreeSet::new()), (0, 0));
    }

    fn prefixes(texts: &[&str]) -> BTreeSet<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn snapshot(objects: &[Value]) -> store::Snapshot {
        let objects = objects.iter().map(|value| {
            let object = Object::from_value(value.clone(), Strictness::Lenient).unwrap();
            (object.key(), object)
        });
        store::Snapshot {
            objects: objects.collect(),
            ..store::Snapshot::default()
        }
    }

    fn service(name: &str, addresses: &[&str]) -> Value {
        let ingress: Vec<Value> = addresses.iter().map(|addr| json!({ "ip": addr })).collect();
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }] },
            "status": { "loadBalancer": { "ingress": ingress } },
        })
    }

    fn slice() -> Value {
        let endpoint = |addr: &str, ready: bool, terminating: bool| {
            json!({ "addresses": [addr],
                    "conditions": { "ready": ready, "terminating": terminating } })
        };
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "name": "web-1", "namespace": "shop",
                          "labels": { "kubernetes.io/service-name": "web" } },
            "addressType": "IPv4",
            "ports": [{ "port": 8080 }],
            "endpoints": [
                endpoint("10.0.0.1", true, false),
                endpoint("10.0.0.2", false, false),
                endpoint("10.0.0.3", false, true),
            ],
        })
    }
}
