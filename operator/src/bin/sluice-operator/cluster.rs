//! The objects of a Kubernetes cluster.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use api::{Change, Kind};
use operator::{Fence, Options, Runner, World};
use store::kubernetes::{Cluster, ConnectOptions, KubernetesSource, Watch};
use store::{LeaseName, LeaseRecord, Source};

use crate::config::Kubernetes;
use crate::definitions::Installer;
use crate::health::Troubles;

/// What a leader of a cluster works on.
struct Field {
    /// Writes take no longer than a lease allows.
    writer: Cluster,
    reader: Cluster,
    watches: Vec<Watch>,
    definitions: bool,
    troubles: Troubles,
}

/// The objects of a cluster in one term.
pub(crate) struct Objects {
    source: KubernetesSource,
    /// Goes on with definitions that could not be installed; ends with the term.
    _installer: Option<Installer>,
}

/// Connects, and competes for the lease.
///
/// # Errors
/// If the credentials cannot be used. The API server need not be there yet.
pub(crate) async fn open(kubernetes: Kubernetes, options: Options) -> Result<(Runner, Troubles)> {
    let defaults = ConnectOptions::default();
    let reader = ConnectOptions {
        kubeconfig: kubernetes.kubeconfig,
        context: kubernetes.context,
        writes_per_second: kubernetes.limits.qps.unwrap_or(defaults.writes_per_second),
        burst: kubernetes.limits.burst.unwrap_or(defaults.burst),
        timeout: defaults.timeout,
    };
    let writer = ConnectOptions {
        timeout: options.terms.write_limit().min(defaults.timeout),
        ..reader.clone()
    };
    let connect = async |options| {
        let cluster = Cluster::connect(options).await;
        cluster.context("connecting to the cluster")
    };
    let (reader, writer) = (connect(reader).await?, connect(writer).await?);
    tracing::info!(server = reader.server(), "objects are in a cluster");
    let troubles = Troubles::default();
    let facts = &options.duties.facts;
    let field = Field {
        watches: watches(
            facts.role.kinds(),
            &facts.secrets_namespace,
            &kubernetes.namespaces,
        ),
        definitions: kubernetes.definitions,
        troubles: troubles.clone(),
        reader,
        writer: writer.clone(),
    };
    Ok((Runner::spawn(writer, field, options), troubles))
}

impl World for Field {
    type Source = Objects;
    type Writer = Cluster;

    fn source(&self, fence: Fence) -> impl Future<Output = Objects> + Send + use<> {
        let reader = self.reader.clone();
        let installer = self.definitions.then(|| {
            let writer = fence.around(self.writer.clone());
            Installer::new(reader.clone(), writer, &self.troubles)
        });
        let (watches, troubles) = (self.watches.clone(), self.troubles.clone());
        async move {
            let installer = match installer {
                Some(installer) => installer.install().await,
                None => None,
            };
            let source = reader.source(&watches);
            let wrong = source.troubles();
            troubles.follow("objects", move || {
                let wrong = wrong.borrow();
                let lines = wrong.iter();
                lines
                    .map(|(watched, why)| format!("{watched}: {why}"))
                    .collect()
            });
            Objects {
                source,
                _installer: installer,
            }
        }
    }

    fn writer(&self, _: &LeaseName, _: &LeaseRecord) -> Cluster {
        self.writer.clone()
    }
}

impl Source for Objects {
    async fn next(&mut self) -> Vec<Change> {
        self.source.next().await
    }
}

/// What is watched. Nodes and the objects of all namespaces are, unless only some namespaces are to be.
fn watches(kinds: &[Kind], secrets: &str, namespaces: &BTreeSet<String>) -> Vec<Watch> {
    let watch = |kind: &Kind| {
        let watch = Watch::new(*kind);
        if *kind == Kind::Secret {
            watch.in_namespaces([secrets])
        } else if *kind == Kind::Service {
            watch.in_namespaces(namespaces.iter().cloned())
        } else {
            watch
        }
    };
    kinds.iter().map(watch).collect()
}
