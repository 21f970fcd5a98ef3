//! Reads a ConfigMap from where Kubernetes mounts it: a file a key.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// No ConfigMap is larger.
const MOST: u64 = 1 << 20;

/// Why a folder is no ConfigMap.
#[derive(Debug, thiserror::Error)]
#[error("reading the settings in {}", path.display())]
pub struct BadConfigMap {
    path: PathBuf,
    source: io::Error,
}

/// The keys and values of a mounted ConfigMap. Names that begin with a dot are the kubelet's own.
///
/// # Errors
/// If the folder or a file in it cannot be read, or is no text.
pub fn read(folder: &Path) -> Result<BTreeMap<String, String>, BadConfigMap> {
    let bad = |path: &Path| {
        let path = path.to_owned();
        |source| BadConfigMap { path, source }
    };
    let mut keys = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(bad(folder))? {
        let path = entry.map_err(bad(folder))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name.starts_with('.') || path.is_dir() {
            continue;
        }
        let mut text = String::new();
        fs::File::open(&path)
            .and_then(|file| file.take(MOST).read_to_string(&mut text))
            .map_err(bad(&path))?;
        keys.insert(name.to_owned(), text);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_mounted_map_is_read_through_the_links_of_the_kubelet() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("..2026_11_20");
        fs::create_dir(&real).unwrap();
        fs::write(real.join("debug"), "true\n").unwrap();
        symlink("..2026_11_20", folder.path().join("..data")).unwrap();
        symlink("..data/debug", folder.path().join("debug")).unwrap();

        let keys = read(folder.path()).unwrap();

        assert_eq!(keys, BTreeMap::from([("debug".into(), "true\n".into())]));
    }

    #[test]
    fn a_file_that_is_no_text_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("debug"), [0xff]).unwrap();

        let error = read(folder.path()).unwrap_err();

        assert!(error.to_string().ends_with("/debug"), "{error}");
    }
}
