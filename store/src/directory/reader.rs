//! Reads the manifest directory, and only what changed in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::Timestamp;
use tokio::sync::mpsc;

use super::watch::Watch;
use crate::manifest::{FileFault, FileRead, Identity, Listing, ManifestSet, Stamp, scan};

/// A file that changed this short a time before it was read may change again within the resolution
/// of its times, and is read again.
const RACY: Duration = Duration::from_secs(2);

/// How often in a row a pass is put off because files are being written.
const MAX_PUT_OFF: u32 = 10;

/// The manifest directory and what is known of it.
#[derive(Debug)]
pub(super) struct Reader {
    root: PathBuf,
    watch: Watch,
    files: BTreeMap<String, Cached>,
    /// The directory when it last had manifests, as far as this agent has seen it.
    last: Option<Identity>,
    /// What the last pass made of the directory, to see whether there is anything to do.
    unknown: Vec<String>,
    faults: Vec<FileFault>,
    /// Whether the last pass came to nothing.
    is_forgotten: bool,
    /// How long a file must be as it is before it is read.
    settle: Duration,
    /// How often passes were put off since the last one that was not.
    put_off: u32,
}

#[derive(Debug)]
struct Cached {
    read: FileRead,
    /// The file as it was read; none if it could not be.
    seen: Option<Stamp>,
    /// Whether it may have changed since and look the same.
    is_racy: bool,
}

/// What a pass found.
#[derive(Debug)]
pub(super) struct Pass {
    /// What the directory says.
    pub(super) set: ManifestSet,
    /// Which directory it was, if what it says can be believed.
    pub(super) directory: Option<u64>,
}

/// Whether to look again soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Yes,
    No,
}

impl Reader {
    pub(super) fn new(root: &Path, settle: Duration) -> (Self, mpsc::Receiver<()>) {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let (watch, reports) = Watch::new(&root);
        let reader = Self {
            root,
            watch,
            files: BTreeMap::new(),
            last: None,
            unknown: Vec::new(),
            faults: Vec::new(),
            is_forgotten: false,
            settle,
            put_off: 0,
        };
        (reader, reports)
    }

    /// Looks at the directory. Nothing if it is as it was.
    ///
    /// `remembered` is the directory that the known objects are from; none if there are none.
    /// `is_forced` takes everything for changed.
    pub(super) fn pass(
        &mut self,
        remembered: Option<u64>,
        is_forced: bool,
    ) -> (Option<Pass>, Settled) {
        let listing = scan(&self.root);
        let is_new = self.watch.set(&self.root, &listing.directories);
        if self.is_unsettled(&listing) && self.may_put_off() {
            return (None, Settled::No);
        }
        let (is_changed, is_torn) = self.read_changed(&listing);
        if is_torn && self.may_put_off() {
            self.forget();
            return (None, Settled::No);
        }
        self.put_off = 0;
        let settled = if is_new || is_torn {
            Settled::No
        } else {
            Settled::Yes
        };
        let is_same = listing.unknown == self.unknown && listing.faults == self.faults;
        let is_forced = is_forced || std::mem::take(&mut self.is_forgotten);
        if is_same && !is_changed && !is_forced {
            return (None, settled);
        }
        let mut set = ManifestSet::new(&listing);
        for (name, cached) in &self.files {
            set.add(name, &cached.read);
        }
        let directory = self.believe(&listing, remembered, &mut set);
        self.unknown = listing.unknown;
        self.faults = listing.faults;
        let set = set.finish();
        (Some(Pass { set, directory }), settled)
    }

    /// Which directory this is, unless it is an empty one in place of the real one.
    fn believe(
        &mut self,
        listing: &Listing,
        remembered: Option<u64>,
        set: &mut ManifestSet,
    ) -> Option<u64> {
        if listing.files.is_empty() && self.is_other(listing, remembered) {
            let reason = "the directory is empty and not the one that was read before: what was \
                          in that one stays (is a disk not mounted?); a manifest file without \
                          objects removes them";
            set.distrust(FileFault::whole(".", 1, reason));
            return None;
        }
        self.last = listing.identity.or(self.last);
        listing.identity.map(|identity| identity.inode)
    }

    /// Takes everything for changed the next time: what the last pass found was not taken over.
    pub(super) fn forget(&mut self) {
        self.is_forgotten = true;
    }

    /// Whether a file that must be read was written just now, and more may follow.
    ///
    /// Nothing is taken over until all of them are settled: what one file has no more, another one
    /// may be about to have.
    fn is_unsettled(&self, listing: &Listing) -> bool {
        let now = Timestamp::now();
        listing.files.iter().any(|(name, file)| {
            let known = self.files.get(name).and_then(|cached| cached.seen.as_ref());
            known != Some(&file.stamp) && file.stamp.is_younger(self.settle, now)
        })
    }

    /// Whether a pass can wait once more. A file that never settles must not hold back the others.
    fn may_put_off(&mut self) -> bool {
        self.put_off += 1;
        self.put_off <= MAX_PUT_OFF
    }

    /// Whether this is another directory than that of the known objects. Device numbers may change
    /// with a boot, so only this agent's own are compared.
    fn is_other(&self, listing: &Listing, remembered: Option<u64>) -> bool {
        match (listing.identity, self.last, remembered) {
            (Some(identity), Some(last), Some(_)) => identity != last,
            (Some(identity), None, Some(remembered)) => identity.inode != remembered,
            (Some(_), _, None) | (None, _, _) => false,
        }
    }

    /// Reads the files that are not as they were: whether there were any, and whether one changed
    /// while it was read.
    fn read_changed(&mut self, listing: &Listing) -> (bool, bool) {
        let now = Timestamp::now();
        let mut files = BTreeMap::new();
        let mut is_changed = false;
        let mut is_torn = false;
        for (name, file) in &listing.files {
            let cached = self.files.remove(name);
            let is_fresh = |cached: &Cached| cached.seen.as_ref() == Some(&file.stamp);
            if let Some(cached) = cached.filter(|cached| is_fresh(cached) && !cached.is_racy) {
                files.insert(name.clone(), cached);
                continue;
            }
            let read = FileRead::read(name, &file.path);
            is_changed = true;
            is_torn |= read.is_torn;
            let seen = read.stamp.clone();
            let is_racy = seen.as_ref().is_some_and(|seen| seen.is_younger(RACY, now));
            files.insert(
                name.clone(),
                Cached {
                    read,
                    seen,
                    is_racy,
                },
            );
        }
        is_changed |= !self.files.is_empty();
        self.files = files;
        (is_changed, is_torn)
    }
}
