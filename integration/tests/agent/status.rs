//! What agents write, and what they say of operators.

use anyhow::{Context as _, Result, ensure};
use integration::until;
use serde_json::{Value, json};

use crate::nodes::{Nodes, PATIENCE, established, run, says};

const VIP: &str = "192.0.2.1";

/// Peers, timers and numbers of routes are in the node's CiliumBGPNodeConfig, and nothing is written
/// while nothing changes.
#[test]
fn the_state_of_sessions_is_written_once_for_each_change() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &[VIP], "")?;
        let [mut first, _second] = nodes.agents()?;

        until("the status is written", PATIENCE, || {
            let status = status(&nodes)?;
            let peer = status
                .pointer("/bgpInstances/0/peers/0")
                .with_context(|| format!("no peer in {status}"))?;
            ensure!(
                peer["name"] == "tor" && peer["peeringState"] == "established",
                "{peer}"
            );
            ensure!(
                peer["peerAddress"] == "fd00:2:1::1" && peer["peerASN"] == 65001,
                "{peer}"
            );
            let timers = json!({"appliedHoldTimeSeconds": 9, "appliedKeepaliveSeconds": 3});
            ensure!(peer["timers"] == timers, "{peer}");
            let v4 = json!({"afi": "ipv4", "safi": "unicast", "received": 0, "advertised": 1});
            let counts = peer["routeCount"].as_array().context("no counts")?;
            ensure!(counts.contains(&v4), "{peer}");
            ensure!(peer["establishedTime"].is_string(), "{peer}");
            Ok(())
        })?;
        let before = version(&nodes)?;
        let metrics = lookups(&nodes)?;

        // Keepalives, lease look-ups and heartbeats pass by.
        nodes.serve("dns", &["192.0.2.53"], "  externalTrafficPolicy: Local")?;
        until("more than a few keepalives have passed", PATIENCE, || {
            let peers = first.peers()?;
            let uptime = peers.first().and_then(|peer| peer.uptime_secs);
            ensure!(uptime.is_some_and(|secs| secs >= 12), "{uptime:?}");
            Ok(())
        })?;
        ensure!(version(&nodes)? == before, "written without a change");
        ensure!(lookups(&nodes)? == metrics, "writes without a change");

        first.kill()?;
        first.start()?;
        established(&mut first)
    });
}

/// No operator at all: traffic goes on, and the status says what waits.
#[test]
fn without_an_operator_only_new_allocations_wait_and_that_is_said() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &[VIP], "")?;
        let [first, _second] = nodes.agents()?;

        says(&first, "nobody leads", |status| {
            status.ready
                && status
                    .remarks
                    .iter()
                    .any(|remark| remark.contains("only new allocations wait"))
        })?;
        nodes.next_hops(VIP, &["n1", "n2"])
    });
}

fn node_config(nodes: &Nodes) -> Result<Value> {
    nodes.plane.json("get ciliumbgpnodeconfig n1")
}

fn status(nodes: &Nodes) -> Result<Value> {
    let config = node_config(nodes)?;
    Ok(config.get("status").cloned().unwrap_or_default())
}

fn version(nodes: &Nodes) -> Result<Value> {
    let config = node_config(nodes)?;
    let version = config.pointer("/metadata/resourceVersion");
    version.cloned().context("it has no version")
}

/// How many patches of statuses the API server has answered.
fn lookups(nodes: &Nodes) -> Result<String> {
    let metrics = nodes.plane.kubectl("get --raw /metrics")?;
    let patches = metrics.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && line.contains("ciliumbgpnodeconfigs")
            && line.contains("\"PATCH\"")
    });
    Ok(patches.collect::<Vec<_>>().join("\n"))
}
