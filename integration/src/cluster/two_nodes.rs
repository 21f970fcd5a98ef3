//! A whole cluster: a control plane, two nodes with pods, a router and a client behind it.
//!
//! ```text
//! client -- tor --+-- node1 (kubelet, containerd, kube-proxy)
//!                 +-- node2 (the same)
//!                 +-- control (etcd, API server, controllers, scheduler)
//! ```

use anyhow::{Result, ensure};

use super::{ADDRESSES, ControlPlane, IMAGE, Node, Options, POD_NETWORKS, SERVICE_NETWORKS};
use super::{image, program};
use crate::daemons::Bird;
use crate::lab::{Host, Lab, Process, Switch};
use crate::{Patience, until};

/// The nodes' names and the last number of their addresses.
const NODES: [(&str, u8); 2] = [("node1", 11), ("node2", 12)];

/// The name of the lab's own namespace, where the control plane runs.
const CONTROL: &str = "control";

/// The router's addresses on the wire to the nodes.
pub const ROUTER: [&str; 2] = ["10.20.0.1", "fd00:20::1"];

/// Folders of this machine that the nodes' programs write to: the lab has its own.
const COVERED: [&str; 4] = [
    "/run/containerd",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log",
];

/// The control group that containerd makes its containers' in.
const CONTAINERS: &str = "k8s.io";

/// A node whose kubelet is cut off from the API server is not Ready after this time. The tests
/// stop the API server for up to a minute, and what was Ready must be so when it is back.
const GRACE: &str = "--node-monitor-grace-period=120s";

const PATIENCE: Patience = Patience(std::time::Duration::from_secs(60));

/// A running cluster of two nodes.
pub struct Cluster {
    /// The API server, and everyone's accounts.
    pub control: ControlPlane,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The router between the nodes and the client.
    pub tor: Host,
    /// Where requests come from.
    pub client: Host,
    _controllers: Vec<Process>,
}

impl Cluster {
    /// Starts everything and waits until both nodes are Ready.
    ///
    /// # Errors
    /// If a program is missing or does not come up.
    pub fn start(lab: &Lab) -> Result<Self> {
        for folder in COVERED {
            lab.cover(folder)?;
        }
        lab.own_cgroup(CONTAINERS)?;
        let rack = lab.switch("rack", 1500)?;
        let host = lab.own_host(CONTROL)?;
        rack.plug(&host, "rack")?;
        for address in ADDRESSES {
            let bits = if address.is_ipv4() { "24" } else { "64 nodad" };
            host.ip(&format!("addr add {address}/{bits} dev rack"))?;
        }
        let (tor, client) = outside(lab, &rack)?;
        let control = ControlPlane::start_on(&host, Options::default())?;
        let controllers = controllers(&control)?;
        let image = image::archive(&lab.folder("image")?)?;
        let nodes = NODES.iter().map(|(name, number)| {
            let host = lab.host(name)?;
            plug(&rack, &host, *number)?;
            let mut node = Node::start(&host, *number, &image)?;
            node.start_kubelet(&control)?;
            Ok(node)
        });
        let mut cluster = Self {
            nodes: nodes.collect::<Result<_>>()?,
            control,
            tor,
            client,
            _controllers: controllers,
        };
        cluster.connect_pods()?;
        for node in &mut cluster.nodes {
            node.start_proxy(&cluster.control)?;
        }
        cluster.ready()?;
        Ok(cluster)
    }

    /// Gives both nodes the product's image, [`PRODUCT_IMAGE`](super::PRODUCT_IMAGE).
    ///
    /// # Errors
    /// If a program is not built.
    pub fn import_product(&mut self, lab: &Lab) -> Result<()> {
        let image = image::product(&lab.folder("product")?)?;
        self.nodes
            .iter_mut()
            .try_for_each(|node| node.import(&image))
    }

    /// A node by its number, from zero.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn node(&self, number: usize) -> &Node {
        self.nodes.get(number).expect("there are two nodes")
    }

    /// Starts BIRD on the router: one IPv6 session a node, both families on it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn router(&self) -> Result<Bird> {
        Bird::start(&self.tor, &router_config())
    }

    /// Waits until both nodes are Ready.
    ///
    /// # Errors
    /// If one does not become so.
    pub fn ready(&mut self) -> Result<()> {
        until("both nodes are Ready", PATIENCE, || {
            for node in &mut self.nodes {
                node.check_running()?;
            }
            let states = self.control.kubectl(
                "get nodes -o jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}",
            )?;
            ensure!(states == "True True", "the nodes are Ready: {states:?}");
            Ok(())
        })
    }

    /// Waits until kube-proxy of both nodes balances these addresses. A connection that comes before
    /// goes back to the router, and connection tracking remembers it as one that is not balanced.
    ///
    /// # Errors
    /// If one does not.
    pub fn balanced(&self, addresses: &[&str]) -> Result<()> {
        until("kube-proxy balances the addresses", PATIENCE, || {
            for node in &self.nodes {
                let rules = node.host().run("nft", &["list", "ruleset"])?;
                for address in addresses {
                    ensure!(
                        rules.contains(&format!("{address} . tcp")),
                        "{} has no rule for {address}",
                        node.host().name()
                    );
                }
            }
            Ok(())
        })
    }

    /// Pods of each node have addresses, and everyone has routes to them.
    fn connect_pods(&mut self) -> Result<()> {
        for number in 0..self.nodes.len() {
            let Some(node) = self.nodes.get_mut(number) else {
                continue;
            };
            let networks = node.pod_networks(&self.control)?;
            node.serve_pods(&networks)?;
            let (own, via) = (node.host().name().to_owned(), node.addresses());
            let others = self
                .nodes
                .iter()
                .map(Node::host)
                .filter(|host| host.name() != own);
            for host in others.chain([self.control.host()]) {
                for (network, via) in networks.iter().zip(&via) {
                    host.ip(&format!("route add {network} via {via}"))?;
                }
            }
        }
        Ok(())
    }
}

/// A deployment of the lab's server that answers as `POD@NODE`, spread over the nodes, with
/// readiness checks, serving for `drain_secs` after it was asked to end.
#[must_use]
pub fn deployment(name: &str, replicas: usize, drain_secs: u8) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  strategy: {{rollingUpdate: {{maxSurge: 1, maxUnavailable: 0}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 60
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: ScheduleAnyway
        labelSelector: {{matchLabels: {{app: {name}}}}}
        matchLabelKeys: [pod-template-hash]
      containers:
      - name: server
        image: {IMAGE}
        imagePullPolicy: Never
        args: [serve]
        env:
        - {{name: DRAIN_SECS, value: \"{drain_secs}\"}}
        - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
        - {{name: NODE_NAME, valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}}}
        ports: [{{containerPort: 80}}]
        readinessProbe:
          periodSeconds: 1
          httpGet: {{path: /, port: 80}}
"
    )
}

/// The router and the client behind it.
fn outside(lab: &Lab, rack: &Switch) -> Result<(Host, Host)> {
    let (tor, client) = (lab.host("tor")?, lab.host("client")?);
    rack.plug(&tor, "rack")?;
    lab.cable((&tor, "client"), (&client, "tor"))?;
    let [v4, v6] = ROUTER;
    tor.ip(&format!("addr add {v4}/24 dev rack"))?;
    tor.ip(&format!("addr add {v6}/64 dev rack nodad"))?;
    for (host, interface, number) in [(&tor, "client", 1), (&client, "tor", 2)] {
        host.ip(&format!("addr add 10.1.1.{number}/24 dev {interface}"))?;
        host.ip(&format!(
            "addr add fd00:1:1::{number}/64 dev {interface} nodad"
        ))?;
    }
    client.ip("route add default via 10.1.1.1")?;
    client.ip("-6 route add default via fd00:1:1::1")?;
    forward(&tor)?;
    // Both nodes are next hops of one address: a flow is its ports too.
    tor.sysctl("net.ipv4.fib_multipath_hash_policy", "1")?;
    tor.sysctl("net.ipv6.fib_multipath_hash_policy", "1")?;
    Ok((tor, client))
}

fn plug(rack: &Switch, host: &Host, number: u8) -> Result<()> {
    rack.plug(host, "rack")?;
    host.ip(&format!("addr add 10.20.0.{number}/24 dev rack"))?;
    host.ip(&format!("addr add fd00:20::{number}/64 dev rack nodad"))?;
    forward(host)?;
    let [v4, v6] = ROUTER;
    host.ip(&format!("route add default via {v4}"))?;
    host.ip(&format!("-6 route add default via {v6}"))?;
    Ok(())
}

fn forward(host: &Host) -> Result<()> {
    for (name, value) in [
        ("net.ipv4.conf.all.rp_filter", "0"),
        ("net.ipv4.conf.default.rp_filter", "0"),
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv6.conf.all.forwarding", "1"),
        // A new pod's wire carries at once, not when its addresses were seen to be unique.
        ("net.ipv6.conf.default.accept_dad", "0"),
    ] {
        host.sysctl(name, value)?;
    }
    Ok(())
}

/// What turns deployments into pods and places them.
fn controllers(control: &ControlPlane) -> Result<Vec<Process>> {
    let kubeconfig = |user: &str| -> Result<String> {
        Ok(format!(
            "--kubeconfig={}",
            control.user(user, None)?.display()
        ))
    };
    let controllers = [
        kubeconfig("system:kube-controller-manager")?,
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        "--use-service-account-credentials".to_owned(),
        format!(
            "--service-account-private-key-file={}",
            control.token_key().display()
        ),
        format!(
            "--root-ca-file={}",
            control.authority().certificate().display()
        ),
        "--allocate-node-cidrs".to_owned(),
        format!("--cluster-cidr={}", POD_NETWORKS.join(",")),
        "--node-cidr-mask-size-ipv6=64".to_owned(),
        format!("--service-cluster-ip-range={}", SERVICE_NETWORKS.join(",")),
        GRACE.to_owned(),
    ];
    let scheduler = [
        kubeconfig("system:kube-scheduler")?,
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ];
    let host = control.host();
    let start = |name: &str, args: &[String]| host.spawn(name, program(name)?, args);
    Ok(vec![
        start("kube-controller-manager", &controllers)?,
        start("kube-scheduler", &scheduler)?,
    ])
}

fn router_config() -> String {
    let [_, router] = ROUTER;
    let mut config = "\
log stderr all;
router id 10.20.0.1;
protocol device { scan time 1; }
protocol direct { ipv4; ipv6; }
protocol kernel k4 { ipv4 { import none; export where source = RTS_BGP; }; merge paths on; }
protocol kernel k6 { ipv6 { import none; export where source = RTS_BGP; }; merge paths on; }
"
    .to_owned();
    for (name, number) in NODES {
        config.push_str(&format!(
            "protocol bgp {name} {{
  local {router} as 65001;
  neighbor fd00:20::{number} as 65010;
  hold time 3; keepalive time 1; connect delay time 1; connect retry time 1;
  error wait time 1, 2;
  ipv4 {{ import all; export none; extended next hop on; }};
  ipv6 {{ import all; export none; }};
}}\n"
        ));
    }
    config
}
