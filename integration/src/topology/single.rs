//! One edge node, its router and two backends: the smallest network that has everything.
//!
//! ```text
//! client -- tor ----- edge
//!            \         /
//!             -- rack ---- backend1, backend2
//! ```
//!
//! Nothing runs on the hosts until a test starts it: BIRD with [`Single::router`], or a peer of the
//! test's own at [`OTHER_V4`], beside it.

use std::cell::RefCell;

use anyhow::{Context as _, Result};

use super::manifests::Manifests;
use crate::Passing;
use crate::daemons::{Agent, Bird};
use crate::lab::{Cable, Host, Lab};
use crate::traffic::Server;

/// The router's IPv6 address on the wire to the edge node.
pub const ROUTER_V6: &str = "fd00:2:11::1";

/// An IPv4 address of the router's host where BIRD does not listen.
pub const OTHER_V4: &str = "10.2.11.3";

/// The edge node's addresses on the wire to the router.
pub const EDGE: [&str; 2] = ["10.2.11.2", "fd00:2:11::2"];

/// Where encapsulated packets seem to come from: what backends trust.
pub const OUTER: [&str; 2] = ["10.254.0.0/16", "fd00:254::/64"];

/// The addresses of the backends in the rack, by family.
pub const BACKENDS_V4: [&str; 2] = ["10.3.0.21", "10.3.0.22"];

/// See [`BACKENDS_V4`].
pub const BACKENDS_V6: [&str; 2] = ["fd00:3::21", "fd00:3::22"];

/// Room for the outer headers on the way to the backends.
pub const RACK_MTU: u32 = 1600;

/// The network, and the manifests of its edge node.
pub struct Single {
    /// Where requests come from.
    pub client: Host,
    /// The router.
    pub tor: Host,
    /// The edge node.
    pub edge: Host,
    /// The backends.
    pub backends: [Host; 2],
    /// What the edge node's agent reads.
    pub manifests: Manifests,
    wire: RefCell<Option<Wire>>,
}

/// A backend with its server and the agent that takes packets from balancers.
pub struct RunningBackend {
    /// The agent in the role `backend`.
    pub agent: Agent,
    /// The HTTP server at port 80.
    pub server: Server,
}

/// What joins the router and the edge node.
struct Wire {
    cable: Cable,
    /// A veth takes frames from XDP_TX at once only where the other end runs a program: where that
    /// has receive offload alone, they wait for the next frame of another kind.
    _far_end: Passing,
}

impl Single {
    /// Builds the network with a rack that carries payloads of up to `rack_mtu` bytes.
    ///
    /// # Errors
    /// If anything cannot be made.
    pub fn build(lab: &Lab, rack_mtu: u32) -> Result<Self> {
        let [client, tor, edge, first, second] =
            ["client", "tor", "edge", "backend1", "backend2"].map(|name| lab.host(name));
        let network = Self {
            client: client?,
            tor: tor?,
            edge: edge?,
            backends: [first?, second?],
            manifests: Manifests::at(lab.folder("manifests")?),
            wire: RefCell::default(),
        };
        for host in network.hosts() {
            host.sysctl("net.ipv4.conf.all.rp_filter", "0")?;
            host.sysctl("net.ipv4.conf.default.rp_filter", "0")?;
            host.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
        }
        network.tor.sysctl("net.ipv4.ip_forward", "1")?;
        network.tor.sysctl("net.ipv6.conf.all.forwarding", "1")?;
        network.connect_client(lab)?;
        network.plug_wire(lab)?;
        network.fill_rack(lab, rack_mtu)?;
        Ok(network)
    }

    /// Joins the router and the edge node; the interfaces are new each time.
    ///
    /// # Errors
    /// If they are joined already.
    pub fn plug_wire(&self, lab: &Lab) -> Result<()> {
        let cable = lab.cable((&self.tor, "edge"), (&self.edge, "tor"))?;
        for (host, interface, number) in [(&self.tor, "edge", 1), (&self.edge, "tor", 2)] {
            host.ip(&format!("addr add 10.2.11.{number}/24 dev {interface}"))?;
            host.ip(&format!(
                "addr add fd00:2:11::{number}/64 dev {interface} nodad"
            ))?;
        }
        self.tor.ip(&format!("addr add {OTHER_V4}/24 dev edge"))?;
        self.edge.ip("route add default via 10.2.11.1")?;
        self.edge
            .ip(&format!("-6 route add default via {ROUTER_V6}"))?;
        let far_end = Passing::attach(&self.tor, "edge")?;
        self.wire.replace(Some(Wire {
            cable,
            _far_end: far_end,
        }));
        Ok(())
    }

    /// Takes the wire between the router and the edge node out: its interfaces vanish.
    ///
    /// # Errors
    /// If it is out already.
    pub fn pull_wire(&self) -> Result<()> {
        let wire = self.wire.take().context("there is no wire")?;
        wire.cable.pull()
    }

    /// Starts BIRD on the router, with one IPv6 session for both families and what `more` adds.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn router(&self, more: &str) -> Result<Bird> {
        let [_, edge] = EDGE;
        let config = format!(
            "log stderr all;
router id 10.255.0.1;
protocol device {{ scan time 1; }}
protocol direct {{ ipv4; ipv6; }}
protocol kernel {{ ipv4 {{ import none; export where source = RTS_BGP; }}; }}
protocol kernel {{ ipv6 {{ import none; export where source = RTS_BGP; }}; }}
template bgp tor {{
  hold time 9; keepalive time 3; connect delay time 1; connect retry time 1;
  error wait time 1, 2; strict bind on;
  ipv4 {{ import all; export none; extended next hop on; }};
  ipv6 {{ import all; export none; }};
}}
protocol bgp edge from tor {{ local {ROUTER_V6} as 65001; neighbor {edge} as 65010; }}
{more}"
        );
        Bird::start(&self.tor, &config)
    }

    /// The edge node's agent, configured and not started; `more` are keys of the top level.
    ///
    /// # Errors
    /// If the configuration cannot be written.
    pub fn agent(&self, more: &str) -> Result<Agent> {
        let manifests = self.manifests.folder();
        self.balancer(&format!("manifests = {manifests:?}\n{more}"))
    }

    /// The same, whose objects come from where its flags say.
    ///
    /// # Errors
    /// If the configuration cannot be written.
    pub fn agent_of_cluster(&self) -> Result<Agent> {
        self.balancer("")
    }

    fn balancer(&self, more: &str) -> Result<Agent> {
        let [v4, v6] = OUTER;
        let config = format!(
            "role = \"balancer\"\n{more}\n\
             [balancer]\ninterfaces = [\"tor\"]\nouter-source-ipv4 = \"{v4}\"\n\
             outer-source-ipv6 = \"{v6}\"\ntables = {{ slots = 65536, services = 1024, \
             backends = 4096, flows = 4096 }}\n[bgp]\nrouter-id = \"10.255.1.1\"\n"
        );
        Agent::configure(&self.edge, &config)
    }

    /// Starts a server and an agent for these virtual addresses on each backend.
    ///
    /// # Errors
    /// If one cannot be started.
    pub fn serve(&self, vips: &[std::net::IpAddr]) -> Result<Vec<RunningBackend>> {
        self.backends
            .iter()
            .map(|host| {
                let config = format!(
                    "role = \"backend\"\n[backend]\ninterfaces = [\"rack\"]\n\
                     balancers = {OUTER:?}\nvips = {:?}\n",
                    vips.iter().map(ToString::to_string).collect::<Vec<_>>(),
                );
                let mut agent = Agent::configure(host, &config)?;
                agent.start()?;
                let server = Server::start(host, 80)?;
                Ok(RunningBackend { agent, server })
            })
            .collect()
    }

    fn hosts(&self) -> impl Iterator<Item = &Host> {
        [&self.client, &self.tor, &self.edge]
            .into_iter()
            .chain(&self.backends)
    }

    fn connect_client(&self, lab: &Lab) -> Result<()> {
        let Self { client, tor, .. } = self;
        lab.cable((client, "tor"), (tor, "client"))?;
        for (host, interface, number) in [(tor, "client", 1), (client, "tor", 2)] {
            host.ip(&format!("addr add 10.1.1.{number}/24 dev {interface}"))?;
            host.ip(&format!(
                "addr add fd00:1:1::{number}/64 dev {interface} nodad"
            ))?;
        }
        client.ip("route add default via 10.1.1.1")?;
        client.ip("-6 route add default via fd00:1:1::1")?;
        Ok(())
    }

    fn fill_rack(&self, lab: &Lab, mtu: u32) -> Result<()> {
        let rack = lab.switch("rack", mtu)?;
        let [first, second] = &self.backends;
        for (host, number) in [(&self.tor, 1), (&self.edge, 11), (first, 21), (second, 22)] {
            rack.plug(host, "rack")?;
            host.ip(&format!("addr add 10.3.0.{number}/24 dev rack"))?;
            host.ip(&format!("addr add fd00:3::{number}/64 dev rack nodad"))?;
        }
        for backend in &self.backends {
            backend.ip("route add default via 10.3.0.1")?;
            backend.ip("-6 route add default via fd00:3::1")?;
        }
        Ok(())
    }
}
