//! `sluice version`: of this program, and of what runs in the cluster.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::install::image;
use super::workloads::images;
use crate::args::{Output, VersionArgs};
use crate::cluster::ClusterArgs;
use crate::output::print;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    /// This program.
    sluice: &'static str,
    /// What it installs.
    default_image: String,
    /// What runs, and in how many pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<BTreeMap<String, usize>>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

pub(super) fn run(cluster: &ClusterArgs, output: Output, args: &VersionArgs) -> Result<bool> {
    let mut versions = Versions {
        sluice: env!("CARGO_PKG_VERSION"),
        default_image: image(),
        running: None,
        unknown: None,
    };
    if !args.client && (cluster.given() || ClusterArgs::at_hand()) {
        match cluster.ask(|client| images(client, cluster.namespace())) {
            Ok(running) => versions.running = Some(running),
            Err(error) => versions.unknown = Some(format!("{error:#}")),
        }
    }
    let known = versions.unknown.is_none();
    print(output, &versions, |versions, _| render(versions))?;
    Ok(known)
}

fn render(versions: &Versions) -> String {
    let mut text = format!(
        "sluice: {}\nimage (default): {}\n",
        versions.sluice, versions.default_image
    );
    match (&versions.running, &versions.unknown) {
        (Some(running), _) if running.is_empty() => {
            text.push_str("image (running): none; Sluicegate is not installed here\n");
        }
        (Some(running), _) => {
            for (image, pods) in running {
                text.push_str(&format!("image (running): {image} in {pods} pods\n"));
            }
        }
        (None, Some(why)) => text.push_str(&format!("image (running): unknown: {why}\n")),
        (None, None) => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_said_or_why_it_is_not_known() {
        let text = |running, unknown: Option<&str>| {
            let versions = Versions {
                sluice: "0.1.0",
                default_image: "i:v0.1.0".into(),
                running,
                unknown: unknown.map(str::to_owned),
            };
            let text = render(&versions);
            text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>()
        };

        assert_eq!(
            text(Some([("i:v1".to_owned(), 3)].into()), None),
            ["image (running): i:v1 in 3 pods"]
        );
        assert_eq!(
            text(Some(BTreeMap::new()), None),
            ["image (running): none; Sluicegate is not installed here"]
        );
        assert_eq!(
            text(None, Some("no answer")),
            ["image (running): unknown: no answer"]
        );
        assert!(text(None, None).is_empty());
    }
}
