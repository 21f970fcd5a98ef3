//! `sluice apply`, `get`, `delete`, `export` and `watch` do the same in every place.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use integration::until;
use serde_json::Value;

use crate::site::{Kind, PATIENCE, Site, run};

#[test]
fn the_commands_in_a_directory() {
    run(Kind::Directory, |lab| {
        commands(&mut Site::build(Kind::Directory, lab)?)
    });
}

#[test]
fn the_commands_in_a_fleet() {
    run(Kind::Fleet, |lab| {
        commands(&mut Site::build(Kind::Fleet, lab)?)
    });
}

#[test]
fn the_commands_in_a_cluster() {
    run(Kind::Cluster, |lab| {
        commands(&mut Site::build(Kind::Cluster, lab)?)
    });
}

const GOOD: &str = "\
apiVersion: cilium.io/v2
kind: CiliumBGPPeerConfig
metadata: {name: tor, labels: {team: red}}
spec: {ebgpMultihop: 2, families: [{afi: ipv4, safi: unicast}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: batuu}
spec: {ports: [{name: http, port: 80, protocol: TCP}]}
";

/// The second object is not right, so the first is not written either.
const BAD: &str = "\
apiVersion: cilium.io/v2
kind: CiliumBGPPeerConfig
metadata: {name: good}
spec: {families: [{afi: ipv4, safi: unicast}]}
---
apiVersion: cilium.io/v2
kind: CiliumBGPPeerConfig
metadata: {name: bad}
spec: {ebgpMultihop: 1000}
";

const PEER: &str = "ciliumbgppeerconfig.cilium.io/tor";

fn commands(site: &mut Site) -> Result<()> {
    refuses_all_of_what_is_not_all_right(site)?;
    says_what_it_did(site)?;
    removes_what_is_not_named_any_more(site)?;
    exports_what_can_be_applied_elsewhere(site)?;
    tells_what_happens(site)?;
    deletes_what_is_there(site)
}

fn refuses_all_of_what_is_not_all_right(site: &Site) -> Result<()> {
    let output = site.ask(&["apply", "-f", "-"], BAD)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(
        said.starts_with("(standard input):9: CiliumBGPPeerConfig/bad: spec.ebgpMultihop: ")
            && said.ends_with("sluice: nothing was applied\n"),
        "{said}"
    );
    let peers = site.json("get ciliumbgppeerconfigs")?;
    ensure!(peers["items"] == Value::Array(Vec::new()), "{peers}");
    Ok(())
}

fn says_what_it_did(site: &Site) -> Result<()> {
    let file = site.folder.join("good.yaml");
    fs::write(&file, GOOD).context("writing a manifest")?;
    let apply = format!("apply -f {}", file.display());
    let rehearse = format!("{apply} --dry-run");
    let says = |args: &str, outcome: &str| {
        let said = site.sluice(args)?;
        let wanted = format!("{PEER} {outcome}\nservice/web {outcome}\n");
        ensure!(said == wanted, "sluice {args}: {said}");
        anyhow::Ok(())
    };

    says(&rehearse, "created (dry run)")?;
    let missing = site.ask(&["get", "ciliumbgppeerconfigs", "tor"], "")?;
    ensure!(missing.status.code() == Some(1), "{}", missing.status);
    says(&apply, "created")?;
    says(&apply, "unchanged")?;
    says(&rehearse, "unchanged (dry run)")?;
    let changed = GOOD.replace("ebgpMultihop: 2", "ebgpMultihop: 3");
    fs::write(&file, changed.replace("port: 80", "port: 81")).context("writing a manifest")?;
    says(&rehearse, "configured (dry run)")?;
    says(&apply, "configured")?;
    says(&apply, "unchanged")
}

fn removes_what_is_not_named_any_more(site: &Site) -> Result<()> {
    let less = GOOD
        .replace(", labels: {team: red}", "")
        .replace("ebgpMultihop: 2, ", "");
    let said = site.sluice_with(&["apply", "-f", "-"], &less)?;
    ensure!(said.starts_with(&format!("{PEER} configured\n")), "{said}");
    let peer = site.json("get ciliumbgppeerconfigs tor")?;
    ensure!(peer.pointer("/metadata/labels").is_none(), "{peer}");
    // An API server puts the default there.
    let multihop = peer.pointer("/spec/ebgpMultihop").and_then(Value::as_i64);
    ensure!(multihop.is_none_or(|hops| hops == 1), "{peer}");
    Ok(())
}

fn exports_what_can_be_applied_elsewhere(site: &Site) -> Result<()> {
    let exported = site.sluice("export svc,ciliumbgppeerconfigs -n batuu")?;
    let elsewhere = site.folder.join("elsewhere");
    let elsewhere = elsewhere.to_string_lossy();
    let sluice = |args: &[&str], input: &str| {
        let program = integration::lab::built_program("sluice")?;
        let file = site.folder.join("exported.yaml");
        fs::write(&file, input).context("writing what was exported")?;
        let output = std::process::Command::new(program)
            .args(args)
            .args(["--manifests", &elsewhere])
            .stdin(fs::File::open(file)?)
            .output()
            .context("starting sluice")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "sluice {args:?}: {errors}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };

    let said = sluice(&["apply", "-f", "-"], &exported)?;
    let again = sluice(&["export", "svc,ciliumbgppeerconfigs", "-n", "batuu"], "")?;

    ensure!(
        said == format!("service/web created\n{PEER} created\n"),
        "{said}"
    );
    ensure!(again == exported, "{again}\ninstead of\n{exported}");
    Ok(())
}

fn tells_what_happens(site: &Site) -> Result<()> {
    let (process, log) = site.spawn("watch", &["watch", "svc/web", "-n", "batuu", "-o", "json"])?;
    let told = |count: usize| {
        until("the watch tells", PATIENCE, || {
            let text = fs::read_to_string(&log).context("reading what was told")?;
            let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
            let lines = lines.with_context(|| format!("it said {text:?}"))?;
            ensure!(lines.len() >= count, "{text}");
            Ok(lines)
        })
    };
    told(1)?;
    let changed = GOOD.replace("port: 80", "port: 8080");
    site.sluice_with(&["apply", "-f", "-"], &changed)?;
    told(2)?;
    site.sluice("delete svc web -n batuu")?;
    let told = told(3)?;
    process.kill()?;

    let events: Vec<(&str, Option<i64>)> = told
        .iter()
        .map(|event| {
            let port = event.pointer("/object/spec/ports/0/port");
            let port = port.and_then(Value::as_i64);
            (event["type"].as_str().unwrap_or_default(), port)
        })
        .collect();
    ensure!(
        events
            == [
                ("ADDED", Some(80)),
                ("MODIFIED", Some(8080)),
                ("DELETED", Some(8080))
            ],
        "{events:?}"
    );
    Ok(())
}

fn deletes_what_is_there(site: &Site) -> Result<()> {
    let output = site.ask(&["delete", "-f", "-"], GOOD)?;
    let (said, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(output.status.code() == Some(1), "{}", output.status);
    let gone = "ciliumbgppeerconfig.cilium.io \"tor\" deleted\n";
    ensure!(said == gone, "{said}");
    ensure!(errors == "sluice: services \"web\" not found\n", "{errors}");
    let again = ["delete", "-f", "-", "--ignore-not-found"];
    let said = site.sluice_with(&again, GOOD)?;
    ensure!(said.is_empty(), "{said}");
    Ok(())
}
