//! The chart by itself: helm and the API server accept it with whatever values people have.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use integration::cluster::{ControlPlane, program};
use integration::lab;

use crate::tools::{CHART, helm, run, template, word};

/// Values of Cilium's users, and of ours; each alone, then all together.
const VALUES: &[&[&str]] = &[
    &[],
    &["--set", "compat.cilium=true"],
    &[
        "--set",
        "k8sServiceHost=10.0.0.1",
        "--set",
        "k8sServicePort=6443",
    ],
    &["--set", "operator.replicas=1"],
    &["--set", "operator.enabled=false"],
    &[
        "--set",
        "operator.hostNetwork=true,operator.prometheus.enabled=false",
    ],
    &["--set", "ipam.mode=kubernetes"],
    &[
        "--set",
        "ipam.operator.clusterPoolIPv4PodCIDRList=10.0.0.0/8",
    ],
    &[
        "--set",
        "ipam.operator.clusterPoolIPv4PodCIDRList={10.0.0.0/8,11.0.0.0/8}",
    ],
    &["--set", "k8s.requireIPv4PodCIDR=true"],
    &["--set", "ipv4NativeRoutingCIDR=10.1.2.3/8"],
    &[
        "--set",
        "routingMode=native",
        "--set",
        "autoDirectNodeRoutes=true",
    ],
    &["--set", "bpf.masquerade=true"],
    &["--set", "kubeProxyReplacement=true"],
    &["--set", "kubeProxyReplacement=false"],
    &["--set", "kubeProxyReplacement=strict"],
    &["--set", "kubeProxyReplacement=partial"],
    &["--set", "kubeProxyReplacement=disabled"],
    &["--set", "installNoConntrackIptablesRules=true"],
    &["--set", "bgpControlPlane.enabled=true"],
    &["--set", "bgpControlPlane.enabled=false"],
    &[
        "--set",
        "l2announcements.enabled=true",
        "--set",
        "egressGateway.enabled=true",
    ],
    &[
        "--set",
        "hubble.enabled=true,hubble.relay.enabled=true,hubble.ui.enabled=true",
    ],
    &[
        "--set",
        "hubble.metrics.enabled={dns,drop,tcp,flow,icmp,http}",
    ],
    &[
        "--set-string",
        "hubble.metrics.enabled=\\{dns\\,drop\\,tcp\\,flow\\,icmp\\,http\\}",
    ],
    &[
        "--set",
        "hubble.tls.auto.enabled=true,hubble.ui.service.type=NodePort",
    ],
    &["--set", "hubble.relay.service.type=NodePort"],
    &[
        "--set",
        "encryption.enabled=true,encryption.type=wireguard,encryption.nodeEncryption=true",
    ],
    &["--set", "nodePort.enabled=true"],
    &[
        "--set",
        "ingressController.enabled=true,ingressController.loadbalancerMode=shared",
    ],
    &["--set", "cni.chainingMode=portmap,cni.install=false"],
    &["--set", "balancer.interfaces={eth0,eth1}"],
    &[
        "--set",
        "balancer.interfaces=eth0,balancer.outerSourceIPv4=10.254.0.0/16",
    ],
    &[
        "--set",
        "prometheus.enabled=true,watchNamespaces={shop,web}",
    ],
    &["--set", "extraConfig.leader-election-lease-duration=30s"],
    &[
        "--set",
        "image.override=r/s:t",
        "--set",
        "imagePullSecrets[0].name=key",
    ],
    &["--set", "resources.limits.memory=200Mi,podLabels.team=net"],
    &["--set", "state.hostPath="],
    &["--set", "colour.blue=1"],
];

#[test]
fn helm_finds_nothing_wrong_with_the_chart() {
    if !lab::is_there([program("helm")]) {
        return;
    }

    let said = helm(&["lint", "--strict", CHART]).unwrap();

    assert!(
        said.contains("1 chart(s) linted, 0 chart(s) failed"),
        "{said}"
    );
    assert!(
        !said.contains("[WARNING]") && !said.contains("[ERROR]"),
        "{said}"
    );
}

#[test]
fn the_schema_refuses_what_cannot_be_meant_and_nothing_that_is_only_unknown() {
    if !lab::is_there([program("helm")]) {
        return;
    }
    for (setting, field) in [
        ("kubeProxyReplacement=yes", "/kubeProxyReplacement"),
        ("operator.replicas=two", "/operator/replicas"),
        ("balancer.xdp=fast", "/balancer/xdp"),
        ("k8sServicePort=70000", "/k8sServicePort"),
        (
            "bgpControlPlane.secretsNamespace.name=A_B",
            "/bgpControlPlane/secretsNamespace/name",
        ),
        ("ipv4NativeRoutingCIDR=somewhere", "/ipv4NativeRoutingCIDR"),
    ] {
        let error = template("kube-system", &["--set", setting]).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(field), "{setting}: {error}");
    }
    assert!(template("kube-system", &["--set", "colour=blue"]).is_ok());
}

/// `helm template | kubectl apply --dry-run=server` with every value that a line of Cilium's users
/// may have.
#[test]
fn the_api_server_accepts_the_chart_with_every_value() {
    run(|lab| {
        let cluster = ControlPlane::start(lab)?;
        cluster.kubectl("create namespace networking")?;
        let all: Vec<&str> = VALUES.iter().copied().flatten().copied().collect();

        let folder = cluster.host().folder().join("objects");
        fs::create_dir(&folder).context("making a folder")?;
        for (number, values) in VALUES.iter().copied().chain([&*all]).enumerate() {
            let objects = template("networking", values).with_context(|| format!("{values:?}"))?;
            let file = folder.join(format!("{number:02}.yaml"));
            fs::write(file, format!("# {values:?}\n{objects}")).context("writing objects")?;
        }

        let said = cluster.kubectl(&format!("apply --dry-run=server -f {}", word(&folder)?))?;

        let sets = said.matches("daemonset.apps/").count();
        ensure!(sets == VALUES.len() + 1, "{sets} DaemonSets:\n{said}");
        Ok(())
    });
}

#[test]
fn objects_have_ciliums_names_where_that_is_asked_for() {
    if !lab::is_there([program("helm")]) {
        return;
    }
    let objects = template("networking", &["--set", "compat.cilium=true"]).unwrap();

    for (kind, name) in [
        ("DaemonSet", "cilium"),
        ("Deployment", "cilium-operator"),
        ("ConfigMap", "cilium-config"),
        ("ServiceAccount", "cilium"),
        ("ServiceAccount", "cilium-operator"),
    ] {
        let head = format!("kind: {kind}\nmetadata:\n  name: {name}\n  namespace: networking\n");
        assert!(objects.contains(&head), "{kind} {name}:\n{objects}");
    }
    for label in [
        "k8s-app: cilium\n",
        "io.cilium/app: operator\n",
        "name: cilium-operator\n",
    ] {
        assert!(objects.contains(label), "{label}");
    }
    let ours = template("networking", &[]).unwrap();
    assert!(!ours.contains("io.cilium") && !ours.contains("name: cilium\n"));
}

/// What the ConfigMap gets of Cilium's values.
#[test]
fn values_become_the_keys_that_cilium_has_for_them() {
    if !lab::is_there([program("helm")]) {
        return;
    }
    for (flags, line) in [
        (
            ["--set", "ipv4NativeRoutingCIDR=10.1.2.3/8"],
            "ipv4-native-routing-cidr: 10.0.0.0/8",
        ),
        (
            ["--set", "ipv4NativeRoutingCIDR=192.168.255.255/20"],
            "ipv4-native-routing-cidr: 192.168.240.0/20",
        ),
        (
            ["--set", "hubble.metrics.enabled={dns,drop}"],
            "hubble-metrics: dns drop",
        ),
        (
            [
                "--set-string",
                "hubble.metrics.enabled=\\{dns\\,drop\\,tcp\\}",
            ],
            "hubble-metrics: dns drop tcp",
        ),
        (
            ["--set", "kubeProxyReplacement=true"],
            "kube-proxy-replacement: \"true\"",
        ),
        (
            ["--set", "kubeProxyReplacement=strict"],
            "kube-proxy-replacement: strict",
        ),
        (
            [
                "--set",
                "ipam.operator.clusterPoolIPv4PodCIDRList={10.0.0.0/8,11.0.0.0/8}",
            ],
            "cluster-pool-ipv4-cidr: 10.0.0.0/8 11.0.0.0/8",
        ),
        (
            ["--set", "encryption.enabled=true,encryption.type=wireguard"],
            "enable-wireguard: \"true\"",
        ),
        (["--set", "extraConfig.debug=true"], "debug: \"true\""),
        (
            ["--set", "k8sClientRateLimit.qps=1000000"],
            "k8s-client-qps: \"1000000\"",
        ),
    ] {
        let mut all = vec!["--show-only", "templates/configmap.yaml"];
        all.extend(flags);
        let map = template("kube-system", &all).unwrap();
        assert!(map.contains(&format!("\n  {line}\n")), "{flags:?}:\n{map}");
    }
}

/// An announcing agent may do next to nothing on its node; one that balances gets what loading
/// programs takes, and no more.
#[test]
fn agents_have_the_capabilities_that_they_need() {
    if !lab::is_there([program("helm")]) {
        return;
    }
    let added = |flags: &[&str]| -> Result<Vec<String>> {
        let mut all = vec!["--show-only", "templates/agent-daemonset.yaml"];
        all.extend(flags);
        let text = template("kube-system", &all)?;
        ensure!(text.contains("drop: [ALL]") && !text.contains("privileged: true"));
        let list = text.split("add:\n").nth(1).context("no capabilities")?;
        let lines = list.lines().map(str::trim);
        let lines = lines.take_while(|line| line.starts_with('-') || line.starts_with('#'));
        Ok(lines
            .filter_map(|line| line.strip_prefix("- "))
            .map(str::to_owned)
            .collect())
    };

    assert_eq!(added(&[]).unwrap(), ["NET_BIND_SERVICE"]);
    assert_eq!(
        added(&["--set", "balancer.interfaces={eth0}"]).unwrap(),
        [
            "NET_BIND_SERVICE",
            "BPF",
            "PERFMON",
            "NET_ADMIN",
            "SYS_ADMIN",
            "SYS_RESOURCE"
        ]
    );
}
