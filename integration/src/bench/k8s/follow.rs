//! Follows the cluster beside the programs under test, to see when all is done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use api::{Kind, Object};
use store::kubernetes::{Cluster, ConnectOptions, Watch};
use store::{Hub, HubHandle};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use types::ObjectName;

/// How long nothing at all may happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sees every Service.
pub(super) struct Follower {
    runtime: Arc<Runtime>,
    hub: HubHandle,
}

/// A connection that does not slow the benchmark down.
pub(super) fn connect(runtime: &Runtime, kubeconfig: &Path) -> Result<Cluster> {
    let options = ConnectOptions {
        kubeconfig: Some(kubeconfig.to_owned()),
        timeout: Duration::from_secs(60),
        writes_per_second: 100_000,
        burst: 100_000,
        ..ConnectOptions::default()
    };
    Ok(runtime.block_on(Cluster::connect(options))?)
}

impl Follower {
    /// Begins to follow.
    pub(super) fn start(runtime: &Arc<Runtime>, cluster: &Cluster) -> Self {
        let guard = runtime.enter();
        let hub = Hub::spawn(cluster.source(&[Watch::new(Kind::Service)]));
        drop(guard);
        Self {
            runtime: Arc::clone(runtime),
            hub,
        }
    }

    /// Waits until so many services have an address, and says when that was.
    pub(super) fn all_addressed(&self, services: usize) -> Result<Instant> {
        let mut watcher = self.hub.watch();
        let mut addressed: BTreeSet<ObjectName> = BTreeSet::new();
        self.runtime.block_on(async {
            while addressed.len() < services {
                let seen = addressed.len();
                let delta = timeout(PATIENCE, watcher.changed())
                    .await
                    .with_context(|| format!("{seen} of {services} are addressed"))?;
                for object in delta.objects.into_values().flatten() {
                    if let Object::Service(service) = &object
                        && service.ingress_ips().next().is_some()
                    {
                        addressed.insert(service.name().clone());
                    }
                }
            }
            Ok(Instant::now())
        })
    }

    /// The first address of every service that has one.
    pub(super) fn addresses(&self) -> BTreeMap<ObjectName, IpAddr> {
        let objects = self.hub.snapshot().objects.into_values();
        let addresses = objects.filter_map(|object| {
            let Object::Service(service) = object else {
                return None;
            };
            Some((service.name().clone(), service.ingress_ips().next()?))
        });
        addresses.collect()
    }
}
