//! What the directory's objects were given, kept on disk: statuses, generations, creation times.
//!
//! One `redb` file in the state directory. A commit is on the disk when it returns, and a power
//! cut leaves the file as some commit left it. The file is checked as a whole when it is opened: a
//! broken one is an error and stays as it is, since starting afresh would number VIPs anew.
//!
//! A row also has the object as its manifest last had it. That is what an agent starts with when
//! the manifest is broken, or its disk not mounted, at the time.

mod lock;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::{Key, Timestamp};
use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use types::BackendAddr;

pub use rows::BadRows;
pub(crate) use rows::Write;

use lock::Lock;

/// The database's file in the state directory.
const FILE: &str = "state.redb";

/// The file in which a first database is made, before it gets its name.
const NEW_FILE: &str = "state.redb.new";

/// Rows are few and read once; redb's own default is a gigabyte.
const CACHE_BYTES: usize = 8 << 20;

/// An object as the directory has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The file it was in when last seen, from the manifest directory.
    pub(crate) file: Arc<str>,
    /// What the manifest said, as JSON.
    pub(crate) manifest: Arc<Value>,
    /// Counts changes of what the manifest asks for.
    pub(crate) generation: u64,
    /// The directory's revision at the last change of manifest or status.
    pub(crate) revision: u64,
    /// When it was first seen, or what the manifest says.
    pub(crate) created: Timestamp,
    /// What was written to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Arc<Value>>,
}

/// All that the database holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Content {
    /// Counts commits that changed an object.
    pub(crate) revision: u64,
    /// Which directory the objects were read from, so that an empty one can be told from it.
    pub(crate) directory: Option<u64>,
    pub(crate) records: BTreeMap<Key, Record>,
    /// What an operator ordered beside them.
    pub(crate) orders: Orders,
}

/// What an operator orders beside the objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// The backends that get no new flows.
    pub drained: BTreeSet<BackendAddr>,
    /// Whether the whole node is taken out of service.
    pub withdrawn: bool,
}

/// The open database of one state directory.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    /// None after a failed commit: redb takes no more until the file is opened again.
    open: Option<redb::Database>,
    _lock: Lock,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a file in it cannot be made or read.
    #[error("opening {path} in the state directory")]
    StateDir {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another agent has it.
    #[error("the state directory {path} is in use by {holder}: each agent needs its own")]
    InUse {
        /// The state directory.
        path: PathBuf,
        /// `process PID`.
        holder: String,
    },
    /// The database does not read.
    #[error(
        "the state database {path} is broken: it holds the addresses that services were given, so \
         nothing is started without it; put a copy back, or set it aside with --reset-state and \
         let addresses be given anew (those that manifests request stay)"
    )]
    Broken {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        source: Damage,
    },
}

/// What is wrong with a database file.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// A crash never leaves it so: the file gets its name when it is complete.
    #[error("the file is empty")]
    Empty,
    /// Checksums or structure are wrong.
    #[error("the file fails its integrity check")]
    Integrity,
    /// It cannot be opened.
    #[error("opening it")]
    Open(#[from] redb::DatabaseError),
    /// It opens and cannot be read.
    #[error("reading its rows")]
    Rows(#[from] BadRows),
    /// Reading it ended in a panic.
    #[error("the file makes its reader fail")]
    Panic,
}

impl Database {
    /// Opens the state directory's database, or makes a first one, and reads all of it.
    pub(crate) fn open(state_dir: &Path) -> Result<(Self, Content), OpenError> {
        let lock = claim(state_dir)?;
        let path = state_dir.join(FILE);
        let io = |source| OpenError::StateDir {
            path: path.clone(),
            source,
        };
        if !path.try_exists().map_err(io)? {
            create(state_dir).map_err(|source| OpenError::Broken {
                path: state_dir.join(NEW_FILE),
                source,
            })?;
        }
        let bytes = fs::read(&path).map_err(io)?;
        let broken = |source| OpenError::Broken {
            path: path.clone(),
            source,
        };
        let content = catch_unwind(|| check(&bytes))
            .unwrap_or(Err(Damage::Panic))
            .map_err(broken)?;
        let open = builder()
            .open(&path)
            .map_err(|error| broken(error.into()))?;
        let database = Self {
            path,
            open: Some(open),
            _lock: lock,
        };
        Ok((database, content))
    }

    /// Writes; on the disk when it returns. After an error nobody knows what the file has: the
    /// next write must be a whole one.
    pub(crate) fn commit(&mut self, write: &Write<'_>) -> Result<(), BadRows> {
        let database = match self.open.take() {
            Some(database) => database,
            None => builder().open(&self.path)?,
        };
        rows::commit(&database, write)?;
        self.open = Some(database);
        Ok(())
    }
}

/// Moves a broken database aside, so that the next start makes a new one. Returns where it is now.
///
/// # Errors
/// If an agent has the state directory, or the file cannot be renamed.
pub fn reset_state(state_dir: &Path) -> Result<Option<PathBuf>, OpenError> {
    let _lock = claim(state_dir)?;
    let path = state_dir.join(FILE);
    let io = |source| OpenError::StateDir {
        path: path.clone(),
        source,
    };
    if !path.try_exists().map_err(io)? {
        return Ok(None);
    }
    let aside = (1_u32..)
        .map(|n| state_dir.join(format!("{FILE}.broken-{n}")))
        .find(|aside| !aside.exists())
        .unwrap_or_else(|| state_dir.join(format!("{FILE}.broken")));
    fs::rename(&path, &aside).map_err(io)?;
    sync_dir(state_dir).map_err(io)?;
    Ok(Some(aside))
}

/// Makes the state directory if it is not there, readable to its owner only, and locks it.
fn claim(state_dir: &Path) -> Result<Lock, OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)
        .map_err(|source| OpenError::StateDir {
            path: state_dir.to_owned(),
            source,
        })?;
    Lock::take(state_dir)
}

/// Makes an empty database under another name first: a file with the right name is complete.
fn create(state_dir: &Path) -> Result<(), Damage> {
    let io = |error: io::Error| Damage::Open(error.into());
    let new = state_dir.join(NEW_FILE);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(io)?;
    let database = builder().create_file(file)?;
    rows::commit(&database, &Write::whole(&Content::default()))?;
    drop(database);
    File::open(&new)
        .and_then(|file| file.sync_all())
        .map_err(io)?;
    fs::rename(&new, state_dir.join(FILE)).map_err(io)?;
    sync_dir(state_dir).map_err(io)
}

/// Reads a copy of the file, checking every page. The file itself is left alone, since opening a
/// broken one would repair it, and take away what there was to restore.
fn check(bytes: &[u8]) -> Result<Content, Damage> {
    if bytes.is_empty() {
        return Err(Damage::Empty);
    }
    let io = |error: io::Error| Damage::Open(error.into());
    let copy = InMemoryBackend::new();
    let len = u64::try_from(bytes.len()).map_err(|_| Damage::Integrity)?;
    copy.set_len(len).map_err(io)?;
    copy.write(0, bytes).map_err(io)?;
    let mut database = builder().create_with_backend(copy)?;
    if !database.check_integrity()? {
        return Err(Damage::Integrity);
    }
    Ok(rows::load(&database)?)
}

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests;
