//! Reads and changes the value of one key: no etcd, no clock.

use api::{
    Change, Fault, FieldPath, Key, Object, Shown, StatusPatch, Step, Strictness, Timestamp, Version,
};
use serde_json::{Map, Value, json};

use super::merge::{STATUS, status_mark, takes_status_from_manifest};

/// The object as it is at that revision, with its version in it.
pub(super) fn read(key: &Key, value: &[u8], revision: i64) -> Result<Value, Vec<Fault>> {
    let fault = |reason: String| {
        vec![Fault {
            path: FieldPath::default(),
            reason,
        }]
    };
    let mut document: Value = serde_json::from_slice(value)
        .map_err(|error| fault(format!("what etcd has is not JSON: {error}")))?;
    let Value::Object(fields) = &mut document else {
        return Err(fault("what etcd has is not an object".to_owned()));
    };
    let metadata = fields
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(metadata) = metadata {
        metadata.insert("resourceVersion".to_owned(), revision.to_string().into());
    }
    if fields.get("kind").and_then(Value::as_str) != Some(key.kind.as_str()) {
        return Err(vec![Fault {
            path: FieldPath::new(vec![Step::Field("kind".to_owned())]),
            reason: format!("is not {}, which the key in etcd says", key.kind),
        }]);
    }
    Ok(document)
}

/// The object that a document makes, if it is the one that its key says.
pub(super) fn object(key: &Key, document: Value) -> Result<Object, Vec<Fault>> {
    let object =
        Object::from_value(document, Strictness::Lenient).map_err(|refusal| refusal.faults)?;
    if object.key() == *key {
        return Ok(object);
    }
    Err(vec![Fault {
        path: FieldPath::new(vec![Step::Field("metadata".to_owned())]),
        reason: format!(
            "says {}, and the key in etcd says {}",
            object.key().name,
            key.name
        ),
    }])
}

/// What a source reports of a key's value.
pub(super) fn change(key: Key, document: Value) -> Change {
    let version = document.pointer("/metadata/resourceVersion");
    let version = version.and_then(Value::as_str).unwrap_or_default();
    let version = Version::new(version);
    let shown = Shown::of(key.kind, &document);
    match object(&key, document) {
        Ok(object) => Change::Put(key, object, version),
        Err(faults) => Change::Refused(key, faults, shown),
    }
}

/// The document with the patch in its status; none if that changes nothing.
pub(super) fn with_status(document: &Value, patch: &StatusPatch, now: Timestamp) -> Option<Value> {
    let mut document = document.clone();
    let mut status = document.get(STATUS).cloned().unwrap_or_default();
    if !patch.apply(&mut status, now) {
        return None;
    }
    let was_stated = takes_status_from_manifest(&document);
    let fields = document.as_object_mut()?;
    fields.insert(STATUS.to_owned(), status);
    if was_stated {
        let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
        let managed = metadata.as_object_mut()?.entry("managedFields");
        if let Value::Array(managed) = managed.or_insert_with(|| json!([])) {
            managed.push(status_mark());
        }
    }
    Some(document)
}

/// The document as it is stored: its version is the key's own.
pub(super) fn stored(mut document: Value) -> Vec<u8> {
    if let Some(Value::Object(metadata)) = document.get_mut("metadata") {
        metadata.remove("resourceVersion");
    }
    document.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use api::{Kind, Statement, Truth};
    use types::ObjectName;

    use super::*;

    const POOL: &str = r#"{
        "apiVersion": "cilium.io/v2", "kind": "CiliumLoadBalancerIPPool",
        "metadata": {"name": "blue"}, "spec": {"blocks": [{"cidr": "10.0.0.0/24"}]}
    }"#;

    #[test]
    fn an_object_has_the_version_of_its_key() {
        let document = read(&blue(), POOL.as_bytes(), 7).unwrap();

        let Change::Put(key, object, version) = change(blue(), document) else {
            panic!("the pool is valid");
        };

        assert_eq!(key, blue());
        assert_eq!(version.as_str(), "7");
        assert_eq!(object.meta().resource_version.as_deref(), Some("7"));
    }

    #[test]
    fn what_is_not_what_its_key_says_is_refused() {
        let green = pool_key("green");
        let service = Key::new(Kind::Service, ObjectName::new("shop", "blue"));

        let document = read(&green, POOL.as_bytes(), 7).unwrap();
        let Change::Refused(key, faults, _) = change(green.clone(), document) else {
            panic!("it says blue");
        };
        let kind = read(&service, POOL.as_bytes(), 7).unwrap_err();

        assert_eq!(key, green);
        assert_eq!(
            faults[0].to_string(),
            "metadata: says blue, and the key in etcd says green"
        );
        assert_eq!(
            kind[0].to_string(),
            "kind: is not Service, which the key in etcd says"
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for value in ["", "{", "[]", "null", "\u{0}"] {
            assert!(read(&blue(), value.as_bytes(), 7).is_err(), "{value:?}");
        }
        let document = read(&blue(), br#"{"kind": "CiliumLoadBalancerIPPool"}"#, 7).unwrap();
        assert!(matches!(change(blue(), document), Change::Refused(..)));
    }

    #[test]
    fn a_status_joins_the_document_and_is_written_once() {
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let document = read(&blue(), POOL.as_bytes(), 7).unwrap();
        let statement = Statement::new(Truth::False, "resolved", "");
        let patch = StatusPatch {
            conditions: [("cilium.io/PoolConflict".to_owned(), Some(statement))].into(),
            ..StatusPatch::default()
        };

        let written = with_status(&document, &patch, now).unwrap();

        assert_eq!(
            written.pointer("/status/conditions/0/reason"),
            Some(&json!("resolved"))
        );
        assert!(!takes_status_from_manifest(&written));
        assert_eq!(with_status(&written, &patch, now), None);
        let text = String::from_utf8(stored(written)).unwrap();
        assert!(!text.contains("resourceVersion"), "{text}");
    }

    fn blue() -> Key {
        pool_key("blue")
    }

    fn pool_key(name: &str) -> Key {
        Key::new(Kind::CiliumLoadBalancerIPPool, ObjectName::of_cluster(name))
    }
}
