//! A node of a cluster that balances itself: services from the API server, tables in the kernel.

use std::net::IpAddr;

use anyhow::ensure;
use integration::cluster::ControlPlane;
use integration::topology::Single;
use integration::topology::single::{RACK_MTU, ROUTER_V6};
use integration::until;

use crate::nodes::{PATIENCE, established, install, join, run, says, serve};

const VIP: &str = "192.0.2.1";

/// Objects of the API server end in the kernel's tables, the address is announced once they are in
/// place, and requests get through to the backend that the EndpointSlice names.
#[test]
fn services_of_the_api_server_are_balanced_in_the_kernel() {
    run(|lab| {
        let network = Single::build(lab, RACK_MTU)?;
        let plane = ControlPlane::start(lab)?;
        join(lab, &plane, &network.edge, 9)?;
        let account = install(&plane)?;
        plane.apply(&cluster())?;
        serve(&plane, "web", &[VIP], "")?;
        let _router = network.router("")?;
        let vip: IpAddr = VIP.parse()?;
        let _backends = network.serve(&[vip])?;
        let kubeconfig = account.to_string_lossy();
        let flags = ["--kubeconfig", &*kubeconfig, "--node-name", "edge"];

        let mut agent = network.agent_of_cluster()?.with_flags(&flags);
        agent.start()?;
        established(&mut agent)?;

        says(&agent, "the address is in place", |status| {
            status.ready && (status.vips_ready, status.vips_wanted) == (1, 1)
        })?;
        let tables = agent.lb()?;
        let service = tables.services.first();
        ensure!(
            service.is_some_and(|service| service.backends.iter().any(|it| it.live)),
            "{tables:?}"
        );
        until("a request gets through", PATIENCE, || {
            let url = format!("http://{VIP}/");
            network
                .client
                .run("curl", &["--silent", "--fail", "--max-time", "2", &url])
        })?;
        plane.kubectl("-n shop delete endpointslice web-1")?;
        until("the address is withdrawn", PATIENCE, || {
            let routes = network.tor.ip(&format!("route show {VIP}"))?;
            ensure!(routes.trim().is_empty(), "{routes}");
            Ok(())
        })
    });
}

fn cluster() -> String {
    format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: shop}}
---
apiVersion: v1
kind: Node
metadata: {{name: edge}}
---
{}
---
apiVersion: cilium.io/v2
kind: CiliumBGPNodeConfig
metadata: {{name: edge}}
spec:
  bgpInstances:
    - name: edge
      localASN: 65010
      routerID: 10.255.1.1
      peers:
        - {{name: tor, peerASN: 65001, peerAddress: \"{ROUTER_V6}\", peerConfigRef: {{name: tor}}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{name: http, port: 80, protocol: TCP}}]
endpoints:
- {{addresses: [10.3.0.21], conditions: {{ready: true}}}}
",
        crate::nodes::PEERING.trim_start_matches("---\n")
    )
}
