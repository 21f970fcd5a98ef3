//! Manifests that users have, as they are.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use integration::daemons::{Agent, Bird};
use integration::lab::{self, Lab};
use integration::{Patience, until};

/// Where users' manifests are, beside the project.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/examples");

/// What a cluster has beside them: the node, and an endpoint of the service.
const BESIDE: &str = r#"
apiVersion: v1
kind: Node
metadata:
  name: kind-control-plane
  labels: {kubernetes.io/hostname: kind-control-plane}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: deathstar-1
  namespace: batuu
  labels: {kubernetes.io/service-name: deathstar}
addressType: IPv6
ports: [{port: 80, protocol: TCP}]
endpoints:
  - addresses: ["fd00:10:0:1::1"]
"#;

/// A router with three routes of each family, and one IPv6 session for both.
const ROUTER: &str = r#"
router id 10.0.0.1;
protocol device {}
protocol static { ipv4; route 10.1.0.0/24 blackhole; route 10.1.1.0/24 blackhole; route 10.1.2.0/24 blackhole; }
protocol static { ipv6; route 2001:db8:1::/64 blackhole; route 2001:db8:2::/64 blackhole; route 2001:db8:3::/64 blackhole; }
protocol bgp node {
  local fd00:10:0:1::1 as 65000;
  neighbor fd00:10:0:1::2 as 65001;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import all; export where source = RTS_STATIC; extended next hop on; };
  ipv6 { import all; export where source = RTS_STATIC; };
}
"#;

/// A user's pool, service and BGP objects run unchanged: the service has the addresses, and the
/// session the columns, that the user is used to.
#[test]
fn the_manifests_that_users_have_work_as_they_are() {
    if !Path::new(EXAMPLES).exists() {
        println!("SKIPPED: there are no users' manifests beside the project");
        return;
    }
    lab::run_programs(|lab| {
        let (agent, _router) = start(lab)?;

        let addresses = until("the service has its addresses", Patience::START, || {
            agent
                .json("lb-ipam export")?
                .pointer("/0/addresses")
                .cloned()
                .context("no addresses")
        })?;
        let expected = serde_json::json!(["172.18.255.200", "2001:db8:dead:beef::"]);
        ensure!(addresses == expected, "the addresses are {addresses}");

        let rows = until("routes go both ways", Patience::START, || {
            let text = agent.sluice("bgp peers")?;
            let rows: Vec<Vec<String>> = text
                .lines()
                .map(|line| line.split_whitespace().map(str::to_owned).collect())
                .collect();
            let counted = |row: &Vec<String>| row.ends_with(&["3".to_owned(), "1".to_owned()]);
            ensure!(
                rows.len() == 3 && rows.iter().skip(1).all(counted),
                "{text}"
            );
            Ok(rows)
        })?;
        let first = rows.get(1).context("no session")?.join(" ");
        ensure!(
            first.starts_with("kind-control-plane 65001 65000 fd00:10:0:1::1 established"),
            "{first}"
        );
        let pools = agent.sluice("lb-ipam pools")?;
        let pool = pools.lines().nth(1).context("no pool")?.split_whitespace();
        let pool: Vec<&str> = pool.collect();
        ensure!(
            pool.starts_with(&["empire-ip-pool", "false", "False", "18446744073709551622"]),
            "{pools}"
        );
        Ok(())
    });
}

fn start(lab: &Lab) -> Result<(Agent, Bird)> {
    let node = lab.host("kind-control-plane")?;
    let router = lab.host("router")?;
    lab.cable((&node, "eth0"), (&router, "node"))?;
    for (host, interface, number) in [(&router, "node", 1), (&node, "eth0", 2)] {
        host.ip(&format!(
            "addr add fd00:10:0:1::{number}/64 dev {interface} nodad"
        ))?;
        host.ip(&format!("addr add 10.0.0.{number}/24 dev {interface}"))?;
    }
    let manifests = lab.folder("manifests")?;
    for name in ["bgp.yaml", "lb-pool.yaml"] {
        fs::copy(Path::new(EXAMPLES).join(name), manifests.join(name))?;
    }
    fs::write(manifests.join("beside.yaml"), BESIDE)?;
    let config = format!(
        "role = \"balancer\"\nmanifests = {manifests:?}\n[balancer]\ninterfaces = [\"eth0\"]\n\
         outer-source-ipv4 = \"10.254.0.0/16\"\nouter-source-ipv6 = \"fd00:254::/64\"\n\
         [bgp]\nrouter-id = \"10.0.0.2\"\n"
    );
    let mut agent = Agent::configure(&node, &config)?;
    let bird = Bird::start(&router, ROUTER)?;
    agent.start()?;
    Ok((agent, bird))
}
