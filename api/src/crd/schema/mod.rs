//! What an API server lets through, as types of which only the schema is used.

pub(super) mod advertisement;
pub(super) mod cluster;
mod common;
pub(super) mod egress;
pub(super) mod l2;
pub(super) mod node;
pub(super) mod peer;
pub(super) mod pool;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::structural;

/// The structural schema of a whole object.
pub(super) fn of<T: JsonSchema>() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    structural::of_object(schema.to_value())
}
