//! A definition around a schema.

use serde_json::{Value, json};

use super::{CILIUM_SCHEMA, SCHEMA, SCHEMA_LABEL};

/// What a definition is made of.
pub(super) struct Definition {
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    pub(super) short_names: &'static [&'static str],
    pub(super) categories: &'static [&'static str],
    pub(super) served: Served,
    /// What `kubectl get` prints between the name and the age.
    pub(super) columns: &'static [Column],
    /// Whether the status is a resource of its own.
    pub(super) status: bool,
    pub(super) schema: fn() -> Value,
}

/// Which versions an API server offers. The last one is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// Both, the older one as deprecated.
    Both,
    /// `cilium.io/v2` alone.
    V2,
    /// `cilium.io/v2alpha1` alone.
    V2Alpha1,
}

/// A column that `kubectl get` prints.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) path: &'static str,
    pub(super) description: &'static str,
}

const AGE: Column = Column {
    name: "Age",
    kind: "date",
    path: ".metadata.creationTimestamp",
    description: "When the object was created",
};

impl Definition {
    pub(super) fn render(&self) -> Value {
        let Self { kind, plural, .. } = self;
        let versions: &[(&str, bool)] = match self.served {
            Served::Both => &[("v2", true), ("v2alpha1", false)],
            Served::V2 => &[("v2", true)],
            Served::V2Alpha1 => &[("v2alpha1", true)],
        };
        let versions: Vec<Value> = versions
            .iter()
            .map(|(name, storage)| self.version(name, *storage))
            .collect();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.cilium.io"),
                "labels": {
                    CILIUM_SCHEMA.0: CILIUM_SCHEMA.1,
                    SCHEMA_LABEL: SCHEMA.to_string(),
                },
            },
            "spec": {
                "group": "cilium.io",
                "scope": "Cluster",
                "names": {
                    "kind": kind,
                    "listKind": format!("{kind}List"),
                    "plural": plural,
                    "singular": kind.to_lowercase(),
                    "shortNames": self.short_names,
                    "categories": self.categories,
                },
                "versions": versions,
            },
        })
    }

    fn version(&self, name: &str, storage: bool) -> Value {
        let columns = self.columns.iter().chain([&AGE]).map(Column::render);
        let mut version = json!({
            "name": name,
            "served": true,
            "storage": storage,
            "additionalPrinterColumns": columns.collect::<Vec<_>>(),
            "schema": { "openAPIV3Schema": (self.schema)() },
        });
        if let Some(fields) = version.as_object_mut() {
            if self.status {
                fields.insert("subresources".to_owned(), json!({ "status": {} }));
            }
            if !storage {
                fields.insert("deprecated".to_owned(), json!(true));
            }
        }
        version
    }
}

impl Column {
    fn render(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.kind,
            "jsonPath": self.path,
            "description": self.description,
        })
    }
}
