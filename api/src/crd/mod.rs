//! The CustomResourceDefinitions of the objects that are read, and when to install them.
//!
//! The types in [`schema`] describe what an API server lets through; what an object means, and whether
//! it makes sense, is decided by the rest of this crate. Both are compared by a test.

mod definition;
mod schema;
mod structural;
mod upgrade;

use serde_json::Value;

use definition::{Definition, Served};
use schema::{advertisement, cluster, egress, l2, node, peer, pool};

pub use upgrade::{Plan, plan};

/// Which label says which schema an installed definition has. Definitions without it are Cilium's.
pub const SCHEMA_LABEL: &str = "sluicegate.io/crd-schema";

/// The schema of this build. It grows whenever a definition changes.
pub const SCHEMA: u32 = 1;

/// What Cilium's operator looks for before it installs its own definitions: the schema of its 1.19.
const CILIUM_SCHEMA: (&str, &str) = ("io.cilium.k8s.crd.schema.version", "1.32.6");

/// Every definition, as `apiextensions.k8s.io/v1` has it, by name.
#[must_use]
pub fn all() -> Vec<Value> {
    DEFINITIONS.iter().map(Definition::render).collect()
}

const BGP: &[&str] = &["cilium", "ciliumbgp"];
const CILIUM: &[&str] = &["cilium"];
const POLICY: &[&str] = &["cilium", "ciliumpolicy"];

const DEFINITIONS: &[Definition] = &[
    Definition {
        kind: "CiliumBGPAdvertisement",
        plural: "ciliumbgpadvertisements",
        short_names: &["cbgpadvert"],
        categories: BGP,
        served: Served::Both,
        columns: &[],
        status: true,
        schema: schema::of::<advertisement::CiliumBGPAdvertisement>,
    },
    Definition {
        kind: "CiliumBGPClusterConfig",
        plural: "ciliumbgpclusterconfigs",
        short_names: &["cbgpcluster"],
        categories: BGP,
        served: Served::Both,
        columns: &[],
        status: true,
        schema: schema::of::<cluster::CiliumBGPClusterConfig>,
    },
    Definition {
        kind: "CiliumBGPNodeConfig",
        plural: "ciliumbgpnodeconfigs",
        short_names: &["cbgpnode"],
        categories: BGP,
        served: Served::Both,
        columns: &[],
        status: true,
        schema: schema::of::<node::CiliumBGPNodeConfig>,
    },
    Definition {
        kind: "CiliumBGPNodeConfigOverride",
        plural: "ciliumbgpnodeconfigoverrides",
        short_names: &["cbgpnodeoverride"],
        categories: BGP,
        served: Served::Both,
        columns: &[],
        status: false,
        schema: schema::of::<node::CiliumBGPNodeConfigOverride>,
    },
    Definition {
        kind: "CiliumBGPPeerConfig",
        plural: "ciliumbgppeerconfigs",
        short_names: &["cbgppeer"],
        categories: BGP,
        served: Served::Both,
        columns: &[],
        status: true,
        schema: schema::of::<peer::CiliumBGPPeerConfig>,
    },
    Definition {
        kind: "CiliumEgressGatewayPolicy",
        plural: "ciliumegressgatewaypolicies",
        short_names: &["cegp"],
        categories: POLICY,
        served: Served::V2,
        columns: &[],
        status: false,
        schema: schema::of::<egress::CiliumEgressGatewayPolicy>,
    },
    Definition {
        kind: "CiliumL2AnnouncementPolicy",
        plural: "ciliuml2announcementpolicies",
        short_names: &["l2announcement"],
        categories: CILIUM,
        served: Served::V2Alpha1,
        columns: &[],
        status: true,
        schema: schema::of::<l2::CiliumL2AnnouncementPolicy>,
    },
    Definition {
        kind: "CiliumLoadBalancerIPPool",
        plural: "ciliumloadbalancerippools",
        short_names: &["ippools", "ippool", "lbippool", "lbippools"],
        categories: CILIUM,
        served: Served::Both,
        columns: pool::COLUMNS,
        status: true,
        schema: schema::of::<pool::CiliumLoadBalancerIPPool>,
    },
];

#[cfg(test)]
mod tests;
