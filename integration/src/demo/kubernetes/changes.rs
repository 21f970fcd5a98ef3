//! Steps 5, 6 and 7: only nodes with pods, a rolling update, a node that is drained.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};

use super::routes::node_of;
use super::start::REPLICAS;
use super::{KubernetesDemo, PATIENCE, SERVICE, SHOP, Say, targets};
use crate::traffic::{Tally, get_many};
use crate::until;

/// How many requests are answered before and after a change.
const AROUND: usize = 200;

pub(super) fn only_local(demo: &mut KubernetesDemo, say: &Say, vips: [IpAddr; 2]) -> Result<()> {
    say.step(
        5,
        "externalTrafficPolicy: Local; only nodes with a ready pod are next hops",
    );
    demo.set_policy("Local")?;
    demo.announced_by(vips, &["node1", "node2"])?;
    say.checked("pods on both nodes: both are next hops");
    demo.scale(1)?;
    let only = until("one pod is left", PATIENCE, || demo.nodes_of_pods())?;
    let only: Vec<&str> = only.iter().map(String::as_str).collect();
    ensure!(only.len() == 1, "one pod is on {only:?}");
    demo.announced_by(vips, &only)?;
    let to = targets(vips);
    for to in to {
        let answered = get_many(&demo.cluster.client, to, AROUND)?;
        ensure!(
            answered.keys().all(|pod| only == [node_of(pod)]),
            "{answered:?}"
        );
    }
    say.checked(&format!(
        "one pod, on {}: it alone is, and answers everything",
        only.join("")
    ));
    demo.scale(REPLICAS)?;
    demo.announced_by(vips, &["node1", "node2"])?;
    say.checked(&format!("{REPLICAS} pods again: both nodes are"));
    Ok(())
}

pub(super) fn rolling_update(
    demo: &mut KubernetesDemo,
    say: &Say,
    vips: [IpAddr; 2],
) -> Result<()> {
    say.step(6, "a rolling update of the Deployment, under requests");
    let load = demo.load(vips);
    load.answers(AROUND)?;
    let before: BTreeSet<String> = load.so_far().answered.into_keys().collect();
    demo.kubectl(&format!("rollout restart deployment {SERVICE}"))?;
    demo.settled()?;
    demo.announced_by(vips, &["node1", "node2"])?;
    load.answers(AROUND)?;
    let tally = load.finish()?;
    let new = tally
        .answered
        .keys()
        .filter(|pod| !before.contains(*pod))
        .count();
    ensure!(
        new >= REPLICAS,
        "the pods were not replaced: {:?}",
        tally.answered
    );
    nothing_lost(&tally)?;
    say.checked(&format!("every pod was replaced; {tally}"));
    Ok(())
}

pub(super) fn node_is_drained(
    demo: &mut KubernetesDemo,
    say: &Say,
    vips: [IpAddr; 2],
) -> Result<()> {
    say.step(7, "kubectl drain of a node, under requests");
    demo.set_policy("Cluster")?;
    demo.settled()?;
    let load = demo.load(vips);
    load.answers(AROUND)?;
    demo.cluster
        .control
        .kubectl("drain node2 --ignore-daemonsets --timeout=80s")?;
    demo.settled()?;
    let left = demo.nodes_of_pods()?;
    ensure!(left.iter().eq(["node1"]), "pods are on {left:?}");
    let before = load.so_far();
    load.answers(AROUND)?;
    let tally = load.finish()?;
    let after = tally
        .answered
        .iter()
        .filter(|(pod, n)| before.answered.get(*pod) != Some(n));
    let after: BTreeSet<&str> = after.map(|(pod, _)| node_of(pod)).collect();
    ensure!(after.iter().eq(&["node1"]), "{after:?} still answer");
    nothing_lost(&tally)?;
    say.checked(&format!(
        "node2 has no pods, and node1's answer everything; {tally}"
    ));
    demo.announced_by(vips, &["node1", "node2"])?;
    say.checked("node2 still announces: its kube-proxy forwards, and no flow had to move");
    demo.cluster.control.kubectl("uncordon node2")?;
    demo.kubectl(&format!("rollout restart deployment {SERVICE}"))?;
    demo.settled()?;
    say.checked("node2 is back, and has pods again");
    Ok(())
}

/// Every request was answered.
pub(super) fn nothing_lost(tally: &Tally) -> Result<()> {
    ensure!(tally.failed == 0, "{tally}");
    Ok(())
}

impl KubernetesDemo {
    fn kubectl(&self, args: &str) -> Result<String> {
        self.cluster
            .control
            .kubectl(&format!("--namespace {SHOP} {args}"))
    }

    fn set_policy(&self, policy: &str) -> Result<()> {
        let patch = format!(r#"{{"spec":{{"externalTrafficPolicy":"{policy}"}}}}"#);
        self.kubectl(&format!("patch service {SERVICE} --patch {patch}"))?;
        Ok(())
    }

    fn scale(&self, replicas: usize) -> Result<()> {
        self.kubectl(&format!("scale deployment {SERVICE} --replicas={replicas}"))?;
        self.settled()
    }

    /// The nodes that have pods of the service.
    fn nodes_of_pods(&self) -> Result<BTreeSet<String>> {
        let nodes = self.kubectl("get pods -o jsonpath={.items[*].spec.nodeName}")?;
        let nodes: BTreeSet<String> = nodes.split_whitespace().map(ToOwned::to_owned).collect();
        nodes.first().context("there are no pods")?;
        Ok(nodes)
    }
}
