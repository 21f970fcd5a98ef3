//! Where things are pinned, and what their names look like there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{self, BPF_FS_MAGIC};

/// The folder of all versions, within a bpffs.
const PRODUCT: &str = "sluicegate";
/// Marks a version whose links have been switched to the next one.
const RETIRED: &str = "-retired";

/// A version's folder: `<bpffs>/sluicegate/v<N>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinDir {
    product: PathBuf,
    version: u32,
}

/// Why a pin cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// Only a bpffs holds pins.
    #[error("{0} is not a mounted bpffs: mount -t bpf bpf {0}")]
    NotBpffs(PathBuf),
    /// A file operation failed.
    #[error("{doing} {path}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl PinDir {
    /// The folder of `version`, whether it exists or not.
    ///
    /// # Errors
    /// If `bpffs` is not a mounted BPF file system.
    pub fn at(bpffs: &Path, version: u32) -> Result<Self, PinError> {
        match statfs::statfs(bpffs) {
            Ok(fs) if fs.filesystem_type() == BPF_FS_MAGIC => Ok(Self {
                product: bpffs.join(PRODUCT),
                version,
            }),
            Ok(_) => Err(PinError::NotBpffs(bpffs.to_owned())),
            Err(error) => Err(failed("looking at", bpffs, error.into())),
        }
    }

    /// The same product's folder of another version.
    #[must_use]
    pub fn sibling(&self, version: u32) -> Self {
        Self {
            product: self.product.clone(),
            version,
        }
    }

    /// Every version that is pinned beside this one, and this one, in order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn versions(&self) -> Result<Vec<u32>, PinError> {
        let mut versions: Vec<u32> = names(&self.product)?
            .iter()
            .filter_map(|name| name.strip_prefix('v')?.parse().ok())
            .collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// The version that is pinned here.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.product.join(format!("v{}", self.version))
    }

    /// Where a map is pinned.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.path().join("maps").join(name)
    }

    /// Where a program is pinned; `build` tells its versions apart.
    #[must_use]
    pub fn program(&self, name: &str, build: u64) -> PathBuf {
        self.path()
            .join("programs")
            .join(format!("{name}-{build:016x}"))
    }

    /// Where the link of an interface is pinned.
    #[must_use]
    pub fn link(&self, interface: &str) -> PathBuf {
        self.path().join("links").join(escape(interface))
    }

    /// The interfaces that have a pinned link.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn linked_interfaces(&self) -> Result<Vec<String>, PinError> {
        Ok(self
            .entries("links")?
            .iter()
            .map(|name| unescape(name))
            .collect())
    }

    /// Makes the folders that are missing.
    ///
    /// # Errors
    /// If one cannot be made.
    pub fn create(&self) -> Result<(), PinError> {
        for folder in ["maps", "programs", "links"] {
            let path = self.path().join(folder);
            fs::create_dir_all(&path).map_err(|error| failed("creating", &path, error))?;
        }
        Ok(())
    }

    /// Unpins the programs other than the one at `kept`.
    ///
    /// # Errors
    /// If a pin cannot be removed.
    pub fn retire_programs(&self, name: &str, kept: &Path) -> Result<(), PinError> {
        let folder = self.path().join("programs");
        let prefix = format!("{name}-");
        for entry in self.entries("programs")? {
            let path = folder.join(&entry);
            if entry.starts_with(&prefix) && path != kept {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Takes this version out of use in one step, then removes what it held.
    ///
    /// # Errors
    /// If the folder cannot be renamed or emptied; [`Self::sweep`] finishes the second half later.
    pub fn retire(&self) -> Result<(), PinError> {
        let path = self.path();
        fs::rename(&path, self.retired()).map_err(|error| failed("retiring", &path, error))?;
        self.sweep()
    }

    /// Removes what an interrupted [`Self::retire`] left behind.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn sweep(&self) -> Result<(), PinError> {
        let path = self.retired();
        match fs::remove_dir_all(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("removing", &path, error)),
        }
    }

    fn retired(&self) -> PathBuf {
        self.product.join(format!("v{}{RETIRED}", self.version))
    }

    fn entries(&self, folder: &str) -> Result<Vec<String>, PinError> {
        names(&self.path().join(folder))
    }
}

/// Removes one pin; one that is not there is removed already.
pub(crate) fn remove(path: &Path) -> Result<(), PinError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("unpinning", path, error)),
    }
}

pub(crate) fn failed(doing: &'static str, path: &Path, source: io::Error) -> PinError {
    PinError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// What a folder holds, in order; nothing if it is not there.
fn names(folder: &Path) -> Result<Vec<String>, PinError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("reading", folder, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed("reading", folder, error))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// A bpffs refuses names with a dot, which a VLAN's interface has.
fn escape(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

fn unescape(name: &str) -> String {
    name.replace("%2e", ".").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_name_survives_a_file_name_without_dots() {
        for name in ["eth0", "eth0.100", "odd%2ename", "%25.%"] {
            let escaped = escape(name);

            assert!(!escaped.contains('.'), "{escaped}");
            assert_eq!(unescape(&escaped), name);
        }
    }

    #[test]
    fn pins_are_refused_outside_a_bpffs() {
        let folder = tempfile::tempdir().unwrap();

        let pins = PinDir::at(folder.path(), 1);

        assert!(matches!(pins, Err(PinError::NotBpffs(path)) if path == folder.path()));
    }
}
