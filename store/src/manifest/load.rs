//! Reads manifests for those who do something with them.

use std::path::Path;
use std::sync::Arc;

use api::Key;
use serde_json::Value;

use super::FileFault;
use super::file::FileRead;
use super::scan::scan;
use super::set::ManifestSet;

/// A valid manifest and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The object that it is.
    pub key: Key,
    /// The file, from the directory.
    pub file: Arc<str>,
    /// The line it begins on, counted from one.
    pub line: u32,
    /// What it says, as JSON.
    pub value: Arc<Value>,
}

/// The manifests of a directory or of one file, in the order of the files, with everything that is
/// wrong. What is there twice, or not valid, is not among them.
#[must_use]
pub fn read(path: &Path) -> (Vec<Manifest>, Vec<FileFault>) {
    let listing = scan(path);
    let mut set = ManifestSet::new(&listing);
    let mut reads = Vec::new();
    for (name, file) in &listing.files {
        let read = FileRead::read(name, &file.path);
        set.add(name, &read);
        reads.push((Arc::<str>::from(name.as_str()), read));
    }
    sorted_out(set, reads)
}

/// The manifests in a text, which faults call `name`.
#[must_use]
pub fn parse(name: &str, text: &[u8]) -> (Vec<Manifest>, Vec<FileFault>) {
    let mut set = ManifestSet::default();
    let read = FileRead::parse(name, text);
    set.add(name, &read);
    sorted_out(set, vec![(name.into(), read)])
}

fn sorted_out(
    set: ManifestSet,
    reads: Vec<(Arc<str>, FileRead)>,
) -> (Vec<Manifest>, Vec<FileFault>) {
    let set = set.finish();
    let mut manifests = Vec::new();
    for (file, read) in reads {
        for object in read.objects {
            if let Some(found) = set.objects.get(&object.key) {
                manifests.push(Manifest {
                    key: object.key,
                    file: Arc::clone(&file),
                    line: object.line,
                    value: Arc::clone(&found.manifest),
                });
            }
        }
    }
    (manifests, set.faults)
}
