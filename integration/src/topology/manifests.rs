//! Manifests of an edge node, as text, and the directory that its agent watches.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A directory of manifests.
pub struct Manifests {
    folder: PathBuf,
}

/// A peer of the edge node.
#[derive(Clone, Copy, Debug)]
pub struct PeerOf<'a> {
    /// The name of the session.
    pub name: &'a str,
    /// The AS that the peer is to have.
    pub asn: u32,
    /// Its address.
    pub address: &'a str,
    /// The name of its configuration: see [`peer_config`].
    pub config: &'a str,
}

impl Manifests {
    /// The directory at `folder`, which exists.
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts a file in place at once, as an editor does: written beside the directory, renamed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, file: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let beside = self.folder.with_extension("new");
        fs::write(&beside, text).with_context(|| format!("writing {}", beside.display()))?;
        fs::rename(&beside, self.folder.join(file)).with_context(|| format!("replacing {file}"))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// If it is not there.
    pub fn remove(&self, file: &str) -> Result<()> {
        fs::remove_file(self.folder.join(file)).with_context(|| format!("removing {file}"))
    }
}

/// The node named `edge`, and its BGP instance in AS 65010 with these peers.
#[must_use]
pub fn instance(peers: &[PeerOf<'_>]) -> String {
    let mut text = "\
apiVersion: v1
kind: Node
metadata: {name: edge, labels: {kubernetes.io/hostname: edge}}
---
apiVersion: cilium.io/v2
kind: CiliumBGPAdvertisement
metadata: {name: services, labels: {advertise: bgp}}
spec:
  advertisements:
    - advertisementType: Service
      service: {addresses: [LoadBalancerIP]}
      selector: {matchLabels: {expose: \"true\"}}
---
apiVersion: cilium.io/v2
kind: CiliumBGPClusterConfig
metadata: {name: edge}
spec:
  nodeSelector: {matchLabels: {kubernetes.io/hostname: edge}}
  bgpInstances:
    - name: edge
      localASN: 65010
      peers:
"
    .to_owned();
    for peer in peers {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "        - {{name: {}, peerASN: {}, peerAddress: \"{}\", peerConfigRef: {{name: {}}}}}",
            peer.name, peer.asn, peer.address, peer.config
        );
    }
    text
}

/// A peer configuration: a hold time that a busy machine keeps, graceful restart, both families;
/// `more` are lines of its `spec`, indented by two.
#[must_use]
pub fn peer_config(name: &str, more: &str) -> String {
    format!(
        "\
---
apiVersion: cilium.io/v2
kind: CiliumBGPPeerConfig
metadata: {{name: {name}}}
spec:
  timers: {{connectRetryTimeSeconds: 1, holdTimeSeconds: 9, keepAliveTimeSeconds: 3}}
  gracefulRestart: {{enabled: true, restartTimeSeconds: 30}}
  families:
    - {{afi: ipv4, safi: unicast, advertisements: {{matchLabels: {{advertise: bgp}}}}}}
    - {{afi: ipv6, safi: unicast, advertisements: {{matchLabels: {{advertise: bgp}}}}}}
{more}"
    )
}

/// A pool of these CIDR blocks, whole.
#[must_use]
pub fn pool(name: &str, cidrs: &[&str]) -> String {
    let mut text = format!(
        "---\napiVersion: cilium.io/v2\nkind: CiliumLoadBalancerIPPool\nmetadata: {{name: {name}}}\n\
         spec:\n  allowFirstLastIPs: \"Yes\"\n  blocks:\n"
    );
    for cidr in cidrs {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    - cidr: {cidr}");
    }
    text
}

/// A dual-stack service `shop/NAME` at port 80 of TCP; `annotations` are lines, indented by four.
#[must_use]
pub fn service(name: &str, annotations: &str) -> String {
    format!(
        "\
---
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: shop
  labels: {{expose: \"true\"}}
  annotations:
    sluicegate.io/idle-timeout: 1s
{annotations}spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  ipFamilies: [IPv4, IPv6]
  ports: [{{name: http, port: 80, protocol: TCP}}]
"
    )
}

/// The endpoints of `shop/NAME`, one slice a family, each with its conditions (`ready: true`).
#[must_use]
pub fn endpoints(name: &str, endpoints: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (family, is_v6) in [("IPv4", false), ("IPv6", true)] {
        let own: Vec<_> = endpoints
            .iter()
            .filter(|(address, _)| address.contains(':') == is_v6)
            .collect();
        if own.is_empty() {
            continue;
        }
        let label = family.to_lowercase();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  \
             name: {name}-{label}\n  namespace: shop\n  \
             labels: {{kubernetes.io/service-name: {name}}}\naddressType: {family}\n\
             ports: [{{name: http, port: 80, protocol: TCP}}]\nendpoints:\n"
        );
        for (address, conditions) in own {
            let _ = writeln!(
                text,
                "  - {{addresses: [\"{address}\"], conditions: {{{conditions}}}}}"
            );
        }
    }
    text
}
