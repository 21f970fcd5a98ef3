//! Whole objects of a cluster, of any kind: server-side apply.

use api::Key;
use http::Method;
use serde_json::{Value, json};

use super::connect::{Ask, Cluster};
use super::failure::Failure;
use super::resource::{MANAGER, Resource};
use super::statuses::{read, version};
use crate::source::{Applied, Objects, WriteError};

/// A document that says all that its writer wants.
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// What a server gives to an object: a manifest that was exported with it means none of it.
const GIVEN: [&str; 6] = [
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Whether it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Deed,
    /// The API server does all but write it down.
    Rehearsal,
}

/// What a manifest names.
#[derive(Debug, PartialEq, Eq)]
struct Named<'m> {
    api_version: &'m str,
    kind: &'m str,
    namespace: Option<&'m str>,
    name: &'m str,
}

impl Cluster {
    /// What applying would come to, as the API server says.
    ///
    /// # Errors
    /// As [`Objects::apply`].
    pub async fn rehearse(&self, manifest: &Value) -> Result<Applied, WriteError> {
        self.apply_for(manifest, Purpose::Rehearsal).await
    }

    async fn apply_for(&self, manifest: &Value, purpose: Purpose) -> Result<Applied, WriteError> {
        let named = Named::of(manifest)?;
        let resource = self.resource_of(named.api_version, named.kind).await?;
        let namespace = named.namespace.unwrap_or("default");
        let address = || resource.object(namespace, named.name);
        let before = match self.ask(Ask::get(address())).await {
            Ok(answer) => Some(read(&answer.body)?),
            Err(Failure::NotFound) => None,
            Err(failure) => return Err(failure.into()),
        };
        let body = applied(manifest, &resource).to_string().into_bytes();
        let ask = || Ask {
            method: Method::PATCH,
            address: self
                .limited(
                    address()
                        .with("fieldManager", MANAGER)
                        .with("force", "true")
                        .maybe("dryRun", purpose.dry_run()),
                )
                .into_text(),
            body: Some((APPLY_PATCH, body.clone())),
        };
        let answer = self.write(ask).await?;
        let after = read(&answer.body)?;
        Ok(match before {
            _ if answer.code == 201 => Applied::Created,
            Some(before) if purpose.is_same(&before, &after) => Applied::Unchanged,
            Some(_) | None => Applied::Changed,
        })
    }
}

impl Objects for Cluster {
    async fn apply(&self, manifest: &Value) -> Result<Applied, WriteError> {
        self.apply_for(manifest, Purpose::Deed).await
    }

    async fn delete(&self, key: &Key) -> Result<bool, WriteError> {
        let resource = self.inner.discovered.resource(key.kind);
        let object = match self.ask(Ask::get(resource.at(key))).await {
            Ok(answer) => read(&answer.body)?,
            Err(Failure::NotFound) => return Ok(false),
            Err(failure) => return Err(failure.into()),
        };
        // One that was made anew meanwhile is another object.
        let uid = object.pointer("/metadata/uid");
        let body = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": { "uid": uid },
            "propagationPolicy": "Background",
        });
        let body = body.to_string().into_bytes();
        let ask = || Ask {
            method: Method::DELETE,
            address: self.limited(resource.at(key)).into_text(),
            body: Some(("application/json", body.clone())),
        };
        match self.write(ask).await {
            Ok(_) => Ok(true),
            // Somebody else was faster.
            Err(Failure::NotFound) => Ok(true),
            Err(failure) => Err(failure.into()),
        }
    }
}

impl Purpose {
    fn dry_run(self) -> Option<&'static str> {
        match self {
            Self::Deed => None,
            Self::Rehearsal => Some("All"),
        }
    }

    /// Whether an object is the same before and after.
    fn is_same(self, before: &Value, after: &Value) -> bool {
        match self {
            Self::Deed => version(before) == version(after),
            // What is not written down has no version of its own.
            Self::Rehearsal => unmanaged(before) == unmanaged(after),
        }
    }
}

impl Cluster {
    /// One object of any kind as the API server has it; none if it is not there.
    ///
    /// # Errors
    /// If it cannot be read, or there is no such kind of objects.
    pub async fn object(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, WriteError> {
        let resource = self.resource_of(api_version, kind).await?;
        let address = resource.object(namespace.unwrap_or("default"), name);
        match self.ask(Ask::get(address)).await {
            Ok(answer) => read(&answer.body).map(Some),
            Err(Failure::NotFound) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// The object without what changes with every touch.
fn unmanaged(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
        metadata.remove("resourceVersion");
    }
    object
}

impl<'m> Named<'m> {
    fn of(manifest: &'m Value) -> Result<Self, WriteError> {
        let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str);
        let required = |pointer: &str| {
            let missing = || WriteError::Forbidden(format!("the manifest has no {pointer}"));
            text(pointer).ok_or_else(missing)
        };
        let named = Self {
            api_version: required("/apiVersion")?,
            kind: required("/kind")?,
            namespace: text("/metadata/namespace").filter(|namespace| !namespace.is_empty()),
            name: required("/metadata/name")?,
        };
        let namespace = named.namespace.unwrap_or("default");
        match [named.name, namespace]
            .into_iter()
            .find(|name| !is_step(name))
        {
            Some(name) => Err(WriteError::Forbidden(format!("{name:?} is not a name"))),
            None => Ok(named),
        }
    }
}

/// Whether it can be a step of a path, by Kubernetes' own rule.
fn is_step(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '%'])
}

/// The manifest as the server takes it.
fn applied(manifest: &Value, resource: &Resource) -> Value {
    let mut manifest = manifest.clone();
    if let Some(fields) = manifest.as_object_mut() {
        fields.insert("apiVersion".to_owned(), resource.api_version.clone().into());
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            for given in GIVEN {
                metadata.remove(given);
            }
        }
    }
    manifest
}

#[cfg(test)]
mod tests {
    use api::Kind;

    use super::*;

    #[test]
    fn a_manifest_names_its_object() {
        let manifest = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "a", "name": "b"},
        });
        assert_eq!(
            Named::of(&manifest),
            Ok(Named {
                api_version: "v1",
                kind: "Secret",
                namespace: Some("a"),
                name: "b"
            })
        );

        for name in [
            json!(null),
            json!(""),
            json!(".."),
            json!("a/b"),
            json!("a%2fb"),
        ] {
            let manifest = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            });
            assert!(Named::of(&manifest).is_err(), "{manifest}");
        }
    }

    #[test]
    fn what_a_server_gave_is_not_applied() {
        let manifest = json!({
            "apiVersion": "cilium.io/v2alpha1",
            "kind": "CiliumLoadBalancerIPPool",
            "metadata": {
                "name": "blue", "labels": {"a": "b"}, "resourceVersion": "7", "uid": "u",
                "managedFields": [], "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {},
        });
        let resource = Resource::of_kind(Kind::CiliumLoadBalancerIPPool, 0);

        assert_eq!(
            applied(&manifest, &resource),
            json!({
                "apiVersion": "cilium.io/v2",
                "kind": "CiliumLoadBalancerIPPool",
                "metadata": {"name": "blue", "labels": {"a": "b"}},
                "spec": {},
            })
        );
    }
}
