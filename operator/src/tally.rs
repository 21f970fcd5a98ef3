//! Counts what is written, and how that ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{Key, Kind, StatusPatch, Version};
use serde_json::Value;
use store::{Applied, Objects, Statuses, WriteError};

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// It was done.
    Written,
    /// The object had changed since it was seen.
    Conflict,
    /// There was no such object any more.
    Gone,
    /// It was not accepted.
    Forbidden,
    /// It could not be written then.
    Unavailable,
}

/// Writes by the kind of object and by how they ended, since the program started.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: Arc<Mutex<BTreeMap<(&'static str, Ending), u64>>>,
}

/// A writer whose writes are counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted<W> {
    writer: W,
    tally: Tally,
}

impl Ending {
    /// As metrics have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::Forbidden => "forbidden",
            Self::Unavailable => "unavailable",
        }
    }

    /// How a write ended that came to nothing.
    #[must_use]
    pub fn of_error(error: &WriteError) -> Self {
        match error {
            WriteError::Conflict => Self::Conflict,
            WriteError::Gone => Self::Gone,
            WriteError::Forbidden(_) => Self::Forbidden,
            WriteError::Unavailable(_) => Self::Unavailable,
        }
    }
}

impl Tally {
    /// The counts by the name of the kind and by ending; what never happened is not among them.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<(&'static str, Ending), u64> {
        self.lock().clone()
    }

    pub(crate) fn around<W>(&self, writer: W) -> Counted<W> {
        let tally = self.clone();
        Counted { writer, tally }
    }

    fn note<T>(&self, kind: &'static str, result: &Result<T, WriteError>) {
        let ending = result
            .as_ref()
            .err()
            .map_or(Ending::Written, Ending::of_error);
        *self.lock().entry((kind, ending)).or_default() += 1;
    }

    /// A panic leaves counts that are right.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(&'static str, Ending), u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Statuses> Statuses for Counted<W> {
    async fn write(&self, key: Key, seen: Version, status: StatusPatch) -> Result<(), WriteError> {
        let kind = key.kind.as_str();
        let result = self.writer.write(key, seen, status).await;
        self.tally.note(kind, &result);
        result
    }
}

impl<W: Objects> Objects for Counted<W> {
    async fn apply(&self, manifest: &Value) -> Result<Applied, WriteError> {
        let kind = manifest.get("kind").and_then(Value::as_str);
        let kind = kind.and_then(Kind::from_name).map_or("other", Kind::as_str);
        let result = self.writer.apply(manifest).await;
        self.tally.note(kind, &result);
        result
    }

    async fn delete(&self, key: &Key) -> Result<bool, WriteError> {
        let result = self.writer.delete(key).await;
        self.tally.note(key.kind.as_str(), &result);
        result
    }
}
