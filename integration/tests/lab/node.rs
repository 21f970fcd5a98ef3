//! A running edge node, and what tests wait for on it.

use std::net::IpAddr;
use std::time::Duration;

use agent_api::{Peer, Service, SessionState};
use anyhow::{Context as _, Result, ensure};
use integration::daemons::{Agent, Bird};
use integration::lab::Lab;
use integration::topology::Single;
use integration::topology::manifests::{PeerOf, endpoints, instance, peer_config, pool, service};
use integration::topology::single::{RACK_MTU, ROUTER_V6};
use integration::{Patience, until};

/// What the pool gives to the first service.
pub(crate) const VIPS: [&str; 2] = ["192.0.2.0", "2001:db8:0:1::"];

/// The key of the agent's configuration that makes it serve metrics.
pub(crate) const METRICS: &str = "metrics = \"127.0.0.1:9963\"";

/// The session with the router.
pub(crate) const ROUTER: PeerOf<'_> = PeerOf {
    name: "tor",
    asn: 65001,
    address: ROUTER_V6,
    config: "tor",
};

/// Long enough for a few retries on a busy machine.
pub(crate) const PATIENCE: Patience = Patience(Duration::from_secs(15));

/// An edge node with its network, its router and its agent.
pub(crate) struct Node {
    pub(crate) network: Single,
    pub(crate) router: Bird,
    pub(crate) agent: Agent,
}

/// Manifests of an edge node without services: its instance and a pool of both families.
pub(crate) fn base() -> String {
    let cidrs = ["192.0.2.0/28", "2001:db8:0:1::/64"];
    instance(&[ROUTER]) + &peer_config("tor", "") + &pool("public", &cidrs)
}

/// The service `shop/web` with one backend of each family, always ready.
pub(crate) fn web() -> String {
    service("web", "")
        + &endpoints(
            "web",
            &[("10.3.0.21", "ready: true"), ("fd00:3::21", "ready: true")],
        )
}

impl Node {
    /// Builds the network and starts router and agent with these files of manifests.
    pub(crate) fn start(lab: &Lab, files: &[(&str, String)]) -> Result<Self> {
        Self::start_with(lab, RACK_MTU, "", files)
    }

    /// As [`Node::start`], with another MTU of the rack and keys of the agent's configuration.
    pub(crate) fn start_with(
        lab: &Lab,
        mtu: u32,
        config: &str,
        files: &[(&str, String)],
    ) -> Result<Self> {
        let network = Single::build(lab, mtu)?;
        for (name, text) in files {
            network.manifests.put(name, text)?;
        }
        let router = network.router("")?;
        let mut agent = network.agent(config)?;
        agent.start()?;
        Ok(Self {
            network,
            router,
            agent,
        })
    }

    /// A node with the service `shop/web`, announced in both families.
    pub(crate) fn with_web(lab: &Lab) -> Result<Self> {
        let node = Self::start(lab, &[("10-base.yaml", base()), ("web.yaml", web())])?;
        node.announced(&VIPS)?;
        Ok(node)
    }

    /// Waits until the router has routes to these addresses.
    pub(crate) fn announced(&self, vips: &[&str]) -> Result<()> {
        until("the router has the routes", PATIENCE, || {
            for vip in vips {
                ensure!(self.has_route(vip)?, "no route to {vip}");
            }
            Ok(())
        })
    }

    /// Waits until the router has no route to any of these addresses.
    pub(crate) fn withdrawn(&self, vips: &[&str]) -> Result<()> {
        until("the routes are withdrawn", PATIENCE, || {
            for vip in vips {
                ensure!(!self.has_route(vip)?, "a route to {vip}");
            }
            Ok(())
        })
    }

    /// Whether the router's kernel would forward to this address.
    pub(crate) fn has_route(&self, vip: &str) -> Result<bool> {
        let family = if vip.contains(':') { "-6" } else { "-4" };
        let routes = self.network.tor.ip(&format!("{family} route show {vip}"))?;
        Ok(!routes.trim().is_empty())
    }

    /// The router never lost a route of this node's, not even for a moment.
    pub(crate) fn never_withdrawn(&self) -> Result<()> {
        let shown = self.router.show("show protocols all edge")?;
        let mut withdraws = shown
            .lines()
            .filter(|line| line.trim_start().starts_with("Import withdraws:"));
        let all_zero = withdraws.all(|line| line.split_whitespace().nth(2) == Some("0"));
        ensure!(
            shown.contains("Import withdraws:") && all_zero,
            "routes were withdrawn:\n{shown}"
        );
        ensure!(shown.contains("Established"), "the session ended:\n{shown}");
        Ok(())
    }

    /// The client can ping these addresses: the program answers.
    pub(crate) fn answers(&self, vips: &[&str]) -> Result<()> {
        for vip in vips {
            until(&format!("{vip} answers"), PATIENCE, || {
                self.network.client.run("ping", &["-c1", "-W1", vip])
            })?;
        }
        Ok(())
    }

    /// `shop/NAME` as `sluice service list` has it.
    pub(crate) fn service(&self, name: &str) -> Result<Service> {
        let services = self.agent.services()?;
        let mut services = services.into_iter();
        services
            .find(|service| service.name == name)
            .with_context(|| format!("{name} is not listed"))
    }

    /// The addresses of `shop/NAME`, in order, once it has `count` of them.
    pub(crate) fn addresses(&self, name: &str, count: usize) -> Result<Vec<IpAddr>> {
        until(&format!("{name} has {count} addresses"), PATIENCE, || {
            let mut found: Vec<IpAddr> = self
                .service(name)?
                .vips
                .iter()
                .map(|vip| vip.addr)
                .collect();
            found.dedup();
            ensure!(found.len() == count, "{found:?}");
            Ok(found)
        })
    }

    /// Waits until a note of `shop/NAME` contains these words.
    pub(crate) fn noted(&self, name: &str, words: &str) -> Result<()> {
        until(&format!("{name} is noted to be: {words}"), PATIENCE, || {
            let service = self.service(name)?;
            let is_noted = service.notes.iter().any(|note| note.contains(words));
            ensure!(is_noted, "{service:?}");
            Ok(())
        })
    }

    /// Waits until a problem in `sluice status` contains these words.
    pub(crate) fn problem(&self, words: &str) -> Result<()> {
        until(&format!("a problem is: {words}"), PATIENCE, || {
            let status = self.agent.status()?;
            let is_said = status.problems.iter().any(|said| said.contains(words));
            ensure!(is_said, "{:?}", status.problems);
            Ok(())
        })
    }

    /// Waits until the agent says that everything is in place.
    pub(crate) fn ready(&self) -> Result<()> {
        until("everything is in place", PATIENCE, || {
            let status = self.agent.status()?;
            ensure!(status.ready, "{:?}", status.problems);
            Ok(())
        })
    }

    /// Waits until a session is as `is_so` says.
    pub(crate) fn session(&self, name: &str, is_so: impl Fn(&Peer) -> bool) -> Result<()> {
        until(&format!("the session {name} is so"), PATIENCE, || {
            let peers = self.agent.peers()?;
            let peer = peers.iter().find(|peer| peer.name == name);
            let peer = peer.with_context(|| format!("{name} is not listed"))?;
            ensure!(is_so(peer), "{peer:?}");
            Ok(())
        })
    }

    /// Waits until a session is established.
    pub(crate) fn established(&self, name: &str) -> Result<()> {
        self.session(name, |peer| peer.state == SessionState::Established)
    }
}

/// What a scrape of a node with [`METRICS`] gets.
pub(crate) fn metrics(node: &Node) -> Result<String> {
    let url = "http://127.0.0.1:9963/metrics";
    node.network
        .edge
        .run("curl", &["--silent", "--fail", "--max-time", "5", url])
}
