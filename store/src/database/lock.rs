//! One agent a state directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::OpenError;

/// The file whose lock is held, and that says by whom.
const FILE: &str = "lock";

/// Held while an agent has the state directory; the kernel frees it however the agent ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(state_dir: &Path) -> Result<Self, OpenError> {
        let path = state_dir.join(FILE);
        let io = |source| OpenError::StateDir {
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(io(source)),
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    path: state_dir.to_owned(),
                    holder: holder(&mut file),
                });
            }
        }
        file.set_len(0).map_err(io)?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes())
            .map_err(io)?;
        Ok(Self { _file: file })
    }
}

/// What the holder wrote down; nothing if it has not come to that yet.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let pid = match file.read_to_string(&mut text) {
        Ok(_) => text.trim().parse::<u32>().ok(),
        Err(_) => None,
    };
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
