//! What agents announce of what another program balances.

use anyhow::ensure;
use integration::until;

use crate::nodes::{Nodes, PATIENCE, run, says, slice};

const VIPS: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// `externalTrafficPolicy: Cluster`: every node announces both addresses, endpoints or not, and the
/// router balances between them.
#[test]
fn every_node_announces_a_service_that_any_node_can_forward() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &VIPS, "")?;
        let agents = nodes.agents()?;

        for vip in VIPS {
            nodes.next_hops(vip, &["n1", "n2"])?;
        }

        let [first, _] = &agents;
        says(first, "both VIPs are announced", |status| {
            status.ready && (status.vips_ready, status.vips_wanted) == (2, 2)
        })?;
        let listed = first.services()?;
        ensure!(listed.iter().all(|service| service.ready), "{listed:?}");
        let routes = nodes.tor.ip("route show 192.0.2.1")?;
        ensure!(routes.matches("nexthop").count() == 2, "{routes}");
        Ok(())
    });
}

/// `externalTrafficPolicy: Local`: only nodes with an endpoint that is ready and does not end.
#[test]
fn a_local_service_is_announced_where_it_has_a_ready_endpoint() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &VIPS, "  externalTrafficPolicy: Local")?;
        let _agents = nodes.agents()?;
        let v4 = VIPS[0];

        let put = |endpoints: &[(&str, &str, &str)]| nodes.plane.apply(&slice("web", endpoints));
        put(&[("10.244.1.2", "n1", "ready: true")])?;
        nodes.next_hops(v4, &["n1"])?;
        put(&[
            ("10.244.1.2", "n1", "ready: true"),
            ("10.244.2.2", "n2", "ready: true"),
        ])?;
        nodes.next_hops(v4, &["n1", "n2"])?;
        put(&[
            (
                "10.244.1.2",
                "n1",
                "ready: false, serving: true, terminating: true",
            ),
            ("10.244.2.2", "n2", "ready: true"),
        ])?;
        nodes.next_hops(v4, &["n2"])?;
        put(&[("10.244.2.2", "n2", "ready: false")])?;
        nodes.next_hops(v4, &[])
    });
}

/// A node that is excluded from load balancers announces nothing; one that is cordoned goes on.
#[test]
fn a_node_that_is_excluded_announces_nothing_and_a_cordoned_one_goes_on() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &VIPS, "")?;
        let agents = nodes.agents()?;
        nodes.next_hops(VIPS[0], &["n1", "n2"])?;
        let label = "node.kubernetes.io/exclude-from-external-load-balancers";

        nodes
            .plane
            .kubectl(&format!("label node n1 {label}=true"))?;
        nodes.next_hops(VIPS[0], &["n2"])?;
        nodes.plane.kubectl(&format!("label node n1 {label}-"))?;
        nodes.next_hops(VIPS[0], &["n1", "n2"])?;

        nodes.plane.kubectl("cordon n2")?;
        let [_, second] = &agents;
        says(second, "n2 says that it is cordoned", |status| {
            status
                .remarks
                .iter()
                .any(|remark| remark.contains("cordoned"))
        })?;
        nodes.never_withdrawn("n2")
    });
}

/// Who is deleted, or of another class, is withdrawn; the others are not touched.
#[test]
fn a_service_that_goes_takes_only_its_own_routes_along() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &[VIPS[0]], "")?;
        nodes.serve("dns", &["192.0.2.53"], "")?;
        let _agents = nodes.agents()?;
        nodes.next_hops(VIPS[0], &["n1", "n2"])?;
        nodes.next_hops("192.0.2.53", &["n1", "n2"])?;

        nodes.plane.kubectl("-n shop delete service dns")?;

        nodes.next_hops("192.0.2.53", &[])?;
        nodes.next_hops(VIPS[0], &["n1", "n2"])
    });
}

/// An operator's order takes the node out and back, across a restart where there is a place for it.
#[test]
fn a_withdrawn_node_announces_nothing_until_it_is_restored() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &VIPS, "")?;
        let state = lab.folder("n1-state")?;
        let mut agent = nodes.agent(0, &["--state-dir", &state.to_string_lossy()])?;
        agent.start()?;
        nodes.next_hops(VIPS[0], &["n1"])?;

        let said = agent.sluice("node withdraw")?;
        ensure!(said.contains("until sluice node restore"), "{said}");
        nodes.next_hops(VIPS[0], &[])?;
        says(&agent, "the node says that it is withdrawn", |status| {
            status.withdrawn && !status.ready
        })?;

        agent.stop()?;
        agent.start()?;
        crate::nodes::established(&mut agent)?;
        says(&agent, "all is known again", |status| status.withdrawn)?;
        ensure!(
            nodes.hops_of(VIPS[0])?.is_empty(),
            "announced after a restart"
        );

        agent.sluice("node restore")?;
        nodes.next_hops(VIPS[0], &["n1"])?;
        until("the node is ready", PATIENCE, || {
            agent.sluice("status").map(drop)
        })
    });
}

/// A peer by `autoDiscovery`: the node's default gateway, whatever that is just now.
#[test]
fn a_session_follows_the_default_gateway() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &VIPS, "")?;
        nodes.plane.apply(DISCOVERED)?;
        let mut agent = nodes.agent(0, &[])?;
        agent.start()?;
        let [host, _] = &nodes.hosts;

        crate::nodes::established(&mut agent)?;
        let peers = agent.peers()?;
        let at: Vec<String> = peers.iter().map(|peer| peer.address.to_string()).collect();
        ensure!(at == ["10.2.1.1"], "{at:?}");

        host.ip("route del default")?;
        until("there is no session without a gateway", PATIENCE, || {
            let peers = agent.peers()?;
            ensure!(peers.is_empty(), "{peers:?}");
            Ok(())
        })?;
        host.ip("route add default via 10.2.1.1")?;
        crate::nodes::established(&mut agent)
    });
}

const DISCOVERED: &str = "apiVersion: cilium.io/v2
kind: CiliumBGPNodeConfig
metadata: {name: n1}
spec:
  bgpInstances:
    - name: edge
      localASN: 65010
      routerID: 10.255.1.1
      peers:
        - name: gateway
          peerASN: 65001
          peerConfigRef: {name: tor}
          autoDiscovery: {mode: DefaultGateway, defaultGateway: {addressFamily: ipv4}}
";
