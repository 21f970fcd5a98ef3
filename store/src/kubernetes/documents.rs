//! A cluster's objects as the JSON that they are, for people and their tools.

use api::{Key, Kind};
use serde_json::Value;

use super::connect::{Ask, Cluster};
use super::failure::Failure;
use super::resource::Resource;
use super::statuses::read;
use crate::source::WriteError;

/// How many objects are asked for at a time.
const PAGE: &str = "500";

impl Cluster {
    /// One object; none if it is not there.
    ///
    /// # Errors
    /// [`WriteError::Forbidden`] or [`WriteError::Unavailable`], for reading too.
    pub async fn get(&self, key: &Key) -> Result<Option<Value>, WriteError> {
        let resource = self.inner.discovered.resource(key.kind);
        match self.ask(Ask::get(resource.at(key))).await {
            Ok(answer) => Ok(Some(read(&answer.body)?)),
            Err(Failure::NotFound) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The objects of a kind, or those in a namespace, sorted by namespace and name.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn list(
        &self,
        kind: Kind,
        namespace: Option<&str>,
    ) -> Result<Vec<Value>, WriteError> {
        let resource = self.inner.discovered.resource(kind);
        let mut documents = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let address = resource.list(namespace).with("limit", PAGE);
            let address = address.maybe("continue", next.as_deref());
            let mut list = read(&self.ask(Ask::get(address)).await?.body)?;
            if let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) {
                documents.extend(items.into_iter().map(|item| typed(item, kind, &resource)));
            }
            next = list
                .pointer("/metadata/continue")
                .and_then(Value::as_str)
                .filter(|next| !next.is_empty())
                .map(str::to_owned);
            if next.is_none() {
                return Ok(documents);
            }
        }
    }
}

/// Items of a list do not say what they are.
fn typed(mut item: Value, kind: Kind, resource: &Resource) -> Value {
    if let Value::Object(fields) = &mut item {
        fields.insert("apiVersion".to_owned(), resource.api_version.clone().into());
        fields.insert("kind".to_owned(), kind.as_str().into());
    }
    item
}
