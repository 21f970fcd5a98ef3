//! Writes objects and statuses: each write is one transaction on what was seen.

use std::fs;

use api::{Fault, Key, Object, StatusPatch, Strictness, Timestamp, Version};
use etcd_client::{Compare, CompareOp, KeyValue, ResponseHeader, Txn, TxnOp, TxnOpResponse};
use serde_json::Value;

use super::document::{object, read, stored, with_status};
use super::fleet::Fleet;
use super::merge::{Given, Merged, merge};
use super::session::keys;
use crate::source::{Applied, Objects, Statuses, WriteError};

/// How often a manifest is applied anew because somebody else wrote the object meanwhile.
const MAX_ATTEMPTS: u32 = 8;

/// What becomes of a key.
#[derive(Clone, Debug)]
pub(super) enum Store {
    /// It gets this value.
    Put(Vec<u8>),
    /// It goes.
    Delete,
}

/// What a transaction came to.
pub(super) enum Swap {
    /// It is so now, at that revision.
    Done(i64),
    /// Nothing was written, since the key is not as it was seen.
    Differs(Option<KeyValue>),
}

/// What applying a manifest is.
struct Plan {
    path: String,
    revision: i64,
    applied: Applied,
    /// What is to be written; none if nothing is.
    document: Option<Value>,
}

impl Fleet {
    /// Writes keys if the first of them is as it was at `seen`, where zero says that it is not there.
    pub(super) async fn swap(
        &self,
        seen: i64,
        stores: &[(String, Store)],
    ) -> Result<Swap, WriteError> {
        let Some((path, first)) = stores.first() else {
            return Ok(Swap::Differs(None));
        };
        let transaction = self.transaction(seen, path, stores);
        let answer = self.session.ask(|client| {
            let transaction = transaction.clone();
            async move { keys(&client).txn(transaction).await }
        });
        let answer = answer.await.map_err(|failure| self.about(failure, path))?;
        if answer.succeeded() {
            let revision = answer.header().map_or(0, ResponseHeader::revision);
            return Ok(Swap::Done(revision));
        }
        let mut found = answer
            .op_responses()
            .into_iter()
            .map(|response| match response {
                TxnOpResponse::Get(mut found) => found.take_kvs().pop(),
                TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
            });
        let (now, term) = (found.next().flatten(), found.next().flatten());
        // The answer to a first attempt may have been lost.
        if let (Some(now), Store::Put(value)) = (&now, first)
            && now.value() == value.as_slice()
        {
            return Ok(Swap::Done(now.mod_revision()));
        }
        if let Some(fence) = &self.fence
            && term.is_none_or(|term| term.value() != fence.term.as_bytes())
        {
            return Err(WriteError::Unavailable(fence.to_string()));
        }
        Ok(Swap::Differs(now))
    }

    fn transaction(&self, seen: i64, path: &str, stores: &[(String, Store)]) -> Txn {
        let mut compares = vec![Compare::mod_revision(path, CompareOp::Equal, seen)];
        let mut reads = vec![TxnOp::get(path, None)];
        if let Some(fence) = &self.fence {
            compares.push(Compare::value(
                fence.path.as_str(),
                CompareOp::Equal,
                fence.term.as_str(),
            ));
            reads.push(TxnOp::get(fence.path.as_str(), None));
        }
        let writes = stores.iter().map(|(path, store)| match store {
            Store::Put(value) => TxnOp::put(path.as_str(), value.clone(), None),
            Store::Delete => TxnOp::delete(path.as_str(), None),
        });
        Txn::new()
            .when(compares)
            .and_then(writes.collect::<Vec<_>>())
            .or_else(reads)
    }

    /// The object of a key as it is stored, if it can be read, and the key's revision.
    async fn seen(&self, path: &str, key: &Key) -> Result<(Option<Value>, i64), WriteError> {
        let Some(found) = self.fetch(path).await? else {
            return Ok((None, 0));
        };
        let revision = found.mod_revision();
        let mut document = read(key, found.value(), revision).ok();
        if let Some(Value::Object(metadata)) = document
            .as_mut()
            .and_then(|known| known.get_mut("metadata"))
        {
            metadata.remove("resourceVersion");
        }
        Ok((document, revision))
    }
}

impl Statuses for Fleet {
    async fn write(&self, key: Key, seen: Version, status: StatusPatch) -> Result<(), WriteError> {
        let path = self.layout.object(&key);
        let found = self.fetch(&path).await?.ok_or(WriteError::Gone)?;
        let revision = found.mod_revision();
        if seen.as_str() != revision.to_string() {
            return Err(WriteError::Conflict);
        }
        let document = read(&key, found.value(), revision);
        let document = document.map_err(|faults| WriteError::Forbidden(listed(&faults)))?;
        let now = Timestamp::now();
        // Conditions have their times in seconds, as in Kubernetes.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let Some(document) = with_status(&document, &status, now) else {
            return Ok(());
        };
        object(&key, document.clone()).map_err(|faults| WriteError::Forbidden(listed(&faults)))?;
        let stores = [(path, Store::Put(stored(document)))];
        match self.swap(revision, &stores).await? {
            Swap::Done(_) => Ok(()),
            Swap::Differs(Some(_)) => Err(WriteError::Conflict),
            Swap::Differs(None) => Err(WriteError::Gone),
        }
    }
}

impl Fleet {
    /// What applying would come to.
    ///
    /// # Errors
    /// Those of [`Objects::apply`] that can be told without writing.
    pub async fn rehearse(&self, manifest: &Value) -> Result<Applied, WriteError> {
        Ok(self.plan(manifest).await?.applied)
    }

    async fn plan(&self, manifest: &Value) -> Result<Plan, WriteError> {
        let object = Object::from_value(manifest.clone(), Strictness::Lenient);
        let object = object.map_err(|refusal| WriteError::Forbidden(listed(&refusal.faults)))?;
        let key = object.key();
        let path = self.layout.object(&key);
        let (existing, revision) = self.seen(&path, &key).await?;
        let merged = merge(existing.as_ref(), manifest, &given()?);
        let merged = merged.map_err(|faults| WriteError::Forbidden(listed(&faults)))?;
        let (applied, document) = match merged {
            Merged::Unchanged => (Applied::Unchanged, None),
            // What is there and cannot be read is replaced.
            Merged::Created(document) if revision == 0 => (Applied::Created, Some(document)),
            Merged::Created(document) | Merged::Changed(document) => {
                (Applied::Changed, Some(document))
            }
        };
        Ok(Plan {
            path,
            revision,
            applied,
            document,
        })
    }
}

impl Objects for Fleet {
    async fn apply(&self, manifest: &Value) -> Result<Applied, WriteError> {
        for _ in 0..MAX_ATTEMPTS {
            let plan = self.plan(manifest).await?;
            let Some(document) = plan.document else {
                return Ok(plan.applied);
            };
            let stores = [(plan.path, Store::Put(stored(document)))];
            match self.swap(plan.revision, &stores).await? {
                Swap::Done(_) => return Ok(plan.applied),
                Swap::Differs(_) => {}
            }
        }
        Err(WriteError::Conflict)
    }

    async fn delete(&self, key: &Key) -> Result<bool, WriteError> {
        let path = self.layout.object(key);
        let mut revision = match self.fetch(&path).await? {
            Some(found) => found.mod_revision(),
            None => return Ok(false),
        };
        for _ in 0..MAX_ATTEMPTS {
            match self
                .swap(revision, &[(path.clone(), Store::Delete)])
                .await?
            {
                Swap::Done(_) => return Ok(true),
                Swap::Differs(Some(found)) => revision = found.mod_revision(),
                // It was there: the answer to a first attempt was lost, or another removed it.
                Swap::Differs(None) => return Ok(true),
            }
        }
        Err(WriteError::Conflict)
    }
}

fn given() -> Result<Given, WriteError> {
    let uid = fs::read_to_string("/proc/sys/kernel/random/uuid");
    let uid = uid.map_err(|error| WriteError::Unavailable(format!("making a uid: {error}")))?;
    let now = Timestamp::now();
    Ok(Given {
        now: Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now),
        uid: uid.trim().to_owned(),
    })
}

pub(super) fn listed(faults: &[Fault]) -> String {
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    faults.join("; ")
}
