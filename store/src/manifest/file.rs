//! Reads one manifest file into objects and faults.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use api::{FieldPath, Key, Object, Refusal, Step, Strictness};
use serde_json::Value;
use types::ObjectName;

use super::FileFault;
use super::scan::Stamp;
use crate::yaml::{self, Document};

/// How many faults of one file are listed.
const MAX_FAULTS: usize = 1000;

/// What a manifest file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileRead {
    /// Objects whose identity is clear, in the order of the file.
    pub(crate) objects: Vec<ReadObject>,
    /// Names in documents of an unclear kind; none where the name is unclear too.
    pub(crate) unclear: Vec<Option<ObjectName>>,
    /// Faults of what is no object.
    pub(crate) faults: Vec<FileFault>,
    /// The file as it was read; none if it could not be.
    pub(crate) stamp: Option<Stamp>,
    /// Whether it changed while it was read.
    pub(crate) is_torn: bool,
}

/// One object of a file.
#[derive(Clone, Debug)]
pub(crate) struct ReadObject {
    pub(crate) key: Key,
    pub(crate) line: u32,
    pub(crate) manifest: Result<Arc<Value>, Vec<FileFault>>,
}

impl FileRead {
    /// Reads the file at `path`, which faults call `name`.
    pub(crate) fn read(name: &str, path: &Path) -> Self {
        match bytes_of(path) {
            Ok((bytes, Some(stamp))) => Self {
                stamp: Some(stamp),
                ..Self::parse(name, &bytes)
            },
            Ok((_, None)) => Self {
                is_torn: true,
                ..Self::unreadable(FileFault::whole(
                    name,
                    1,
                    "the file changed while it was read",
                ))
            },
            Err(error) => {
                let reason = format_args!("the file cannot be read: {error}");
                Self::unreadable(FileFault::whole(name, 1, reason))
            }
        }
    }

    /// Reads a file's bytes.
    ///
    /// A file of no bytes is not believed: it is one that is about to be written, or that a power
    /// cut left so.
    pub(crate) fn parse(name: &str, bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            let reason = "the file is empty, and what was in it stays: delete it to remove that";
            return Self::unreadable(FileFault::whole(name, 1, reason));
        }
        let documents = match yaml::parse(bytes) {
            Ok(documents) => documents,
            Err(bad) => return Self::unreadable(FileFault::whole(name, bad.line, &bad.reason)),
        };
        let mut read = Self::default();
        for document in &documents {
            let value = document.value();
            match list_items(&value) {
                Some(items) => {
                    read.tree_faults(name, document);
                    for (index, item) in items.iter().enumerate() {
                        let at = [Step::Field("items".to_owned()), Step::Index(index)];
                        read.object(name, document, &at, item.clone());
                    }
                }
                None => read.object(name, document, &[], value),
            }
        }
        read.faults.truncate(MAX_FAULTS);
        read
    }

    /// A file of which nothing can be told but a fault.
    fn unreadable(fault: FileFault) -> Self {
        Self {
            unclear: vec![None],
            faults: vec![fault],
            ..Self::default()
        }
    }

    /// Faults of a list as a whole; of an object they are the object's, see [`Self::object`].
    fn tree_faults(&mut self, name: &str, document: &Document) {
        for fault in document.faults() {
            let steps = fault.path.steps();
            if item_index(steps).is_none() {
                let path = fault.path.clone();
                let fault = FileFault::field(name, fault.line, &"List/?", path, &fault.reason);
                self.faults.push(fault);
                self.unclear.push(None);
            }
        }
    }

    /// One object, at those steps of the document.
    fn object(&mut self, name: &str, document: &Document, at: &[Step], value: Value) {
        let (mut refusal, manifest) = match Object::from_value(value.clone(), Strictness::Strict) {
            Ok(object) => {
                let key = object.key();
                let refusal = Refusal {
                    kind: Some(key.kind.as_str().to_owned()),
                    name: Some(key.name),
                    faults: Vec::new(),
                };
                (refusal, Some(value))
            }
            Err(refusal) => (refusal, None),
        };
        let found = std::mem::take(&mut refusal.faults);
        let mut faults = object_tree_faults(name, document, at, &refusal);
        faults.extend(found.into_iter().map(|fault| {
            let line = document.line_of(&[at, fault.path.steps()].concat());
            FileFault::field(name, line, &refusal, fault.path, fault.reason)
        }));
        faults.truncate(MAX_FAULTS);
        match refusal.key() {
            Some(key) => self.objects.push(ReadObject {
                key,
                line: document.line_of(at),
                manifest: match manifest {
                    Some(value) if faults.is_empty() => Ok(Arc::new(value)),
                    Some(_) | None => Err(faults),
                },
            }),
            None => {
                self.unclear.push(refusal.name);
                self.faults.extend(faults);
            }
        }
    }
}

/// The document's own faults that are within an object.
fn object_tree_faults(
    name: &str,
    document: &Document,
    at: &[Step],
    object: &Refusal,
) -> Vec<FileFault> {
    let within = document.faults().iter().filter_map(|fault| {
        let steps = fault.path.steps().strip_prefix(at)?;
        let path = FieldPath::new(steps.to_vec());
        Some(FileFault::field(
            name,
            fault.line,
            object,
            path,
            &fault.reason,
        ))
    });
    within.collect()
}

/// The items of a `kind: List`, as `kubectl get -o yaml` prints it.
fn list_items(value: &Value) -> Option<&[Value]> {
    let is_list = value.get("kind")? == "List" && value.get("apiVersion")? == "v1";
    match value.get("items") {
        Some(Value::Array(items)) if is_list => Some(items),
        Some(_) | None => None,
    }
}

fn item_index(steps: &[Step]) -> Option<usize> {
    match steps {
        [Step::Field(items), Step::Index(index), ..] if items == "items" => Some(*index),
        _ => None,
    }
}

/// A file's bytes, and the file as it was both before and after they were read, if it was the same.
fn bytes_of(path: &Path) -> io::Result<(Vec<u8>, Option<Stamp>)> {
    // Opening a pipe that nobody writes to would wait for ever.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let before = Stamp::of(&metadata);
    let mut bytes = Vec::new();
    let limit = u64::try_from(yaml::MAX_BYTES).unwrap_or(u64::MAX);
    // One byte more than is allowed, so that the parser can say so.
    Read::by_ref(&mut file)
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let after = Stamp::of(&file.metadata()?);
    Ok((bytes, Some(before).filter(|before| *before == after)))
}
