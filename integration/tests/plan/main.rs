//! `sluice plan`, `explain` and `lb-ipam` against a real API server, as scripts call them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use integration::cluster::{self, ControlPlane};
use integration::lab::built_program;
use integration::{Patience, until};
use serde_json::{Value, json};

/// The definitions, as they are installed.
const DEFINITIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/crds");

const POOL: &str = "
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: blue}
spec: {blocks: [{cidr: 10.9.0.0/30}]}
";

const WEB: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, ports: [{port: 80}]}
";

const BGP: &str = "
apiVersion: v1
kind: Node
metadata: {name: edge}
---
apiVersion: cilium.io/v2
kind: CiliumBGPClusterConfig
metadata: {name: racks}
spec:
  bgpInstances:
  - name: main
    localASN: 65001
    peers: [{name: tor, peerAddress: 192.0.2.1, peerASN: 65000, peerConfigRef: {name: tor}}]
---
apiVersion: cilium.io/v2
kind: CiliumBGPPeerConfig
metadata: {name: tor}
spec:
  families: [{afi: ipv4, safi: unicast, advertisements: {matchLabels: {advertise: vips}}}]
---
apiVersion: cilium.io/v2
kind: CiliumBGPAdvertisement
metadata: {name: vips, labels: {advertise: vips}}
spec:
  advertisements:
  - advertisementType: Service
    service: {addresses: [LoadBalancerIP]}
    selector: {matchExpressions: [{key: none, operator: NotIn, values: [x]}]}
";

#[test]
fn a_plan_against_a_cluster_joins_what_is_there_and_changes_nothing_of_it() {
    cluster::run(|lab| {
        let plane = ControlPlane::start(lab)?;
        let scene = Scene::build(&plane)?;
        let before = plane.kubectl("get svc,ciliumloadbalancerippools,secrets -A -o yaml")?;

        let more = scene.folder("more", &WEB.replace("name: web", "name: also"))?;
        let (code, plan) = scene.plan(&[], &more)?;

        ensure!(code == Some(0), "{plan:#}");
        ensure!(
            plan["addresses"]
                == json!([{
                    "service": "default/also", "fate": "given", "was": [], "becomes": ["10.9.0.1"],
                }]),
            "{plan:#}"
        );
        ensure!(
            plan["routes"]
                == json!([{
                    "prefix": "10.9.0.1/32", "instance": "main", "peer": "tor", "step": "added",
                    "becomes": {"nextHop": "self", "communities": [], "largeCommunities": []},
                    "nodes": ["edge"],
                }]),
            "{plan:#}"
        );
        ensure!(plan["cuts"] == json!([]), "{plan:#}");
        let after = plane.kubectl("get svc,ciliumloadbalancerippools,secrets -A -o yaml")?;
        ensure!(before == after, "a plan has written something");
        Ok(())
    });
}

#[test]
fn what_would_cut_traffic_of_a_cluster_ends_with_status_2() {
    cluster::run(|lab| {
        let plane = ControlPlane::start(lab)?;
        let scene = Scene::build(&plane)?;

        let moved = scene.folder("moved", &POOL.replace("10.9.0.0/30", "10.10.0.0/30"))?;
        let (code, plan) = scene.plan(&[], &moved)?;
        let (pruned, without) = scene.plan(&["--prune"], &scene.folder("pool", POOL)?)?;

        ensure!(code == Some(2), "{plan:#}");
        ensure!(
            plan["cuts"]
                == json!([{
                    "kind": "address", "what": "10.9.0.0",
                    "why": "default/web has 10.10.0.0 instead after 60 s",
                }]),
            "{plan:#}"
        );
        ensure!(pruned == Some(2), "{without:#}");
        let lost = "default/web loses it";
        ensure!(without["cuts"][0]["why"] == lost, "{without:#}");
        Ok(())
    });
}

#[test]
fn an_address_of_a_cluster_is_explained_by_someone_who_may_read_no_secrets() {
    cluster::run(|lab| {
        let plane = ControlPlane::start(lab)?;
        let scene = Scene::build(&plane)?;
        plane.kubectl("create clusterrole looks --verb=get,list --resource=services,nodes,endpointslices.discovery.k8s.io,ciliumloadbalancerippools.cilium.io,ciliumbgpclusterconfigs.cilium.io,ciliumbgppeerconfigs.cilium.io,ciliumbgpadvertisements.cilium.io,ciliumbgpnodeconfigs.cilium.io,ciliumbgpnodeconfigoverrides.cilium.io")?;
        plane.kubectl("create clusterrolebinding looks --clusterrole=looks --group=people")?;
        let secret = r#"{"spec":{"authSecretRef":"tor"}}"#;
        plane.kubectl(&format!(
            "patch ciliumbgppeerconfig tor --type=merge -p {secret}"
        ))?;
        let person = plane.user("anna", Some("people"))?;

        let out = scene.sluice(&person, &["explain", "vip", "10.9.0.0", "-o", "json"])?;

        let chain: Value = serde_json::from_slice(&out.stdout)
            .with_context(|| String::from_utf8_lossy(&out.stderr).into_owned())?;
        ensure!(out.status.code() == Some(1), "{chain:#}");
        // There are no endpoints, and a cluster's nodes announce the address all the same.
        ensure!(chain["broken"] == "backends", "{chain:#}");
        ensure!(chain["links"][5]["state"] == "whole", "{chain:#}");
        let why = scene.sluice(&person, &["lb-ipam", "why", "default/web"])?;
        ensure!(
            String::from_utf8_lossy(&why.stdout).starts_with("default/web: 10.9.0.0 (satisfied)\n")
        );
        Ok(())
    });
}

/// A cluster with a Service that has an address.
struct Scene<'p> {
    plane: &'p ControlPlane,
}

impl<'p> Scene<'p> {
    fn build(plane: &'p ControlPlane) -> Result<Self> {
        plane.kubectl(&format!("apply --server-side -f {DEFINITIONS}"))?;
        until("the definitions are established", Patience::START, || {
            plane.kubectl("wait --for=condition=Established --timeout=60s crd --all")
        })?;
        plane.apply(&[POOL, WEB, BGP].join("---"))?;
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "10.9.0.0"}]}}});
        plane.kubectl(&format!(
            "patch service web --subresource=status --type=merge -p {}",
            status.to_string().replace(' ', "")
        ))?;
        Ok(Self { plane })
    }

    /// A folder with one manifest.
    fn folder(&self, name: &str, manifest: &str) -> Result<PathBuf> {
        let folder = self.plane.host().folder().join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("one.yaml"), manifest)?;
        Ok(folder)
    }

    /// The exit status and the document.
    fn plan(&self, more: &[&str], folder: &Path) -> Result<(Option<i32>, Value)> {
        let folder = folder.to_str().context("a folder's name")?;
        let args = [&["plan", "-f", folder, "-o", "json"], more].concat();
        let out = self.sluice(self.plane.admin(), &args)?;
        let document = serde_json::from_slice(&out.stdout)
            .with_context(|| String::from_utf8_lossy(&out.stderr).into_owned())?;
        Ok((out.status.code(), document))
    }

    fn sluice(&self, kubeconfig: &Path, args: &[&str]) -> Result<Output> {
        let program = built_program("sluice")?;
        self.plane
            .host()
            .enter(|| {
                Command::new(program)
                    .arg("--kubeconfig")
                    .arg(kubeconfig)
                    .args(["--socket", "/nonexistent/agent.sock"])
                    .args(args)
                    .output()
            })
            .context("running sluice")
    }
}
