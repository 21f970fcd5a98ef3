//! Decides what applying a manifest makes of an object, as server-side apply of Kubernetes does:
//! fields that the manifest names are set, fields that an earlier one of the same manager named and this
//! one does not are removed unless another manager names them too, and all others stay. A list is one
//! field.

use std::sync::Arc;

use api::{Fault, Object, Strictness, Timestamp};
use serde_json::{Map, Value, json};

use crate::asked::asked;

/// The field manager of those who do not say otherwise.
pub(super) const MANAGER: &str = "sluice";

pub(super) const STATUS: &str = "status";

/// Who applies, and what an object is given when it is made.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) manager: Arc<str>,
    pub(super) now: Timestamp,
    pub(super) uid: String,
}

/// What applying comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Merged {
    Created(Value),
    Changed(Value),
    Unchanged,
}

/// Metadata that a manifest may state and that is given all the same.
const GIVEN: [&str; 8] = [
    "uid",
    "creationTimestamp",
    "resourceVersion",
    "generation",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// Applies a manifest to the object as it is.
pub(super) fn merge(
    existing: Option<&Value>,
    manifest: &Value,
    given: &Given,
) -> Result<Merged, Vec<Fault>> {
    let mut wanted = wanted(manifest)?;
    if existing.is_some_and(|existing| !takes_status_from_manifest(existing)) {
        remove(&mut wanted, STATUS);
    }
    let merged = match existing {
        None => created(wanted, given),
        Some(existing) => {
            let merged = changed(existing, wanted, &given.manager);
            if merged == *existing {
                return Ok(Merged::Unchanged);
            }
            merged
        }
    };
    // Together with what others have set it must still be an object.
    Object::from_value(merged.clone(), Strictness::Lenient).map_err(|refusal| refusal.faults)?;
    Ok(match existing {
        None => Merged::Created(merged),
        Some(_) => Merged::Changed(merged),
    })
}

/// Whether nobody has written a status: then it is as the manifest says, for a Node has its addresses
/// there, and a Service that was exported from a cluster keeps its own.
pub(super) fn takes_status_from_manifest(document: &Value) -> bool {
    !managed(document).any(|mark| mark.get("subresource").is_some_and(|of| of == STATUS))
}

/// Says that somebody has.
pub(super) fn status_mark() -> Value {
    json!({"manager": MANAGER, "operation": "Update", "subresource": STATUS})
}

/// The manifest without what it does not decide.
fn wanted(manifest: &Value) -> Result<Value, Vec<Fault>> {
    let object = Object::from_value(manifest.clone(), Strictness::Lenient)
        .map_err(|refusal| refusal.faults)?;
    let mut wanted = without_nulls(manifest);
    if let Some(Value::Object(metadata)) = wanted.get_mut("metadata") {
        metadata.retain(|name, _| !GIVEN.contains(&name.as_str()));
        if object.kind().namespaced() {
            let namespace = object.meta().name.namespace.as_ref();
            metadata.insert("namespace".to_owned(), namespace.into());
        }
    }
    Ok(wanted)
}

fn created(wanted: Value, given: &Given) -> Value {
    let mark = applied_mark(&given.manager, &fields_of(&wanted));
    let mut created = wanted;
    edit_metadata(&mut created, |metadata| {
        metadata.insert("uid".to_owned(), given.uid.clone().into());
        metadata.insert("generation".to_owned(), 1.into());
        let now = given.now.to_string();
        metadata.insert("creationTimestamp".to_owned(), now.into());
        metadata.insert("managedFields".to_owned(), json!([mark]));
    });
    created
}

fn changed(existing: &Value, wanted: Value, manager: &str) -> Value {
    let is_own =
        |mark: &&Value| is_applied(mark) && mark.get("manager").is_some_and(|is| is == manager);
    let mut own = Some(applied_mark(manager, &fields_of(&wanted)));
    // Each mark keeps its place: two who apply in turn must not write each time.
    let mut marks: Vec<Value> = managed(existing)
        .filter_map(|mark| {
            if is_own(&mark) {
                own.take()
            } else {
                Some(mark.clone())
            }
        })
        .collect();
    marks.extend(own);
    let mut changed = existing.clone();
    let before = managed(existing).find(is_own);
    if let Some(mut before) = before.and_then(|mark| mark.get("fieldsV1")).cloned() {
        if !takes_status_from_manifest(existing) {
            remove(&mut before, "f:status");
        }
        let others = managed(existing).filter(|mark| !is_own(mark));
        let others: Vec<&Value> = others.filter_map(|mark| mark.get("fieldsV1")).collect();
        withdraw(&mut changed, &before, &wanted, &others);
    }
    set(&mut changed, wanted);
    let is_asked = asked(existing) != asked(&changed);
    edit_metadata(&mut changed, |metadata| {
        metadata.insert("managedFields".to_owned(), marks.into());
        if is_asked {
            let generation = metadata.get("generation").and_then(Value::as_i64);
            let generation = generation.unwrap_or(0).saturating_add(1);
            metadata.insert("generation".to_owned(), generation.into());
        }
    });
    changed
}

/// Removes the fields that were named before, are not wanted any more, and are nobody else's.
fn withdraw(from: &mut Value, named: &Value, wanted: &Value, others: &[&Value]) {
    let (Value::Object(from), Value::Object(named)) = (from, named) else {
        return;
    };
    for (field, below) in named {
        let Some((name, value)) = field
            .strip_prefix("f:")
            .and_then(|name| Some((name, from.get_mut(name)?)))
        else {
            continue;
        };
        let still = wanted.get(name);
        let others: Vec<&Value> = others
            .iter()
            .filter_map(|fields| fields.get(field))
            .collect();
        withdraw(value, below, still.unwrap_or(&Value::Null), &others);
        // What others have put into it keeps it.
        let is_empty = value.as_object().is_none_or(Map::is_empty);
        if still.is_none() && is_empty && others.is_empty() {
            from.remove(name);
        }
    }
}

fn set(into: &mut Value, wanted: Value) {
    match (into, wanted) {
        (Value::Object(into), Value::Object(wanted)) => {
            for (name, value) in wanted {
                set(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, wanted) => *into = wanted,
    }
}

/// The fields of an object as `FieldsV1` has them.
fn fields_of(value: &Value) -> Value {
    let named = value.as_object().into_iter().flatten();
    named
        .map(|(name, value)| (format!("f:{name}"), fields_of(value)))
        .collect::<Map<_, _>>()
        .into()
}

fn applied_mark(manager: &str, fields: &Value) -> Value {
    json!({
        "manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields,
    })
}

fn is_applied(mark: &Value) -> bool {
    mark.get("operation").is_some_and(|is| is == "Apply")
}

fn managed(document: &Value) -> impl Iterator<Item = &Value> {
    let marks = document.pointer("/metadata/managedFields");
    marks.and_then(Value::as_array).into_iter().flatten()
}

/// A field without a value is one that is not named.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            value.clone()
        }
    }
}

/// Changes the metadata, which what was validated has.
fn edit_metadata(document: &mut Value, edit: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(Value::Object(metadata)) = document.get_mut("metadata") {
        edit(metadata);
    }
}

fn remove(document: &mut Value, field: &str) {
    if let Value::Object(fields) = document {
        fields.remove(field);
    }
}

#[cfg(test)]
mod tests;
