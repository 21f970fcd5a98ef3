//! The chart that is in this program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

macro_rules! chart {
    ($($file:literal),* $(,)?) => {
        &[$(($file, include_str!(concat!("../../../../configs/helm/sluicegate/", $file)))),*]
    };
}

/// Every file of the chart.
const FILES: &[(&str, &str)] = chart![
    ".helmignore",
    "Chart.yaml",
    "files/support.yaml",
    "templates/NOTES.txt",
    "templates/_names.tpl",
    "templates/_values.tpl",
    "templates/accounts.yaml",
    "templates/agent-daemonset.yaml",
    "templates/agent-policy.yaml",
    "templates/agent-rbac.yaml",
    "templates/configmap.yaml",
    "templates/operator-deployment.yaml",
    "templates/operator-rbac.yaml",
    "templates/secrets-rbac.yaml",
    "values.schema.json",
    "values.yaml",
];

/// The name of the default image.
pub(crate) const IMAGE: &str = "sluicegate/sluicegate";

/// A chart as files, which are gone with it if they were made for it.
pub(crate) enum Chart {
    /// Unpacked from this program.
    Unpacked(TempDir),
    /// A user's own.
    Given(PathBuf),
}

impl Chart {
    /// The user's chart, or the one in this program.
    ///
    /// # Errors
    /// If it cannot be unpacked.
    pub(crate) fn open(given: Option<&Path>) -> Result<Self> {
        if let Some(folder) = given {
            return Ok(Self::Given(folder.to_owned()));
        }
        let folder = tempfile::Builder::new()
            .prefix("sluicegate-chart-")
            .tempdir()
            .context("making a folder for the chart")?;
        for (name, text) in FILES {
            let path = folder.path().join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).context("unpacking the chart")?;
            }
            fs::write(&path, text).with_context(|| format!("unpacking {name}"))?;
        }
        Ok(Self::Unpacked(folder))
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Unpacked(folder) => folder.path(),
            Self::Given(folder) => folder,
        }
    }

    /// The table of what becomes of values; empty in a chart that has none.
    pub(crate) fn support(&self) -> String {
        fs::read_to_string(self.folder().join("files/support.yaml")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_program_has_every_file_of_the_chart() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/helm/sluicegate");
        let mut there = BTreeSet::new();
        let mut left = vec![folder.clone()];
        while let Some(next) = left.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    let name = path.strip_prefix(&folder).unwrap();
                    there.insert(name.to_str().unwrap().to_owned());
                }
            }
        }

        let have: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();

        assert_eq!(have, there);
    }

    #[test]
    fn the_chart_is_of_this_version_and_names_this_image() {
        let file = |wanted: &str| FILES.iter().find(|(name, _)| *name == wanted).unwrap().1;
        let version = format!("appVersion: {}\n", env!("CARGO_PKG_VERSION"));

        assert!(file("Chart.yaml").contains(&version));
        assert!(file("values.yaml").contains(&format!("repository: {IMAGE}\n")));
    }

    #[test]
    fn an_unpacked_chart_is_gone_when_it_is_dropped() {
        let chart = Chart::open(None).unwrap();
        let folder = chart.folder().to_owned();
        assert!(folder.join("templates/configmap.yaml").exists());
        assert!(chart.support().contains("hubble.enabled"));

        drop(chart);

        assert!(!folder.exists());
    }
}
