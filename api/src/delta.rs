//! What sources report and what watchers are told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::{Fault, Key, Kind, Object};

/// Which state of an object was seen. Its meaning is the source's own; equal means unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(Arc<str>);

/// One thing that a source saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// An object that validates is there.
    Put(Key, Object, Version),
    /// An object is there and does not validate.
    Refused(Key, Vec<Fault>),
    /// An object is not there any more.
    Gone(Key),
    /// All objects of a kind follow, from nothing, up to [`Change::Synced`].
    Restart(Kind),
    /// All objects of a kind were reported.
    Synced(Kind),
}

/// What differs since the watcher last asked. Lag costs neither memory nor a change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delta {
    /// Objects that changed; none for those that are gone; the last good value of refused ones.
    pub objects: BTreeMap<Key, Option<Object>>,
    /// Objects whose newest value was refused, and why. An empty list says: not any more.
    pub refused: BTreeMap<Key, Vec<Fault>>,
    /// Kinds that were reported in whole since the watcher last asked.
    pub synced: BTreeSet<Kind>,
}

impl Version {
    /// A source's own word for a state.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// What the source wrote.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Delta {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.refused.is_empty() && self.synced.is_empty()
    }
}
