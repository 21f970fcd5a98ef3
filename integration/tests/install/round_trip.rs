//! `sluice install`, `upgrade`, `uninstall`, `status`, `config view` and `version`.

use anyhow::{Context as _, Result, ensure};
use integration::cluster::ControlPlane;
use serde_json::Value;

use crate::tools::{Said, Sluice, file, run, word};

/// A line of a user of Cilium's, with a word too many.
const LINE: &[&str] = &[
    "install",
    "-n",
    "networking",
    "--set",
    "compat.cilium=true",
    "--set",
    "kubeProxyReplacement=strict",
    "--set",
    "ipv4NativeRoutingCIDR=10.1.2.3/8",
    "--set",
    "hubble.metrics.enabled={dns,drop}",
    "--set",
    "colour=blue",
];

const WARNINGS: &[&str] = &[
    "colour=blue: no such value; it has no effect",
    "hubble.metrics.enabled=dns,drop: not implemented; flows are not observed",
    "ipv4NativeRoutingCIDR=10.1.2.3/8: has host bits set; 10.0.0.0/8 is used",
    "ipv4NativeRoutingCIDR=10.1.2.3/8: not implemented; pods keep the addresses and routes that the \
     cluster's CNI gives them",
    "kubeProxyReplacement=strict: not implemented; another program, such as kube-proxy, balances \
     inside the cluster",
];

/// Installed with Cilium's values under Cilium's names, upgraded with --reuse-values and uninstalled;
/// every value that has no effect is named, by `sluice` and by the chart's notes alike.
#[test]
fn an_installation_is_upgraded_with_its_values_and_uninstalled() {
    run(|lab| {
        let cluster = ControlPlane::start(lab)?;
        let sluice = Sluice::new(&cluster)?;

        let installed = sluice.good(LINE)?;
        ensure!(installed.warnings() == WARNINGS, "{installed:?}");
        ensure!(
            installed
                .out
                .starts_with("Sluicegate is installed in namespace networking.")
        );
        ensure!(notes(&cluster)? == WARNINGS, "{:?}", notes(&cluster)?);
        cluster.kubectl("-n networking get ds/cilium deploy/cilium-operator cm/cilium-config")?;
        let twice = sluice.run(LINE)?;
        ensure!(
            twice.code == Some(1) && twice.err.contains("sluice upgrade"),
            "{twice:?}"
        );

        let upgrade = [
            "upgrade",
            "-n",
            "networking",
            "--reuse-values",
            "--set",
            "debug.enabled=true",
        ];
        let upgraded = sluice.good(&upgrade)?;
        ensure!(upgraded.warnings() == WARNINGS, "{upgraded:?}");
        let keys = keys(&sluice)?;
        let key = |name: &str| keys.get(name).and_then(Value::as_str);
        ensure!(key("debug") == Some("true"), "{keys}");
        ensure!(key("kube-proxy-replacement") == Some("strict"), "{keys}");

        let reset = sluice.good(&["upgrade", "-n", "networking", "--reset-values"])?;
        ensure!(reset.warnings().is_empty(), "{reset:?}");
        cluster.kubectl("-n networking get ds/sluicegate deploy/sluicegate-operator")?;
        ensure!(cluster.kubectl("-n networking get ds/cilium").is_err());

        let gone = sluice.good(&["uninstall", "-n", "networking"])?;
        ensure!(gone.out.contains("definitions are still there"), "{gone:?}");
        let left = cluster.kubectl(
            "get ds,deploy,cm,sa,role,rolebinding,clusterrole,clusterrolebinding,pdb -A \
             -l app.kubernetes.io/part-of=sluicegate -o name",
        )?;
        ensure!(left.is_empty(), "{left}");
        let again = sluice.run(&["uninstall", "-n", "networking"])?;
        ensure!(
            again.code == Some(1) && again.err.contains("not installed here"),
            "{again:?}"
        );
        Ok(())
    });
}

/// A dry run prints the objects and changes nothing; values come from files too.
#[test]
fn a_dry_run_changes_nothing() {
    run(|lab| {
        let cluster = ControlPlane::start(lab)?;
        let sluice = Sluice::new(&cluster)?;
        let values = file(
            &cluster,
            "values.yaml",
            "operator: {replicas: 3}\nhubble: {enabled: true}\n",
        )?;

        let said = sluice.good(&[
            "install",
            "--dry-run",
            "-f",
            word(&values)?,
            "--version",
            "0.9.0",
        ])?;

        ensure!(
            said.out.contains("kind: DaemonSet") && said.out.contains("replicas: 3"),
            "{said:?}"
        );
        ensure!(
            said.out.contains("image: sluicegate/sluicegate:v0.9.0"),
            "{said:?}"
        );
        let [version, hubble] = said.warnings()[..] else {
            anyhow::bail!("{said:?}");
        };
        ensure!(
            version.starts_with("the images are of version 0.9.0"),
            "{version}"
        );
        ensure!(hubble == "hubble.enabled=true: not implemented; flows are not observed");
        ensure!(cluster.kubectl("-n kube-system get ds/sluicegate").is_err());
        let without = sluice.run(&["install", "--helm", "/nowhere/helm"])?;
        ensure!(
            without.code == Some(1) && without.err.contains("helm is needed"),
            "{without:?}"
        );
        Ok(())
    });
}

/// `sluice status` says what is there and what is not ready, in the picture that Cilium's users know,
/// by any of the program's names; `--wait` ends when all is well.
#[test]
fn the_status_of_a_cluster_says_what_is_not_ready() {
    run(|lab| {
        let cluster = ControlPlane::start(lab)?;
        let sluice = Sluice::new(&cluster)?;

        let nothing = sluice.run(&["status", "-n", "kube-system"])?;
        ensure!(nothing.code == Some(1), "{nothing:?}");
        ensure!(
            nothing
                .out
                .contains("there is no DaemonSet of agents in namespace kube-system")
        );
        sluice.good(&["install"])?;
        let early = sluice.run(&["status", "--wait", "--wait-duration", "1s"])?;
        ensure!(early.code == Some(1), "{early:?}");
        ensure!(early.err.starts_with("waiting: "), "{early:?}");

        become_ready(&cluster)?;

        let ready = sluice.good(&["status", "--wait", "--wait-duration", "10s"])?;
        ensure!(
            ready
                .out
                .starts_with("    /¯¯\\\n /¯¯\\__/¯¯\\    Sluicegate:         OK\n"),
            "{ready:?}"
        );
        ensure!(
            ready.out.contains("Desired: 2, Ready: 2/2, Available: 2/2"),
            "{ready:?}"
        );
        let cilium = Sluice::called(&cluster, "cilium")?;
        ensure!(cilium.good(&["status", "-n", "kube-system"])?.out == ready.out);
        let document = sluice.good(&["status", "-n", "kube-system", "-o", "json"])?;
        let document: Value = serde_json::from_str(&document.out)?;
        ensure!(
            document.pointer("/agent/ready") == Some(&2.into()),
            "{document}"
        );
        let dbg = Sluice::called(&cluster, "cilium-dbg")?;
        let node = dbg.run(&["status"])?;
        ensure!(
            node.code == Some(3) && node.err.contains("cannot reach the agent"),
            "{node:?}"
        );
        Ok(())
    });
}

/// What is asked for and has no effect is seen in the ConfigMap too; versions are those of what runs.
#[test]
fn the_configuration_and_versions_are_shown() {
    run(|lab| {
        let cluster = ControlPlane::start(lab)?;
        let sluice = Sluice::new(&cluster)?;
        let none = sluice.run(&["config", "view"])?;
        ensure!(
            none.code == Some(1) && none.err.contains("is not installed"),
            "{none:?}"
        );

        sluice.good(&[
            "install",
            "--set",
            "egressGateway.enabled=true,extraConfig.colour=blue",
        ])?;

        let view = sluice.good(&["config", "view"])?;
        let line = |name: &str| {
            let mut lines = view.out.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
        };
        ensure!(
            line("enable-bgp-control-plane ").as_deref() == Some("true"),
            "{view:?}"
        );
        ensure!(
            view.warnings()
                == [
                    "colour: no such key; it has no effect",
                    "enable-egress-gateway: \"true\" is not implemented: egress traffic is left alone",
                ],
            "{view:?}"
        );
        sluice.good(&[
            "upgrade",
            "--reuse-values",
            "--set",
            "extraConfig.debug=ture",
        ])?;
        let fault = sluice.run(&["config", "view"])?;
        ensure!(fault.code == Some(1), "{fault:?}");
        ensure!(
            fault
                .err
                .contains("fault: debug: \"ture\" is neither true nor false"),
            "{fault:?}"
        );
        let version = sluice.good(&["version"])?;
        ensure!(version.out.contains("image (running): none"), "{version:?}");
        cluster.stop_api()?;
        let away = sluice.run(&["config", "view"])?;
        ensure!(away.code == Some(3), "{away:?}");
        ensure!(away.err.contains("asking the API server"), "{away:?}");
        Ok(())
    });
}

/// The warnings in the chart's notes.
fn notes(cluster: &ControlPlane) -> Result<Vec<String>> {
    let output = cluster.host().enter(|| {
        std::process::Command::new(integration::cluster::program("helm")?)
            .args([
                "get",
                "notes",
                "sluicegate",
                "-n",
                "networking",
                "--kubeconfig",
            ])
            .arg(cluster.admin())
            .output()
            .context("running helm")
    })?;
    let text = String::from_utf8(output.stdout)?;
    let said = text.split_once("do what they say:\n");
    let said = said.with_context(|| format!("no warnings: {text}"))?.1;
    Ok(said
        .trim()
        .lines()
        .map(|line| line.trim().to_owned())
        .collect())
}

fn keys(sluice: &Sluice) -> Result<Value> {
    let said: Said = sluice.good(&["config", "view", "-n", "networking", "-o", "json"])?;
    Ok(serde_json::from_str(&said.out)?)
}

/// What controllers, kubelets and operators would do, as there are none here.
fn become_ready(cluster: &ControlPlane) -> Result<()> {
    for (what, status) in [
        (
            "ds/sluicegate",
            r#"{"currentNumberScheduled":2,"desiredNumberScheduled":2,"numberMisscheduled":0,"numberReady":2,"numberAvailable":2,"updatedNumberScheduled":2,"observedGeneration":1}"#,
        ),
        (
            "deploy/sluicegate-operator",
            r#"{"replicas":2,"readyReplicas":2,"availableReplicas":2,"updatedReplicas":2,"observedGeneration":1}"#,
        ),
    ] {
        cluster.kubectl(&format!(
            "-n kube-system patch {what} --subresource=status --type=merge -p {{\"status\":{status}}}"
        ))?;
    }
    // The API server's own clock, which all of this machine shares.
    let now = cluster
        .kubectl("-n kube-system get ds/sluicegate -o jsonpath={.metadata.creationTimestamp}")?;
    let lease = format!(
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\n\
         metadata: {{name: sluicegate-operator, namespace: kube-system}}\n\
         spec: {{holderIdentity: one, leaseDurationSeconds: 3600, renewTime: \"{}\"}}\n",
        now.replace('Z', ".000000Z")
    );
    cluster.apply(&lease).map(drop)
}
