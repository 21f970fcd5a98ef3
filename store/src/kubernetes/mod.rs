//! The source that is a Kubernetes cluster, and where its statuses, objects and leases go.
//!
//! There is one watch a kind, or a kind and namespace where only some are watched. A watch begins
//! with all there is, as a stream where the API server has that and in pages where not, and goes on
//! from there through lost connections, restarts and forgotten versions. What was seen last stays
//! until the API server says something else; what keeps a watch from it is in [`Troubles`].

mod backoff;
mod bucket;
mod connect;
mod course;
mod discovery;
mod documents;
mod failure;
mod follow;
mod leases;
mod lines;
mod objects;
mod reading;
mod resource;
mod scope;
mod source;
mod statuses;
mod troubles;

pub use connect::{Cluster, ConnectError, ConnectOptions};
pub use source::{KubernetesSource, Watch};
pub use troubles::{Troubles, Watched};
