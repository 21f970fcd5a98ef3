//! Installs the definitions of the custom resources, and upgrades those of an older build.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::crd::{self, Plan};
use operator::Fenced;
use serde_json::Value;
use store::kubernetes::Cluster;
use store::{Objects as _, WriteError};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::health::Troubles;

/// How long to wait before definitions are looked at again that could not be installed.
const AGAIN: Duration = Duration::from_secs(10);

/// How long an API server may take to serve what a new definition defines, and how often it is asked.
const SERVED_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

/// Owns what goes on with definitions that could not be installed; dropping it ends that.
pub(crate) struct Installer {
    work: Work,
    again: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Work {
    reader: Cluster,
    writer: Fenced<Cluster>,
    /// The definitions that are not as they should be, and why.
    wrong: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Installer {
    pub(crate) fn new(reader: Cluster, writer: Fenced<Cluster>, troubles: &Troubles) -> Self {
        let wrong = Arc::<Mutex<BTreeMap<String, String>>>::default();
        let told = Arc::clone(&wrong);
        troubles.follow("definitions", move || {
            let told = told.lock().unwrap_or_else(PoisonError::into_inner);
            let lines = told.iter();
            lines
                .map(|(name, why)| format!("the definition {name} cannot be installed: {why}"))
                .collect()
        });
        let work = Work {
            reader,
            writer,
            wrong,
        };
        Self { work, again: None }
    }

    /// Tries every definition once, and goes on with those that could not be installed; none if there
    /// is nothing left to do.
    pub(crate) async fn install(mut self) -> Option<Self> {
        let left = self.work.try_all(crd::all()).await;
        if left.is_empty() {
            return None;
        }
        let work = self.work.clone();
        self.again = Some(tokio::spawn(async move {
            let mut left = left;
            while !left.is_empty() {
                sleep(AGAIN).await;
                left = work.try_all(left).await;
            }
        }));
        Some(self)
    }
}

impl Drop for Installer {
    fn drop(&mut self) {
        if let Some(again) = &self.again {
            again.abort();
        }
    }
}

impl Work {
    /// Those that could not be installed.
    async fn try_all(&self, definitions: Vec<Value>) -> Vec<Value> {
        let (mut left, mut new) = (Vec::new(), Vec::new());
        for definition in definitions {
            let name = name(&definition).to_owned();
            let result = self.try_one(&name, &definition).await;
            self.note(&name, result.as_ref().err());
            match result {
                Ok(true) => new.push(name),
                Ok(false) => {}
                Err(_) => left.push(definition),
            }
        }
        for name in new {
            if timeout(SERVED_WITHIN, self.served(&name)).await.is_err() {
                warn!(name, "what a definition defines is not served yet");
            }
        }
        left
    }

    /// Whether it was written.
    async fn try_one(&self, name: &str, definition: &Value) -> Result<bool, WriteError> {
        let existing = self.existing(name).await?;
        match crd::plan(existing.as_ref()) {
            Plan::Keep(why) => {
                debug!(name, why, "a definition is left as it is");
                return Ok(false);
            }
            Plan::Install => info!(name, "a definition is installed"),
            Plan::Upgrade { from } => {
                info!(name, from, to = crd::SCHEMA, "a definition is upgraded");
            }
        }
        self.writer.apply(definition).await?;
        Ok(true)
    }

    /// Waits until the API server serves what it defines.
    async fn served(&self, name: &str) {
        loop {
            if let Ok(Some(definition)) = self.existing(name).await
                && is_established(&definition)
            {
                return;
            }
            sleep(LOOK).await;
        }
    }

    async fn existing(&self, name: &str) -> Result<Option<Value>, WriteError> {
        let kind = "CustomResourceDefinition";
        self.reader
            .object("apiextensions.k8s.io/v1", kind, None, name)
            .await
    }

    /// Says once what is wrong.
    fn note(&self, name: &str, error: Option<&WriteError>) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(error) = error else {
            wrong.remove(name);
            return;
        };
        let why = error.to_string();
        if wrong.get(name) != Some(&why) {
            warn!(
                name,
                why, "a definition cannot be installed, and will be tried again"
            );
            wrong.insert(name.to_owned(), why);
        }
    }
}

fn name(definition: &Value) -> &str {
    let name = definition.pointer("/metadata/name");
    name.and_then(Value::as_str).unwrap_or_default()
}

fn is_established(definition: &Value) -> bool {
    let conditions = definition.pointer("/status/conditions");
    let mut conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_is_served_once_it_is_established() {
        let with = |status: &str| {
            let accepted = json!({"type": "NamesAccepted", "status": "True"});
            let established = json!({"type": "Established", "status": status});
            json!({"status": {"conditions": [accepted, established]}})
        };

        assert!(is_established(&with("True")));
        assert!(!is_established(&with("False")));
        assert!(!is_established(&json!({})));
    }

    #[test]
    fn every_definition_has_a_name() {
        for definition in crd::all() {
            assert!(name(&definition).ends_with(".cilium.io"), "{definition}");
        }
    }
}
