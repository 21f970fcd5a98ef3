//! Step 1: the cluster, the chart's objects, and the programs as the chart would start them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{KubernetesDemo, NAMESPACE, PATIENCE, SERVICE, Say};
use crate::cluster::{Cluster, ControlPlane, deployment, program};
use crate::daemons::{Agent, start_operator};
use crate::lab::Lab;
use crate::until;

/// The chart of this repository.
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/helm/sluicegate");

/// There is no image yet: no node is the chart's, and processes take the place of its pods.
const WITHOUT_PODS: [&str; 4] = [
    "--set",
    "operator.replicas=0",
    "--set",
    "nodeSelector.sluicegate\\.io/pods=none",
];

/// How long pods serve after they were asked to end.
const DRAIN_SECS: u8 = 5;

/// How many pods serve.
pub(super) const REPLICAS: usize = 4;

pub(super) fn bring_up(lab: &Lab, say: &Say) -> Result<KubernetesDemo> {
    say.step(
        1,
        "a cluster of two nodes behind a router; the chart is installed",
    );
    let cluster = Cluster::start(lab)?;
    say.checked("both nodes are Ready: kubelet, containerd, kube-proxy");
    let shown = install(&cluster.control)?;
    let config = config_folder(&cluster.control)?;
    say.shown(
        "helm install sluicegate configs/helm/sluicegate --namespace kube-system",
        &shown,
    );
    let router = cluster.router()?;
    let config = config.to_string_lossy();
    let account = cluster.control.token_of(NAMESPACE, "sluicegate-operator")?;
    let mut operators = Vec::new();
    let mut agents = Vec::new();
    let flags = ["--config-dir", &config, "--namespace", NAMESPACE];
    for node in &cluster.nodes {
        let own = ["--identity", node.host().name()];
        let flags: Vec<&str> = flags.into_iter().chain(own).collect();
        operators.push(start_operator(node.host(), &account, &flags)?);
    }
    let account = cluster.control.token_of(NAMESPACE, "sluicegate")?;
    for node in &cluster.nodes {
        let name = node.host().name();
        let mut agent = Agent::in_cluster(node.host(), name, &account, &flags);
        agent.start()?;
        agents.push(agent);
    }
    let mut demo = KubernetesDemo {
        cluster,
        router,
        agents,
        operators,
    };
    let leader = leader(&mut demo)?;
    say.checked(&format!(
        "two operators run, each with the chart's own roles; {leader}'s leads"
    ));
    definitions(&mut demo)?;
    say.checked("it has installed the definitions of the custom resources");
    Ok(demo)
}

/// What a person applies.
pub(super) fn manifests() -> String {
    let deployment = deployment(SERVICE, REPLICAS, DRAIN_SECS);
    format!("{}---\n{deployment}", include_str!("empire.yaml"))
}

/// Installs the chart's objects as a person would; what helm says.
fn install(control: &ControlPlane) -> Result<String> {
    let folder = control.host().folder().join("helm");
    let output = control
        .host()
        .enter(|| {
            Command::new(program("helm")?)
                .args(["install", "sluicegate", CHART, "--namespace", NAMESPACE])
                .args(WITHOUT_PODS)
                .arg("--kubeconfig")
                .arg(control.admin())
                .env("HELM_CACHE_HOME", folder.join("cache"))
                .env("HELM_CONFIG_HOME", folder.join("config"))
                .env("HELM_DATA_HOME", folder.join("data"))
                .output()
                .context("starting helm")
        })
        .context("installing the chart")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!(
            "helm install: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(said.into_owned())
}

/// The chart's ConfigMap as a pod would have it mounted.
fn config_folder(control: &ControlPlane) -> Result<PathBuf> {
    let folder = control.host().folder().join("config");
    fs::create_dir_all(&folder).context("creating the configuration's folder")?;
    let map = control.json(&format!(
        "get configmap sluicegate-config --namespace {NAMESPACE}"
    ))?;
    let keys = map
        .get("data")
        .and_then(Value::as_object)
        .context("the ConfigMap is empty")?;
    for (key, value) in keys {
        let text = value
            .as_str()
            .with_context(|| format!("{key} is no text"))?;
        write(&folder.join(key), text)?;
    }
    Ok(folder)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// Waits until an operator holds the lease; on which node it is.
fn leader(demo: &mut KubernetesDemo) -> Result<String> {
    until("an operator leads", PATIENCE, || {
        demo.check_running()?;
        let ask = format!(
            "get lease sluicegate-operator --namespace {NAMESPACE} \
             -o jsonpath={{.spec.holderIdentity}}"
        );
        let holder = demo.cluster.control.kubectl(&ask)?;
        ensure!(!holder.is_empty(), "nobody holds the lease");
        Ok(holder)
    })
}

fn definitions(demo: &mut KubernetesDemo) -> Result<()> {
    until("the definitions are there", PATIENCE, || {
        demo.check_running()?;
        demo.cluster.control.kubectl(
            "wait --for=condition=Established --timeout=1s \
             crd/ciliumloadbalancerippools.cilium.io crd/ciliumbgpclusterconfigs.cilium.io \
             crd/ciliumbgppeerconfigs.cilium.io crd/ciliumbgpadvertisements.cilium.io \
             crd/ciliumbgpnodeconfigs.cilium.io",
        )?;
        Ok(())
    })
}
