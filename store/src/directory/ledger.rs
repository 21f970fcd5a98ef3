//! The objects as they are now, in memory as in the database, and every change to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{Change, Fault, Key, Kind, Object, StatusPatch, Timestamp, Version};
use serde_json::Value;

use super::plan::{Entry, Plan, document_of, object_of, plan};
use crate::database::{BadRows, Content, Database, Orders, Record, Write};
use crate::manifest::ManifestSet;
use crate::source::WriteError;

/// The objects of a directory. Nothing is in memory that is not on the disk.
#[derive(Debug)]
pub(super) struct Ledger {
    database: Database,
    content: Content,
    objects: BTreeMap<Key, Object>,
    refused: BTreeMap<Key, Vec<Fault>>,
    /// Objects whose status changed since they were last reported.
    pending: BTreeSet<Key>,
    /// Whether everything was reported once.
    started: bool,
    /// After a failed commit nobody knows what the file has: the next one writes everything.
    in_doubt: bool,
}

/// A status to be written.
#[derive(Debug)]
pub(super) struct StatusWrite {
    pub(super) key: Key,
    pub(super) seen: Version,
    pub(super) status: StatusPatch,
}

/// One transaction in the making.
#[derive(Default)]
struct Transaction {
    records: BTreeMap<Key, Option<Record>>,
    directory: Option<u64>,
    orders: Option<Orders>,
    revision: Option<u64>,
}

impl Ledger {
    pub(super) fn new(database: Database, content: Content) -> Self {
        let mut ledger = Self {
            database,
            content,
            objects: BTreeMap::new(),
            refused: BTreeMap::new(),
            pending: BTreeSet::new(),
            started: false,
            in_doubt: false,
        };
        for (key, record) in &ledger.content.records {
            match object_of(record) {
                Ok(object) => {
                    ledger.objects.insert(key.clone(), object);
                }
                // This version of the agent is stricter than the one that wrote it.
                Err(refusal) => {
                    ledger.refused.insert(key.clone(), refusal.faults);
                }
            }
        }
        ledger
    }

    pub(super) fn orders(&self) -> &Orders {
        &self.content.orders
    }

    /// The objects as JSON, with what they were given.
    pub(super) fn documents(&self) -> Vec<Value> {
        self.content.records.values().map(document_of).collect()
    }

    /// The directory that the objects were last read from; none if there are no objects.
    pub(super) fn directory(&self) -> Option<u64> {
        let directory = self.content.directory;
        directory.filter(|_| !self.content.records.is_empty())
    }

    /// Whether everything was reported once.
    pub(super) fn is_started(&self) -> bool {
        self.started
    }

    /// Takes over what was read: all of it or, if it cannot be written down, nothing.
    pub(super) fn reload(
        &mut self,
        set: &ManifestSet,
        directory: Option<u64>,
        now: Timestamp,
    ) -> Result<Vec<Change>, BadRows> {
        let plan = plan(&self.content, &self.objects, set, now);
        let mut transaction = Transaction {
            directory: directory.filter(|_| self.content.directory != directory),
            ..Transaction::default()
        };
        for (key, record) in &plan.moved {
            let record = Some(record.clone());
            transaction.records.insert(key.clone(), record);
        }
        for (key, entry) in &plan.puts {
            let record = Some(entry.record.clone());
            transaction.records.insert(key.clone(), record);
        }
        for key in &plan.gone {
            transaction.records.insert(key.clone(), None);
        }
        if !plan.puts.is_empty() || !plan.gone.is_empty() {
            transaction.revision = Some(self.content.revision.saturating_add(1));
        }
        self.commit(transaction)?;
        let changes = self.adopt(plan);
        if self.started {
            return Ok(changes);
        }
        if set.is_unknown() {
            return Ok(self.start_from_memory());
        }
        Ok(self.start())
    }

    /// Reports what is remembered, if that is anything: better than to start from nothing.
    pub(super) fn start_from_memory(&mut self) -> Vec<Change> {
        if self.started || self.content.records.is_empty() {
            return Vec::new();
        }
        self.start()
    }

    /// The objects whose status was written since they were last reported.
    pub(super) fn take_pending(&mut self) -> Vec<Change> {
        let pending = std::mem::take(&mut self.pending);
        if !self.started {
            return Vec::new();
        }
        pending.iter().filter_map(|key| self.put(key)).collect()
    }

    /// Writes all the statuses that can be written in one transaction.
    pub(super) fn write_statuses(
        &mut self,
        writes: &[StatusWrite],
        now: Timestamp,
    ) -> Vec<Result<(), WriteError>> {
        let revision = self.content.revision.saturating_add(1);
        let mut staged: BTreeMap<Key, Entry> = BTreeMap::new();
        let mut results = Vec::new();
        for write in writes {
            results.push(match self.with_status(write, &staged, revision, now) {
                Ok(None) => Ok(()),
                Ok(Some(entry)) => {
                    staged.insert(write.key.clone(), entry);
                    Ok(())
                }
                Err(error) => Err(error),
            });
        }
        if staged.is_empty() {
            return results;
        }
        let records = staged.iter();
        let transaction = Transaction {
            records: records
                .map(|(key, entry)| (key.clone(), Some(entry.record.clone())))
                .collect(),
            revision: Some(revision),
            ..Transaction::default()
        };
        if let Err(error) = self.commit(transaction) {
            let error = unwritten(&error);
            let failed = |result: Result<(), WriteError>| result.and(Err(error.clone()));
            return results.into_iter().map(failed).collect();
        }
        for (key, entry) in staged {
            self.pending.insert(key.clone());
            self.objects.insert(key, entry.object);
        }
        results
    }

    /// Writes the orders.
    pub(super) fn set_orders(&mut self, orders: Orders) -> Result<(), BadRows> {
        if orders == self.content.orders {
            return Ok(());
        }
        self.commit(Transaction {
            orders: Some(orders),
            ..Transaction::default()
        })
    }

    /// The object with the patch in its status; none if that changes nothing.
    fn with_status(
        &self,
        write: &StatusWrite,
        staged: &BTreeMap<Key, Entry>,
        revision: u64,
        now: Timestamp,
    ) -> Result<Option<Entry>, WriteError> {
        let staged = staged.get(&write.key).map(|entry| &entry.record);
        let before = staged
            .or_else(|| self.content.records.get(&write.key))
            .ok_or(WriteError::Gone)?;
        if version(before) != write.seen {
            return Err(WriteError::Conflict);
        }
        let mut status = match (&before.status, before.manifest.get("status")) {
            (Some(status), _) => status.as_ref().clone(),
            (None, Some(stated)) => stated.clone(),
            (None, None) => Value::Null,
        };
        if !write.status.apply(&mut status, now) {
            return Ok(None);
        }
        let record = Record {
            revision,
            status: Some(Arc::new(status)),
            ..before.clone()
        };
        let object =
            object_of(&record).map_err(|refusal| WriteError::Forbidden(listed(&refusal.faults)))?;
        Ok(Some(Entry { record, object }))
    }

    /// Commits, then changes the memory.
    fn commit(&mut self, transaction: Transaction) -> Result<(), BadRows> {
        let (records, orders) = (transaction.records, transaction.orders);
        if records.is_empty() && transaction.directory.is_none() && orders.is_none() {
            return Ok(());
        }
        let revision = transaction.revision.unwrap_or(self.content.revision);
        let directory = transaction.directory.or(self.content.directory);
        let result = if self.in_doubt {
            let mut whole = Content {
                revision,
                directory,
                orders: orders.as_ref().unwrap_or(&self.content.orders).clone(),
                records: self.content.records.clone(),
            };
            whole.apply(records.clone());
            self.database.commit(&Write::whole(&whole))
        } else {
            let records = records.iter();
            self.database.commit(&Write {
                revision,
                directory,
                records: records
                    .map(|(key, record)| (key, record.as_ref()))
                    .collect(),
                orders: orders.as_ref(),
                whole: false,
            })
        };
        self.in_doubt = result.is_err();
        result?;
        self.content.apply(records);
        self.content.revision = revision;
        self.content.directory = directory;
        if let Some(orders) = orders {
            self.content.orders = orders;
        }
        Ok(())
    }

    /// Takes a plan over whose records are committed, and says what it changes.
    fn adopt(&mut self, plan: Plan) -> Vec<Change> {
        let mut gone: BTreeSet<Key> = plan.gone.into_iter().collect();
        for key in &gone {
            self.objects.remove(key);
        }
        let mut puts = BTreeSet::new();
        for (key, entry) in plan.puts {
            self.pending.remove(&key);
            self.objects.insert(key.clone(), entry.object);
            puts.insert(key);
        }
        let were_refused = std::mem::replace(&mut self.refused, plan.refused);
        for key in were_refused.keys() {
            if self.refused.contains_key(key) {
                continue;
            }
            // Refused no more: it is as it was before, or was never anything.
            let to = if self.objects.contains_key(key) {
                &mut puts
            } else {
                &mut gone
            };
            to.insert(key.clone());
        }
        let refused = self.refused.iter();
        let refused = refused.filter(|(key, faults)| were_refused.get(key) != Some(faults));
        let refused =
            refused.map(|(key, faults)| Change::Refused(key.clone(), faults.clone(), None));
        let puts = puts.iter().filter_map(|key| self.put(key));
        let gone = gone.into_iter().map(Change::Gone);
        gone.chain(puts).chain(refused).collect()
    }

    /// Everything, once.
    fn start(&mut self) -> Vec<Change> {
        self.started = true;
        self.pending.clear();
        let restarts = Kind::ALL.into_iter().map(Change::Restart);
        let puts = self.objects.keys().filter_map(|key| self.put(key));
        let refused = self.refused.iter();
        let refused =
            refused.map(|(key, faults)| Change::Refused(key.clone(), faults.clone(), None));
        let synced = Kind::ALL.into_iter().map(Change::Synced);
        restarts.chain(puts).chain(refused).chain(synced).collect()
    }

    fn put(&self, key: &Key) -> Option<Change> {
        let object = self.objects.get(key)?.clone();
        let record = self.content.records.get(key)?;
        Some(Change::Put(key.clone(), object, version(record)))
    }
}

impl Content {
    fn apply(&mut self, records: BTreeMap<Key, Option<Record>>) {
        for (key, record) in records {
            match record {
                Some(record) => self.records.insert(key, record),
                None => self.records.remove(&key),
            };
        }
    }
}

/// The same words as the object's `resourceVersion`.
fn version(record: &Record) -> Version {
    Version::new(record.revision.to_string())
}

fn unwritten(error: &BadRows) -> WriteError {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};

    let cause = match error.io() {
        Some(io) => io.to_string(),
        None => error.to_string(),
    };
    match error.io().map(std::io::Error::kind) {
        Some(PermissionDenied | ReadOnlyFilesystem) => WriteError::Forbidden(cause),
        Some(_) | None => WriteError::Unavailable(cause),
    }
}

fn listed(faults: &[Fault]) -> String {
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    faults.join("; ")
}

#[cfg(test)]
impl Ledger {
    /// Makes the next commit fail, as on a full disk.
    pub(super) fn break_disk(&mut self) {
        self.database.break_disk();
    }
}
