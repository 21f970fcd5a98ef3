//! What comes out.

use std::collections::BTreeMap;

use api::bgp::NodeSpec;
use api::{Key, StatusPatch};
use bgp_speaker_core::desired::{ExportChange, ExportId, Instance, InstanceName};
use lb_ipam::Inputs;
use types::NodeName;

/// What differs since the last change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// For the allocator of addresses.
    pub ipam: lb_ipam::Delta,
    /// For the balancer's planner.
    pub balancer: xdp_l4lb_core::desired::Delta,
    /// For the BGP speaker.
    pub bgp: BgpChanges,
    /// What is to be written to objects. A later patch of an object adds to an earlier one.
    pub statuses: BTreeMap<Key, StatusPatch>,
    /// What nodes' CiliumBGPNodeConfigs are to be, for an operator; none for those to be deleted. See
    /// [`NodeSpec::manifest`]. A later one replaces an earlier one.
    pub node_configs: BTreeMap<NodeName, Option<NodeSpec>>,
    /// How much each feature's desired state is based on.
    pub progress: Progress,
}

/// What differs for the BGP speaker. Told in the order of the fields, routes that only move from one
/// export to another are never withdrawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BgpChanges {
    /// Routes, announcements first.
    pub exports: Vec<ExportChange>,
    /// Instances that are new or different; none for those that should not be.
    pub instances: BTreeMap<InstanceName, Option<Instance>>,
    /// Exports that no peer names any more.
    pub cleared: Vec<ExportId>,
}

/// How much each feature's desired state is based on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The allocator's: pools and services. Always incomplete for an agent, which allocates nothing.
    pub ipam: Inputs,
    /// The balancer's: services and endpoint slices. Once complete, its planner may remove what it
    /// found and nobody wants. Always incomplete for an operator, which balances nothing.
    pub balancer: Inputs,
    /// The speaker's: every kind that the role has, but pools. Once complete, End-of-RIB may be sent
    /// when what is exported is in place. For an operator: what it makes CiliumBGPNodeConfigs of.
    pub bgp: Inputs,
}
