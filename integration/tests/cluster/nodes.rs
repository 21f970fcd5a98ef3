//! Nodes with pods, and the network around them.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use integration::cluster::{self, Cluster, deployment};
use integration::traffic::{Load, get_many};

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  loadBalancerClass: sluicegate.test/none
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{port: 80}]
";

/// Two nodes are Ready, their pods answer on both families through kube-proxy at a load balancer's
/// address, and a rolling update loses no request.
#[test]
fn pods_of_both_nodes_answer_at_an_address_that_kube_proxy_balances() {
    cluster::run_nodes(|lab| {
        let cluster = Cluster::start(lab)?;
        cluster.control.apply(&deployment("web", 4, 3))?;
        cluster.control.apply(SERVICE)?;
        cluster
            .control
            .kubectl("rollout status deployment web --timeout=60s")?;
        let targets = give_addresses(&cluster)?;

        let mut answered = get_many(&cluster.client, targets[0], 100)?;
        answered.extend(get_many(&cluster.client, targets[1], 100)?);
        let load = Load::start(&cluster.client, &targets, 2);
        load.answers(50)?;
        cluster.control.kubectl("rollout restart deployment web")?;
        cluster
            .control
            .kubectl("rollout status deployment web --timeout=90s")?;
        load.answers(50)?;
        let tally = load.finish()?;

        for node in ["node1", "node2"] {
            ensure!(
                answered.keys().any(|pod| pod.ends_with(node)),
                "{answered:?}"
            );
        }
        ensure!(tally.failed == 0, "{tally}");
        ensure!(
            tally.answered.len() >= 8,
            "the pods were not replaced: {:?}",
            tally.answered
        );
        Ok(())
    });
}

/// Does by hand what an allocator and a router do: an address of each family, and routes to it.
fn give_addresses(cluster: &Cluster) -> Result<[SocketAddr; 2]> {
    let addresses = ["192.0.2.1", "2001:db8::1"];
    let [v4, v6] = addresses;
    cluster.control.kubectl_with(
        &[
            "patch",
            "service",
            "web",
            "--subresource=status",
            "--type=merge",
            "--patch-file=/dev/stdin",
        ],
        &format!("status: {{loadBalancer: {{ingress: [{{ip: '{v4}'}}, {{ip: '{v6}'}}]}}}}"),
    )?;
    cluster.balanced(&addresses)?;
    let [first, second] = [0, 1].map(|number| cluster.node(number).addresses());
    for (address, (first, second)) in addresses.iter().zip(first.iter().zip(&second)) {
        cluster.tor.ip(&format!(
            "route add {address} nexthop via {first} nexthop via {second}"
        ))?;
    }
    let at = |address: &str| -> Result<SocketAddr> {
        let address: IpAddr = address.parse().context("an address")?;
        Ok(SocketAddr::new(address, 80))
    };
    Ok([at(v4)?, at(v6)?])
}
