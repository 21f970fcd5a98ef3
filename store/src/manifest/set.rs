//! Puts the files of a directory together: which objects there are, and which there may be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{FieldPath, Key};
use serde_json::Value;
use types::ObjectName;

use super::FileFault;
use super::file::{FileRead, ReadObject};
use super::scan::Listing;

/// What a directory of manifests says.
#[derive(Debug, Default)]
pub(crate) struct ManifestSet {
    /// Objects that are valid and there once.
    pub(crate) objects: BTreeMap<Key, Found>,
    /// Objects that are there and not valid, or there twice.
    pub(crate) refused: BTreeMap<Key, Refused>,
    /// Everything that is wrong, by place.
    pub(crate) faults: Vec<FileFault>,
    /// See [`Listing::unknown`].
    unknown: Vec<String>,
    /// Documents that may be any object of that name, or of any name, by file.
    unclear: BTreeSet<(String, Option<ObjectName>)>,
    seen: BTreeMap<Key, Vec<Seen>>,
}

/// A valid object.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) file: Arc<str>,
    pub(crate) manifest: Arc<Value>,
}

/// An object that is refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The file that has it, or the first of them.
    pub(crate) file: Arc<str>,
    pub(crate) faults: Vec<FileFault>,
}

#[derive(Debug)]
struct Seen {
    file: Arc<str>,
    object: ReadObject,
}

impl ManifestSet {
    pub(crate) fn new(listing: &Listing) -> Self {
        Self {
            unknown: listing.unknown.clone(),
            faults: listing.faults.clone(),
            ..Self::default()
        }
    }

    /// Adds a file of that path from the directory.
    pub(crate) fn add(&mut self, name: &str, read: &FileRead) {
        let file: Arc<str> = name.into();
        for object in &read.objects {
            self.seen.entry(object.key.clone()).or_default().push(Seen {
                file: Arc::clone(&file),
                object: object.clone(),
            });
        }
        let unclear = read.unclear.iter().cloned();
        self.unclear
            .extend(unclear.map(|object| (name.to_owned(), object)));
        self.faults.extend_from_slice(&read.faults);
    }

    /// Says that nothing in the directory can be told, and why.
    pub(crate) fn distrust(&mut self, fault: FileFault) {
        self.unknown.push(String::new());
        self.faults.push(fault);
    }

    /// Sorts out what was added.
    pub(crate) fn finish(mut self) -> Self {
        for (key, mut seen) in std::mem::take(&mut self.seen) {
            let twice = twice(&key, &seen);
            let Some(first) = seen.first() else {
                continue;
            };
            let file = Arc::clone(&first.file);
            let manifest = match seen.pop().map(|only| only.object.manifest) {
                Some(Ok(manifest)) if twice.is_empty() => {
                    self.objects.insert(key, Found { file, manifest });
                    continue;
                }
                manifest => manifest,
            };
            let others = seen.into_iter().map(|seen| seen.object.manifest);
            let mut faults = twice;
            for refused in others.chain(manifest).filter_map(Result::err) {
                faults.extend(refused);
            }
            self.faults.extend_from_slice(&faults);
            self.refused.insert(key, Refused { file, faults });
        }
        self.faults.sort();
        self
    }

    /// Whether nothing in the directory can be told.
    pub(crate) fn is_unknown(&self) -> bool {
        self.unknown.iter().any(String::is_empty)
    }

    /// Whether an object that was in `file` and is not there any more may be there all the same:
    /// the file cannot be read, or has a document that may be meant to be it.
    pub(crate) fn may_hold(&self, key: &Key, file: &str) -> bool {
        let in_unknown = self.unknown.iter().any(|path| {
            path.is_empty()
                || path == file
                || path.ends_with('/') && file.starts_with(path.as_str())
        });
        let mut unclear = self.unclear.iter().filter(|(name, _)| name == file);
        in_unknown
            || unclear.any(|(_, object)| {
                object
                    .as_ref()
                    .is_none_or(|object| object.name == key.name.name)
            })
    }
}

/// A fault for each place of an object that is at more than one, naming the others.
fn twice(key: &Key, seen: &[Seen]) -> Vec<FileFault> {
    let place = |seen: &Seen| format!("{}:{}", seen.file, seen.object.line);
    let each = seen.iter().enumerate().map(|(at, this)| {
        let others = seen.iter().enumerate().filter(|(other, _)| *other != at);
        let others: Vec<String> = others.map(|(_, other)| place(other)).collect();
        let reason = format_args!("is there more than once: also at {}", others.join(", "));
        FileFault::field(
            &this.file,
            this.object.line,
            key,
            FieldPath::default(),
            reason,
        )
    });
    if seen.len() > 1 {
        each.collect()
    } else {
        Vec::new()
    }
}
