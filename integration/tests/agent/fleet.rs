//! Nodes that share an etcd: no operator but themselves, no API server.

use anyhow::{Context as _, Result, ensure};
use integration::cluster::Etcd;
use integration::daemons::Agent;
use integration::until;

use crate::nodes::{PEERING, established, run};
use crate::wires::{PATIENCE, Wires};

/// A pool, a Service and one BGP configuration are all that is given. One node leads and gives the
/// address, and the other announces it; once the leader is dead the other one leads, and nothing was
/// withdrawn.
#[test]
fn a_fleet_gives_addresses_by_itself_and_goes_on_without_its_leader() {
    run(|lab| {
        let wires = Wires::build(lab)?;
        let [host, _] = &wires.hosts;
        let etcd = Etcd::start(host)?;
        let flags = ["--etcd", &etcd.url()];
        // A node without routers, that leads because it is the first.
        let mut leader = Agent::with_flags_only(host, "n2", &flags);
        leader.start()?;
        leads(&leader, "n2")?;
        apply(&leader, &flags, &objects())?;
        let mut agent = Agent::with_flags_only(host, "n1", &flags);
        agent.start()?;

        established(&mut agent)?;
        wires.next_hops("192.0.2.0", &["n1"])?;
        leads(&agent, "n2")?;

        leader.kill()?;
        leads(&agent, "n1")?;
        apply(&agent, &flags, &service("more"))?;
        wires.next_hops("192.0.2.1", &["n1"])?;
        wires.never_withdrawn("n1")
    });
}

/// Waits until the agent says that this node leads.
fn leads(agent: &Agent, node: &str) -> Result<()> {
    until(&format!("{node} leads"), PATIENCE, || {
        let operator = agent.status()?.operator.context("nobody is asked")?;
        let is_so = |holder: &String| holder.starts_with(&format!("{node}_"));
        ensure!(operator.holder.as_ref().is_some_and(is_so), "{operator:?}");
        Ok(())
    })
}

fn apply(agent: &Agent, flags: &[&str; 2], manifests: &str) -> Result<()> {
    let file = agent.host().folder().join("objects.yaml");
    std::fs::write(&file, manifests)?;
    let command = format!("apply {} -f {}", flags.join(" "), file.display());
    agent.sluice(&command).map(drop)
}

fn objects() -> String {
    let own = "apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: public}
spec: {blocks: [{cidr: 192.0.2.0/28}]}
---
apiVersion: cilium.io/v2
kind: CiliumBGPClusterConfig
metadata: {name: edge}
spec:
  nodeSelector: {matchLabels: {kubernetes.io/hostname: n1}}
  bgpInstances:
    - name: edge
      localASN: 65010
      peers: [{name: tor, peerASN: 65001, peerAddress: \"fd00:2:1::1\", peerConfigRef: {name: tor}}]
";
    format!("{own}{PEERING}---\n{}", service("web"))
}

fn service(name: &str) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop, labels: {{expose: \"true\"}}}}
spec: {{type: LoadBalancer, ipFamilies: [IPv4], ports: [{{name: http, port: 80}}]}}
"
    )
}
