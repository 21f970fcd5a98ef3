//! The process's own limits.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets the process have as many open files as its administrator allows: each probe under way and
/// each session is one, and the usual soft limit is 1024. What cannot be had is only logged.
pub(crate) fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard));
    match raised {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
}
