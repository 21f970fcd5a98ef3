//! Asks the API server for what the picture is made of.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams};

/// What the chart labels its objects with.
const COMPONENT: &str = "sluicegate.io/component";

/// The lease of the operators.
const LEASE: &str = "sluicegate-operator";

/// What is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) agents: Option<DaemonSet>,
    pub(super) operators: Option<Deployment>,
    pub(super) agent_pods: Vec<Pod>,
    pub(super) operator_pods: Vec<Pod>,
    pub(super) lease: Option<Lease>,
}

/// Looks at one namespace.
///
/// # Errors
/// If the API server cannot be asked, or refuses.
pub(super) async fn look(client: &Client, namespace: &str) -> Result<Seen> {
    let of = |component: &str| ListParams::default().labels(&format!("{COMPONENT}={component}"));
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let agents = Api::<DaemonSet>::namespaced(client.clone(), namespace);
    let operators = Api::<Deployment>::namespaced(client.clone(), namespace);
    let leases = Api::<Lease>::namespaced(client.clone(), namespace);
    let context = || format!("asking the API server about namespace {namespace}");
    Ok(Seen {
        agents: first(agents.list(&of("agent")).await.with_context(context)?.items),
        operators: first(
            operators
                .list(&of("operator"))
                .await
                .with_context(context)?
                .items,
        ),
        agent_pods: pods.list(&of("agent")).await.with_context(context)?.items,
        operator_pods: pods
            .list(&of("operator"))
            .await
            .with_context(context)?
            .items,
        lease: leases.get_opt(LEASE).await.with_context(context)?,
    })
}

/// The images that run in a namespace, and in how many pods.
///
/// # Errors
/// If the API server cannot be asked, or refuses.
pub(crate) async fn images(client: Client, namespace: &str) -> Result<BTreeMap<String, usize>> {
    let pods = Api::<Pod>::namespaced(client, namespace)
        .list(&ListParams::default().labels(COMPONENT))
        .await
        .context("asking the API server for pods")?;
    Ok(count_images(&pods.items))
}

/// Images of pods, and in how many pods each is.
pub(super) fn count_images(pods: &[Pod]) -> BTreeMap<String, usize> {
    let mut images = BTreeMap::new();
    for container in pods.iter().flat_map(|pod| pod.spec.iter()) {
        for container in &container.containers {
            let image = container.image.clone().unwrap_or_default();
            *images.entry(image).or_insert(0) += 1;
        }
    }
    images
}

fn first<T>(items: Vec<T>) -> Option<T> {
    items.into_iter().next()
}
