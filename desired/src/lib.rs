//! Objects in; each feature's desired state and each object's conditions out.
//!
//! [`Desired`] keeps indexes from each object to what depends on it, so one change costs what it
//! concerns. A full pass is the same code over all keys.
//!
//! ```text
//!  Service, pool --------------------------------> lb_ipam::Delta
//!  Service, EndpointSlice, drains ---------------> the balancer's Delta
//!  ClusterConfig, Node, NodeConfigOverride ------> NodeConfigs
//!  NodeConfig, PeerConfig, Secret, own Node -----> this node's BGP instances
//!  Advertisement, Service, ready VIPs, own Node -> what they export
//!  all of them ----------------------------------> conditions
//! ```
//!
//! A [`Role`] does a part of it: an operator the first and third line, an agent the others, a node on its
//! own everything, its own NodeConfig never leaving the process.
//!
//! Nothing is said of a feature before every kind it depends on was reported in whole. What was there
//! before the agent may be removed once [`Progress`] says that all of them are valid, too.

mod balancer;
mod changes;
mod conditions;
mod endpoints;
mod exports;
mod facts;
mod index;
mod instances;
mod ipam;
mod network;
mod node_configs;
mod objects;
mod ownership;
pub mod plan;
mod remarks;
mod role;
mod settle;

pub use balancer::Drained;
pub use changes::{BgpChanges, Changes, Progress};
pub use facts::Facts;
pub use index::Desired;
pub use instances::{LeftOut, Reason};
pub use ipam::{DefaultIpam, IpamOptions};
pub use lb_ipam::Inputs;
pub use node_configs::{BadRouterIdPool, RouterIdPool};
pub use role::{Forwarding, Role};
