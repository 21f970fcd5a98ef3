//! Two edge nodes between two top-of-rack routers and three backends.
//!
//! ```text
//! client -- tor1 (BIRD) --+-- edge1 --+
//!        \- tor2 (FRR)  --+-- edge2 --+-- rack -- backend1..3
//!             \___________________________/
//! ```
//!
//! A wire joins each router and each edge node: it can be cut so that both ends see it, or
//! silently. Backends answer clients directly, through the rack and either router.

use anyhow::{Context as _, Result};

use crate::daemons::{Bird, Frr};
use crate::lab::{Host, Lab, Switch};

use super::routers::{bird_config, frr_config};

/// The edge nodes' names.
pub const EDGES: [&str; 2] = ["edge1", "edge2"];

/// The backends' names.
pub const BACKENDS: [&str; 3] = ["backend1", "backend2", "backend3"];

/// The client's own IPv4 address, the same whichever router it uses.
pub const CLIENT_V4: &str = "198.51.100.10";

/// The client's own IPv6 address.
pub const CLIENT_V6: &str = "2001:db8:c::10";

/// Room for the outer headers on the way to the backends.
const RACK_MTU: u32 = 1600;

/// The network, with its routers running.
pub struct Edge {
    /// Where requests come from.
    pub client: Host,
    /// The first router.
    pub tor1: Bird,
    /// The second router.
    pub tor2: Frr,
    /// The edge nodes.
    pub edges: Vec<Host>,
    /// The backends.
    pub backends: Vec<Host>,
    wires: Vec<Wire>,
}

/// What joins one router and one edge node.
pub struct Wire {
    switch: Switch,
    ends: [(Host, String); 2],
}

impl Edge {
    /// Builds the network and starts its routers.
    ///
    /// # Errors
    /// If anything cannot be made.
    pub fn build(lab: &Lab) -> Result<Self> {
        let rack = lab.switch("rack", RACK_MTU)?;
        let client = lab.host("client")?;
        let tors = [lab.host("tor1")?, lab.host("tor2")?];
        let edges = EDGES
            .iter()
            .map(|name| lab.host(name))
            .collect::<Result<Vec<_>>>()?;
        let backends = BACKENDS
            .iter()
            .map(|name| lab.host(name))
            .collect::<Result<Vec<_>>>()?;
        for host in tors.iter().chain(&edges).chain(&backends).chain([&client]) {
            host_defaults(host)?;
        }
        let mut wires = Vec::new();
        for (t, tor) in (1..).zip(&tors) {
            connect_client(lab, &client, tor, t)?;
            plug_in_rack(&rack, tor, t)?;
            for host in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
                tor.sysctl(host, "1")?;
            }
            for (e, edge) in (1..).zip(&edges) {
                wires.push(Wire::lay(lab, (tor, t), (edge, e))?);
            }
        }
        for (number, host) in (11..).zip(&edges).chain((21..).zip(&backends)) {
            plug_in_rack(&rack, host, number)?;
        }
        for backend in &backends {
            backend.ip("route add default nexthop via 10.3.0.1 nexthop via 10.3.0.2")?;
            backend.ip("-6 route add default nexthop via fd00:3::1 nexthop via fd00:3::2")?;
        }
        client_routes(&client)?;
        let [tor1, tor2] = &tors;
        Ok(Self {
            client,
            tor1: Bird::start(tor1, &bird_config())?,
            tor2: Frr::start(tor2, &frr_config())?,
            edges,
            backends,
            wires,
        })
    }

    /// An edge node by its number, from zero.
    ///
    /// # Errors
    /// If there is none.
    pub fn edge(&self, number: usize) -> Result<&Host> {
        self.edges
            .get(number)
            .with_context(|| format!("there is no edge {number}"))
    }

    /// The wires of one edge node.
    pub fn wires_of<'a>(&'a self, edge: &'a Host) -> impl Iterator<Item = &'a Wire> {
        self.wires
            .iter()
            .filter(|wire| wire.ends.iter().any(|(host, _)| host.name() == edge.name()))
    }
}

impl Wire {
    fn lay(lab: &Lab, (tor, t): (&Host, u8), (edge, e): (&Host, u8)) -> Result<Self> {
        let switch = lab.switch(&format!("wire{t}{e}"), 1500)?;
        let ends = [
            (tor.clone(), edge.name().to_owned()),
            (edge.clone(), tor.name().to_owned()),
        ];
        for (number, (host, interface)) in (1..).zip(&ends) {
            switch.plug(host, interface)?;
            host.ip(&format!("addr add 10.2.{t}{e}.{number}/24 dev {interface}"))?;
            host.ip(&format!(
                "addr add fd00:2:{t}{e}::{number}/64 dev {interface} nodad"
            ))?;
        }
        Ok(Self { switch, ends })
    }

    /// Takes the carrier from both ends, or gives it back.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn set_carrier(&self, up: bool) -> Result<()> {
        self.ends
            .iter()
            .try_for_each(|(host, end)| self.switch.set_carrier(host, end, up))
    }

    /// Carries nothing any more, or again, while both ends keep their carrier.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn set_silent(&self, silent: bool) -> Result<()> {
        self.ends.iter().try_for_each(|(host, end)| {
            if silent {
                self.switch.disconnect(host, end)
            } else {
                self.switch.connect(host, end)
            }
        })
    }
}

/// Flows spread by ports, and answers may take another way than requests.
fn host_defaults(host: &Host) -> Result<()> {
    for (name, value) in [
        ("net.ipv4.fib_multipath_hash_policy", "1"),
        ("net.ipv6.fib_multipath_hash_policy", "1"),
        ("net.ipv4.conf.all.rp_filter", "0"),
        ("net.ipv4.conf.default.rp_filter", "0"),
        ("net.ipv6.conf.default.accept_dad", "0"),
    ] {
        host.sysctl(name, value)?;
    }
    Ok(())
}

fn connect_client(lab: &Lab, client: &Host, tor: &Host, t: u8) -> Result<()> {
    lab.cable((client, tor.name()), (tor, "client"))?;
    client.ip(&format!("addr add 10.1.{t}.2/24 dev {}", tor.name()))?;
    client.ip(&format!(
        "addr add fd00:1:{t}::2/64 dev {} nodad",
        tor.name()
    ))?;
    tor.ip(&format!("addr add 10.1.{t}.1/24 dev client"))?;
    tor.ip(&format!("addr add fd00:1:{t}::1/64 dev client nodad"))?;
    tor.ip(&format!("route add {CLIENT_V4} via 10.1.{t}.2"))?;
    tor.ip(&format!("-6 route add {CLIENT_V6} via fd00:1:{t}::2"))?;
    Ok(())
}

fn client_routes(client: &Host) -> Result<()> {
    client.ip(&format!("addr add {CLIENT_V4}/32 dev lo"))?;
    client.ip(&format!("addr add {CLIENT_V6}/128 dev lo"))?;
    client.ip(&format!(
        "route add default src {CLIENT_V4} nexthop via 10.1.1.1 nexthop via 10.1.2.1"
    ))?;
    client.ip(&format!(
        "-6 route add default src {CLIENT_V6} nexthop via fd00:1:1::1 nexthop via fd00:1:2::1"
    ))?;
    Ok(())
}

fn plug_in_rack(rack: &Switch, host: &Host, number: u8) -> Result<()> {
    rack.plug(host, "rack")?;
    host.ip(&format!("addr add 10.3.0.{number}/24 dev rack"))?;
    host.ip(&format!("addr add fd00:3::{number}/64 dev rack nodad"))?;
    Ok(())
}
