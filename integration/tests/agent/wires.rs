//! Two hosts behind a router, each by a wire of its own.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::daemons::Bird;
use integration::lab::{Host, Lab};
use integration::{Patience, until};

/// Long enough for a few retries on a busy machine.
pub(crate) const PATIENCE: Patience = Patience(Duration::from_secs(30));

/// The nodes' names.
pub(crate) const NAMES: [&str; 2] = ["n1", "n2"];

/// The hosts and the router.
pub(crate) struct Wires {
    pub(crate) tor: Host,
    pub(crate) hosts: [Host; 2],
    router: Bird,
}

impl Wires {
    /// Builds the network and starts the router.
    pub(crate) fn build(lab: &Lab) -> Result<Self> {
        let tor = lab.host("tor")?;
        let hosts = [lab.host(NAMES[0])?, lab.host(NAMES[1])?];
        for host in hosts.iter().chain([&tor]) {
            host.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
        }
        for (number, host) in (1..).zip(&hosts) {
            connect(lab, &tor, host, number)?;
        }
        let router = Bird::start(&tor, &bird())?;
        Ok(Self { tor, hosts, router })
    }

    /// Waits until the router forwards to this address by way of exactly these nodes.
    pub(crate) fn next_hops(&self, vip: &str, nodes: &[&str]) -> Result<()> {
        until(&format!("{vip} is behind {nodes:?}"), PATIENCE, || {
            let found = self.hops_of(vip)?;
            ensure!(found == nodes, "{found:?}");
            Ok(())
        })
    }

    /// The nodes that the router has routes to this address from, in order.
    pub(crate) fn hops_of(&self, vip: &str) -> Result<Vec<String>> {
        let length = if vip.contains(':') { 128 } else { 32 };
        let shown = self
            .router
            .show(&format!("show route where net = {vip}/{length}"))?;
        let mut found: Vec<String> = NAMES
            .into_iter()
            .filter(|name| shown.contains(&format!("[{name} ")))
            .map(str::to_owned)
            .collect();
        found.sort();
        Ok(found)
    }

    /// The router never lost a route of this node's, nor its session, not even for a moment.
    pub(crate) fn never_withdrawn(&self, node: &str) -> Result<()> {
        let shown = self.router.show(&format!("show protocols all {node}"))?;
        let mut withdraws = shown
            .lines()
            .filter(|line| line.trim_start().starts_with("Import withdraws:"));
        ensure!(
            shown.contains("Import withdraws:")
                && withdraws.all(|line| line.split_whitespace().nth(2) == Some("0")),
            "routes were withdrawn:\n{shown}"
        );
        Ok(())
    }
}

/// Joins a host to the router, by 10.2.NUMBER.0/24 and fd00:2:NUMBER::/64.
fn connect(lab: &Lab, tor: &Host, host: &Host, number: u8) -> Result<()> {
    let name = host.name();
    lab.cable((tor, name), (host, "tor"))?;
    for (end, interface, last) in [(tor, name, 1), (host, "tor", 2)] {
        end.ip(&format!("addr add 10.2.{number}.{last}/24 dev {interface}"))?;
        end.ip(&format!(
            "addr add fd00:2:{number}::{last}/64 dev {interface} nodad"
        ))?;
    }
    host.ip(&format!("route add default via 10.2.{number}.1"))?;
    Ok(())
}

fn bird() -> String {
    let mut text = "log stderr all;
router id 10.255.0.1;
protocol device { scan time 1; }
protocol direct { ipv4; ipv6; }
protocol kernel { merge paths on; ipv4 { import none; export where source = RTS_BGP; }; }
protocol kernel { merge paths on; ipv6 { import none; export where source = RTS_BGP; }; }
template bgp node {
  hold time 9; keepalive time 3; connect delay time 1; connect retry time 1;
  error wait time 1, 2; strict bind on;
  ipv4 { import all; export none; extended next hop on; };
  ipv6 { import all; export none; };
}
"
    .to_owned();
    for (number, name) in (1..).zip(NAMES) {
        text.push_str(&format!(
            "protocol bgp {name} from node {{ local fd00:2:{number}::1 as 65001; \
             neighbor fd00:2:{number}::2 as 65010; }}\n\
             protocol bgp {name}v4 from node {{ local 10.2.{number}.1 as 65001; \
             neighbor 10.2.{number}.2 as 65010; passive on; }}\n"
        ));
    }
    text
}
