//! Says when something in the manifest directory may have changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tracing::warn;

/// The kernel's watches on the directory, those below it, and the one it is in.
///
/// A watch is on a directory, not on its name. So each pass watches all of them anew: a directory
/// that was replaced by another of the same name, or a link that points elsewhere now, is seen
/// from the directory above it.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    has_warned: bool,
}

impl Watch {
    /// The watch of a directory by its absolute path, and where it reports. Without a watch there is
    /// the rescan.
    pub(super) fn new(root: &Path) -> (Self, mpsc::Receiver<()>) {
        // One report in the channel says as much as many: what does not fit is dropped.
        let (report, reports) = mpsc::channel(1);
        let below = root.to_owned();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| matters(&event, &below)) {
                let _ = report.try_send(());
            }
        });
        let mut watch = Self {
            watcher: None,
            watched: BTreeSet::new(),
            has_warned: false,
        };
        match watcher {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.warn(Path::new(""), &error),
        }
        (watch, reports)
    }

    /// Watches these directories and the one that `root` is in, and no others. Whether any of them
    /// is new: then it may have changed before it was watched.
    pub(super) fn set(&mut self, root: &Path, directories: &[PathBuf]) -> bool {
        let above = root.parent().map(Path::to_owned);
        let wanted: BTreeSet<PathBuf> = directories.iter().cloned().chain(above).collect();
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        for old in self.watched.difference(&wanted) {
            // The kernel has dropped it already if the directory is gone.
            let _ = watcher.unwatch(old);
        }
        let mut watched = BTreeSet::new();
        let mut failed = None;
        for path in &wanted {
            match watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    watched.insert(path.clone());
                }
                Err(error) => failed = Some((path, error)),
            }
        }
        let is_new = watched.difference(&self.watched).next().is_some();
        self.watched = watched;
        if let Some((path, error)) = failed {
            self.warn(path, &error);
        }
        is_new
    }

    fn warn(&mut self, path: &Path, error: &notify::Error) {
        if !self.has_warned {
            self.has_warned = true;
            warn!(
                path = %path.display(),
                %error,
                "manifests cannot be watched: changes are seen by looking every few seconds"
            );
        }
    }
}

/// Whether an event may be a change. Reading the manifests is reported too, and must not lead to
/// reading them again; the directory above may have much in it that is none of ours.
fn matters(event: &Event, root: &Path) -> bool {
    let is_read = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => false,
    };
    let is_elsewhere =
        !event.paths.is_empty() && event.paths.iter().all(|path| !path.starts_with(root));
    !is_read && !is_elsewhere
}
