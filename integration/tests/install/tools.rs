//! Helm, the chart and `sluice`, as a person would use them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use integration::cluster::{self, ControlPlane, program};
use integration::lab::{self, Lab, built_program};

/// The chart.
pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/helm/sluicegate");

/// The version that manifests are rendered for; any that the chart takes makes the same.
const KUBERNETES: &str = "1.36.3";

/// Runs a test with a control plane, helm and `sluice`.
pub(crate) fn run<F: FnOnce(&Lab) -> Result<()>>(body: F) {
    let needs = [program("helm"), built_program("sluice")];
    if lab::runs_inside() || lab::is_there(needs) {
        cluster::run(body);
    }
}

/// Runs `helm ARGS` without a cluster; what it printed.
pub(crate) fn helm(args: &[&str]) -> Result<String> {
    let output = Command::new(program("helm")?)
        .args(args)
        .output()
        .context("running helm")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm {args:?}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The chart's objects with these `--set` and other flags.
pub(crate) fn template(namespace: &str, flags: &[&str]) -> Result<String> {
    let mut args = vec!["template", "sluicegate", CHART, "--namespace", namespace];
    args.extend(["--kube-version", KUBERNETES]);
    args.extend(flags);
    helm(&args)
}

/// `sluice`, by any of its names, for a cluster.
pub(crate) struct Sluice<'a> {
    cluster: &'a ControlPlane,
    program: PathBuf,
}

impl<'a> Sluice<'a> {
    pub(crate) fn new(cluster: &'a ControlPlane) -> Result<Self> {
        let program = built_program("sluice")?;
        Ok(Self { cluster, program })
    }

    /// The same program under another name.
    pub(crate) fn called(cluster: &'a ControlPlane, name: &str) -> Result<Self> {
        let program = cluster.host().folder().join(name);
        std::os::unix::fs::symlink(built_program("sluice")?, &program).context("linking sluice")?;
        Ok(Self { cluster, program })
    }

    /// Runs it with these words, as the administrator, to its end, whatever that is.
    pub(crate) fn run(&self, args: &[&str]) -> Result<Said> {
        let helm = program("helm")?;
        let home = self.cluster.host().folder();
        let output = self.cluster.host().enter(|| {
            Command::new(&self.program)
                .arg("--kubeconfig")
                .arg(self.cluster.admin())
                .args(args)
                .env("SLUICE_HELM", &helm)
                .env("HOME", home)
                .output()
        });
        let output = output.context("running sluice")?;
        Ok(Said::of(args, &output))
    }

    /// Runs it with these words and fails unless it says yes; what it printed.
    pub(crate) fn good(&self, args: &[&str]) -> Result<Said> {
        let said = self.run(args)?;
        ensure!(said.code == Some(0), "{said:?}");
        Ok(said)
    }
}

/// What a program printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    _args: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    fn of(args: &[&str], output: &Output) -> Self {
        Self {
            _args: args.join(" "),
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The warnings, without the word.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        let lines = self.err.lines();
        lines
            .filter_map(|line| line.strip_prefix("warning: "))
            .collect()
    }
}

/// A file beside the cluster's others.
pub(crate) fn file(cluster: &ControlPlane, name: &str, text: &str) -> Result<PathBuf> {
    let path = cluster.host().folder().join(name);
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// A path as an argument.
pub(crate) fn word(path: &Path) -> Result<&str> {
    path.to_str().context("a path is no text")
}
