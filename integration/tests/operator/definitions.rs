//! Which definitions of custom resources an operator installs, replaces and leaves alone.

use anyhow::{Context as _, Result, ensure};

use crate::field::{Field, SHORT, run};

/// Which schema a definition of ours has.
const LABEL: &str = "sluicegate.io/crd-schema";

const POOLS: &str = "ciliumloadbalancerippools";

#[test]
fn a_definition_of_another_program_is_taken_as_it_is_and_an_older_one_of_ours_is_replaced() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        // As Cilium would have it: without our label. And one of ours, from an older build.
        let foreign = definition(POOLS)?.replace(LABEL, "example.org/other");
        field.plane.apply(&foreign)?;
        let older = definition("ciliumbgppeerconfigs")?;
        let older = older.replace("x-kubernetes-validations", "x-kubernetes-validations-not");
        let label = format!("{LABEL}: ");
        let at = older.find(&label).map(|at| at + label.len());
        let (head, tail) = older.split_at(at.unwrap_or_default());
        let (_, tail) = tail.split_once('\n').unwrap_or_default();
        let older = format!("{head}\"0\"\n{tail}");
        field
            .plane
            .kubectl_with(&["create", "--validate=false", "-f", "-"], &older)?;
        let before = version(field, POOLS)?;

        let mut operator = field.operator(0, &SHORT)?;
        operator.until_leading()?;

        ensure!(version(field, POOLS)? == before, "the other's was written");
        let log = operator.log()?;
        ensure!(log.contains("a definition is upgraded"), "{log}");
        let peers = field.plane.json("get crd ciliumbgppeerconfigs.cilium.io")?;
        ensure!(peers["metadata"]["labels"][LABEL] != "0", "{peers}");
        // A rule that only ours of now has.
        let keeps = "---\napiVersion: cilium.io/v2\nkind: CiliumBGPPeerConfig\n\
                     metadata: {name: bad}\n\
                     spec: {timers: {holdTimeSeconds: 9, keepAliveTimeSeconds: 10}}\n";
        ensure!(field.plane.apply(keeps).is_err(), "the rule is not there");
        // Nothing is left to do for the next one.
        operator.kill()?;
        let all = field.plane.kubectl("get crd -o name")?;
        ensure!(all.lines().count() == 8, "{all}");
        let versions = versions(field, &all)?;
        operator.start()?;
        operator.until_leading()?;
        ensure!(self::versions(field, &all)? == versions);
        Ok(())
    });
}

#[test]
fn an_operator_that_is_to_install_no_definitions_waits_for_them() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        let flags: Vec<&'static str> = SHORT.into_iter().chain(["--skip-crd-creation"]).collect();
        let mut operator = field.operator(0, &flags)?;
        integration::until("it says what is missing", crate::field::PATIENCE, || {
            let (code, said) = operator.get("/readyz")?;
            ensure!(
                code == 503 && said.contains("is not installed in the cluster"),
                "{said}"
            );
            Ok(())
        })?;
        ensure!(field.plane.kubectl("get crd -o name")?.is_empty());

        for name in [
            POOLS,
            "ciliumbgpadvertisements",
            "ciliumbgpclusterconfigs",
            "ciliumbgpnodeconfigoverrides",
            "ciliumbgpnodeconfigs",
            "ciliumbgppeerconfigs",
        ] {
            field.plane.apply(&definition(name)?)?;
        }

        operator.until_leading()
    });
}

fn definition(name: &str) -> Result<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/crds");
    Ok(std::fs::read_to_string(format!("{folder}/{name}.yaml"))?)
}

fn version(field: &Field, plural: &str) -> Result<String> {
    let definition = field.plane.json(&format!("get crd {plural}.cilium.io"))?;
    let version = definition.pointer("/metadata/resourceVersion");
    Ok(version.context("it has no version")?.to_string())
}

fn versions(field: &Field, names: &str) -> Result<Vec<String>> {
    let plurals = names.lines().filter_map(|line| {
        let name = line.split_once('/')?.1;
        name.strip_suffix(".cilium.io")
    });
    plurals.map(|plural| version(field, plural)).collect()
}
