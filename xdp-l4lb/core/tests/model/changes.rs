//! What users do to services.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use types::{ObjectName, Vip};
use xdp_l4lb_core::desired::{
    Backend, BackendState, Check, CheckKind, Health, Service, ServiceKey, WhenEmpty,
};

use crate::clients::backend;
use crate::node::Node;
use crate::rng::Rng;

/// Backends that there are.
pub(crate) const BACKENDS: usize = 6;

/// One change, to be told to a node now or later.
#[derive(Clone)]
pub(crate) enum Change {
    Service(ServiceKey, Option<Service>),
    Verdict(ServiceKey, usize, Health),
}

pub(crate) fn vips() -> Vec<Vip> {
    [
        "192.0.2.1:80",
        "192.0.2.1:443",
        "192.0.2.2:80",
        "192.0.2.3:80",
    ]
    .iter()
    .map(|socket| format!("{socket}/TCP").parse().unwrap())
    .collect()
}

pub(crate) fn key(number: usize) -> ServiceKey {
    ServiceKey {
        object: ObjectName::new("shop", &format!("web{number}")),
        port: "http".into(),
    }
}

/// Two services, the first of which has two frontends, and checks.
pub(crate) fn first(idle: Duration) -> Vec<Change> {
    let vips = vips();
    let service = |frontends: &[Vip], count: usize, check: Option<Check>| Service {
        frontends: frontends.iter().copied().collect(),
        backends: (0..count)
            .map(|at| (backend(at), Backend::default()))
            .collect(),
        idle,
        check,
        ..Service::default()
    };
    vec![
        Change::Service(key(0), Some(service(&vips[..2], 2, Some(check())))),
        Change::Service(key(1), Some(service(&vips[2..3], 3, None))),
        Change::Verdict(key(0), 0, Health::Up),
        Change::Verdict(key(0), 1, Health::Up),
    ]
}

/// A random change to what was wanted last.
pub(crate) fn random(rng: &mut Rng, wanted: &Node, idle: Duration) -> Change {
    let key = key(rng.below(3));
    let mut service = wanted
        .told
        .services
        .get(&key)
        .cloned()
        .unwrap_or_else(|| Service {
            idle,
            ..Service::default()
        });
    let number = rng.below(BACKENDS);
    let addr = backend(number);
    match rng.below(24) {
        0..6 => {
            let entry = service.backends.entry(addr).or_default();
            entry.state = match entry.state {
                BackendState::Active => BackendState::Draining,
                BackendState::Draining => BackendState::Active,
            };
        }
        6..8 => {
            service.backends.remove(&addr);
        }
        8..12 => {
            service.backends.insert(addr, Backend::default());
        }
        12..14 => {
            let weight = u16::try_from(rng.below(4)).unwrap();
            service.backends.entry(addr).or_default().weight = weight;
        }
        14..19 => {
            let health = if rng.one_in(3) {
                Health::Down
            } else {
                Health::Up
            };
            return Change::Verdict(key, number, health);
        }
        19 => {
            let graces = [Duration::ZERO, Duration::from_secs(20)];
            service.unhealthy_grace = *rng.pick(&graces);
        }
        20 => service.check = rng.one_in(2).then(check),
        21 => {
            let vip = *rng.pick(&vips());
            if !service.frontends.remove(&vip) {
                service.frontends.insert(vip);
            }
        }
        22 => {
            service.when_empty = *rng.pick(&[WhenEmpty::Withdraw, WhenEmpty::Refuse]);
        }
        _ if rng.one_in(6) => return Change::Service(key, None),
        _ => return rotate(&key, service, rng),
    }
    Change::Service(key, Some(service))
}

pub(crate) fn tell(node: &mut Node, change: &Change) {
    match change {
        Change::Service(key, service) => node.tell(key, service.clone()),
        Change::Verdict(key, number, health) => {
            let known = node.told.services.get(key);
            if known.is_some_and(|service| service.backends.contains_key(&backend(*number))) {
                node.judge(key, backend(*number), *health);
            }
        }
    }
}

/// One backend for another, as a rolling update does.
fn rotate(key: &ServiceKey, mut service: Service, rng: &mut Rng) -> Change {
    if let Some((first, _)) = service.backends.pop_first() {
        let drained = Backend {
            weight: 1,
            state: BackendState::Draining,
        };
        service.backends.insert(first, drained);
    }
    service
        .backends
        .insert(backend(rng.below(BACKENDS)), Backend::default());
    Change::Service(key.clone(), Some(service))
}

fn check() -> Check {
    let Some(one) = NonZeroU8::new(1) else {
        panic!("one is not zero");
    };
    Check {
        kind: CheckKind::Http {
            path: Arc::from("/"),
            host: None,
            status: (200, 399),
        },
        port: None,
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: one,
        fall: one,
    }
}
