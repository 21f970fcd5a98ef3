//! The source for a fleet of nodes: objects in etcd, as JSON.
//!
//! An object is at `PREFIX/GROUP/PLURAL/NAMESPACE/NAME`, with `core` for the group without a name
//! and `-` for kinds without a namespace; `/sluicegate` is the usual prefix:
//!
//! ```text
//! /sluicegate/core/services/shop/web
//! /sluicegate/cilium.io/ciliumloadbalancerippools/-/blue
//! /sluicegate/coordination.k8s.io/leases/kube-system/sluicegate-operator
//! ```
//!
//! The value is the object as Kubernetes has it, its status inside. `metadata.uid`,
//! `creationTimestamp` and `generation` are given by whoever writes; `resourceVersion` is the key's
//! mod revision and is in no value. Who set which field is in `metadata.managedFields`, lists taken
//! as a whole. Finalizers hold nothing back.
//!
//! What is there is listed at one revision and watched from the next. A watch that ends is resumed
//! where it was; if etcd has compacted that, or is another etcd or one put back from a copy, all is
//! listed anew. What is known stays until then.
//!
//! A lease is a record like any other object and has no etcd lease behind it: who reads it decides by
//! its own clock, as with Kubernetes, and nothing vanishes when a member of etcd is slow. A handle
//! that is [`Fleet::fenced_by`] a lease writes nothing once another has taken it.

mod document;
mod fault;
mod fleet;
mod follow;
mod layout;
mod leases;
mod merge;
mod options;
mod session;
mod sights;
mod writes;

pub use fleet::{Fleet, FleetError};
pub use layout::BadPrefix;
pub use options::{BadOptions, ConnectOptions, DEFAULT_PREFIX};
pub use sights::{FleetSource, Sight, Sights};
