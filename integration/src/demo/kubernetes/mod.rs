//! A Kubernetes cluster behind a router: the product beside kube-proxy, announcing only. One line a
//! step; each step is checked.

mod changes;
mod outage;
mod routes;
mod start;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Say;
use crate::Patience;
use crate::cluster::{Cluster, program};
use crate::daemons::{Agent, Bird};
use crate::lab::{Lab, Process, built_program};
use crate::traffic::Load;

/// Long enough for pods to be made and to end on a busy machine.
const PATIENCE: Patience = Patience(Duration::from_secs(90));

/// Where the chart is installed.
const NAMESPACE: &str = "kube-system";

/// Where the service is.
const SHOP: &str = "batuu";

/// The service and its deployment.
const SERVICE: &str = "deathstar";

/// Clients of each address while something changes.
const CLIENTS: usize = 3;

/// The running cluster with the product in it.
pub struct KubernetesDemo {
    cluster: Cluster,
    router: Bird,
    agents: Vec<Agent>,
    operators: Vec<Process>,
}

impl KubernetesDemo {
    /// The first step: the cluster is up, the chart's objects are installed, operators and agents
    /// run.
    ///
    /// # Errors
    /// The first check that was not so.
    pub fn start(lab: &Lab, say: &Say) -> Result<Self> {
        start::bring_up(lab, say)
    }

    /// Every other step; the API server is stopped for `outage`.
    ///
    /// # Errors
    /// The first check that was not so.
    pub fn run(&mut self, say: &Say, outage: Duration) -> Result<()> {
        let vips = routes::service(self, say)?;
        routes::next_hops(self, say, vips)?;
        routes::requests(self, say, vips)?;
        changes::only_local(self, say, vips)?;
        changes::rolling_update(self, say, vips)?;
        changes::node_is_drained(self, say, vips)?;
        outage::api_server_stops(self, say, vips, outage)?;
        routes::look(self, say)
    }

    /// What to type in the lab to play with it.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let folder = |path: Result<std::path::PathBuf>| {
            let path = path
                .ok()
                .and_then(|path| path.parent().map(ToOwned::to_owned));
            path.unwrap_or_default().display().to_string()
        };
        let path = [folder(program("kubectl")), folder(built_program("sluice"))].join(":");
        let mut commands = vec![
            format!(
                "export PATH={path}:$PATH KUBECONFIG={}",
                self.cluster.control.admin().display()
            ),
            "kubectl get nodes,pods,services --all-namespaces -o wide".to_owned(),
            "kubectl get ciliumloadbalancerippools,ciliumbgpnodeconfigs".to_owned(),
        ];
        for agent in &self.agents {
            let socket = agent.socket().display();
            commands.push(format!("sluice --socket {socket} status"));
        }
        let router = self.router.socket().display();
        commands.push(format!("ip netns exec tor birdc -s {router} show route"));
        commands
    }

    /// What to apply, and whom to ask, where no story has been played yet.
    ///
    /// # Errors
    /// If the manifests cannot be written.
    pub fn suggestions(&self, lab: &Lab) -> Result<Vec<String>> {
        let file = lab.folder("manifests")?.join("empire.yaml");
        std::fs::write(&file, start::manifests()).context("writing the manifests")?;
        Ok(vec![
            format!("kubectl apply -n {SHOP} -f {}", file.display()),
            format!("kubectl get -n {SHOP} service {SERVICE}"),
            "ip netns exec client curl http://172.18.255.200/".to_owned(),
        ])
    }

    fn load(&self, vips: [IpAddr; 2]) -> Load {
        Load::start(&self.cluster.client, &targets(vips), CLIENTS)
    }

    fn agent(&self, number: usize) -> Result<&Agent> {
        self.agents.get(number).context("there are two agents")
    }

    /// Fails with the end of its log if an agent or operator has ended by itself.
    fn check_running(&mut self) -> Result<()> {
        self.operators
            .iter_mut()
            .try_for_each(Process::check_running)?;
        self.agents.iter_mut().try_for_each(Agent::check_running)
    }
}

fn targets(vips: [IpAddr; 2]) -> [SocketAddr; 2] {
    vips.map(|vip| SocketAddr::new(vip, 80))
}
