//! What kinds of objects an API server has, as far as anybody asked.

use std::collections::BTreeMap;
use std::sync::Mutex;

use api::Kind;
use serde::Deserialize;

use super::connect::{Ask, Cluster, lock};
use super::failure::Failure;
use super::resource::{Address, Resource};

/// What was found out. It is forgotten with the connection.
#[derive(Debug, Default)]
pub(super) struct Discovered {
    /// The version in which a kind is served, if that is not the first.
    served: Mutex<BTreeMap<Kind, usize>>,
    /// Resources of other kinds, by `apiVersion` and kind.
    others: Mutex<BTreeMap<(String, String), Resource>>,
}

#[derive(Deserialize)]
struct ResourceList {
    #[serde(default)]
    resources: Vec<ListedResource>,
}

#[derive(Deserialize)]
struct ListedResource {
    name: String,
    kind: String,
    namespaced: bool,
}

impl Discovered {
    /// A watch of the kind found it in that version.
    pub(super) fn note(&self, kind: Kind, version: usize) {
        lock(&self.served).insert(kind, version);
    }

    /// The kind in the version that is served, as far as that is known.
    pub(super) fn resource(&self, kind: Kind) -> Resource {
        let version = lock(&self.served).get(&kind).copied();
        Resource::of_kind(kind, version.unwrap_or_default())
    }
}

impl Cluster {
    /// Where objects of a kind are, of those that this program reads and of all others.
    pub(super) async fn resource_of(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Resource, Failure> {
        let discovered = &self.inner.discovered;
        if let Some(known) = Kind::from_name(kind)
            && known.api_versions().contains(&api_version)
        {
            return Ok(discovered.resource(known));
        }
        let wanted = (api_version.to_owned(), kind.to_owned());
        if let Some(resource) = lock(&discovered.others).get(&wanted) {
            return Ok(resource.clone());
        }
        let answer = self.ask(Ask::get(Address::of_api(api_version))).await?;
        let list: ResourceList = serde_json::from_slice(&answer.body)
            .map_err(|error| Failure::Server(format!("its list of {api_version}: {error}")))?;
        let found = list.resources.into_iter();
        let mut found = found.filter(|listed| listed.kind == kind && !listed.name.contains('/'));
        let Some(listed) = found.next() else {
            return Err(Failure::Missing(format!("{api_version} {kind}")));
        };
        let resource = Resource {
            api_version: api_version.to_owned(),
            plural: listed.name,
            namespaced: listed.namespaced,
        };
        lock(&discovered.others).insert(wanted, resource.clone());
        Ok(resource)
    }
}
