//! Fills a cluster with services and endpoints.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use store::Objects as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::bed::Bed;

/// Objects that are made at a time.
const AT_ONCE: usize = 24;

/// How many services each namespace has.
const NAMESPACE: usize = 1000;

/// How often a person who waits is told.
const TOLD: usize = 9000;

/// Makes the pool, the services and their slices. How many endpoints there are.
pub(super) fn fill(bed: &Bed, services: usize) -> Result<usize> {
    let mut first = vec![pool()];
    first.extend((0..services.div_ceil(NAMESPACE)).map(|n| {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("ns-{n}")}})
    }));
    make(bed, first)?;
    make(bed, (0..services).map(service))?;
    make(bed, (0..services).map(|n| slice(n, false)))?;
    Ok((0..services).map(endpoints).sum())
}

/// Blocks of both families, for any service.
pub(super) fn pool() -> Value {
    json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumLoadBalancerIPPool",
        "metadata": {"name": "public"},
        "spec": {"blocks": [{"cidr": "172.16.0.0/12"}, {"cidr": "2001:db8::/64"}]},
    })
}

/// The namespace and name of a service.
pub(super) fn name(n: usize) -> (String, String) {
    (format!("ns-{}", n / NAMESPACE), format!("service-{n}"))
}

/// The slice of a service, before its endpoints moved or after it.
pub(super) fn slice(n: usize, moved: bool) -> Value {
    let (namespace, name) = name(n);
    let endpoints: Vec<Value> = (0..endpoints(n))
        .map(|e| {
            let host = 4 * n + e + 1;
            let address = [
                10,
                128 * usize::from(moved) + (host >> 16),
                host >> 8 & 255,
                host & 255,
            ];
            let address = address.map(|octet| octet.to_string()).join(".");
            json!({"addresses": [address], "conditions": {"ready": true}, "nodeName": "edge1"})
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-1"),
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

/// Every third service has two.
fn endpoints(n: usize) -> usize {
    1 + usize::from(n.is_multiple_of(3))
}

fn service(n: usize) -> Value {
    let (namespace, name) = name(n);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "LoadBalancer",
            // There are not as many ports as services.
            "allocateLoadBalancerNodePorts": false,
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    })
}

/// Makes objects, many at a time.
fn make(bed: &Bed, manifests: impl IntoIterator<Item = Value>) -> Result<()> {
    bed.runtime.block_on(async {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        let mut made = 0;
        for manifest in manifests {
            let turn = Arc::clone(&turns).acquire_owned().await?;
            let cluster = bed.filler.clone();
            tasks.spawn(async move {
                let made = cluster.apply(&manifest).await;
                drop(turn);
                made.with_context(|| format!("making {manifest}"))
            });
            while let Some(done) = tasks.try_join_next() {
                done??;
                made += 1;
                if made % TOLD == 0 {
                    println!("{made} objects are made");
                }
            }
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    })
}
