//! Reads what an API server sends: events, pages, and the objects in them.
//!
//! An object is cut down to what is used before it is kept: who set which field, what was applied
//! last and other programs' annotations are most of what an API server sends.

use api::{
    Change, Fault, FieldPath, Key, Kind, Object, Shown, Strictness, Version, annotations, condition,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use types::ObjectName;

use super::failure::Failure;

/// The annotation with which a server ends the initial events.
const END_OF_LIST: &str = "k8s.io/initial-events-end";

/// What annotations of use begin with, beside Sluicegate's own.
const ANNOTATIONS: [&str; 3] = ["service.kubernetes.io/", "service.cilium.io/", "io.cilium"];

/// Of a Secret only this is of use.
const SECRET_DATA: &str = condition::peer_config::PASSWORD;

/// One line of a watch.
#[derive(Debug)]
pub(super) enum Event {
    /// An object is there.
    There(Read),
    /// An object is not there any more.
    Gone(Read),
    /// Nothing else up to this version.
    Bookmark {
        version: String,
        /// Whether all that there is was reported.
        ends_list: bool,
    },
    /// The watch failed.
    Failed(Failure),
}

/// An object with its version.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) key: Key,
    pub(super) version: String,
    /// What it is, or why it is refused.
    pub(super) object: Result<Object, (Vec<Fault>, Option<Shown>)>,
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) version: String,
    /// Where the next page begins, if there is one.
    pub(super) next: Option<String>,
    pub(super) objects: Vec<Read>,
}

/// What was sent cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("what the API server sent cannot be read: {0}")]
pub(super) struct Unreadable(String);

#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct RawPage<'a> {
    metadata: RawListMeta,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawListMeta {
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl Event {
    /// Reads a line of a watch of one kind.
    pub(super) fn parse(line: &[u8], kind: Kind) -> Result<Self, Unreadable> {
        let event: RawEvent<'_> = serde_json::from_slice(line)?;
        match event.kind {
            "ADDED" | "MODIFIED" => Read::parse(event.object, kind).map(Self::There),
            "DELETED" => Read::parse(event.object, kind).map(Self::Gone),
            "BOOKMARK" => {
                let value: Value = serde_json::from_str(event.object.get())?;
                let annotation = value.pointer("/metadata/annotations");
                let annotation = annotation.and_then(|all| all.get(END_OF_LIST)?.as_str());
                Ok(Self::Bookmark {
                    version: version(&value)?,
                    ends_list: annotation == Some("true"),
                })
            }
            "ERROR" => Ok(Self::Failed(Failure::of_event(
                event.object.get().as_bytes(),
            ))),
            other => Err(Unreadable(format!("an event of the type {other}"))),
        }
    }
}

impl Page {
    /// Reads a page of a list of one kind.
    pub(super) fn parse(body: &[u8], kind: Kind) -> Result<Self, Unreadable> {
        let page: RawPage<'_> = serde_json::from_slice(body)?;
        let items = page.items.unwrap_or_default().into_iter();
        let objects = items.map(|item| Read::parse(item, kind));
        Ok(Self {
            version: page.metadata.resource_version.unwrap_or_default(),
            next: page.metadata.next.filter(|next| !next.is_empty()),
            objects: objects.collect::<Result<_, _>>()?,
        })
    }
}

impl Read {
    fn parse(text: &RawValue, kind: Kind) -> Result<Self, Unreadable> {
        let value: Value = serde_json::from_str(text.get())?;
        let name = |field| value.get("metadata")?.get(field)?.as_str();
        let key = Key::new(
            kind,
            ObjectName::new(
                name("namespace").unwrap_or_default(),
                name("name").unwrap_or_default(),
            ),
        );
        let version = version(&value)?;
        let object = read(value, kind).and_then(|object| {
            let is_it = object.key() == key;
            // The server is asked for one kind, and names objects as they are named.
            is_it
                .then_some(object)
                .ok_or_else(|| (misnamed(&key), None))
        });
        Ok(Self {
            key,
            version,
            object,
        })
    }

    /// What its being there means to the hub.
    pub(super) fn into_change(self) -> Change {
        match self.object {
            Ok(object) => Change::Put(self.key, object, Version::new(self.version)),
            Err((faults, shown)) => Change::Refused(self.key, faults, shown),
        }
    }
}

/// Reads an object of a kind, cut down to what is used.
fn read(mut value: Value, kind: Kind) -> Result<Object, (Vec<Fault>, Option<Shown>)> {
    prune(&mut value, kind);
    let shown = Shown::of(kind, &value);
    Object::from_value(value, Strictness::Lenient).map_err(|refusal| (refusal.faults, shown))
}

/// Leaves what is used.
fn prune(value: &mut Value, kind: Kind) {
    let Value::Object(fields) = value else {
        return;
    };
    // Items of a list do not say what they are, and an older version reads the same.
    fields.insert("kind".to_owned(), kind.as_str().into());
    if !fields.contains_key("apiVersion") {
        let version = kind.api_versions().first().copied();
        fields.insert("apiVersion".to_owned(), version.unwrap_or_default().into());
    }
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.remove("managedFields");
        metadata.remove("finalizers");
        // Whose a NodeConfig is says which ClusterConfig has the node.
        if kind != Kind::CiliumBGPNodeConfig {
            metadata.remove("ownerReferences");
        }
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.retain(|key, _| is_used(key));
        }
        // Nothing is written to these, and what only changes this is no news.
        if matches!(kind, Kind::EndpointSlice | Kind::Node | Kind::Secret) {
            metadata.remove("resourceVersion");
        }
    }
    if kind == Kind::Secret {
        for data in SECRET_FIELDS {
            if let Some(Value::Object(data)) = fields.get_mut(data) {
                keep_password(data);
            }
        }
    }
}

/// The fields of a Secret that hold values.
const SECRET_FIELDS: [&str; 2] = ["data", "stringData"];

fn keep_password(data: &mut Map<String, Value>) {
    data.retain(|key, _| key == SECRET_DATA);
}

fn is_used(annotation: &str) -> bool {
    annotation.starts_with(annotations::PREFIX)
        || annotation.contains(".cilium.io/")
        || annotation.starts_with("cilium.io/")
        || ANNOTATIONS.iter().any(|used| annotation.starts_with(used))
}

fn version(value: &Value) -> Result<String, Unreadable> {
    let version = value.pointer("/metadata/resourceVersion");
    let version = version.and_then(Value::as_str).map(str::to_owned);
    version.ok_or_else(|| Unreadable("an object without a resourceVersion".to_owned()))
}

fn misnamed(key: &Key) -> Vec<Fault> {
    vec![Fault {
        path: FieldPath::new(Vec::new()),
        reason: format!("is not {key}, which the API server calls it"),
    }]
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_used_is_not_kept_and_what_owns_a_node_config_is() {
        let pruned = |kind: Kind| {
            let mut value = serde_json::json!({"metadata": {
                "name": "n",
                "managedFields": [{}],
                "annotations": {"other/one": "1", "lbipam.cilium.io/ips": "192.0.2.1"},
                "ownerReferences": [{"kind": "CiliumBGPClusterConfig", "name": "c"}],
            }});
            prune(&mut value, kind);
            value["metadata"].take()
        };

        assert_eq!(
            pruned(Kind::Service),
            serde_json::json!({
                "name": "n",
                "annotations": {"lbipam.cilium.io/ips": "192.0.2.1"},
            })
        );
        assert_eq!(
            pruned(Kind::CiliumBGPNodeConfig)["ownerReferences"][0]["name"],
            "c"
        );
    }
}
