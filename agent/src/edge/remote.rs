//! Where statuses go and leases are, whatever that is.

use api::{Key, StatusPatch, Version};
#[cfg(feature = "etcd")]
use store::etcd::Fleet;
use store::kubernetes::Cluster;
use store::{LeaseName, LeaseRecord, Leases, Statuses, WriteError};

/// A place that many nodes share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Remote {
    /// A Kubernetes API server.
    Kubernetes(Cluster),
    /// An etcd that a fleet shares.
    #[cfg(feature = "etcd")]
    Etcd(Fleet),
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
            #[cfg(feature = "etcd")]
            Self::Etcd(fleet) => Statuses::write(fleet, key, seen, status).await,
        }
    }

    /// See [`store::Leases::read`].
    pub(super) async fn lease(
        &self,
        name: &LeaseName,
    ) -> Result<Option<(LeaseRecord, Version)>, WriteError> {
        match self {
            Self::Kubernetes(cluster) => Leases::read(cluster, name).await,
            #[cfg(feature = "etcd")]
            Self::Etcd(fleet) => Leases::read(fleet, name).await,
        }
    }
}
