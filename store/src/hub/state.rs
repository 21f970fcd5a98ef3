//! The hub's decisions: no tasks, no waiting.

use std::collections::{BTreeMap, BTreeSet};

use api::{Change, Delta, Fault, Key, Kind, Object, Shown};

/// Which watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WatcherId(u64);

/// Every object there is, and who has not been told what.
#[derive(Debug, Default)]
pub(super) struct State {
    objects: BTreeMap<Key, Object>,
    refused: BTreeMap<Key, (Vec<Fault>, Option<Shown>)>,
    synced: BTreeSet<Kind>,
    /// Kinds being reported anew, with what was known of them and has not been seen since.
    restarting: BTreeMap<Kind, BTreeSet<Key>>,
    watchers: BTreeMap<WatcherId, Dirty>,
    next_watcher: u64,
}

/// What a watcher has not been told.
#[derive(Debug, Default)]
struct Dirty {
    objects: BTreeSet<Key>,
    refused: BTreeSet<Key>,
    synced: BTreeSet<Kind>,
}

/// What there is at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The last good value of each object.
    pub objects: BTreeMap<Key, Object>,
    /// Objects whose newest value was refused, and why.
    pub refused: BTreeMap<Key, Vec<Fault>>,
    /// Kinds that were reported in whole.
    pub synced: BTreeSet<Kind>,
}

impl Snapshot {
    /// How many good objects there are of each kind, also of those that have none.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts: BTreeMap<Kind, usize> = Kind::ALL.map(|kind| (kind, 0)).into();
        for key in self.objects.keys() {
            *counts.entry(key.kind).or_default() += 1;
        }
        counts
    }
}

impl State {
    pub(super) fn on_changes(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.on_change(change);
        }
    }

    fn on_change(&mut self, change: Change) {
        match change {
            Change::Put(key, object, _) => {
                self.see(&key);
                self.accept(&key);
                // The version is in the object too: a new one is news.
                if self.objects.get(&key) != Some(&object) {
                    self.tell(|dirty| dirty.objects.insert(key.clone()));
                    self.objects.insert(key, object);
                }
            }
            Change::Refused(key, faults, shown) => {
                self.see(&key);
                let refused = (faults, shown);
                if self.refused.get(&key) != Some(&refused) {
                    self.tell(|dirty| dirty.refused.insert(key.clone()));
                    self.refused.insert(key, refused);
                }
            }
            Change::Gone(key) => {
                self.see(&key);
                self.remove(&key);
            }
            Change::Restart(kind) => {
                let known = self.objects.keys().chain(self.refused.keys());
                let known = known.filter(|key| key.kind == kind).cloned().collect();
                self.restarting.insert(kind, known);
            }
            Change::Synced(kind) => {
                for key in self.restarting.remove(&kind).unwrap_or_default() {
                    self.remove(&key);
                }
                self.synced.insert(kind);
                self.tell(|dirty| dirty.synced.insert(kind));
            }
        }
    }

    /// A watcher that has been told nothing.
    pub(super) fn add_watcher(&mut self) -> WatcherId {
        let id = WatcherId(self.next_watcher);
        self.next_watcher += 1;
        let dirty = Dirty {
            objects: self.objects.keys().cloned().collect(),
            refused: self.refused.keys().cloned().collect(),
            synced: self.synced.clone(),
        };
        self.watchers.insert(id, dirty);
        id
    }

    pub(super) fn remove_watcher(&mut self, id: WatcherId) {
        self.watchers.remove(&id);
    }

    /// All that a watcher has not been told.
    pub(super) fn take(&mut self, id: WatcherId) -> Delta {
        let Some(dirty) = self.watchers.get_mut(&id).map(std::mem::take) else {
            return Delta::default();
        };
        let objects = dirty.objects.into_iter().map(|key| {
            let object = self.objects.get(&key).cloned();
            (key, object)
        });
        let mut delta = Delta {
            objects: objects.collect(),
            synced: dirty.synced,
            ..Delta::default()
        };
        for key in dirty.refused {
            let (faults, shown) = self.refused.get(&key).cloned().unwrap_or_default();
            if let Some(shown) = shown {
                delta.shown.insert(key.clone(), shown);
            }
            delta.refused.insert(key, faults);
        }
        delta
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            objects: self.objects.clone(),
            refused: self
                .refused
                .iter()
                .map(|(key, (faults, _))| (key.clone(), faults.clone()))
                .collect(),
            synced: self.synced.clone(),
        }
    }

    /// The object was reported since its kind's restart.
    fn see(&mut self, key: &Key) {
        if let Some(unseen) = self.restarting.get_mut(&key.kind) {
            unseen.remove(key);
        }
    }

    fn remove(&mut self, key: &Key) {
        let was_refused = self.accept(key);
        // Who has written to a refused object is to know that it is gone.
        if self.objects.remove(key).is_some() || was_refused {
            self.tell(|dirty| dirty.objects.insert(key.clone()));
        }
    }

    /// The object is not refused any more. Whether it was.
    fn accept(&mut self, key: &Key) -> bool {
        let was_refused = self.refused.remove(key).is_some();
        if was_refused {
            self.tell(|dirty| dirty.refused.insert(key.clone()));
        }
        was_refused
    }

    fn tell(&mut self, note: impl Fn(&mut Dirty) -> bool) {
        for dirty in self.watchers.values_mut() {
            note(dirty);
        }
    }
}
