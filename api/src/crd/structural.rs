//! Makes a JSON schema a structural one, which is all that an API server takes.
//!
//! A field that may be left out is not one that may be null; numbers say how wide they are in Kubernetes'
//! own words; titles and references do not exist.

use serde_json::{Map, Value, json};

/// Turns the schema of a whole object, and all schemas within it.
pub(super) fn of_object(mut schema: Value) -> Value {
    turn(&mut schema);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let text = |about: &str| json!({ "type": "string", "description": about });
        properties.insert(
            "apiVersion".to_owned(),
            text("Which version of the schema the object is written in."),
        );
        properties.insert("kind".to_owned(), text("Which resource the object is."));
        properties.insert("metadata".to_owned(), json!({ "type": "object" }));
    }
    schema
}

fn turn(schema: &mut Value) {
    let Value::Object(fields) = schema else {
        return;
    };
    for unknown in ["$schema", "title"] {
        fields.remove(unknown);
    }
    drop_null(fields);
    name_format(fields);
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(turn);
    }
    for within in ["items", "additionalProperties"] {
        if let Some(schema) = fields.get_mut(within) {
            turn(schema);
        }
    }
}

/// What may be left out has no value of its own for that.
fn drop_null(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = fields.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            fields.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(values)) = fields.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if fields.get("default").is_some_and(Value::is_null) {
        fields.remove("default");
    }
}

/// Formats that Kubernetes does not know are left out.
fn name_format(fields: &mut Map<String, Value>) {
    const KNOWN: [&str; 6] = ["int32", "int64", "date-time", "ipv4", "cidr", "ip"];
    let format = fields.get("format").and_then(Value::as_str);
    if format.is_some_and(|format| !KNOWN.contains(&format)) {
        fields.remove("format");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_left_out_may_not_be_null() {
        let mut schema = json!({
            "title": "Part",
            "type": ["object", "null"],
            "properties": {
                "mode": { "type": ["string", "null"], "enum": ["a", "b", null] },
                "ports": { "type": "array", "items": { "type": "integer", "format": "uint16" } },
            },
        });

        turn(&mut schema);

        assert_eq!(
            schema,
            json!({
                "type": "object",
                "properties": {
                    "mode": { "type": "string", "enum": ["a", "b"] },
                    "ports": { "type": "array", "items": { "type": "integer" } },
                },
            })
        );
    }
}
