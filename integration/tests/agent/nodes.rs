//! Two nodes of a cluster behind a router, and what tests wait for on them.
//!
//! ```text
//!  control plane -- n1 -- tor
//!            \____ n2 ____/
//! ```

use std::ops::Deref;
use std::path::{Path, PathBuf};

use agent_api::{Peer, SessionState, Status};
use anyhow::{Context as _, Result, ensure};
use integration::cluster::{self, ADDRESSES, ControlPlane};
use integration::daemons::Agent;
use integration::lab::{Host, Lab};
use integration::{lab, until};

use crate::wires::{NAMES, Wires};

pub(crate) use crate::wires::PATIENCE;

/// Where the chart's agents are.
const NAMESPACE: &str = "kube-system";

/// What agents watch beside Services, EndpointSlices and Nodes, and pools.
const DEFINITIONS: [&str; 4] = [
    "ciliumbgpadvertisements",
    "ciliumbgpnodeconfigs",
    "ciliumbgppeerconfigs",
    "ciliumloadbalancerippools",
];

/// As [`cluster::run`], for a test of the release programs and the chart, too: skipped, loudly, where
/// they are not built.
pub(crate) fn run<F>(body: F)
where
    F: FnOnce(&Lab) -> Result<()>,
{
    let programs = ["sluice-agent", "sluice"].map(lab::built_program);
    if lab::is_there(programs.into_iter().chain([cluster::program("helm")])) {
        cluster::run(body);
    }
}

/// The network, the control plane and the router; no agent runs until a test starts it.
pub(crate) struct Nodes {
    pub(crate) plane: ControlPlane,
    pub(crate) wires: Wires,
    /// Of the chart's service account for agents.
    pub(crate) account: PathBuf,
}

impl Nodes {
    /// Builds everything: definitions, the chart's roles, Nodes and their BGP configurations.
    pub(crate) fn build(lab: &Lab) -> Result<Self> {
        let plane = ControlPlane::start(lab)?;
        let wires = Wires::build(lab)?;
        for (number, host) in (1..).zip(&wires.hosts) {
            join(lab, &plane, host, number)?;
        }
        let account = install(&plane)?;
        let nodes = Self {
            plane,
            wires,
            account,
        };
        nodes.plane.apply(&(node_objects() + PEERING))?;
        for (number, name) in (1..).zip(NAMES) {
            nodes.plane.apply(&node_config(name, number))?;
        }
        Ok(nodes)
    }

    /// An agent of a node, configured as the chart would and not started.
    pub(crate) fn agent(&self, number: usize, flags: &[&str]) -> Result<Agent> {
        let host = self.hosts.get(number).context("there are two nodes")?;
        Ok(Agent::in_cluster(host, host.name(), &self.account, flags))
    }

    /// See [`serve`].
    pub(crate) fn serve(&self, name: &str, addresses: &[&str], more: &str) -> Result<()> {
        serve(&self.plane, name, addresses, more)
    }

    /// Agents of both nodes, running, their sessions established.
    pub(crate) fn agents(&self) -> Result<[Agent; 2]> {
        let mut agents = [self.agent(0, &[])?, self.agent(1, &[])?];
        for agent in &mut agents {
            agent.start()?;
        }
        for agent in &mut agents {
            established(agent)?;
        }
        Ok(agents)
    }
}

impl Deref for Nodes {
    type Target = Wires;

    fn deref(&self) -> &Wires {
        &self.wires
    }
}

/// Waits until the agent's session with the router is established.
pub(crate) fn established(agent: &mut Agent) -> Result<()> {
    let name = agent.host().name().to_owned();
    until(&format!("{name}'s session is up"), PATIENCE, || {
        agent.check_running()?;
        let peers = agent.peers()?;
        let up = |peer: &Peer| peer.state == SessionState::Established;
        ensure!(!peers.is_empty() && peers.iter().all(up), "{peers:?}");
        Ok(())
    })
}

/// Waits until the agent's status is so.
pub(crate) fn says(agent: &Agent, what: &str, is_so: impl Fn(&Status) -> bool) -> Result<()> {
    until(what, PATIENCE, || {
        let status = agent.status()?;
        ensure!(is_so(&status), "{status:#?}");
        Ok(())
    })
}

/// The Service `shop/NAME` with these addresses, announced; `more` are lines of its spec.
pub(crate) fn service(name: &str, addresses: &[&str], more: &str) -> String {
    let ingress: Vec<String> = addresses
        .iter()
        .map(|it| format!("{{ip: \"{it}\"}}"))
        .collect();
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop, labels: {{expose: \"true\"}}}}
spec:
  type: LoadBalancer
  allocateLoadBalancerNodePorts: true
  ipFamilyPolicy: PreferDualStack
  ports: [{{name: http, port: 80, targetPort: 8080}}]
{more}
status: {{loadBalancer: {{ingress: [{}]}}}}
",
        ingress.join(", ")
    )
}

/// The EndpointSlice of `shop/NAME`: addresses, on which nodes, and their conditions.
pub(crate) fn slice(name: &str, endpoints: &[(&str, &str, &str)]) -> String {
    let mut text = format!(
        "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080, protocol: TCP}}]
endpoints:
"
    );
    for (address, node, conditions) in endpoints {
        text.push_str(&format!(
            "- {{addresses: [{address}], nodeName: {node}, conditions: {{{conditions}}}}}\n"
        ));
    }
    text
}

/// Applies a Service and gives it its addresses, as an operator would.
pub(crate) fn serve(
    plane: &ControlPlane,
    name: &str,
    addresses: &[&str],
    more: &str,
) -> Result<()> {
    let text = service(name, addresses, more);
    plane.apply(&text)?;
    let args = ["apply", "--server-side", "--subresource=status", "-f", "-"];
    plane.kubectl_with(&args, &text).map(drop)
}

/// Installs the definitions and the chart's roles; the kubeconfig of its account for agents.
pub(crate) fn install(plane: &ControlPlane) -> Result<PathBuf> {
    for name in DEFINITIONS {
        let file = repository().join(format!("configs/crds/{name}.yaml"));
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("reading {}", file.display()))?;
        plane.apply(&text)?;
    }
    for name in DEFINITIONS {
        plane.kubectl(&format!(
            "wait --for=condition=Established --timeout=30s crd/{name}.cilium.io"
        ))?;
    }
    let roles = ["accounts", "agent-rbac", "secrets-rbac"];
    plane.apply(&cluster::chart(NAMESPACE, &roles)?)?;
    plane.token_of(NAMESPACE, "sluicegate")
}

/// Joins a host to the control plane's own, by the network 10.21.NUMBER.0/24.
pub(crate) fn join(lab: &Lab, plane: &ControlPlane, host: &Host, number: usize) -> Result<()> {
    let name = host.name();
    lab.cable((plane.host(), name), (host, "api"))?;
    plane
        .host()
        .ip(&format!("addr add 10.21.{number}.1/24 dev {name}"))?;
    host.ip(&format!("addr add 10.21.{number}.2/24 dev api"))?;
    let [server, _] = ADDRESSES;
    host.ip(&format!("route add {server} via 10.21.{number}.1"))?;
    Ok(())
}

fn node_objects() -> String {
    let mut text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n".to_owned();
    for name in NAMES {
        text.push_str(&format!(
            "---\napiVersion: v1\nkind: Node\n\
             metadata: {{name: {name}, labels: {{kubernetes.io/hostname: {name}}}}}\n"
        ));
    }
    text
}

/// How sessions are, and what they carry.
pub(crate) const PEERING: &str = "---
apiVersion: cilium.io/v2
kind: CiliumBGPPeerConfig
metadata: {name: tor}
spec:
  timers: {connectRetryTimeSeconds: 1, holdTimeSeconds: 9, keepAliveTimeSeconds: 3}
  gracefulRestart: {enabled: true, restartTimeSeconds: 30}
  families:
    - {afi: ipv4, safi: unicast, advertisements: {matchLabels: {advertise: bgp}}}
    - {afi: ipv6, safi: unicast, advertisements: {matchLabels: {advertise: bgp}}}
---
apiVersion: cilium.io/v2
kind: CiliumBGPAdvertisement
metadata: {name: services, labels: {advertise: bgp}}
spec:
  advertisements:
    - advertisementType: Service
      service: {addresses: [LoadBalancerIP]}
      selector: {matchLabels: {expose: \"true\"}}
";

/// What an operator would write for a node.
fn node_config(name: &str, number: usize) -> String {
    format!(
        "apiVersion: cilium.io/v2
kind: CiliumBGPNodeConfig
metadata: {{name: {name}}}
spec:
  bgpInstances:
    - name: edge
      localASN: 65010
      routerID: 10.255.1.{number}
      peers:
        - {{name: tor, peerASN: 65001, peerAddress: \"fd00:2:{number}::1\", peerConfigRef: {{name: tor}}}}
"
    )
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
