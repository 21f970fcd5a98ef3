//! Lists a directory's manifest files without reading them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::Timestamp;

use super::FileFault;

/// How far below the manifest directory files are looked for.
const MAX_LEVELS: usize = 16;

/// How many names are looked at: more than that is not a directory of manifests.
const MAX_NAMES: usize = 100_000;

/// What is in a manifest directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Manifest files by their path from the directory.
    pub(crate) files: BTreeMap<String, ListedFile>,
    /// The directories looked into, the first one first.
    pub(crate) directories: Vec<PathBuf>,
    /// Which directory it is; none if it cannot be read.
    pub(crate) identity: Option<Identity>,
    /// Paths whose files cannot be told: they end in a slash; empty for all.
    pub(crate) unknown: Vec<String>,
    /// What is wrong.
    pub(crate) faults: Vec<FileFault>,
}

/// A manifest file.
#[derive(Debug)]
pub(crate) struct ListedFile {
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
}

/// Which file it is and when it last changed: equal means unread changes are unlikely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    identity: Identity,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file or directory, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            identity: Identity::of(metadata),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the file last changed less than `age` before `now`. If that was after `now`, the
    /// clock was set back and says nothing.
    pub(crate) fn is_younger(&self, age: Duration, now: Timestamp) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let changed = i32::try_from(nanoseconds).ok();
        let changed = changed.and_then(|nanos| Timestamp::new(seconds, nanos).ok());
        let Some(since) = changed.map(|changed| now.duration_since(changed)) else {
            return false;
        };
        Duration::try_from(since).is_ok_and(|since| since < age)
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// Lists a directory, or a single file as if it were alone in one.
pub(crate) fn scan(root: &Path) -> Listing {
    let mut listing = Listing::default();
    match fs::metadata(root) {
        Ok(metadata) if metadata.is_file() => {
            let name = root.file_name().unwrap_or(root.as_os_str());
            listing.identity = Some(Identity::of(&metadata));
            listing.add_file(
                name.to_string_lossy().into_owned(),
                root.to_owned(),
                &metadata,
            );
        }
        Ok(metadata) => {
            let mut walk = Walk {
                listing: &mut listing,
                above: Vec::new(),
                names: 0,
            };
            if walk.directory(root, "", &metadata) {
                listing.identity = Some(Identity::of(&metadata));
            }
        }
        Err(error) => listing.unreadable("", &error),
    }
    listing
}

struct Walk<'l> {
    listing: &'l mut Listing,
    /// The directories that this one is in: a link to one of them would go round for ever.
    above: Vec<Identity>,
    names: usize,
}

impl Walk<'_> {
    /// Whether the directory could be read. Paths in it begin with `prefix`.
    fn directory(&mut self, path: &Path, prefix: &str, metadata: &Metadata) -> bool {
        let identity = Identity::of(metadata);
        if self.above.contains(&identity) || self.above.len() >= MAX_LEVELS {
            let reason = "is not looked into: it is in itself, or too many levels down";
            let fault = FileFault::whole(prefix.trim_end_matches('/'), 1, reason);
            self.listing.faults.push(fault);
            return false;
        }
        self.listing.directories.push(path.to_owned());
        let names = match self.names(path) {
            Ok(names) => names,
            Err(error) => {
                self.listing.unreadable(prefix, &error);
                return false;
            }
        };
        self.above.push(identity);
        for name in names {
            self.entry(path.join(&name), &format!("{prefix}{}", name.display()));
        }
        self.above.pop();
        true
    }

    fn names(&mut self, path: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            let name = entry?.file_name();
            self.names += 1;
            if self.names > MAX_NAMES {
                return Err(io::Error::other(format!(
                    "more than {MAX_NAMES} names: is this a directory of manifests?"
                )));
            }
            if !name.as_encoded_bytes().starts_with(b".") {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn entry(&mut self, path: PathBuf, name: &str) {
        let is_manifest = is_manifest_name(&path);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                self.directory(&path, &format!("{name}/"), &metadata);
            }
            Ok(metadata) if metadata.is_file() => {
                if is_manifest {
                    self.listing.add_file(name.to_owned(), path, &metadata);
                }
            }
            Ok(_) if is_manifest => {
                let error = io::Error::other("it is neither a file nor a directory");
                self.listing.unreadable_file(name, &error);
            }
            // A link to nowhere may have been a directory.
            Err(error) if is_manifest => self.listing.unreadable_file(name, &error),
            Err(error) if fs::symlink_metadata(&path).is_ok() => {
                self.listing.unreadable(&format!("{name}/"), &error);
            }
            Ok(_) | Err(_) => {}
        }
    }
}

impl Listing {
    fn add_file(&mut self, name: String, path: PathBuf, metadata: &Metadata) {
        let stamp = Stamp::of(metadata);
        self.files.insert(name, ListedFile { path, stamp });
    }

    fn unreadable(&mut self, prefix: &str, error: &io::Error) {
        let name = match prefix.trim_end_matches('/') {
            "" => ".",
            name => name,
        };
        let reason = format_args!("the directory cannot be read: {error}");
        self.faults.push(FileFault::whole(name, 1, reason));
        self.unknown.push(prefix.to_owned());
    }

    fn unreadable_file(&mut self, name: &str, error: &io::Error) {
        let reason = format_args!("the file cannot be read: {error}");
        self.faults.push(FileFault::whole(name, 1, reason));
        self.unknown.push(name.to_owned());
    }
}

fn is_manifest_name(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    matches!(extension, Some("yaml" | "yml" | "json"))
}
