//! What of an object counts as its user's wish.

use serde_json::{Map, Value};

/// What the user asks for, whose changes a generation counts: not names, labels or a status, as in
/// Kubernetes.
pub(crate) fn asked(manifest: &Value) -> Map<String, Value> {
    let fields = manifest.as_object().into_iter().flatten();
    fields
        .filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "metadata" | "status"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
