//! Parts of an object as JSON.

use api::{Key, Kind};
use serde_json::{Map, Value, json};
use types::ObjectName;

/// The key of a document of that kind.
pub(super) fn key_of(kind: Kind, document: &Value) -> Key {
    let text = |field: &str| {
        let field = document
            .pointer("/metadata")
            .and_then(|metadata| metadata.get(field));
        field
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let name = text("name").unwrap_or_default();
    named(kind, text("namespace").unwrap_or("default"), name)
}

/// The key of the object of that name, in the namespace if its kind has any.
pub(super) fn named(kind: Kind, namespace: &str, name: &str) -> Key {
    let name = if kind.namespaced() {
        ObjectName::new(namespace, name)
    } else {
        ObjectName::of_cluster(name)
    };
    Key::new(kind, name)
}

/// The document as people see it: who set which field is left out.
pub(super) fn shown(mut document: Value) -> Value {
    if let Some(Value::Object(metadata)) = document.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    document
}

/// Documents as one.
pub(super) fn list(documents: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": documents})
}

/// The document as a manifest that asks for the same: without what was given, and without a status
/// but a Node's addresses, which nobody else gives.
pub(super) fn manifest(kind: Kind, document: &Value) -> Value {
    let mut manifest = document.clone();
    let Value::Object(fields) = &mut manifest else {
        return manifest;
    };
    let status = fields.remove("status");
    if kind == Kind::Node
        && let Some(addresses) = status.and_then(|status| status.get("addresses").cloned())
    {
        fields.insert("status".to_owned(), json!({ "addresses": addresses }));
    }
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        let kept = ["name", "namespace", "labels", "annotations"];
        metadata.retain(|name, _| kept.contains(&name.as_str()));
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
        metadata.retain(|_, value| value.as_object().is_none_or(|map| !Map::is_empty(map)));
    }
    manifest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_has_what_a_person_would_have_written() {
        let document = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                "generation": 2, "managedFields": [], "creationTimestamp": "2026-11-20T12:00:00Z",
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            },
            "spec": {"ports": [{"port": 80}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}},
        });
        let node = json!({
            "metadata": {"name": "n"},
            "status": {"addresses": [{"type": "InternalIP", "address": "::1"}], "images": []},
        });

        assert_eq!(
            manifest(Kind::Service, &document),
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"ports": [{"port": 80}]},
            })
        );
        assert_eq!(
            manifest(Kind::Node, &node)["status"],
            json!({"addresses": [{"type": "InternalIP", "address": "::1"}]})
        );
    }
}
