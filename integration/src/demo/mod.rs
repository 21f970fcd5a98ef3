//! The edge node on real traffic, one line a step; each step is checked.

mod changes;
mod failures;
mod kubernetes;
mod routes;
mod say;
mod start;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::daemons::Agent;
use crate::lab::{Host, Lab, built_program};
use crate::topology::Edge;
use crate::traffic::{Server, Transfer};
use crate::{Patience, until};

pub use kubernetes::KubernetesDemo;
pub use say::Say;

/// Long enough for anything that takes a hold time, a few retries and a busy machine.
const PATIENCE: Patience = Patience(Duration::from_secs(20));

/// Bytes are sent in blocks of 4 KiB with this pause: about 80 kB/s a transfer.
const PAUSE: Duration = Duration::from_millis(50);

/// The running lab: network, agents and servers.
pub struct Demo {
    network: Edge,
    edges: Vec<Agent>,
    backends: Vec<Backend>,
    vips: [IpAddr; 2],
}

/// A backend: its server, if it runs, and the agent that takes packets from the balancers.
struct Backend {
    host: Host,
    agent: Agent,
    server: Option<Server>,
}

impl Demo {
    /// The first step: network, servers and agents are up, and the service has its addresses.
    ///
    /// # Errors
    /// The first check that was not so.
    pub fn start(lab: &Lab, say: &Say) -> Result<Self> {
        start::bring_up(lab, say)
    }

    /// Every other step.
    ///
    /// # Errors
    /// The first check that was not so.
    pub fn run(&mut self, say: &Say) -> Result<()> {
        routes::sessions_and_routes(self, say)?;
        routes::requests(self, say)?;
        changes::backends_change(self, say)?;
        failures::agent_restarts(self, say)?;
        failures::edge_is_cut_off(self, say)?;
        routes::look(self, say)
    }

    /// The commands to play with a lab that was left up.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let sluice = built_program("sluice").unwrap_or_else(|_| "sluice".into());
        let sluice = sluice.display();
        let socket = |host: &Host| host.folder().join("agent.sock").display().to_string();
        let mut commands: Vec<String> = self
            .edges
            .iter()
            .flat_map(|agent| {
                let socket = socket(agent.host());
                ["status", "service list", "lb list", "bgp peers"]
                    .map(|what| format!("{sluice} --socket {socket} {what}"))
            })
            .collect();
        for vip in self.vips {
            let url = SocketAddr::new(vip, 80);
            commands.push(format!("ip netns exec client curl http://{url}/"));
        }
        let tor1 = self.network.tor1.socket().display().to_string();
        commands.push(format!("ip netns exec tor1 birdc -s {tor1} show route"));
        commands
    }

    fn targets(&self) -> [SocketAddr; 2] {
        self.vips.map(|vip| SocketAddr::new(vip, 80))
    }

    /// Starts `count` transfers, half of them in each family, and waits until each has begun.
    fn transfers(&self, count: u64, lasting: Duration) -> Result<Vec<Transfer>> {
        let blocks = usize::try_from(lasting.as_millis() / PAUSE.as_millis())?;
        let transfers: Vec<Transfer> = (0..count)
            .zip(self.targets().into_iter().cycle())
            .map(|(seed, to)| Transfer::start(&self.network.client, to, seed, blocks, PAUSE))
            .collect();
        until("every transfer has begun", PATIENCE, || {
            let begun = transfers.iter().filter(|t| t.backend().is_some()).count();
            ensure!(
                begun == transfers.len(),
                "{begun} of {} have begun",
                transfers.len()
            );
            Ok(())
        })?;
        Ok(transfers)
    }

    /// Waits until no slot of either edge node is in change.
    fn settled(&self) -> Result<()> {
        until("all tables have settled", PATIENCE, || {
            for edge in &self.edges {
                let lb = edge.json("lb list")?;
                let open = lb.pointer("/transitions/slots").context("no transitions")?;
                ensure!(open == 0, "{}: {open} slots in change", edge.host().name());
            }
            Ok(())
        })
    }

    fn edge(&mut self, number: usize) -> Result<&mut Agent> {
        self.edges
            .get_mut(number)
            .with_context(|| format!("there is no edge {number}"))
    }
}
