//! `sluice config`: the ConfigMap that agents and operators read.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ListParams};
use settings::Settings;

use crate::args::{ConfigCommand, Output};
use crate::cluster::ClusterArgs;
use crate::output::print;

/// What the chart labels it with.
const LABEL: &str = "sluicegate.io/component=config";

pub(super) fn run(cluster: &ClusterArgs, output: Output, command: &ConfigCommand) -> Result<bool> {
    match command {
        ConfigCommand::View => {
            let keys = cluster.ask(|client| read(client, cluster.namespace()))?;
            print(output, &keys, |keys, _| render(keys))?;
            let said = remarks(&keys);
            for line in &said.0 {
                eprintln!("{line}");
            }
            Ok(said.1)
        }
    }
}

async fn read(client: Client, namespace: &str) -> Result<BTreeMap<String, String>> {
    let maps = Api::<ConfigMap>::namespaced(client, namespace);
    let maps = maps.list(&ListParams::default().labels(LABEL)).await;
    let map = maps
        .context("asking the API server for the ConfigMap")?
        .items
        .into_iter()
        .next()
        .with_context(|| {
            format!("Sluicegate is not installed in namespace {namespace}: -n names another")
        })?;
    Ok(map.data.unwrap_or_default())
}

/// What an agent would say of the keys, and whether it would start.
fn remarks(keys: &BTreeMap<String, String>) -> (Vec<String>, bool) {
    match Settings::parse(keys) {
        Ok(parsed) => {
            let remarks = parsed.remarks.iter();
            (
                remarks.map(|remark| format!("warning: {remark}")).collect(),
                true,
            )
        }
        Err(faults) => {
            let faults = faults.0.iter();
            (
                faults.map(|fault| format!("fault: {fault}")).collect(),
                false,
            )
        }
    }
}

/// Keys and values in two columns, as Cilium's command prints them.
fn render(keys: &BTreeMap<String, String>) -> String {
    let width = keys.keys().map(String::len).max().unwrap_or(0) + 4;
    keys.iter()
        .map(|(key, value)| format!("{}\n", format!("{key:<width$}{value}").trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_two_columns() {
        let keys = [
            ("debug".to_owned(), "false".to_owned()),
            ("enable-ipv4".to_owned(), "true".to_owned()),
            ("empty".to_owned(), String::new()),
        ];

        assert_eq!(
            render(&keys.into()),
            "debug          false\nempty\nenable-ipv4    true\n"
        );
    }

    #[test]
    fn faults_are_told_from_remarks() {
        let keys = |value: &str| {
            [
                ("debug".to_owned(), value.to_owned()),
                ("x".to_owned(), "y".to_owned()),
            ]
        };

        let (remarked, good) = remarks(&keys("true").into());
        let (faulty, bad) = remarks(&keys("ture").into());

        assert_eq!(remarked, ["warning: x: no such key; it has no effect"]);
        assert_eq!(faulty, ["fault: debug: \"ture\" is neither true nor false"]);
        assert!(good && !bad);
    }
}
