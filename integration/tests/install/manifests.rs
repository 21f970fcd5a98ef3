//! The manifests for those without helm.

use std::fs;

use anyhow::ensure;
use integration::cluster::{ControlPlane, program};
use integration::lab;

use crate::tools::{run, template};

/// Rendered with the chart's defaults.
const MANIFESTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../configs/kubernetes/sluicegate.yaml"
);

/// `configs/kubernetes/sluicegate.yaml` is what the chart's defaults make.
#[test]
fn the_manifests_are_what_the_chart_makes() {
    if !lab::is_there([program("helm")]) {
        return;
    }
    let rendered = template("kube-system", &[]).unwrap();
    let there = fs::read_to_string(MANIFESTS).unwrap();

    assert!(
        rendered == there,
        "render them again: helm template sluicegate configs/helm/sluicegate --namespace kube-system \
         > configs/kubernetes/sluicegate.yaml"
    );
}

/// `kubectl apply -f` takes them, twice: the second time nothing changes.
#[test]
fn the_manifests_apply_as_they_are() {
    run(|lab| {
        let cluster = ControlPlane::start(lab)?;

        let versions = "get -f FILE -o jsonpath={.items[*].metadata.resourceVersion}";
        let versions = versions.replace("FILE", MANIFESTS);

        cluster.kubectl(&format!("apply -f {MANIFESTS}"))?;
        let first = cluster.kubectl(&versions)?;
        cluster.kubectl(&format!("apply -f {MANIFESTS}"))?;
        let second = cluster.kubectl(&versions)?;

        ensure!(first.split(' ').count() > 10, "{first}");
        ensure!(first == second, "{first}\n{second}");
        Ok(())
    });
}
