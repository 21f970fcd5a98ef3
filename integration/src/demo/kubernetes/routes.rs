//! Steps 2, 3, 4 and 9: a service gets its addresses, the router its routes, clients their answers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use types::Prefix;

use super::start::{REPLICAS, manifests};
use super::{KubernetesDemo, NAMESPACE, PATIENCE, SERVICE, SHOP, Say, targets};
use crate::traffic::get_many;
use crate::until;

/// Requests to each address.
const REQUESTS: usize = 500;

/// What the pool's first addresses are.
const ADDRESSES: &str = "172.18.255.200,2001:db8:dead:beef::";

pub(super) fn service(demo: &mut KubernetesDemo, say: &Say) -> Result<[IpAddr; 2]> {
    say.step(
        2,
        "kubectl apply of a pool, BGP objects, a Deployment and a dual-stack Service",
    );
    let control = &demo.cluster.control;
    // The namespace is one of the objects, and must be there for the others.
    until("everything is applied", PATIENCE, || {
        control.kubectl_with(&["apply", "--namespace", SHOP, "-f", "-"], &manifests())
    })?;
    let ask = format!(
        "get service {SERVICE} --namespace {SHOP} -o jsonpath={{.status.loadBalancer.ingress[*].ip}}"
    );
    let given = until("the service has addresses", PATIENCE, || {
        let given = demo.cluster.control.kubectl(&ask)?.replace(' ', ",");
        ensure!(
            given == ADDRESSES,
            "EXTERNAL-IP is {given:?}, not {ADDRESSES}"
        );
        Ok(given)
    })?;
    say.checked(&format!("EXTERNAL-IP is {given}"));
    let shown = demo
        .cluster
        .control
        .kubectl(&format!("get service {SERVICE} --namespace {SHOP}"))?;
    say.shown(&format!("kubectl -n {SHOP} get service {SERVICE}"), &shown);
    let pools = until("the pool counts them", PATIENCE, || {
        let pools = demo
            .cluster
            .control
            .kubectl("get ciliumloadbalancerippools")?;
        ensure!(pools.contains("18446744073709551622"), "{pools}");
        Ok(pools)
    })?;
    say.shown("kubectl get ciliumloadbalancerippools", &pools);
    demo.settled()?;
    say.checked(&format!(
        "{REPLICAS} pods are Ready, and kube-proxy balances both addresses"
    ));
    let addresses: Vec<IpAddr> = given
        .split(',')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .context("an address")?;
    addresses
        .try_into()
        .map_err(|given| anyhow::anyhow!("{given:?} are not two addresses"))
}

pub(super) fn next_hops(demo: &mut KubernetesDemo, say: &Say, vips: [IpAddr; 2]) -> Result<()> {
    say.step(
        3,
        "the router has routes to both addresses with both nodes as next hops",
    );
    demo.announced_by(vips, &["node1", "node2"])?;
    say.checked("each agent has a session, and the router two next hops to each address");
    for prefix in vips.map(Prefix::host) {
        let shown = demo.router.show(&format!("show route {prefix}"))?;
        say.shown(&format!("birdc show route {prefix}        (tor)"), &shown);
    }
    Ok(())
}

pub(super) fn requests(demo: &KubernetesDemo, say: &Say, vips: [IpAddr; 2]) -> Result<()> {
    say.step(
        4,
        "a client behind the router asks; pods on both nodes answer",
    );
    for to in targets(vips) {
        let answered = get_many(&demo.cluster.client, to, REQUESTS)?;
        let nodes: BTreeSet<&str> = answered.keys().map(|pod| node_of(pod)).collect();
        ensure!(nodes.len() == 2, "not both nodes answered: {answered:?}");
        ensure!(
            answered.len() == REPLICAS,
            "not every pod answered: {answered:?}"
        );
        let pods: Vec<String> = answered
            .iter()
            .map(|(pod, n)| format!("{pod} {n}"))
            .collect();
        say.checked(&format!(
            "{REQUESTS} of {REQUESTS} from {to}: {}",
            pods.join(", ")
        ));
    }
    Ok(())
}

pub(super) fn look(demo: &KubernetesDemo, say: &Say) -> Result<()> {
    say.step(9, "as a person would read it");
    let control = &demo.cluster.control;
    for command in [
        format!("-n {SHOP} get pods -o wide"),
        "get ciliumloadbalancerippools,ciliumbgpnodeconfigs,ciliumbgpclusterconfigs".to_owned(),
        format!("-n {NAMESPACE} get lease sluicegate-operator"),
    ] {
        say.shown(&format!("kubectl {command}"), &control.kubectl(&command)?);
    }
    let agent = demo.agent(0)?;
    for command in ["status", "bgp peers", "service list"] {
        say.shown(
            &format!("sluice {command}        (node1)"),
            &agent.sluice(command)?,
        );
    }
    Ok(())
}

/// A server in a pod answers as `POD@NODE`.
pub(super) fn node_of(pod: &str) -> &str {
    pod.rsplit_once('@').map_or("", |(_, node)| node)
}

impl KubernetesDemo {
    /// Waits until all pods of the deployment are there and ready, no other is left, and kube-proxy
    /// has its rules.
    pub(super) fn settled(&self) -> Result<()> {
        let control = &self.cluster.control;
        let limit = PATIENCE.0.as_secs();
        control.kubectl(&format!(
            "rollout status deployment {SERVICE} --namespace {SHOP} --timeout={limit}s"
        ))?;
        until("no pod is ending", PATIENCE, || {
            let pods = control.kubectl(&format!("get pods --namespace {SHOP} --no-headers"))?;
            ensure!(pods.lines().all(|pod| pod.contains("Running")), "{pods}");
            Ok(())
        })?;
        self.cluster
            .balanced(&ADDRESSES.split(',').collect::<Vec<_>>())
    }

    /// Waits until the router forwards to both addresses by way of exactly these nodes.
    pub(super) fn announced_by(&mut self, vips: [IpAddr; 2], nodes: &[&str]) -> Result<()> {
        let what = format!("the router has the next hops {nodes:?}");
        let outcome = until(&what, PATIENCE, || {
            self.check_running()?;
            for vip in vips {
                let hops = self.hops(vip)?;
                ensure!(hops.iter().eq(nodes), "{vip} is behind {hops:?}");
            }
            Ok(())
        });
        outcome.with_context(|| self.agents_words())
    }

    /// What the agents say about themselves, for whoever reads a failure.
    fn agents_words(&self) -> String {
        let words = self.agents.iter().map(|agent| {
            let asked = ["status", "bgp peers"].map(|command| agent.ask(command));
            let answers = asked.into_iter().flatten();
            let answers =
                answers.map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned());
            format!("{}:\n{}", agent.host().name(), answers.collect::<String>())
        });
        words.collect()
    }

    /// The nodes that the router's kernel forwards an address to.
    fn hops(&self, vip: IpAddr) -> Result<BTreeSet<String>> {
        let family = if vip.is_ipv4() { "-4" } else { "-6" };
        let routes = self
            .cluster
            .tor
            .ip(&format!("{family} route show {}", Prefix::host(vip)))?;
        let mut words = routes.split_whitespace();
        let mut hops = BTreeSet::new();
        while let Some(word) = words.next() {
            if word == "via" {
                let hop = words.find(|word| *word != "inet6").unwrap_or_default();
                hops.insert(self.node_at(hop)?);
            }
        }
        Ok(hops)
    }

    fn node_at(&self, address: &str) -> Result<String> {
        let node = self.cluster.nodes.iter().find(|node| {
            node.addresses().iter().any(|own| own == address)
                || node
                    .host()
                    .ip("-6 addr show dev rack")
                    .is_ok_and(|all| all.contains(address))
        });
        let node = node.with_context(|| format!("{address} is no node's"))?;
        Ok(node.host().name().to_owned())
    }
}
