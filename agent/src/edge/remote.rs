//! Where statuses go and leases are, whatever that is.

use api::{Key, StatusPatch, Version};
use store::kubernetes::Cluster;
use store::{LeaseName, LeaseRecord, Leases, Statuses, WriteError};

/// A place that many nodes share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Remote {
    /// A Kubernetes API server.
    Kubernetes(Cluster),
}

impl Remote {
    /// See [`store::Statuses::write`].
    pub(super) async fn write(
        &self,
        key: Key,
        seen: Version,
        status: StatusPatch,
    ) -> Result<(), WriteError> {
        match self {
            Self::Kubernetes(cluster) => Statuses::write(cluster, key, seen, status).await,
        }
    }

    /// See [`store::Leases::read`].
    pub(super) async fn lease(
        &self,
        name: &LeaseName,
    ) -> Result<Option<(LeaseRecord, Version)>, WriteError> {
        match self {
            Self::Kubernetes(cluster) => Leases::read(cluster, name).await,
        }
    }
}
