//! Decides what becomes of the objects when the directory was read: no files, no clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::{Fault, Key, Object, Refusal, Strictness, Timestamp};
use serde_json::{Map, Value};

use crate::asked::asked;
use crate::database::{Content, Record};
use crate::manifest::{FileFault, Found, ManifestSet};

/// An object with what it was given, ready to be reported.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) record: Record,
    pub(super) object: Object,
}

/// What becomes of the objects.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Objects that are new or have changed.
    pub(super) puts: BTreeMap<Key, Entry>,
    /// Objects that only are in another file now.
    pub(super) moved: BTreeMap<Key, Record>,
    /// Objects that are not there any more.
    pub(super) gone: Vec<Key>,
    /// Objects that are there and refused; what they were stays.
    pub(super) refused: BTreeMap<Key, Vec<Fault>>,
}

/// Compares what was read with what there was. Everything that changed gets the next revision.
///
/// `objects` are those that the records make.
pub(super) fn plan(
    content: &Content,
    objects: &BTreeMap<Key, Object>,
    set: &ManifestSet,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let revision = content.revision.saturating_add(1);
    let created = created_after(content, now);
    for (key, refused) in &set.refused {
        let faults = refused.faults.iter().map(FileFault::to_fault);
        plan.refused.insert(key.clone(), faults.collect());
        plan.note_file(content, key, &refused.file);
    }
    for (key, found) in &set.objects {
        let before = content.records.get(key);
        let is_same = before.is_some_and(|before| before.manifest == found.manifest);
        if is_same && objects.contains_key(key) {
            plan.note_file(content, key, &found.file);
            continue;
        }
        let record = taken_over(before, found, revision, created);
        match object_of(&record) {
            Ok(object) => {
                plan.puts.insert(key.clone(), Entry { record, object });
            }
            Err(refusal) => {
                plan.refused.insert(key.clone(), refusal.faults);
            }
        }
    }
    let known = |key: &Key| set.objects.contains_key(key) || set.refused.contains_key(key);
    let missing = content.records.iter().filter(|(key, _)| !known(key));
    plan.gone = missing
        .filter(|(key, record)| !set.may_hold(key, &record.file))
        .map(|(key, _)| key.clone())
        .collect();
    plan
}

/// What a manifest makes of the record there was; a new one is as old as `created`.
fn taken_over(before: Option<&Record>, found: &Found, revision: u64, created: Timestamp) -> Record {
    let manifest = Arc::clone(&found.manifest);
    Record {
        file: Arc::clone(&found.file),
        generation: generation(before, &manifest),
        revision,
        created: stated_creation(&manifest)
            .unwrap_or_else(|| before.map_or(created, |before| before.created)),
        status: before.and_then(|before| before.status.clone()),
        manifest,
    }
}

/// The object that a record makes: the manifest, with what it was given in place of what it says.
///
/// A manifest's own status counts until one is written: a Node's addresses are there, and a Service
/// that was exported from a cluster keeps its own.
pub(super) fn object_of(record: &Record) -> Result<Object, Refusal> {
    Object::from_value(document_of(record), Strictness::Lenient)
}

/// The same as JSON.
pub(super) fn document_of(record: &Record) -> Value {
    let mut value = record.manifest.as_ref().clone();
    if let Value::Object(fields) = &mut value {
        let metadata = fields
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(metadata) = metadata {
            metadata.insert("generation".to_owned(), record.generation.into());
            let version = record.revision.to_string();
            metadata.insert("resourceVersion".to_owned(), version.into());
            let created = record.created.to_string();
            metadata.insert("creationTimestamp".to_owned(), created.into());
        }
        if let Some(status) = &record.status {
            fields.insert("status".to_owned(), status.as_ref().clone());
        }
    }
    value
}

impl Plan {
    /// Writes down that an object is in that file now.
    fn note_file(&mut self, content: &Content, key: &Key, file: &Arc<str>) {
        if let Some(before) = content.records.get(key)
            && before.file != *file
        {
            let record = Record {
                file: Arc::clone(file),
                ..before.clone()
            };
            self.moved.insert(key.clone(), record);
        }
    }
}

/// Counts what the user asks for, not names, labels or a status, as Kubernetes does.
fn generation(before: Option<&Record>, manifest: &Value) -> u64 {
    match before {
        None => 1,
        Some(before) if asked(&before.manifest) == asked(manifest) => before.generation,
        Some(before) => before.generation.saturating_add(1),
    }
}

/// Now, or just after the youngest object if the clock was set back: age gives precedence, and what
/// comes later must not look older.
fn created_after(content: &Content, now: Timestamp) -> Timestamp {
    let records = content.records.values();
    let ahead = records
        .filter(|record| record.created >= now && stated_creation(&record.manifest).is_none())
        .map(|record| record.created)
        .max();
    let after = ahead.and_then(|ahead| ahead.checked_add(Duration::from_micros(1)).ok());
    after.unwrap_or(now)
}

fn stated_creation(manifest: &Value) -> Option<Timestamp> {
    let text = manifest.pointer("/metadata/creationTimestamp")?;
    text.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(created: &str, stated: Option<&str>) -> Record {
        Record {
            file: "a.yaml".into(),
            manifest: Arc::new(json!({"metadata": {"creationTimestamp": stated}})),
            generation: 1,
            revision: 1,
            created: created.parse().unwrap(),
            status: None,
        }
    }

    fn content(records: Vec<Record>) -> Content {
        let named = records.into_iter().enumerate().map(|(n, record)| {
            let name = types::ObjectName::of_cluster(&format!("pool-{n}"));
            (Key::new(api::Kind::CiliumLoadBalancerIPPool, name), record)
        });
        Content {
            records: named.collect(),
            ..Content::default()
        }
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_older() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let before = content(vec![
            record("2025-01-01T00:00:00Z", None),
            record("2026-02-01T00:00:00Z", None),
        ]);

        assert_eq!(
            created_after(&before, now).to_string(),
            "2026-02-01T00:00:00.000001Z"
        );
    }

    #[test]
    fn a_time_that_a_manifest_states_moves_no_other() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let far = "2099-01-01T00:00:00Z";

        assert_eq!(
            created_after(&content(vec![record(far, Some(far))]), now),
            now
        );
        assert_eq!(created_after(&content(Vec::new()), now), now);
    }
}
