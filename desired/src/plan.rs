//! A dry run of the whole control plane: what objects come to, and what a change of them would change.
//!
//! ```text
//!  objects --> allocator, until every notice has run out --> addresses
//!     |                                                         |
//!     +----------- Services with their addresses <--------------+
//!     |
//!     +--> for every node: Desired --> sessions, routes, the balancer's services
//!
//!  the same of what would be; what differs is the plan, and what stops working the cut.
//! ```
//!
//! Nothing here knows of kernels and peers: a VIP counts as ready once it has a backend, and addresses of
//! interfaces and default gateways are not known.

mod addresses;
mod cut;
mod differ;
mod explain;
mod node;
mod report;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use api::{Key, Object};
use lb_ipam::{Allocator, Delta, Inputs, Time};
use types::{Family, NodeName, RouterId};

use crate::{Facts, Forwarding, IpamOptions};
use addresses::Addresses;
use node::{NodeState, of_all_nodes};

pub use explain::{Chain, Link, LinkState};
pub use report::{
    AddressChange, AddressFate, Cut, CutKind, Plan, PoolChange, PoolState, Refused, Route,
    RouteChange, ServiceChange, SessionChange, SessionFate, Step,
};

/// The BGP identifier of nodes without an IPv4 address (RFC 7600: a dummy).
const SPARE: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);

/// Objects by key: a directory, or a cluster.
pub type Situation = BTreeMap<Key, Object>;

/// What is taken for granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumptions {
    /// Who decides.
    pub layout: Layout,
    /// Who forwards packets for Services.
    pub forwarding: Forwarding,
    /// Which Services' addresses are given.
    pub ipam: IpamOptions,
    /// The families that addresses are given of.
    pub families: Vec<Family>,
    /// The node, where no object names one.
    pub node: NodeName,
    /// When.
    pub now: Time,
}

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each node by itself, of the same objects.
    Nodes,
    /// An operator, and agents that do what it says.
    Cluster,
}

/// What objects come to.
#[derive(Debug)]
struct Outcome {
    addresses: Addresses,
    nodes: BTreeMap<NodeName, NodeState>,
    /// The objects, with the addresses that their Services have in the end.
    objects: Situation,
}

impl Assumptions {
    fn facts(&self, node: &NodeName) -> Facts {
        Facts {
            forwarding: self.forwarding,
            ipam: self.ipam,
            // Each has one of its own, from a MAC, which objects do not say.
            spare_router_id: RouterId::try_from(SPARE).ok(),
            ..Facts::new(node.clone())
        }
    }
}

/// What would change if `before` became `after`. Statuses and ages of objects that are in both are those
/// of `before`.
#[must_use]
pub fn plan(before: &Situation, after: &Situation, assumptions: &Assumptions) -> Plan {
    let after = addresses::grown(before, after);
    let was = Addresses::of(before, assumptions);
    let becomes = was.changed(before, &after, assumptions);
    let [was, becomes] = [(was, before), (becomes, &after)].map(|(addresses, objects)| {
        let objects = addresses.put_into(objects);
        Outcome {
            nodes: of_all_nodes(&objects, assumptions),
            addresses,
            objects,
        }
    });
    let mut plan = differ::plan(&was, &becomes, assumptions);
    plan.cuts = cut::cuts(&was, &becomes, &plan);
    plan
}

/// The chain from a pool to what clients reach at an address, as far as objects say.
#[must_use]
pub fn explain(objects: &Situation, addr: IpAddr, assumptions: &Assumptions) -> Chain {
    let addresses = Addresses::of(objects, assumptions);
    let objects = addresses.put_into(objects);
    let outcome = Outcome {
        nodes: of_all_nodes(&objects, assumptions),
        addresses,
        objects,
    };
    explain::chain(&outcome, addr, assumptions)
}

/// The allocator as these objects leave it, to be asked.
#[must_use]
pub fn allocator(objects: &Situation, assumptions: &Assumptions) -> Allocator {
    Addresses::of(objects, assumptions).allocator
}

/// Everything about pools and Services, for an allocator that knows nothing yet.
fn everything(objects: &Situation, assumptions: &Assumptions) -> Delta {
    let mut delta = addresses::delta(&Situation::new(), objects, assumptions);
    delta.inputs = Some(Inputs::Complete);
    delta.grace = Some(assumptions.ipam.grace);
    delta
}
