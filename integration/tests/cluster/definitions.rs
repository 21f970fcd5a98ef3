//! The custom resources' definitions in a real API server: what users' manifests and commands meet.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use integration::cluster::{self, ControlPlane};
use integration::{Patience, until};

/// The definitions, as they are installed.
const DEFINITIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/crds");

/// Manifests of users, beside the project, and ours.
const MANIFESTS: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/examples"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/standalone"),
];

#[test]
fn users_manifests_apply_and_print_as_they_know_them() {
    cluster::run(|lab| {
        let cluster = ControlPlane::start(lab)?;
        install(&cluster)?;
        for namespace in ["batuu", "shop"] {
            cluster.kubectl(&format!("create namespace {namespace}"))?;
        }

        for folder in MANIFESTS {
            apply_folder(&cluster, Path::new(folder))?;
        }

        let pools = cluster.kubectl("get ciliumloadbalancerippools")?;
        let header = pools.lines().next().unwrap_or_default();
        let columns: Vec<&str> = header.split("  ").filter(|cell| !cell.is_empty()).collect();
        let columns: Vec<&str> = columns.iter().map(|cell| cell.trim()).collect();
        ensure!(
            columns == ["NAME", "DISABLED", "CONFLICTING", "IPS AVAILABLE", "AGE"],
            "{pools}"
        );
        for name in ["ippools", "ippool", "lbippool", "lbippools"] {
            ensure!(cluster.kubectl(&format!("get {name}"))?.starts_with("NAME"));
        }
        let bgp = [
            "cbgpcluster",
            "cbgppeer",
            "cbgpadvert",
            "cbgpnode",
            "cbgpnodeoverride",
        ];
        for name in bgp
            .into_iter()
            .chain(["l2announcement", "cegp", "ciliumbgp"])
        {
            cluster.kubectl(&format!("get {name}"))?;
        }
        let about = cluster.kubectl("explain ciliumbgppeerconfig.spec.timers.holdTimeSeconds")?;
        ensure!(about.contains("How long the peer may be silent"), "{about}");
        Ok(())
    });
}

#[test]
fn defaults_are_filled_in_and_both_versions_read_the_same_object() {
    cluster::run(|lab| {
        let cluster = ControlPlane::start(lab)?;
        install(&cluster)?;

        cluster.apply(&peer(
            "v2alpha1",
            "timers: {}, transport: {}, gracefulRestart: {enabled: true}",
        ))?;

        let old = cluster.json("get ciliumbgppeerconfigs.v2alpha1.cilium.io/p")?;
        let new = cluster.json("get ciliumbgppeerconfigs.v2.cilium.io/p")?;
        ensure!(old["spec"] == new["spec"]);
        for (path, value) in [
            ("/spec/timers/holdTimeSeconds", 90),
            ("/spec/timers/keepAliveTimeSeconds", 30),
            ("/spec/timers/connectRetryTimeSeconds", 120),
            ("/spec/transport/peerPort", 179),
            ("/spec/ebgpMultihop", 1),
            ("/spec/gracefulRestart/restartTimeSeconds", 120),
        ] {
            ensure!(
                new.pointer(path).is_some_and(|found| *found == value),
                "{path} in {new}"
            );
        }
        Ok(())
    });
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_field_and_the_reason() {
    cluster::run(|lab| {
        let cluster = ControlPlane::start(lab)?;
        install(&cluster)?;

        for (manifest, said) in refused() {
            let error = match cluster.apply(&manifest) {
                Ok(_) => anyhow::bail!("taken, but must not be: {manifest}"),
                Err(error) => format!("{error:#}"),
            };
            for words in said {
                ensure!(
                    error.contains(words),
                    "{words:?} is not in: {error}\n{manifest}"
                );
            }
        }
        Ok(())
    });
}

/// Manifests that are refused, and words of the message.
fn refused() -> Vec<(String, Vec<&'static str>)> {
    let advertisement = |fields: &str| {
        object(
            "v2",
            "CiliumBGPAdvertisement",
            &format!("advertisements: [{{{fields}}}]"),
        )
    };
    let cluster = |fields: &str| {
        object(
            "v2",
            "CiliumBGPClusterConfig",
            &format!("bgpInstances: [{fields}]"),
        )
    };
    let crowd: Vec<String> = (0..17).map(|n| format!("{{name: i{n}}}")).collect();
    vec![
        (
            peer(
                "v2",
                "timers: {holdTimeSeconds: 10, keepAliveTimeSeconds: 11}",
            ),
            vec![
                "spec.timers",
                "keepAliveTimeSeconds can not be larger than holdTimeSeconds",
            ],
        ),
        // The default of the one is compared too.
        (
            peer("v2", "timers: {holdTimeSeconds: 9}"),
            vec!["can not be larger than"],
        ),
        (
            peer("v2", "timers: {holdTimeSeconds: 2}"),
            vec!["spec.timers.holdTimeSeconds"],
        ),
        (
            peer("v2", "transport: {peerPort: 65536}"),
            vec!["spec.transport.peerPort"],
        ),
        (peer("v2", "ebgpMultihop: 256"), vec!["spec.ebgpMultihop"]),
        (
            peer("v2", "gracefulRestart: {}"),
            vec!["spec.gracefulRestart.enabled", "Required"],
        ),
        (
            peer(
                "v2",
                "gracefulRestart: {enabled: true, restartTimeSeconds: 4096}",
            ),
            vec!["restartTimeSeconds"],
        ),
        (
            peer("v2", "families: [{afi: ipv5, safi: unicast}]"),
            vec!["afi", "ipv4"],
        ),
        (cluster(""), vec!["spec.bgpInstances", "at least 1"]),
        (
            cluster(&crowd.join(", ")),
            vec!["spec.bgpInstances", "at most 16"],
        ),
        (
            cluster("{name: a}, {name: a}"),
            vec!["spec.bgpInstances", "duplicate"],
        ),
        (cluster("{name: a, localASN: 0}"), vec!["localASN"]),
        (cluster("{name: a, localASN: 4294967296}"), vec!["localASN"]),
        (cluster("{name: a, localPort: 0}"), vec!["localPort"]),
        (
            cluster("{name: a, peers: [{name: p, peerAddress: 10.0.0.0/24}]}"),
            vec!["peerAddress"],
        ),
        (
            cluster("{name: a, peers: [{name: p, autoDiscovery: {mode: DefaultGateway}}]}"),
            vec!["defaultGateway is required with mode DefaultGateway"],
        ),
        (
            advertisement("advertisementType: Service, selector: {}"),
            vec!["service field is required for the 'Service' advertisementType"],
        ),
        (
            advertisement("advertisementType: PodCIDR, service: {addresses: [ClusterIP]}"),
            vec!["service field is not allowed"],
        ),
        (
            advertisement("advertisementType: Interface"),
            vec!["interface field is required for the 'Interface' advertisementType"],
        ),
        (
            advertisement("advertisementType: PodCIDR, selector: {}"),
            vec!["selector field is not allowed for the 'PodCIDR' advertisementType"],
        ),
        (
            advertisement("advertisementType: Service, service: {addresses: []}"),
            vec!["addresses"],
        ),
        (
            advertisement(
                "advertisementType: PodCIDR, attributes: {communities: {standard: ['65000:1:2']}}",
            ),
            vec!["standard"],
        ),
        (
            advertisement(
                "advertisementType: PodCIDR, attributes: {communities: {wellKnown: [no-exports]}}",
            ),
            vec!["wellKnown", "no-export"],
        ),
        (
            object("v2", "CiliumLoadBalancerIPPool", "allowFirstLastIPs: Maybe"),
            vec!["spec.allowFirstLastIPs", "Yes"],
        ),
        (
            object(
                "v2",
                "CiliumBGPNodeConfigOverride",
                "bgpInstances: [{name: a, routerID: x}]",
            ),
            vec!["routerID"],
        ),
    ]
}

fn peer(version: &str, spec: &str) -> String {
    object(version, "CiliumBGPPeerConfig", spec)
}

fn object(version: &str, kind: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: cilium.io/{version}, kind: {kind}, metadata: {{name: p}}, spec: {{{spec}}}}}"
    )
}

/// Installs the definitions, and waits until the API server has taken them up.
fn install(cluster: &ControlPlane) -> Result<()> {
    apply_folder(cluster, Path::new(DEFINITIONS))?;
    cluster.kubectl("wait --for=condition=Established --timeout=30s crd --all")?;
    let all = "get ciliumloadbalancerippools,ciliumbgpnodeconfigs,cegp";
    until("the definitions are served", Patience::START, || {
        cluster.kubectl(all).map(drop)
    })
}

fn apply_folder(cluster: &ControlPlane, folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let manifests = fs::read_to_string(&path)?;
            cluster
                .apply(&manifests)
                .with_context(|| format!("applying {}", path.display()))?;
        }
    }
    Ok(())
}
