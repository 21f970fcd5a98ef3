//! What every place that objects come from is to a feature: a source, and a way back.

use std::future::Future;

use api::{Change, Key, Object, StatusPatch, Version};

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

/// Why a status was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The object changed since: look again, decide again.
    #[error("the object has changed since it was seen")]
    Conflict,
    /// There is no such object any more.
    #[error("the object is gone")]
    Gone,
    /// It will not be accepted however often it is tried.
    #[error("the status is not accepted: {0}")]
    Forbidden(String),
    /// It cannot be written now: try again later.
    #[error("statuses cannot be written now: {0}")]
    Unavailable(String),
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
