//! The allocator alone: no API server, no process.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use api::{Delta, Kind, Object, Strictness};
use desired::{Desired, Facts, Role};
use lb_ipam::{Action, Allocator};
use serde_json::{Value, json};
use types::Family;

use super::fill::pool;

const SERVICES: usize = 100_000;

/// How long dual-stack services take from nothing to all addressed.
pub(super) fn millis() -> Result<f64> {
    let mut objects = vec![object(pool())?];
    for n in 0..SERVICES {
        objects.push(object(service(n))?);
    }
    let keyed = objects.into_iter();
    let delta = Delta {
        objects: keyed.map(|object| (object.key(), Some(object))).collect(),
        synced: Kind::ALL.into(),
        ..Delta::default()
    };
    let mut facts = Facts::new("bench".parse().context("naming a node")?);
    facts.role = Role::Operator;
    let changes = Desired::new(facts).on_change(&delta);
    let mut allocator = Allocator::new(&Family::BOTH);

    let began = Instant::now();
    let actions = allocator.on_change(Duration::ZERO, changes.ipam);
    let took = began.elapsed();

    let given = actions.iter().filter(|action| is_whole(action)).count();
    ensure!(
        given == SERVICES,
        "{given} of {SERVICES} have two addresses"
    );
    Ok(took.as_secs_f64() * 1e3)
}

fn is_whole(action: &Action) -> bool {
    matches!(action, Action::SetIngress { addresses, .. } if addresses.len() == 2)
}

fn object(manifest: Value) -> Result<Object> {
    Object::from_value(manifest, Strictness::Strict).context("a manifest of the benchmark")
}

fn service(n: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": format!("service-{n}"), "namespace": format!("ns-{}", n % 100)},
        "spec": {
            "type": "LoadBalancer",
            "ipFamilyPolicy": "RequireDualStack",
            "ipFamilies": ["IPv4", "IPv6"],
            "ports": [{"port": 80}],
        },
    })
}
