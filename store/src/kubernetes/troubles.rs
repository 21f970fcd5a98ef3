//! What is wrong now between us and the API server, for people.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use api::Kind;
use tokio::sync::watch as latest;
use tracing::{info, warn};

use super::failure::Failure;

/// Everything that is wrong now, by what cannot be watched because of it.
pub type Troubles = Arc<BTreeMap<Watched, String>>;

/// Objects that are watched together. Shown as `services` or `services in NAMESPACE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    /// Their kind.
    pub kind: Kind,
    /// Their namespace; none means all of them.
    pub namespace: Option<String>,
}

/// Where one watch says how it fares.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) watched: Watched,
    pub(super) troubles: Arc<latest::Sender<Troubles>>,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.plural())?;
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => Ok(()),
        }
    }
}

impl Desk {
    /// It cannot be watched now. Logged once, until something else is wrong.
    pub(super) fn wrong(&self, failure: &Failure) {
        let trouble = if matches!(failure, Failure::Missing(_)) {
            let versions = self.watched.kind.api_versions().join(", ");
            let kind = self.watched.kind;
            format!("{kind} ({versions}) is not installed in the cluster")
        } else {
            failure.to_string()
        };
        self.troubles.send_if_modified(|troubles| {
            if troubles.get(&self.watched) == Some(&trouble) {
                return false;
            }
            warn!(watched = %self.watched, %trouble, "objects cannot be watched: what was seen last stays");
            Arc::make_mut(troubles).insert(self.watched.clone(), trouble);
            true
        });
    }

    /// It is watched.
    pub(super) fn well(&self) {
        self.troubles.send_if_modified(|troubles| {
            if !troubles.contains_key(&self.watched) {
                return false;
            }
            info!(watched = %self.watched, "objects are watched again");
            Arc::make_mut(troubles).remove(&self.watched);
            true
        });
    }
}
