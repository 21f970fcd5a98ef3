//! Path attributes, each different set once: canonical wire bytes, next hop and the decoded
//! decision key, named by a `u32` and counted by the routes that have them.

use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;

use bgp_speaker_packet::{Attributes, DecisionKey, NextHop};
use hashbrown::HashTable;

use super::hash::Folded;

/// Names a set of attributes for as long as a route has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttrId(pub(crate) NonZeroU32);

/// All sets of attributes.
#[derive(Debug)]
pub(crate) struct Attrs {
    seed: u64,
    index: HashTable<AttrId>,
    sets: Vec<Set>,
    free: Vec<AttrId>,
}

/// A set of attributes.
#[derive(Debug)]
pub(crate) struct Set {
    refs: u32,
    key: DecisionKey,
    next_hop: Option<NextHop>,
    bytes: Box<[u8]>,
}

impl Attrs {
    /// No sets. The seed keeps a peer from choosing attributes that collide.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            index: HashTable::new(),
            sets: Vec::new(),
            free: Vec::new(),
        }
    }

    /// The name of a set; it holds until the next change unless [`Self::retain`] is called.
    /// Routes of our own have no next hop yet. `None` if there is no name left.
    pub(crate) fn intern(
        &mut self,
        bytes: &[u8],
        next_hop: Option<NextHop>,
        key: &DecisionKey,
    ) -> Option<AttrId> {
        let hash = hash(self.seed, bytes, next_hop.as_ref());
        let same = |&id: &AttrId| {
            let set = self.sets.get(slot(id));
            set.is_some_and(|set| *set.bytes == *bytes && set.next_hop == next_hop)
        };
        if let Some(&id) = self.index.find(hash, same) {
            return Some(id);
        }
        let set = Set {
            refs: 0,
            key: *key,
            next_hop,
            bytes: bytes.into(),
        };
        let id = self.place(set)?;
        let (seed, sets) = (self.seed, &self.sets);
        self.index.insert_unique(hash, id, |&id| {
            sets.get(slot(id))
                .map_or(0, |set| self::hash(seed, &set.bytes, set.next_hop.as_ref()))
        });
        Some(id)
    }

    /// One route more has these attributes.
    pub(crate) fn retain(&mut self, id: AttrId) {
        if let Some(set) = self.sets.get_mut(slot(id)) {
            set.refs += 1;
        }
    }

    /// One route less has these attributes; the last one takes them with it.
    pub(crate) fn release(&mut self, id: AttrId) {
        if let Some(set) = self.sets.get_mut(slot(id)) {
            set.refs = set.refs.saturating_sub(1);
        }
        self.forget_unused(id);
    }

    /// Forgets a set that no route has taken.
    pub(crate) fn forget_unused(&mut self, id: AttrId) {
        let Some(set) = self.sets.get_mut(slot(id)).filter(|set| set.refs == 0) else {
            return;
        };
        let hash = hash(self.seed, &set.bytes, set.next_hop.as_ref());
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == id) {
            entry.remove();
            set.bytes = Box::default();
            self.free.push(id);
        }
    }

    /// A set.
    pub(crate) fn get(&self, id: AttrId) -> Option<&Set> {
        self.sets.get(slot(id))
    }

    /// How many sets there are.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    fn place(&mut self, set: Set) -> Option<AttrId> {
        if let Some(id) = self.free.pop() {
            *self.sets.get_mut(slot(id))? = set;
            return Some(id);
        }
        self.sets.push(set);
        let id = u32::try_from(self.sets.len())
            .ok()
            .and_then(NonZeroU32::new);
        id.map(AttrId)
    }
}

impl Set {
    /// The attributes.
    pub(crate) fn attributes(&self) -> Attributes<'_> {
        Attributes::from_canonical(&self.bytes)
    }

    /// Where the routes lead; `None` for routes of our own.
    pub(crate) fn next_hop(&self) -> Option<NextHop> {
        self.next_hop
    }

    /// What the decision process compares.
    pub(crate) fn key(&self) -> &DecisionKey {
        &self.key
    }
}

/// Names start at one.
fn slot(id: AttrId) -> usize {
    id.0.get() as usize - 1
}

fn hash(seed: u64, bytes: &[u8], next_hop: Option<&NextHop>) -> u64 {
    let mut state = Folded::new(seed);
    state.write(bytes);
    next_hop.hash(&mut state);
    state.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_have_one_name_until_no_route_has_them() {
        let mut attrs = Attrs::new(7);
        let key = DecisionKey::default();

        let first = attrs.intern(b"abc", None, &key).unwrap();
        attrs.retain(first);
        attrs.retain(first);
        assert_eq!(attrs.intern(b"abc", None, &key), Some(first));
        assert_eq!(attrs.len(), 1);

        attrs.release(first);
        assert_eq!(attrs.len(), 1);
        attrs.release(first);
        assert_eq!(attrs.len(), 0);
    }

    #[test]
    fn the_next_hop_tells_sets_apart() {
        let mut attrs = Attrs::new(7);
        let key = DecisionKey::default();
        let hop = NextHop::V4("10.0.0.1".parse().unwrap());

        let ours = attrs.intern(b"abc", None, &key).unwrap();
        let theirs = attrs.intern(b"abc", Some(hop), &key).unwrap();

        assert_ne!(ours, theirs);
        assert_eq!(attrs.get(theirs).unwrap().next_hop(), Some(hop));
    }

    #[test]
    fn a_set_that_no_route_takes_is_forgotten() {
        let mut attrs = Attrs::new(7);
        let id = attrs.intern(b"abc", None, &DecisionKey::default()).unwrap();

        attrs.forget_unused(id);

        assert_eq!(attrs.len(), 0);
        let next = attrs.intern(b"def", None, &DecisionKey::default());
        assert_eq!(next, Some(id));
    }
}
