//! Where objects come from and statuses go.
//!
//! A [`Source`] reports what it sees; the [`Hub`] makes differences of it, the same for every
//! source, and hands them to any number of watchers. Statuses go back by [`Statuses`]. The sources
//! are the [`Directory`], manifests in files and what was given to them in a database, and the
//! [`kubernetes::Cluster`].

mod asked;
pub mod config_map;
mod database;
mod directory;
#[cfg(feature = "etcd")]
pub mod etcd;
mod hub;
pub mod kubernetes;
pub mod manifest;
mod source;
pub mod yaml;

pub use database::{BadRows, Damage, OpenError, Orders, reset_state};
pub use directory::{
    Directory, DirectoryConfig, DirectoryDocuments, DirectoryStatuses, Faults, OverrideError,
    Overrides,
};
pub use hub::{Hub, HubHandle, Snapshot, Watcher};
pub use source::{
    Applied, LeaseName, LeaseRecord, Leases, Objects, Source, Statuses, WriteError, version_of,
};
