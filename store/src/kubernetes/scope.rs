//! What a watch's list says about objects that are not in it.

use std::collections::BTreeSet;

use api::{Change, Key, Kind};

/// What a watch answers for.
#[derive(Debug)]
pub(super) enum Scope {
    /// A whole kind: the hub finds out what is not there any more.
    Whole(Kind),
    /// A part of a kind: a list says nothing about the other parts, so its objects are remembered.
    Part {
        known: BTreeSet<Key>,
        /// Those that the list under way has not shown.
        unseen: BTreeSet<Key>,
    },
}

impl Scope {
    pub(super) fn whole(kind: Kind) -> Self {
        Self::Whole(kind)
    }

    pub(super) fn part() -> Self {
        Self::Part {
            known: BTreeSet::new(),
            unseen: BTreeSet::new(),
        }
    }

    /// A list begins.
    pub(super) fn restart(&mut self) -> Option<Change> {
        match self {
            Self::Whole(kind) => Some(Change::Restart(*kind)),
            Self::Part { known, unseen } => {
                unseen.clone_from(known);
                None
            }
        }
    }

    /// An object is there.
    pub(super) fn there(&mut self, key: &Key) {
        if let Self::Part { known, unseen } = self {
            unseen.remove(key);
            known.insert(key.clone());
        }
    }

    /// An object is not there.
    pub(super) fn gone(&mut self, key: &Key) {
        if let Self::Part { known, unseen } = self {
            unseen.remove(key);
            known.remove(key);
        }
    }

    /// The list is over: what it did not show is gone.
    pub(super) fn listed(&mut self) -> Vec<Change> {
        match self {
            Self::Whole(kind) => vec![Change::Synced(*kind)],
            Self::Part { known, unseen } => {
                let gone = std::mem::take(unseen);
                known.retain(|key| !gone.contains(key));
                gone.into_iter().map(Change::Gone).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use types::ObjectName;

    use super::*;

    fn key(name: &str) -> Key {
        Key::new(Kind::Secret, ObjectName::new("ns", name))
    }

    #[test]
    fn a_whole_kind_is_left_to_the_hub() {
        let mut scope = Scope::whole(Kind::Node);

        assert_eq!(scope.restart(), Some(Change::Restart(Kind::Node)));
        scope.there(&key("a"));
        assert_eq!(scope.listed(), [Change::Synced(Kind::Node)]);
    }

    #[test]
    fn a_part_says_itself_what_a_list_did_not_show() {
        let mut scope = Scope::part();
        assert_eq!(scope.restart(), None);
        for name in ["a", "b", "c"] {
            scope.there(&key(name));
        }
        assert_eq!(scope.listed(), []);
        scope.gone(&key("b"));

        scope.restart();
        scope.there(&key("c"));
        // The list broke off, and another one is made.
        scope.restart();
        scope.there(&key("d"));

        assert_eq!(
            scope.listed(),
            [Change::Gone(key("a")), Change::Gone(key("c"))]
        );
        assert_eq!(scope.listed(), []);
    }
}
