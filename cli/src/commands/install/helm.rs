//! Runs helm, which carries out what is installed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::args::{ChartArgs, HelmArgs, UpgradeArgs};
use super::chart::IMAGE;
use crate::cluster::ClusterArgs;

/// What helm does with a chart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed<'a> {
    /// `helm install`.
    Install,
    /// `helm upgrade`.
    Upgrade(&'a UpgradeArgs),
}

/// An installation as helm prints it.
#[derive(Debug, Deserialize)]
pub(crate) struct Release {
    /// The values that were given, now and before.
    #[serde(default)]
    pub(crate) config: Value,
    /// What is applied.
    #[serde(default)]
    pub(crate) manifest: String,
}

/// Helm, for one installation.
pub(crate) struct Helm<'a> {
    program: PathBuf,
    release: &'a str,
    cluster: &'a ClusterArgs,
}

impl<'a> Helm<'a> {
    /// The helm that was named, or the one on PATH.
    ///
    /// # Errors
    /// If there is none: with what to do about it.
    pub(crate) fn find(args: &'a HelmArgs, cluster: &'a ClusterArgs) -> Result<Self> {
        let program = args.helm.clone().or_else(on_path);
        let Some(program) = program.filter(|program| program.is_file()) else {
            let named = args
                .helm
                .as_ref()
                .map(|named| format!("{} is not there. ", named.display()))
                .unwrap_or_default();
            bail!(
                "{named}helm is needed and was not found on PATH: install helm 3 (helm.sh), or name one \
                 with --helm FILE. Without helm, configs/kubernetes/sluicegate.yaml is the same as \
                 manifests for kubectl apply"
            );
        };
        Ok(Self {
            program,
            release: &args.helm_release_name,
            cluster,
        })
    }

    /// What installing or upgrading would come to.
    ///
    /// # Errors
    /// If helm says no.
    pub(crate) fn rehearse(&self, deed: Deed, chart: &Path, args: &ChartArgs) -> Result<Release> {
        let mut words = self.words(deed, chart, args);
        words.extend(["--dry-run=server".into(), "--output=json".into()]);
        let text = self.run(&words)?;
        serde_json::from_slice(&text).context("reading what helm says")
    }

    /// Installs or upgrades.
    ///
    /// # Errors
    /// If helm says no.
    pub(crate) fn carry_out(&self, deed: Deed, chart: &Path, args: &ChartArgs) -> Result<()> {
        let mut words = self.words(deed, chart, args);
        words.push("--output=json".into());
        self.run(&words).map(drop)
    }

    /// Takes everything away that was installed.
    ///
    /// # Errors
    /// If helm says no.
    pub(crate) fn uninstall(&self, wait: bool) -> Result<()> {
        let mut words: Vec<OsString> = vec!["uninstall".into(), self.release.into()];
        words.extend(self.place());
        words.extend(wait.then(|| "--wait".into()));
        self.run(&words).map(drop)
    }

    fn words(&self, deed: Deed, chart: &Path, args: &ChartArgs) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        match deed {
            Deed::Install => words.push("install".into()),
            Deed::Upgrade(_) => words.push("upgrade".into()),
        }
        words.extend([self.release.into(), chart.as_os_str().to_owned()]);
        words.extend(self.place());
        match deed {
            Deed::Install => words.push("--create-namespace".into()),
            Deed::Upgrade(upgrade) => words.extend(
                [
                    (upgrade.reuse_values, "--reuse-values"),
                    (upgrade.reset_values, "--reset-values"),
                    (upgrade.reset_then_reuse_values, "--reset-then-reuse-values"),
                ]
                .into_iter()
                .filter(|(given, _)| *given)
                .map(|(_, flag)| flag.into()),
            ),
        }
        for file in &args.values {
            words.extend(["--values".into(), file.as_os_str().to_owned()]);
        }
        if let Some(version) = &args.version {
            let tag = format!("image.tag={}", tag(version));
            words.extend(["--set-string".into(), tag.into()]);
        }
        for (flag, settings) in [("--set", &args.set), ("--set-string", &args.set_string)] {
            for setting in settings {
                words.extend([flag.into(), setting.into()]);
            }
        }
        words
    }

    /// Which cluster, and where in it.
    fn place(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["--namespace".into(), self.cluster.namespace().into()];
        if let Some(file) = &self.cluster.kubeconfig {
            words.extend(["--kubeconfig".into(), file.as_os_str().to_owned()]);
        }
        if let Some(context) = &self.cluster.context {
            words.extend(["--kube-context".into(), context.into()]);
        }
        words
    }

    fn run(&self, words: &[OsString]) -> Result<Vec<u8>> {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(&self.program)
            .args(words)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {}", self.program.display()))?;
        if status.success() {
            return Ok(stdout);
        }
        let said = String::from_utf8_lossy(&stderr);
        bail!("{}", explain(said.trim()))
    }
}

/// A version as the images have it.
pub(crate) fn tag(version: &str) -> String {
    format!("v{}", version.trim_start_matches('v'))
}

/// The image of this version.
pub(crate) fn image() -> String {
    format!("{IMAGE}:{}", tag(env!("CARGO_PKG_VERSION")))
}

/// What helm says, and what to do about it where that is known.
fn explain(said: &str) -> String {
    let said = said.trim_start_matches("Error: ");
    let hint = [
        (
            "cannot re-use a name",
            "it is installed already: sluice upgrade changes it",
        ),
        (
            "has no deployed releases",
            "it is not installed here: sluice install does that, and -n names another namespace",
        ),
        (
            "release: not found",
            "it is not installed here: -n names another namespace",
        ),
        (
            "cannot be imported into the current release",
            "something else made that object, such as Cilium itself or kubectl apply",
        ),
    ]
    .into_iter()
    .find(|(part, _)| said.contains(part));
    match hint {
        Some((_, hint)) => format!("helm: {said} ({hint})"),
        None => format!("helm: {said}"),
    }
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("helm"))
        .find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Command as Wanted};

    #[test]
    fn helm_is_told_everything_that_was_given() {
        let line = "sluice upgrade -n networking --kubeconfig k --context c --reuse-values -f a.yaml \
                    --set x=1 --set y={a,b} --set-string z=2 --version 0.2.0 --helm-release-name edge";

        assert_eq!(
            told(line),
            "upgrade edge chart --namespace networking --kubeconfig k --kube-context c \
             --reuse-values --values a.yaml --set-string image.tag=v0.2.0 --set x=1 --set y={a,b} \
             --set-string z=2"
        );
    }

    #[test]
    fn an_installation_needs_nothing_to_be_said() {
        assert_eq!(
            told("sluice install"),
            "install sluicegate chart --namespace kube-system --create-namespace"
        );
    }

    #[test]
    fn a_helm_that_is_not_there_is_explained() {
        let args = HelmArgs {
            helm: Some("/nowhere/helm".into()),
            helm_release_name: "sluicegate".into(),
        };

        let error = Helm::find(&args, &ClusterArgs::default()).err().unwrap();

        let text = error.to_string();
        assert!(
            text.starts_with("/nowhere/helm is not there. helm is needed"),
            "{text}"
        );
        assert!(
            text.contains("--helm FILE") && text.contains("kubectl apply"),
            "{text}"
        );
    }

    #[test]
    fn what_helm_says_is_explained_where_it_can_be() {
        let text = explain("Error: INSTALLATION FAILED: cannot re-use a name that is still in use");

        assert!(text.contains("sluice upgrade"), "{text}");
        assert_eq!(explain("Error: strange"), "helm: strange");
    }

    #[test]
    fn versions_are_tags_with_a_v() {
        assert_eq!(tag("0.1.0"), "v0.1.0");
        assert_eq!(tag("v0.1.0"), "v0.1.0");
    }

    fn told(line: &str) -> String {
        let args = Args::try_parse_from(line.split_whitespace()).unwrap();
        let (deed, chart) = if let Wanted::Install(install) = &args.command {
            (Deed::Install, &install.chart)
        } else if let Wanted::Upgrade(upgrade) = &args.command {
            (Deed::Upgrade(upgrade), &upgrade.chart)
        } else {
            panic!("{:?}", args.command);
        };
        let helm = Helm {
            program: "helm".into(),
            release: &chart.helm.helm_release_name,
            cluster: &args.cluster,
        };
        let words = helm.words(deed, Path::new("chart"), chart);
        words.join(" ".as_ref()).into_string().unwrap()
    }
}
