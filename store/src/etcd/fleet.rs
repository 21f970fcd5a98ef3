//! A handle to the objects of a fleet.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use api::{Fault, Key, Kind};
use etcd_client::{GetOptions, KeyValue, ResponseHeader};
use serde_json::Value;

use super::document::read;
use super::fault::Failure;
use super::layout::{BadPrefix, Layout};
use super::options::{BadOptions, ConnectOptions};
use super::session::{Session, keys};
use super::sights::{FleetSource, Sights};
use crate::source::{LeaseName, LeaseRecord, WriteError};

/// How many keys are read at a time.
const PAGE: i64 = 128;

/// The objects of a fleet, in etcd. Cheap to clone; clones share a connection.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub(super) session: Session,
    pub(super) layout: Layout,
    pub(super) fence: Option<Arc<Fence>>,
}

/// Why there can be no handle.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The options are wrong.
    #[error(transparent)]
    Options(#[from] BadOptions),
    /// The prefix is wrong.
    #[error(transparent)]
    Prefix(#[from] BadPrefix),
}

/// Whose term it must be for anything to be written.
#[derive(Debug)]
pub(super) struct Fence {
    pub(super) lease: LeaseName,
    /// The key that says whose term it is.
    pub(super) path: String,
    /// What it must say.
    pub(super) term: String,
}

impl Fleet {
    /// A handle; etcd need not be there yet.
    ///
    /// # Errors
    /// If the options cannot be right, whether etcd is there or not.
    pub fn connect(options: ConnectOptions) -> Result<Self, FleetError> {
        let layout = Layout::new(&options.prefix)?;
        Ok(Self {
            session: Session::new(options)?,
            layout,
            fence: None,
        })
    }

    /// The same handle, which writes only as long as the lease is held as this record says. Renewing
    /// it changes nothing, and another holder ends it for ever.
    #[must_use]
    pub fn fenced_by(&self, lease: &LeaseName, record: &LeaseRecord) -> Self {
        let fence = Fence {
            lease: lease.clone(),
            path: self.layout.term(lease),
            term: term(record),
        };
        Self {
            fence: Some(Arc::new(fence)),
            ..self.clone()
        }
    }

    /// The objects of these kinds as a source. Must be called in a tokio runtime.
    #[must_use]
    pub fn source(&self, kinds: impl IntoIterator<Item = Kind>) -> FleetSource {
        FleetSource::new(self.sights(kinds))
    }

    /// The objects of these kinds as JSON, and what happens to them. Must be called in a tokio
    /// runtime.
    #[must_use]
    pub fn sights(&self, kinds: impl IntoIterator<Item = Kind>) -> Sights {
        let kinds: BTreeSet<Kind> = kinds.into_iter().collect();
        Sights::follow(self.session.clone(), self.layout.clone(), kinds)
    }

    /// One object as JSON, its version in it; none if it is not there.
    ///
    /// # Errors
    /// [`WriteError::Forbidden`] also if what is there is no object.
    pub async fn get(&self, key: &Key) -> Result<Option<Value>, WriteError> {
        let found = self.fetch(&self.layout.object(key)).await?;
        let document = found.map(|kv| read(key, kv.value(), kv.mod_revision()));
        document.transpose().map_err(|faults| broken(key, &faults))
    }

    /// All objects of a kind as JSON at one moment, sorted by namespace and name.
    ///
    /// # Errors
    /// [`WriteError::Forbidden`] also if something that is there is no object.
    pub async fn list(&self, kind: Kind) -> Result<Vec<Value>, WriteError> {
        let root = self.layout.kind(kind);
        let mut documents = Vec::new();
        let mut from = root.clone().into_bytes();
        let mut revision = 0;
        loop {
            let options = GetOptions::new()
                .with_range(end_of(&root))
                .with_limit(PAGE)
                .with_revision(revision);
            let asked = (from.clone(), options);
            let page = self.session.ask(|client| {
                let (from, options) = asked.clone();
                async move { keys(&client).get(from, Some(options)).await }
            });
            let page = page.await.map_err(|failure| self.about(failure, &root))?;
            if revision == 0 {
                revision = page.header().map_or(0, ResponseHeader::revision);
            }
            for kv in page.kvs() {
                let Some(key) = self.layout.key_of(kv.key()) else {
                    continue;
                };
                let document = read(&key, kv.value(), kv.mod_revision());
                documents.push(document.map_err(|faults| broken(&key, &faults))?);
            }
            match page.kvs().last() {
                Some(last) if page.more() => from = after(last.key()),
                Some(_) | None => return Ok(documents),
            }
        }
    }

    /// The value of a key as a majority has it.
    pub(super) async fn fetch(&self, path: &str) -> Result<Option<KeyValue>, WriteError> {
        let answer = self.session.ask(|client| {
            let path = path.to_owned();
            async move { keys(&client).get(path, None).await }
        });
        let answer = answer.await.map_err(|failure| self.about(failure, path))?;
        Ok(answer.kvs().first().cloned())
    }

    pub(super) fn about(&self, failure: Failure, path: &str) -> WriteError {
        failure.about(self.session.user(), path).into()
    }
}

/// What says whose term it is: the same for as long as one holder renews.
pub(super) fn term(record: &LeaseRecord) -> String {
    format!("{} {}", record.transitions, record.holder)
}

/// The first key after all that begin with the root, which ends in a slash.
pub(super) fn end_of(root: &str) -> Vec<u8> {
    let mut end = root.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// The first key after this one.
pub(super) fn after(key: &[u8]) -> Vec<u8> {
    let mut after = key.to_vec();
    after.push(0);
    after
}

fn broken(key: &Key, faults: &[Fault]) -> WriteError {
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    WriteError::Forbidden(format!("{key} is no object: {}", faults.join("; ")))
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the lease {} is held by another by now", self.lease)
    }
}
