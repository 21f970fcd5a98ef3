//! Two nodes of a cluster behind a router, and what tests wait for on them.
//!
//! ```text
//!  control plane -- n1 -- tor
//!            \____ n2 ____/
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use agent_api::{Peer, SessionState, Status};
use anyhow::{Context as _, Result, bail, ensure};
use integration::cluster::{self, ADDRESSES, ControlPlane};
use integration::daemons::{Agent, Bird};
use integration::lab::{Host, Lab};
use integration::{Patience, lab, until};

/// Long enough for a few retries on a busy machine.
pub(crate) const PATIENCE: Patience = Patience(Duration::from_secs(30));

/// The nodes' names.
pub(crate) const NAMES: [&str; 2] = ["n1", "n2"];

/// Where the chart's agents are.
const NAMESPACE: &str = "kube-system";

/// What the chart is rendered for.
const KUBERNETES: &str = "1.36.3";

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
    pub(crate) tor: Host,
    pub(crate) hosts: [Host; 2],
    pub(crate) router: Bird,
    /// Of the chart's service account for agents.
    pub(crate) account: PathBuf,
}

impl Nodes {
    /// Builds everything: definitions, the chart's roles, Nodes and their BGP configurations.
    pub(crate) fn build(lab: &Lab) -> Result<Self> {
        let plane = ControlPlane::start(lab)?;
        let tor = lab.host("tor")?;
        let hosts = [lab.host(NAMES[0])?, lab.host(NAMES[1])?];
        for host in hosts.iter().chain([&tor]) {
            host.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
        }
        tor.sysctl("net.ipv4.fib_multipath_hash_policy", "1")?;
        for (number, host) in (1..).zip(&hosts) {
            connect(lab, &plane, &tor, host, number)?;
        }
        let router = Bird::start(&tor, &bird())?;
        let account = install(&plane)?;
        let nodes = Self {
            plane,
            tor,
            hosts,
            router,
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
    plane.apply(&roles()?)?;
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

fn connect(lab: &Lab, plane: &ControlPlane, tor: &Host, host: &Host, number: usize) -> Result<()> {
    let name = host.name();
    join(lab, plane, host, number)?;
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
             neighbor fd00:2:{number}::2 as 65010; }}\n"
        ));
    }
    text
}

/// The chart's roles and accounts for agents.
fn roles() -> Result<String> {
    let output = Command::new(cluster::program("helm")?)
        .args(["template", "sluicegate"])
        .arg(repository().join("configs/helm/sluicegate"))
        .args(["--namespace", NAMESPACE, "--kube-version", KUBERNETES])
        .args(["--show-only", "templates/accounts.yaml"])
        .args(["--show-only", "templates/agent-rbac.yaml"])
        .args(["--show-only", "templates/secrets-rbac.yaml"])
        .output()
        .context("starting helm")?;
    if !output.status.success() {
        bail!("helm template: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
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
