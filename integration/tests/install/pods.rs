//! The chart's own pods, on nodes with real kubelets.

use anyhow::{Context as _, Result, ensure};
use integration::cluster::{self, ADDRESSES, Cluster, PRODUCT_IMAGE};
use integration::lab::{built_program, is_there, runs_inside};
use integration::{Patience, until};

use crate::tools::Sluice;

const OBJECTS: &str = "\
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: edge}
spec: {blocks: [{cidr: 192.0.2.0/24}, {cidr: \"2001:db8:0:1::/64\"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, ipFamilyPolicy: RequireDualStack, ports: [{port: 80}]}
";

/// A line of a user of Cilium's brings up agents on both nodes and two operators under Cilium's names,
/// with no more than the capabilities, accounts and file systems that the chart gives them; what
/// Cilium's users type into a pod is answered.
#[test]
fn the_charts_pods_run_and_answer_to_ciliums_names() {
    let product = ["sluice-agent", "sluice-operator", "sluice"].map(built_program);
    if !runs_inside() && !is_there(product.into_iter().chain([cluster::program("helm")])) {
        return;
    }
    cluster::run_nodes(|lab| {
        let mut cluster = Cluster::start(lab)?;
        cluster.import_product(lab)?;
        let sluice = Sluice::new(&cluster.control)?;
        let [server, _] = ADDRESSES;
        let image = format!("image.override={PRODUCT_IMAGE},image.pullPolicy=Never");
        // The lab's nodes share this machine's folders.
        let server = format!("k8sServiceHost={server},k8sServicePort=6443,state.hostPath=");
        let install = [
            "install",
            "-n",
            "networking",
            "--set",
            "compat.cilium=true",
            "--set",
            &image,
        ];
        let wait = ["--set", &server, "--wait", "--wait-duration", "2m"];

        let installed = sluice.good(&[&install[..], &wait].concat())?;

        ensure!(
            installed.out.contains("    Cilium:             OK\n"),
            "{installed:?}"
        );
        ensure!(
            installed.out.contains("    Operator:           OK\n"),
            "{installed:?}"
        );
        ensure!(
            installed.out.matches("Desired: 2, Ready: 2/2").count() == 2,
            "{installed:?}"
        );
        cluster.control.apply(OBJECTS)?;
        until("the service has its addresses", Patience::START, || {
            let ingress = "get svc web -o jsonpath={.status.loadBalancer.ingress[*].ip}";
            let ingress = cluster.control.kubectl(ingress)?;
            ensure!(ingress == "192.0.2.0 2001:db8:0:1::", "{ingress}");
            Ok(())
        })?;
        let services = until("the agents know the service", Patience::START, || {
            let services = in_pod(&cluster, "cilium-dbg service list")?;
            ensure!(services.contains("192.0.2.0:80/TCP"), "{services}");
            Ok(services)
        })?;
        ensure!(services.starts_with("ID   Frontend"), "{services}");
        ensure!(in_pod(&cluster, "cilium-dbg bgp peers")?.starts_with("Local AS   Peer AS"));
        ensure!(in_pod(&cluster, "cilium status")?.contains("announcer"));

        sluice.good(&[
            "upgrade",
            "-n",
            "networking",
            "--reuse-values",
            "--set",
            "debug.enabled=true",
        ])?;
        let upgraded = sluice.good(&[
            "status",
            "-n",
            "networking",
            "--wait",
            "--wait-duration",
            "2m",
        ])?;
        ensure!(
            upgraded.out.contains(&format!("{PRODUCT_IMAGE}: 2")),
            "{upgraded:?}"
        );
        Ok(())
    });
}

/// Runs a command in an agent's pod, as a person would.
fn in_pod(cluster: &Cluster, command: &str) -> Result<String> {
    let exec = format!("-n networking exec ds/cilium -- {command}");
    cluster.control.kubectl(&exec).context(command.to_owned())
}
