//! Control groups of a lab's containers: the kernel ends their processes and leaves the folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Lab, command};

/// Where hierarchies are mounted; on newer systems it is the only one itself.
const ROOT: &str = "/sys/fs/cgroup";

/// What the names of labs' groups begin with; the process id of the lab follows.
const PREFIX: &str = "sluice-lab-";

impl Lab {
    /// Puts a group of the lab's own in the place of the top-level group `name`, which a container
    /// runtime makes its groups in. They are removed when the lab has ended.
    ///
    /// # Errors
    /// If the groups cannot be made.
    pub fn own_cgroup(&self, name: &str) -> Result<()> {
        let lab = std::env::var(super::sandbox::OUTSIDE).context("not inside a lab")?;
        for hierarchy in hierarchies() {
            let (own, known) = (hierarchy.join(of_lab(&lab)), hierarchy.join(name));
            for folder in [&own, &known] {
                fs::create_dir_all(folder)
                    .with_context(|| format!("creating {}", folder.display()))?;
            }
            let args = [
                "--bind".into(),
                own.to_string_lossy(),
                known.to_string_lossy(),
            ];
            command("mount", &args.each_ref().map(AsRef::as_ref))?;
        }
        Ok(())
    }
}

/// Removes the groups of labs that have ended, also of those whose own process was killed and could
/// not. What does not go is not worth failing a test for.
pub(super) fn remove_ended() {
    for hierarchy in hierarchies() {
        for entry in fs::read_dir(hierarchy).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let lab = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            if lab.is_some_and(|lab| !Path::new("/proc").join(lab).exists()) {
                remove_folder(&entry.path());
            }
        }
    }
}

fn of_lab(lab: &str) -> String {
    format!("{PREFIX}{lab}")
}

fn hierarchies() -> Vec<PathBuf> {
    let mounted = fs::read_dir(ROOT)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let all = mounted.chain([PathBuf::from(ROOT)]);
    // Names of two hierarchies in one are links to it.
    all.filter(|path| path.join("cgroup.procs").is_file() && !path.is_symlink())
        .collect()
}

fn remove_folder(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_folder(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}
