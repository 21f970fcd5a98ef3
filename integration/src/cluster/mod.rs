//! A real Kubernetes cluster in a lab: etcd and an API server of Kubernetes' own programs.
//!
//! - [`ControlPlane`]: etcd, kube-apiserver and kubectl, ready in a few seconds. Role-based access
//!   is on; [`ControlPlane::admin`] is for what a person would do, and what is under test gets an
//!   account of its own from [`ControlPlane::service_account`].
//! - [`Cluster`]: a control plane and two nodes with kubelets, containerd, pods and kube-proxy, a
//!   router and a client behind it.
//! - [`Etcd`]: an etcd alone, with TLS where wanted.
//! - [`Authority`]: the certificates, made on the spot.
//!
//! A test of a cluster runs its body in [`run`], which skips loudly where the programs are not
//! built (`scripts/setup kubernetes` builds them once), and fails where `make test` asked for
//! everything:
//!
//! ```no_run
//! use integration::cluster::{self, ControlPlane};
//!
//! cluster::run(|lab| {
//!     let cluster = ControlPlane::start(lab)?;
//!     cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: batuu}\n")?;
//!     println!("{}", cluster.kubectl("get namespaces")?);
//!     println!("KUBECONFIG={}", cluster.admin().display());
//!     Ok(())
//! });
//! ```

mod accounts;
mod authority;
mod chart;
mod control_plane;
mod etcd;
mod image;
mod kubectl;
mod node;
mod programs;
mod two_nodes;

use std::net::{Ipv4Addr, TcpStream};

use anyhow::{Context as _, Result};

use crate::lab::Host;

pub use authority::{Authority, KeyPair};
pub use chart::chart;
pub use control_plane::{ADDRESSES, ControlPlane, Options};
pub use etcd::Etcd;
pub use image::{IMAGE, PRODUCT_IMAGE};
pub use node::Node;
pub use programs::{program, run, run_nodes, run_product};
pub use two_nodes::{Cluster, ROUTER, deployment};

/// What pods get their addresses from, a part of each a node.
pub const POD_NETWORKS: [&str; 2] = ["10.244.0.0/16", "fd00:244::/56"];

/// What services get their cluster addresses from.
pub const SERVICE_NETWORKS: [&str; 2] = ["10.96.0.0/16", "fd00:96::/108"];

/// Whether something accepts connections at a port of a host's loopback.
fn listens(host: &Host, port: u16) -> Result<()> {
    host.enter(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)))
        .with_context(|| format!("connecting to port {port}"))?;
    Ok(())
}
