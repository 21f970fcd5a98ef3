//! Parts of the product's chart, as helm renders them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::program;

/// The version that is rendered for: helm as it is built here takes an old one for its own.
const KUBERNETES: &str = "1.36.0";

/// What these templates of the chart (`accounts`, for example) render to in a namespace, with the
/// chart's own values.
///
/// # Errors
/// If helm is not built, or does not take the chart.
pub fn chart(namespace: &str, templates: &[&str]) -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/helm/sluicegate");
    let mut helm = Command::new(program("helm")?);
    helm.args(["template", "sluicegate"])
        .arg(folder)
        .args(["--kube-version", KUBERNETES])
        .args(["--namespace", namespace]);
    for template in templates {
        helm.args(["--show-only", &format!("templates/{template}.yaml")]);
    }
    let output = helm.output().context("starting helm")?;
    if !output.status.success() {
        bail!("helm template: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
