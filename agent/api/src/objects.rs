//! Objects as the agent has them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The objects of a directory of manifests, with what was given to them and their statuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Objects {
    /// The directory.
    pub manifests: PathBuf,
    /// The objects as they were last good.
    pub items: Vec<Value>,
}
