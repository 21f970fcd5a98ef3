//! What the kernel programs are made of.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use crate::BuildError;

/// The packages that are compiled for the kernel.
const PACKAGES: [&str; 7] = [
    "bpf/kernel",
    "bpf/common",
    "integration/common",
    "integration/ebpf",
    "wire",
    "xdp-l4lb/common",
    "xdp-l4lb/ebpf",
];

/// Files and folders whose change means another build.
pub(crate) fn watched(root: &Path) -> Vec<PathBuf> {
    let mut paths = vec![root.join("Cargo.toml")];
    for package in PACKAGES {
        let package = root.join(package);
        for part in ["Cargo.toml", "Cargo.lock", "src"] {
            let path = package.join(part);
            if path.exists() {
                paths.push(path);
            }
        }
    }
    paths
}

/// One number for the contents of all inputs and for `others`, such as the compiler's version.
pub(crate) fn digest(root: &Path, others: &[String]) -> Result<u64, BuildError> {
    let mut files = BTreeSet::new();
    for path in watched(root) {
        collect(&path, &mut files)?;
    }
    let mut hasher = DefaultHasher::new();
    others.hash(&mut hasher);
    for path in files {
        let content = fs::read(&path).map_err(|source| BuildError::File {
            doing: "reading",
            path: path.clone(),
            source,
        })?;
        path.hash(&mut hasher);
        content.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn collect(path: &Path, files: &mut BTreeSet<PathBuf>) -> Result<(), BuildError> {
    if path.is_file() {
        files.insert(path.to_path_buf());
        return Ok(());
    }
    let failed = |source| BuildError::File {
        doing: "listing",
        path: path.to_path_buf(),
        source,
    };
    for entry in fs::read_dir(path).map_err(failed)? {
        collect(&entry.map_err(failed)?.path(), files)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_there() {
        let watched = watched(&crate::root());

        for package in PACKAGES {
            let manifest = crate::root().join(package).join("Cargo.toml");
            assert!(watched.contains(&manifest), "{package}");
        }
    }

    #[test]
    fn another_compiler_is_another_build() {
        let root = crate::root();

        let one = digest(&root, &["rustc 1".into()]).unwrap();

        assert_eq!(one, digest(&root, &["rustc 1".into()]).unwrap());
        assert_ne!(one, digest(&root, &["rustc 2".into()]).unwrap());
    }
}
