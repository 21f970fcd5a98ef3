//! Step 1: the network, the servers and the agents; a service gets its addresses.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Backend, Demo, PATIENCE, Say};
use crate::daemons::Agent;
use crate::lab::{Host, Lab};
use crate::topology::Edge;
use crate::traffic::Server;
use crate::until;

/// Where encapsulated packets seem to come from: what backends trust.
const OUTER: [&str; 2] = ["10.254.0.0/16", "fd00:254::/64"];

pub(super) fn bring_up(lab: &Lab, say: &Say) -> Result<Demo> {
    say.step(
        1,
        "a service without an address gets one of each family from its pool",
    );
    let network = Edge::build(lab)?;
    let manifests = lab.folder("manifests")?;
    copy_manifests(&manifests)?;
    let servers = network
        .backends
        .iter()
        .map(|host| Server::start(host, 80))
        .collect::<Result<Vec<_>>>()?;
    let edges = network
        .edges
        .iter()
        .map(|host| start_edge(host, &manifests))
        .collect::<Result<Vec<_>>>()?;
    let vips = vips(&edges)?;
    say.checked("both agents are up, and agree on the addresses");
    let backends = network
        .backends
        .iter()
        .zip(servers)
        .map(|(host, server)| start_backend(host, server, &vips))
        .collect::<Result<Vec<_>>>()?;
    let demo = Demo {
        network,
        edges,
        backends,
        vips,
    };
    ready(&demo)?;
    say.checked("every backend is up and takes packets for them");
    let first = demo.edges.first().context("no edge")?;
    say.shown("sluice service list", &first.sluice("service list")?);
    Ok(demo)
}

/// Waits until both agents say that everything is in place and every backend is healthy.
fn ready(demo: &Demo) -> Result<()> {
    until("everything is in place", PATIENCE, || {
        for edge in &demo.edges {
            let services = edge.json("service list")?;
            let backends = services.pointer("/0/backends").and_then(Value::as_array);
            let backends = backends.context("no backends")?;
            let up = backends
                .iter()
                .filter(|backend| backend.get("health").is_some_and(|health| health == "up"))
                .count();
            ensure!(
                up == backends.len() && up > 0,
                "{up} of {} are up",
                backends.len()
            );
            edge.sluice("status")?;
        }
        for backend in &demo.backends {
            backend.agent.sluice("status")?;
        }
        Ok(())
    })
}

fn copy_manifests(to: &Path) -> Result<()> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/standalone");
    let entries = fs::read_dir(&from).with_context(|| format!("reading {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn start_edge(host: &Host, manifests: &Path) -> Result<Agent> {
    let [v4, v6] = OUTER;
    let config = format!(
        "role = \"balancer\"\nmanifests = {manifests:?}\nmetrics = \"127.0.0.1:9963\"\n\
         [balancer]\ninterfaces = [\"tor1\", \"tor2\"]\nouter-source-ipv4 = \"{v4}\"\n\
         outer-source-ipv6 = \"{v6}\"\n[bgp]\nrouter-id = \"10.255.1.{}\"\n",
        host.name().trim_start_matches("edge"),
    );
    let mut agent = Agent::configure(host, &config)?;
    agent.start()?;
    Ok(agent)
}

/// The addresses that every edge node gave the service, the same on each.
fn vips(edges: &[Agent]) -> Result<[IpAddr; 2]> {
    until("both agents give the same addresses", PATIENCE, || {
        let given = edges.iter().map(addresses).collect::<Result<Vec<_>>>()?;
        let [first, rest @ ..] = given.as_slice() else {
            unreachable!("there are edges")
        };
        ensure!(
            rest.iter().all(|other| other == first),
            "the agents disagree: {given:?}"
        );
        let [v4, v6] = first.as_slice() else {
            anyhow::bail!("the service has the addresses {first:?}, not one of each family");
        };
        ensure!(
            v4.is_ipv4() && v6.is_ipv6(),
            "not one of each family: {first:?}"
        );
        Ok([*v4, *v6])
    })
}

fn addresses(edge: &Agent) -> Result<Vec<IpAddr>> {
    let allocations = edge.json("lb-ipam export")?;
    let addresses = allocations
        .pointer("/0/addresses")
        .with_context(|| format!("{} has given no address yet", edge.host().name()))?;
    Ok(serde_json::from_value(addresses.clone())?)
}

fn start_backend(host: &Host, server: Server, vips: &[IpAddr; 2]) -> Result<Backend> {
    let config = format!(
        "role = \"backend\"\n[backend]\ninterfaces = [\"rack\"]\nbalancers = {OUTER:?}\n\
         vips = [\"{}\", \"{}\"]\n",
        vips[0], vips[1],
    );
    let mut agent = Agent::configure(host, &config)?;
    agent.start()?;
    Ok(Backend {
        host: host.clone(),
        agent,
        server: Some(server),
    })
}
