//! Addresses: pools that overlap or run out, requests that cannot be met, and that every VIP is
//! what it was after a restart.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use integration::daemons::Agent;
use integration::lab::Lab;
use integration::topology::manifests::{instance, peer_config, pool, service};
use integration::{lab, until};
use serde_json::Value;

use crate::node::{Node, PATIENCE, ROUTER};

/// Of two pools that overlap the later one is refused by name of the other, and the service that
/// has its address from the earlier one keeps it.
#[test]
fn an_overlapping_pool_is_named_and_gives_nothing() {
    lab::run_programs(|lab| {
        let node = start(lab, "192.0.2.0/30", &["first"])?;
        let given = node.addresses("first", 1)?;

        let overlapping = pool("zone", &["192.0.2.2/31", "198.51.100.0/30"]);
        node.network.manifests.put("30-zone.yaml", overlapping)?;

        node.problem(
            "pool zone: Pool conflicts since range '192.0.2.2 - 192.0.2.3' overlaps range \
             '192.0.2.0 - 192.0.2.3' from IP Pool 'pool'",
        )?;
        ensure!(node.addresses("first", 1)? == given, "the address moved");
        node.network.manifests.remove("30-zone.yaml")?;
        until("no pool is in the way", PATIENCE, || {
            let problems = node.agent.status()?.problems;
            let is_named = problems.iter().any(|problem| problem.contains("overlaps"));
            ensure!(!is_named, "{problems:?}");
            Ok(())
        })
    });
}

/// A service that finds its pool empty is told so, the others keep their addresses, and it gets
/// one as soon as another block is there.
#[test]
fn a_pool_that_runs_out_is_said_and_a_new_block_mends_it() {
    lab::run_programs(|lab| {
        let node = start(lab, "192.0.2.0/31", &["first", "second", "third"])?;

        node.noted("third", "ran out of allocatable IPs")?;

        node.problem("service shop/third")?;
        node.addresses("first", 1)?;
        node.addresses("second", 1)?;
        let more = pool("pool", &["192.0.2.0/31", "192.0.2.16/31"]);
        node.network.manifests.put("20-pool.yaml", more)?;
        let got = node.addresses("third", 1)?;
        ensure!(got[0].to_string() == "192.0.2.16", "{got:?}");
        Ok(())
    });
}

/// A request for an address that no pool has, or that another service has, is refused by address,
/// and neither takes anything from the service that has it.
#[test]
fn a_request_that_cannot_be_met_is_refused_by_address() {
    lab::run_programs(|lab| {
        let node = start(lab, "192.0.2.0/30", &["first"])?;
        let given = node.addresses("first", 1)?;

        let manifests = &node.network.manifests;
        manifests.put("outside.yaml", asking("outside", "203.0.113.7"))?;
        manifests.put("taken.yaml", asking("taken", "192.0.2.0"))?;

        node.noted(
            "outside",
            "No pool exists with a CIDR containing '203.0.113.7'",
        )?;
        node.noted(
            "taken",
            "The IP '192.0.2.0' is already allocated to another service",
        )?;
        ensure!(
            node.service("outside")?.vips.is_empty(),
            "an address was given"
        );
        ensure!(
            node.service("taken")?.vips.is_empty(),
            "an address was given"
        );
        ensure!(node.addresses("first", 1)? == given, "the address moved");
        Ok(())
    });
}

/// After a stop and after a crash every service has the address that it had, also where a service
/// that sorts earlier has appeared while the agent was down.
#[test]
fn every_vip_is_what_it_was_after_a_stop_and_a_crash() {
    lab::run_programs(|lab| {
        let mut node = start(lab, "192.0.2.0/29", &["middle", "zebra"])?;
        let before = [node.addresses("middle", 1)?, node.addresses("zebra", 1)?];

        for (crash, newcomer) in [(false, "early"), (true, "aardvark")] {
            if crash {
                node.agent.kill()?;
            } else {
                node.agent.stop()?;
            }
            let manifest = single(newcomer);
            node.network
                .manifests
                .put(&format!("{newcomer}.yaml"), manifest)?;
            node.agent.start()?;
            let new = node.addresses(newcomer, 1)?;
            let after = [node.addresses("middle", 1)?, node.addresses("zebra", 1)?];
            ensure!(after == before, "{before:?} became {after:?}");
            ensure!(!before.contains(&new), "{new:?} was taken");
        }
        Ok(())
    });
}

/// What `sluice lb-ipam export` prints, merged into the manifests, gives a node without any state
/// the same addresses, in whatever order they were first given.
#[test]
fn exported_allocations_give_a_fresh_node_the_same_addresses() {
    lab::run_programs(|lab| {
        let mut node = start(lab, "192.0.2.0/29", &["second"])?;
        let second = node.addresses("second", 1)?;
        node.network.manifests.put("first.yaml", single("first"))?;
        let first = node.addresses("first", 1)?;
        ensure!(
            second < first,
            "allocated in another order: {second:?} {first:?}"
        );

        let export = node.agent.sluice("lb-ipam export")?;
        node.agent.kill()?;
        for name in ["first", "second"] {
            let manifest = asking(name, &exported(&export, name)?);
            node.network
                .manifests
                .put(&format!("{name}.yaml"), manifest)?;
        }
        fs::remove_dir_all(node.agent.state_dir()).context("removing the state")?;
        node.agent.start()?;

        ensure!(node.addresses("first", 1)? == first, "first has moved");
        ensure!(node.addresses("second", 1)? == second, "second has moved");
        Ok(())
    });
}

/// A state database that is cut off is named with the ways out and nothing is started; set aside
/// with `--reset-state`, the agent starts and gives addresses anew.
#[test]
fn a_truncated_state_database_stops_the_start_until_it_is_set_aside() {
    lab::run_programs(|lab| {
        let mut node = start(lab, "192.0.2.0/29", &["first"])?;
        node.addresses("first", 1)?;
        node.agent.stop()?;
        let database = database(&node.agent)?;
        let bytes = fs::read(&database)?;
        fs::write(&database, &bytes[..bytes.len() / 2])?;

        let refused = node.agent.run_other(|text| text, &[])?;

        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(
            refused.status.code() == Some(1),
            "{}: {said}",
            refused.status
        );
        for words in [
            &*database.to_string_lossy(),
            "--reset-state",
            "put a copy back",
        ] {
            ensure!(said.contains(words), "no {words:?} in: {said}");
        }
        ensure!(
            fs::read(&database)?.len() == bytes.len() / 2,
            "the file was touched"
        );
        let reset = node.agent.run_other(|text| text, &["--reset-state"])?;
        let said = String::from_utf8_lossy(&reset.stdout).into_owned();
        ensure!(
            reset.status.success() && said.contains(".broken-1"),
            "{said}"
        );
        node.agent.start()?;
        node.addresses("first", 1)?;
        Ok(())
    });
}

/// A node with one IPv4 pool and these services, each with no backends.
fn start(lab: &Lab, cidr: &str, services: &[&str]) -> Result<Node> {
    let base = instance(&[ROUTER]) + &peer_config("tor", "");
    let mut files = vec![
        ("10-base.yaml", base),
        ("20-pool.yaml", pool("pool", &[cidr])),
    ];
    let names: Vec<String> = services.iter().map(|name| format!("{name}.yaml")).collect();
    files.extend(
        names
            .iter()
            .zip(services)
            .map(|(file, name)| (&**file, single(name))),
    );
    Node::start(lab, &files)
}

/// A service of one family.
fn single(name: &str) -> String {
    service(name, "")
        .replace("RequireDualStack", "SingleStack")
        .replace("[IPv4, IPv6]", "[IPv4]")
}

/// A service of one family that asks for an address.
fn asking(name: &str, address: &str) -> String {
    single(name).replace(
        "  annotations:\n",
        &format!("  annotations:\n    lbipam.cilium.io/ips: \"{address}\"\n"),
    )
}

/// The addresses that an export asks for on behalf of one service.
fn exported(export: &str, name: &str) -> Result<String> {
    let documents = store::yaml::parse(export.as_bytes())?;
    let values = documents.iter().map(store::yaml::Document::value);
    let mut own = values.filter(|value| value.pointer("/metadata/name") == Some(&name.into()));
    let own = own
        .next()
        .with_context(|| format!("{name} is not in: {export}"))?;
    let asked = own.pointer("/metadata/annotations/lbipam.cilium.io~1ips");
    let asked = asked.and_then(Value::as_str);
    Ok(asked.context("no addresses are asked for")?.to_owned())
}

/// The one database of an agent.
fn database(agent: &Agent) -> Result<std::path::PathBuf> {
    let files = fs::read_dir(agent.state_dir())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    files
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "redb"))
        .context("no database")
}
