//! Whether the node has announced anything since it was booted: then what another program forwards, it
//! forwarded all the time that no agent ran.

use std::fs;
use std::path::{Path, PathBuf};

/// The kernel's number of this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The file's name in the state directory.
const FILE: &str = "announced-in-boot";

/// Remembers in which boot something was announced.
#[derive(Clone, Debug)]
pub(super) struct Boot {
    file: PathBuf,
    id: String,
}

impl Boot {
    /// Remembers in the state directory; without one, beside the socket, which a new pod may have
    /// anew: then nothing is remembered, and routers are told that they must not rely on this node.
    pub(super) fn of(state_dir: Option<&Path>, socket: &Path) -> Self {
        let file = match state_dir {
            Some(folder) => folder.join(FILE),
            None => socket.with_extension(FILE),
        };
        let id = fs::read_to_string(BOOT_ID).unwrap_or_default();
        Self { file, id }
    }

    /// Whether something was announced in this boot.
    pub(super) fn has_announced(&self) -> bool {
        let said = fs::read_to_string(&self.file);
        !self.id.is_empty() && said.is_ok_and(|said| said == self.id)
    }

    /// Something is announced.
    pub(super) fn announces(&self) {
        if let Err(error) = fs::write(&self.file, &self.id) {
            let file = self.file.display();
            tracing::warn!(%file, %error, "a restart will look like a first start to routers");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_announced_in_another_boot_does_not_count() {
        let folder = std::env::temp_dir().join(format!("sluice-boot-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let boot = Boot::of(Some(&folder), Path::new("/run/agent.sock"));
        let next = Boot {
            id: "another".into(),
            ..boot.clone()
        };
        let unknown = Boot {
            id: String::new(),
            ..boot.clone()
        };

        let before = boot.has_announced();
        boot.announces();
        let after = [&boot, &next, &unknown].map(Boot::has_announced);

        fs::remove_dir_all(&folder).unwrap();
        assert!(!before);
        assert_eq!(after, [true, false, false]);
    }

    #[test]
    fn without_a_state_directory_it_is_remembered_beside_the_socket() {
        let boot = Boot::of(None, Path::new("/run/sluicegate/agent.sock"));

        assert_eq!(
            boot.file,
            Path::new("/run/sluicegate/agent.announced-in-boot")
        );
    }
}
