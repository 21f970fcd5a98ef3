//! What every object carries: name, labels, annotations.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use types::ObjectName;

use crate::Kind;
use crate::fault::{At, Faults};
use crate::read;
use crate::selector::Labels;

/// What every object carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// Namespace (empty for kinds without) and name.
    pub name: ObjectName,
    /// What selectors match.
    pub labels: Labels,
    /// What selectors do not match.
    pub annotations: BTreeMap<String, String>,
    /// Counts changes of the spec.
    pub generation: Option<i64>,
    /// Tells an object from an earlier one of the same name.
    pub uid: Option<String>,
    /// The source's version.
    pub resource_version: Option<String>,
    /// When the object was created.
    pub created: Option<Timestamp>,
    /// When it is to be deleted; set while finalizers keep it.
    pub deleted: Option<Timestamp>,
}

/// The object whose deletion deletes another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Tells it from an earlier one of the same name, where objects have such a thing.
    pub uid: Option<String>,
}

/// Metadata as a file has it. Some fields are only named here so that they are not unknown.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "fields that are accepted and have no meaning here"
)]
pub(crate) struct RawMetadata {
    name: Option<String>,
    namespace: Option<String>,
    labels: Option<Labels>,
    annotations: Option<BTreeMap<String, String>>,
    generation: Option<i64>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    deletion_grace_period_seconds: Option<i64>,
    finalizers: Option<Vec<String>>,
    generate_name: Option<String>,
    managed_fields: Option<Value>,
    owner_references: Option<Value>,
    self_link: Option<String>,
}

impl Default for Metadata {
    /// Of an object without a name.
    fn default() -> Self {
        Self {
            name: ObjectName::of_cluster(""),
            labels: Labels::new(),
            annotations: BTreeMap::new(),
            generation: None,
            uid: None,
            resource_version: None,
            created: None,
            deleted: None,
        }
    }
}

impl Owner {
    /// The entry of `metadata.ownerReferences`.
    pub(crate) fn reference(&self) -> Value {
        let mut reference = json!({
            "apiVersion": self.kind.api_versions().first(), "kind": self.kind.as_str(),
            "name": self.name, "controller": true,
        });
        if let (Some(uid), Some(fields)) = (&self.uid, reference.as_object_mut()) {
            fields.insert("uid".to_owned(), json!(uid));
        }
        reference
    }
}

impl RawMetadata {
    /// The owner of that kind that is marked as the one which decides.
    pub(crate) fn controller(&self, kind: Kind) -> Option<Owner> {
        let text = |entry: &Value, field: &str| entry.get(field)?.as_str().map(str::to_owned);
        let mut entries = self.owner_references.as_ref()?.as_array()?.iter();
        let entry = entries.find(|entry| {
            entry.get("controller").and_then(Value::as_bool) == Some(true)
                && text(entry, "kind").as_deref() == Some(kind.as_str())
        })?;
        Some(Owner {
            kind,
            name: text(entry, "name")?,
            uid: text(entry, "uid").filter(|uid| !uid.is_empty()),
        })
    }

    /// The metadata; without a name of its own after a fault.
    pub(crate) fn check(self, kind: Kind, faults: &mut Faults) -> Metadata {
        let at = At::ROOT.field("metadata");
        let name = read::required(self.name, &at.field("name"), faults);
        if let Some(name) = &name {
            read::object_name(name, &at.field("name"), faults);
        }
        let namespace = match (kind.namespaced(), self.namespace.as_deref()) {
            (true, None | Some("")) => "default",
            (true, Some(namespace)) => {
                read::namespace(namespace, &at.field("namespace"), faults);
                namespace
            }
            (false, None | Some("")) => "",
            (false, Some(_)) => {
                faults.add(
                    &at.field("namespace"),
                    format_args!("a {kind} has no namespace"),
                );
                ""
            }
        };
        let labels = self.labels.unwrap_or_default();
        read::labels(&labels, &at.field("labels"), faults);
        let annotations = self.annotations.unwrap_or_default();
        for key in annotations.keys() {
            read::label_key(key, &at.field("annotations").field(key), faults);
        }
        let mut time = |text: Option<String>, field| {
            text.and_then(|text| read::parsed(&text, &at.field(field), faults))
        };
        Metadata {
            created: time(self.creation_timestamp, "creationTimestamp"),
            deleted: time(self.deletion_timestamp, "deletionTimestamp"),
            name: ObjectName::new(namespace, &name.unwrap_or_default()),
            labels,
            annotations,
            generation: self.generation,
            uid: self.uid,
            resource_version: self.resource_version,
        }
    }
}
