//! Reads a directory of manifests: what is valid, and what is wrong where.
//!
//! Files whose names end in `.yaml`, `.yml` or `.json` are read, in the directory and those below
//! it, in the order of their paths; symbolic links are followed. Names that begin with a dot are
//! passed over, and with them what editors and Kubernetes' volumes keep beside the real files.
//!
//! An object is refused whole and by itself; the other objects of its file load. An object that is
//! there twice is refused in both places. What can no longer be told from the files (they do not
//! parse, or cannot be read) is not gone: see `ManifestSet::may_hold`.

mod fault;
mod file;
mod files;
mod load;
mod scan;
mod set;
mod text;

use std::path::Path;

pub use fault::{FileFault, Subject};
pub(crate) use file::FileRead;
pub use files::ManifestFiles;
pub use load::{Manifest, parse, read};
pub(crate) use scan::{Identity, Listing, Stamp, scan};
pub(crate) use set::{Found, ManifestSet};

/// Every fault in a directory of manifests, or in one file, sorted by place.
///
/// Paths are relative to `path`; a single file is named by its own name.
#[must_use]
pub fn check(path: &Path) -> Vec<FileFault> {
    let listing = scan(path);
    let mut set = ManifestSet::new(&listing);
    for (name, file) in &listing.files {
        set.add(name, &FileRead::read(name, &file.path));
    }
    set.finish().faults
}

#[cfg(test)]
mod tests;
