//! What operators write for BGP: a NodeConfig for each node, and conditions.

use anyhow::{Result, ensure};
use integration::until;
use serde_json::json;

use crate::field::{Field, PATIENCE, SHORT, run};
use crate::ipam::quiet;

const NODES: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {rack: a}}
---
apiVersion: v1
kind: Node
metadata: {name: n2, labels: {rack: a}}
";

#[test]
fn every_selected_node_has_a_node_config_that_goes_with_the_cluster_config() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        let mut operator = field.operator(0, &SHORT)?;
        operator.until_leading()?;
        field.plane.apply(NODES)?;

        field
            .plane
            .apply(&cluster_config("racks", "rack: a", &["tor"]))?;

        until_node_configs(field, &["n1", "n2"])?;
        let config = field.plane.json("get ciliumbgpnodeconfig n1")?;
        let owner = field.plane.json("get ciliumbgpclusterconfig racks")?;
        ensure!(
            config["metadata"]["ownerReferences"]
                == json!([{
                    "apiVersion": owner["apiVersion"], "kind": "CiliumBGPClusterConfig",
                    "name": "racks", "uid": owner["metadata"]["uid"], "controller": true,
                }]),
            "{config}"
        );
        let instance = &config["spec"]["bgpInstances"][0];
        ensure!(
            instance["name"] == "edge" && instance["localASN"] == 65010,
            "{config}"
        );
        let peer = &instance["peers"][0];
        ensure!(
            peer["peerAddress"] == "10.0.0.1" && peer["peerASN"] == 65001,
            "{config}"
        );
        quiet(field, &operator)?;

        // What somebody else changes is put right.
        let edit = r#"{"spec":{"bgpInstances":[{"name":"edge","localASN":65999}]}}"#;
        field
            .plane
            .kubectl_with(&["patch", "cbgpnode", "n1", "--type=merge", "-p", edit], "")?;
        until("n1's config is as it was", PATIENCE, || {
            let config = field.plane.json("get ciliumbgpnodeconfig n1")?;
            ensure!(config["spec"]["bgpInstances"][0] == *instance, "{config}");
            Ok(())
        })?;

        field.plane.kubectl("label node n2 rack=b --overwrite")?;
        until_node_configs(field, &["n1"])?;
        field.plane.kubectl("delete ciliumbgpclusterconfig racks")?;
        until_node_configs(field, &[])?;
        quiet(field, &operator)
    });
}

#[test]
fn conditions_of_a_cluster_config_are_said_to_the_letter() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        let mut operator = field.operator(0, &SHORT)?;
        operator.until_leading()?;
        field.plane.apply(NODES)?;

        field
            .plane
            .apply(&cluster_config("racks", "rack: a", &["b", "a", "b"]))?;
        field
            .plane
            .apply(&cluster_config("late", "rack: a", &["a"]))?;
        field
            .plane
            .apply(&cluster_config("nowhere", "rack: z", &["a"]))?;

        for (object, kind, says) in [
            (
                "racks",
                "MissingPeerConfigs",
                "True MissingPeerConfigs: Referenced CiliumBGPPeerConfig(s) are missing: [a b]",
            ),
            (
                "racks",
                "NoMatchingNode",
                "False NoMatchingNode: No node matches spec.nodeSelector",
            ),
            (
                "nowhere",
                "NoMatchingNode",
                "True NoMatchingNode: No node matches spec.nodeSelector",
            ),
            (
                "late",
                "ConflictingClusterConfig",
                "True ConflictingClusterConfigs: Selecting the same node(s) with ClusterConfig(s): [racks]",
            ),
        ] {
            let object = format!("ciliumbgpclusterconfig {object}");
            field.until_condition(&object, &format!("cilium.io/{kind}"), says)?;
        }
        quiet(field, &operator)
    });
}

#[test]
fn a_peer_config_says_that_its_secret_is_missing_until_it_is_there() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        let mut operator = field.operator(0, &SHORT)?;
        operator.until_leading()?;

        field.plane.apply(
            "apiVersion: cilium.io/v2\nkind: CiliumBGPPeerConfig\n\
             metadata: {name: tor}\nspec: {authSecretRef: tor-password}\n",
        )?;
        let says = || field.condition("ciliumbgppeerconfig tor", "cilium.io/MissingAuthSecret");
        until("the secret is missing", PATIENCE, || {
            let said = says()?.unwrap_or_default();
            ensure!(said.starts_with("True MissingAuthSecret"), "{said}");
            Ok(())
        })?;
        field.plane.kubectl(
            "create secret generic tor-password -n kube-system --from-literal=password=x",
        )?;

        until("the secret is there", PATIENCE, || {
            let said = says()?.unwrap_or_default();
            ensure!(said.starts_with("False MissingAuthSecret"), "{said}");
            Ok(())
        })?;
        quiet(field, &operator)
    });
}

fn until_node_configs(field: &Field, names: &[&str]) -> Result<()> {
    until(
        &format!("there are NodeConfigs {names:?}"),
        PATIENCE,
        || {
            let text = field.plane.kubectl("get ciliumbgpnodeconfigs -o name")?;
            let found: Vec<&str> = text
                .lines()
                .filter_map(|line| Some(line.split_once('/')?.1))
                .collect();
            ensure!(found == names, "{found:?}");
            Ok(())
        },
    )
}

/// A config for nodes with a label, with a peer for each of these peer configs.
fn cluster_config(name: &str, label: &str, peer_configs: &[&str]) -> String {
    let peers = (1..).zip(peer_configs).map(|(number, config)| {
        format!(
            "{{name: p{number}, peerAddress: 10.0.0.{number}, peerASN: 65001, \
             peerConfigRef: {{name: {config}}}}}"
        )
    });
    let peers: Vec<String> = peers.collect();
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumBGPClusterConfig\nmetadata: {{name: {name}}}\n\
         spec:\n  nodeSelector: {{matchLabels: {{{label}}}}}\n  bgpInstances:\n  - name: edge\n    \
         localASN: 65010\n    peers: [{}]\n",
        peers.join(", ")
    )
}
