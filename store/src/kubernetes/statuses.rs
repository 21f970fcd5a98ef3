//! Statuses of a cluster's objects.
//!
//! What is written is a merge patch (RFC 7396) of the status that differs, with the version that it
//! was made on: the API server refuses it if the object is another by then. It is not server-side
//! apply, which cannot take back what another program set (the condition or the address that an
//! earlier operator left), and takes back what a patch does not name. The field manager is the same.

use api::{Key, StatusPatch, Timestamp, Version};
use http::Method;
use serde_json::{Map, Value, json};

use super::connect::{Ask, Cluster};
use super::failure::Failure;
use super::resource::{Address, MANAGER};
use crate::source::{Statuses, WriteError};

/// A document of which only what differs is named.
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

impl Statuses for Cluster {
    async fn write(&self, key: Key, seen: Version, status: StatusPatch) -> Result<(), WriteError> {
        let object = self.as_seen(&key, &seen).await?;
        let now = whole_second(Timestamp::now());
        let Some(patch) = patch(&object, &status, now) else {
            return Ok(());
        };
        let body = json!({
            "metadata": { "resourceVersion": seen.as_str() },
            "status": patch,
        });
        let body = body.to_string().into_bytes();
        let resource = self.inner.discovered.resource(key.kind);
        let ask = || Ask {
            method: Method::PATCH,
            address: self
                .limited(resource.at(&key).status().with("fieldManager", MANAGER))
                .into_text(),
            body: Some((MERGE_PATCH, body.clone())),
        };
        Cluster::write(self, ask).await?;
        Ok(())
    }
}

impl Cluster {
    /// The object, if it still is as it was seen.
    async fn as_seen(&self, key: &Key, seen: &Version) -> Result<Value, WriteError> {
        let resource = self.inner.discovered.resource(key.kind);
        // What the API server has in memory is enough if it is what was seen, and costs little.
        let remembered = Ask::get(resource.at(key).with("resourceVersion", "0"));
        match self.ask(remembered).await {
            Ok(answer) => {
                let object = read(&answer.body)?;
                if version(&object) == Some(seen.as_str()) {
                    return Ok(object);
                }
            }
            // It may be behind.
            Err(Failure::NotFound) => {}
            Err(failure) => return Err(failure.into()),
        }
        let answer = self.ask(Ask::get(resource.at(key))).await?;
        let object = read(&answer.body)?;
        if version(&object) == Some(seen.as_str()) {
            return Ok(object);
        }
        Err(WriteError::Conflict)
    }

    /// Not carried out later than somebody waits for it.
    pub(super) fn limited(&self, address: Address) -> Address {
        let limit = self.timeout();
        address.with("timeout", &format!("{}s", limit.as_secs().max(1)))
    }
}

/// What of the status is to be another; none if it is as it should be.
fn patch(object: &Value, wanted: &StatusPatch, now: Timestamp) -> Option<Value> {
    let before = object.get("status").cloned().unwrap_or(Value::Null);
    let mut after = before.clone();
    wanted.apply(&mut after, now).then_some(())?;
    difference(&before, &after)
}

/// The merge patch that makes `after` of `before`; none if they are equal.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return Some(after.clone());
    };
    let changed = after.iter().filter_map(|(name, after)| {
        let before = before.get(name).unwrap_or(&Value::Null);
        Some((name.clone(), difference(before, after)?))
    });
    let gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
    let patch: Map<String, Value> = changed
        .chain(gone.map(|(name, _)| (name.clone(), Value::Null)))
        .collect();
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// An object in an answer.
pub(super) fn read(body: &[u8]) -> Result<Value, WriteError> {
    serde_json::from_slice(body)
        .map_err(|error| WriteError::Unavailable(format!("the answer cannot be read: {error}")))
}

/// The version of an object.
pub(super) fn version(object: &Value) -> Option<&str> {
    object.pointer("/metadata/resourceVersion")?.as_str()
}

/// Conditions have their times in seconds.
fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use api::{Statement, Truth};
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T10:00:00Z".parse().unwrap()
    }

    fn satisfied() -> StatusPatch {
        let statement = Statement::new(Truth::True, "satisfied", "");
        StatusPatch {
            ingress: Some(vec!["192.0.2.1".parse().unwrap()]),
            conditions: [("cilium.io/IPAMRequestSatisfied".to_owned(), Some(statement))].into(),
            ..StatusPatch::default()
        }
    }

    #[test]
    fn only_what_differs_is_written() {
        let object = json!({"status": {"loadBalancer": {}, "other": {"a": 1}}});

        let patch = patch(&object, &satisfied(), now()).unwrap();

        assert_eq!(
            patch,
            json!({
                "loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]},
                "conditions": [{
                    "type": "cilium.io/IPAMRequestSatisfied",
                    "status": "True",
                    "reason": "satisfied",
                    "message": "",
                    "lastTransitionTime": "2026-11-20T10:00:00Z",
                }],
            })
        );
    }

    #[test]
    fn a_status_that_is_so_is_not_written() {
        let mut object = json!({"status": {"loadBalancer": {}}});
        let first = patch(&object, &satisfied(), now()).unwrap();
        merge(&mut object["status"], &first);
        // The API server adds this.
        object["status"]["loadBalancer"]["ingress"][0]["ipMode"] = "VIP".into();

        let later = "2026-11-20T11:00:00Z".parse().unwrap();

        assert_eq!(patch(&object, &satisfied(), later), None);
    }

    proptest! {
        #[test]
        fn a_difference_makes_one_of_the_other(before in tree(), after in tree()) {
            let mut merged = before.clone();
            if let Some(patch) = difference(&before, &after) {
                merge(&mut merged, &patch);
            }
            prop_assert_eq!(merged, after);
        }
    }

    /// Maps of maps and lists, without values that are nothing.
    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (0..3_u8).prop_map(Value::from),
            prop::collection::vec(0..3_u8, 0..3).prop_map(Value::from),
        ];
        let inner = leaf.prop_recursive(3, 12, 3, |inner| {
            prop::collection::btree_map("[abc]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        });
        prop::collection::btree_map("[abc]", inner, 0..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    /// RFC 7396 §2.
    fn merge(target: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            target.clone_from(patch);
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        for (name, value) in patch {
            if value.is_null() {
                target.as_object_mut().unwrap().remove(name);
            } else {
                merge(&mut target[name.as_str()], value);
            }
        }
    }
}
