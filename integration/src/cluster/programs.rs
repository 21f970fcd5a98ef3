//! Where Kubernetes' programs are, and tests that need them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::lab::{self, Lab};

/// Names a folder with the programs, instead of the one that `scripts/setup kubernetes` fills.
const FOLDER: &str = "SLUICE_KUBERNETES_PROGRAMS";

/// What a control plane needs.
const CONTROL_PLANE: [&str; 3] = ["etcd", "kube-apiserver", "kubectl"];

/// What nodes need besides.
const NODES: [&str; 4] = [
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
];

/// Debian's programs that nodes need: containerd, runc, containernetworking-plugins,
/// busybox-static, nftables.
const DEBIAN: [&str; 5] = [
    "/usr/bin/containerd",
    "/usr/sbin/runc",
    "/usr/lib/cni/ptp",
    "/bin/busybox",
    "/usr/sbin/nft",
];

/// The release programs that run in a cluster.
const PRODUCT: [&str; 3] = ["sluice-agent", "sluice-operator", "sluice"];

/// Where one of Kubernetes' programs (or etcd, or helm) is.
///
/// # Errors
/// If it has not been built.
pub fn program(name: &str) -> Result<PathBuf> {
    let found = match std::env::var_os(FOLDER) {
        Some(folder) => Some(Path::new(&folder).join(name)).filter(|path| path.is_file()),
        None => built(name)?,
    };
    found.with_context(|| {
        format!("{name} is not built: run `scripts/setup kubernetes`, or set {FOLDER}")
    })
}

/// In `tools/kubernetes` of the target folder this program is in.
fn built(name: &str) -> Result<Option<PathBuf>> {
    let own = std::env::current_exe().context("finding this program")?;
    Ok(own
        .ancestors()
        .map(|folder| folder.join("tools/kubernetes").join(name))
        .find(|path| path.is_file()))
}

/// As [`lab::run`], for a test with a control plane: skipped, loudly, where its programs are not
/// built, or failed where `make test` asked for everything.
///
/// # Panics
/// As [`lab::run`].
pub fn run<F>(body: F)
where
    F: FnOnce(&Lab) -> Result<()>,
{
    if lab::is_there(CONTROL_PLANE.iter().map(|name| program(name))) {
        lab::run(body);
    }
}

/// As [`run`], for a test with nodes and pods.
///
/// # Panics
/// As [`lab::run`].
pub fn run_nodes<F>(body: F)
where
    F: FnOnce(&Lab) -> Result<()>,
{
    let kubernetes = CONTROL_PLANE.iter().chain(&NODES).map(|name| program(name));
    if lab::is_there(kubernetes.chain([lab::built_program("sluice-pod")]))
        && lab::is_there(DEBIAN.map(installed))
    {
        lab::run(body);
    }
}

/// As [`run_nodes`], for a test with the product in the cluster.
///
/// # Panics
/// As [`lab::run`].
pub fn run_product<F>(body: F)
where
    F: FnOnce(&Lab) -> Result<()>,
{
    if lab::is_there(PRODUCT.map(lab::built_program)) && lab::is_there([program("helm")]) {
        run_nodes(body);
    }
}

fn installed(path: &str) -> Result<PathBuf> {
    let path = PathBuf::from(path);
    ensure!(
        path.is_file(),
        "{} is not there: run `scripts/setup kubernetes`",
        path.display()
    );
    Ok(path)
}
