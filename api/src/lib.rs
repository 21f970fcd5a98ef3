//! The Kubernetes objects and custom resources as Rust types, with validation.
//!
//! A source hands a document to [`Object::from_value`] and gets an object that is right, or a
//! [`Refusal`] with every fault. Nothing past this crate checks an object again.

pub mod annotations;
pub mod bgp;
pub mod condition;
pub mod crd;
mod delta;
mod endpoint_slice;
mod fault;
pub mod ipam;
pub mod keys;
mod kind;
mod meta;
mod node;
mod object;
mod pool;
mod read;
mod secret;
mod selector;
mod service;
mod status;

pub use condition::{Condition, Truth};
pub use delta::{Change, Delta, Shown, Version};
pub use endpoint_slice::{AddressType, Endpoint, EndpointPort, EndpointSlice, Hints};
pub use fault::{Fault, FieldPath, Refusal, Step};
/// A point in time, as metadata and conditions have it.
pub use jiff::Timestamp;
pub use kind::{Key, Kind};
pub use meta::{Metadata, Owner};
pub use node::{Node, NodeAddress, NodeAddressType, extra_node_labels};
pub use object::{Object, Strictness, Unenforced};
pub use pool::{Block, LoadBalancerIPPool};
pub use secret::{Secret, SecretValue};
pub use selector::{LabelSelector, Labels, Operator, Requirement};
pub use service::{
    Ingress, IpFamilyPolicy, Service, ServicePort, ServiceType, SessionAffinity, TargetPort,
    TrafficPolicy,
};
pub use status::{Statement, StatusPatch};
