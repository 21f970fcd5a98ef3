//! A Unix socket that only root and the agent's own user may use.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use axum::serve::Listener;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};

/// The local API's socket; its file goes when it is dropped.
pub(crate) struct Local {
    listener: UnixListener,
    path: PathBuf,
    own: u32,
}

impl Local {
    /// Listens at `path`. A file that a dead agent left is replaced.
    ///
    /// # Errors
    /// If a living agent listens there, or the folder cannot be written.
    pub(super) fn bind(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("creating {}", folder.display()))?;
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            bail!("another agent listens at {}: stop it first", path.display());
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("replacing {}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
        let listener =
            UnixListener::bind(path).with_context(|| format!("listening at {}", path.display()))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))
            .with_context(|| format!("protecting {}", path.display()))?;
        let own = nix::unistd::geteuid().as_raw();
        Ok(Self {
            listener,
            path: path.to_owned(),
            own,
        })
    }
}

impl Listener for Local {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            // axum's own accept waits out a shortage of descriptors.
            let (stream, addr) = Listener::accept(&mut self.listener).await;
            match stream.peer_cred() {
                Ok(peer) if may_ask(peer.uid(), self.own) => return (stream, addr),
                Ok(peer) => tracing::warn!(uid = peer.uid(), "a user was refused the local API"),
                Err(error) => tracing::debug!(%error, "a client left before it was served"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // The next agent replaces a file that stays.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Root, and the user that the agent runs as.
fn may_ask(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_agents_user_may_ask() {
        assert!(may_ask(0, 990));
        assert!(may_ask(990, 990));
        assert!(!may_ask(1000, 990));
    }
}
