//! What every place that objects come from is to a feature: a source, and a way back.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use api::{Change, Key, Object, StatusPatch, Timestamp, Version};
use serde_json::Value;

/// Where objects come from. Retries are inside; what belongs together is one `Vec`.
pub trait Source: Send {
    /// What was seen since the last call. Cancel safe: what a dropped call saw, the next returns.
    fn next(&mut self) -> impl Future<Output = Vec<Change>> + Send;
}

/// Where statuses go. What was written comes back through the source.
pub trait Statuses: Send + Sync {
    /// Joins the patch to the status of the object as it was at `seen`. Durable when it returns.
    ///
    /// # Errors
    /// See [`WriteError`]. A call that is dropped may have written.
    fn write(
        &self,
        key: Key,
        seen: Version,
        status: StatusPatch,
    ) -> impl Future<Output = Result<(), WriteError>> + Send;
}

/// Where whole objects go. What was written comes back through the source.
pub trait Objects: Send + Sync {
    /// Makes the object as the manifest says. Fields that it does not name stay with whoever set them;
    /// those that an earlier call named and this one does not are removed. Durable when it returns.
    ///
    /// # Errors
    /// See [`WriteError`]. A call that is dropped may have written.
    fn apply(&self, manifest: &Value) -> impl Future<Output = Result<Applied, WriteError>> + Send;

    /// Removes the object. Whether it was there.
    ///
    /// # Errors
    /// See [`WriteError`]. A call that is dropped may have removed it.
    fn delete(&self, key: &Key) -> impl Future<Output = Result<bool, WriteError>> + Send;
}

/// What applying a manifest came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The object is new.
    Created,
    /// It was there, and is different now.
    Changed,
    /// It was there, and as the manifest says.
    Unchanged,
}

/// Where leases are. Whoever reads one decides by its own clock whether it has run out.
pub trait Leases: Send + Sync {
    /// The lease as it is now, not as it was once; none if nobody ever took it.
    ///
    /// # Errors
    /// See [`WriteError`].
    fn read(
        &self,
        name: &LeaseName,
    ) -> impl Future<Output = Result<Option<(LeaseRecord, Version)>, WriteError>> + Send;

    /// Writes the lease if it still is as it was at `seen`; with none, if it is not there.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] if somebody else has written it. A call that is dropped may have
    /// written.
    fn write(
        &self,
        name: &LeaseName,
        record: &LeaseRecord,
        seen: Option<&Version>,
    ) -> impl Future<Output = Result<Version, WriteError>> + Send;
}

/// What names a lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What a lease says, as `coordination.k8s.io/v1` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Who holds it; empty if it was given back.
    pub holder: String,
    /// For how long after each renewal.
    pub duration: Duration,
    /// When the holder took it, by the holder's clock.
    pub acquired: Timestamp,
    /// When the holder renewed it last, by the holder's clock.
    pub renewed: Timestamp,
    /// How often it went from one holder to another.
    pub transitions: u32,
}

/// Why something was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The object changed since: look again, decide again.
    #[error("the object has changed since it was seen")]
    Conflict,
    /// There is no such object any more.
    #[error("the object is gone")]
    Gone,
    /// It will not be accepted however often it is tried.
    #[error("it is not accepted: {0}")]
    Forbidden(String),
    /// It cannot be written now: try again later.
    #[error("nothing can be written now: {0}")]
    Unavailable(String),
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The version at which an object was seen, for [`Statuses::write`]. Every source puts it into the
/// object's metadata.
#[must_use]
pub fn version_of(object: &Object) -> Version {
    Version::new(
        object
            .meta()
            .resource_version
            .as_deref()
            .unwrap_or_default(),
    )
}
