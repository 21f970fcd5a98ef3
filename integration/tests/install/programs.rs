//! The programs as the chart would start them: its ConfigMap, its accounts, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use integration::cluster::ControlPlane;
use integration::daemons::start_operator;
use integration::lab::{Process, built_program, is_there, runs_inside};
use integration::{Patience, until};
use serde_json::Value;

use crate::tools::{Sluice, run, word};

const NAMESPACE: &str = "networking";

const OBJECTS: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {kubernetes.io/hostname: n1}}
";

const CUSTOM: &str = "\
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: edge}
spec: {blocks: [{cidr: 192.0.2.0/24}, {cidr: \"2001:db8:0:1::/64\"}]}
---
apiVersion: cilium.io/v2
kind: CiliumBGPClusterConfig
metadata: {name: racks}
spec:
  bgpInstances:
  - name: edge
    localASN: 65001
    peers: [{name: tor, peerASN: 65000, peerAddress: 10.255.0.1, peerConfigRef: {name: tor}}]
---
apiVersion: cilium.io/v2
kind: CiliumBGPPeerConfig
metadata: {name: tor}
spec: {families: [{afi: ipv4, safi: unicast, advertisements: {matchLabels: {advertise: bgp}}}]}
---
apiVersion: cilium.io/v2
kind: CiliumBGPAdvertisement
metadata: {name: services, labels: {advertise: bgp}}
spec:
  advertisements:
  - advertisementType: Service
    service: {addresses: [LoadBalancerIP]}
    selector: {matchExpressions: [{key: never, operator: DoesNotExist}]}
";

/// With the chart's accounts and ConfigMap the operator installs the definitions, addresses a Service
/// and configures the node, and the agent reports its session: nothing of what they do is forbidden.
#[test]
fn the_programs_do_their_work_with_the_charts_accounts_and_config_map() {
    let needs = ["sluice-operator", "sluice-agent"].map(built_program);
    if !runs_inside() && !is_there(needs) {
        return;
    }
    run(|lab| {
        let cluster = ControlPlane::start(lab)?;
        let sluice = Sluice::new(&cluster)?;
        sluice.good(&["install", "-n", NAMESPACE])?;
        let settings = mounted(&cluster)?;
        cluster.apply(OBJECTS)?;
        let address = r#"{"status":{"addresses":[{"type":"InternalIP","address":"10.20.0.2"}]}}"#;
        cluster.kubectl(&format!(
            "patch node n1 --subresource=status --type=merge -p {address}"
        ))?;

        let _operator = operator(&cluster, &settings)?;
        until("the definitions are there", Patience::START, || {
            cluster.apply(CUSTOM)
        })?;
        let _agent = agent(&cluster, &settings)?;

        until("the service has its addresses", Patience::START, || {
            let ingress = "get svc web -o jsonpath={.status.loadBalancer.ingress[*].ip}";
            let ingress = cluster.kubectl(ingress)?;
            ensure!(ingress == "192.0.2.0 2001:db8:0:1::", "{ingress}");
            Ok(())
        })?;
        let peers = until(
            "the agent has reported its session",
            Patience::START,
            || {
                let said = sluice.good(&["bgp", "peers"])?;
                ensure!(said.out.contains("10.255.0.1"), "{said:?}");
                Ok(said.out)
            },
        )?;
        ensure!(
            peers.contains("n1     65001      65000     10.255.0.1"),
            "{peers}"
        );
        let leads = sluice.run(&["status", "-n", NAMESPACE, "-o", "json"])?;
        let leads: Value = serde_json::from_str(&leads.out)?;
        ensure!(
            leads.pointer("/leader").is_some_and(Value::is_string),
            "{leads}"
        );
        nothing_is_forbidden(&cluster)
    });
}

/// The ConfigMap as the kubelet would mount it.
fn mounted(cluster: &ControlPlane) -> Result<PathBuf> {
    let map = cluster.json("-n networking get configmap sluicegate-config")?;
    let keys = map.pointer("/data").and_then(Value::as_object);
    let folder = cluster.host().folder().join("config");
    fs::create_dir(&folder).context("making the folder")?;
    for (key, value) in keys.context("the ConfigMap is empty")? {
        let value = value.as_str().context("a value is no text")?;
        fs::write(folder.join(key), value).context("writing a key")?;
    }
    Ok(folder)
}

fn operator(cluster: &ControlPlane, settings: &Path) -> Result<Process> {
    let account = cluster.token_of(NAMESPACE, "sluicegate-operator")?;
    let flags = ["--namespace", NAMESPACE, "--config-dir", word(settings)?];
    start_operator(cluster.host(), &account, &flags)
}

fn agent(cluster: &ControlPlane, settings: &Path) -> Result<Process> {
    let account = cluster.token_of(NAMESPACE, "sluicegate")?;
    let socket = socket(cluster);
    let args = [
        "--kubeconfig",
        word(&account)?,
        "--namespace",
        NAMESPACE,
        "--config-dir",
        word(settings)?,
        "--node-name",
        "n1",
        "--socket",
        word(&socket)?,
    ];
    let program = built_program("sluice-agent")?;
    cluster.host().spawn("sluice-agent", program, &args)
}

fn socket(cluster: &ControlPlane) -> PathBuf {
    cluster.host().folder().join("agent.sock")
}

/// Neither program misses a rule, by what both say of themselves.
fn nothing_is_forbidden(cluster: &ControlPlane) -> Result<()> {
    let health = cluster
        .host()
        .run("curl", &["--silent", "http://127.0.0.1:9963/readyz"])?;
    ensure!(
        !health.contains("forbidden") && !health.contains("may not"),
        "{health}"
    );
    let status = cluster.host().enter(|| {
        Command::new(built_program("sluice")?)
            .arg("--socket")
            .arg(socket(cluster))
            .args(["status", "-o", "json"])
            .output()
            .context("asking the agent")
    })?;
    let status: Value = serde_json::from_slice(&status.stdout)?;
    let faults = status.pointer("/source/faults").and_then(Value::as_array);
    ensure!(faults.context("no source")?.is_empty(), "{status:#}");
    for program in ["sluice-operator", "sluice-agent"] {
        let log = cluster.host().folder().join(format!("{program}.log"));
        let log = fs::read_to_string(&log).context("reading a log")?;
        ensure!(
            !log.to_lowercase().contains("forbidden"),
            "{program}:\n{log}"
        );
    }
    Ok(())
}
