//! Finds pools by labels and addresses, and decides which of them conflict.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use types::ObjectName;

use super::{Place, Pools};
use crate::action::Conflict;
use crate::desired::Range;
use crate::pool::PoolState;
use crate::segments::BlockRef;
use crate::span::Span;

impl Pools {
    pub(super) fn index(&mut self, name: &ObjectName, state: &PoolState) {
        for (span, block) in blocks(name, state) {
            self.segments.add(span, &block);
        }
        let place = place(name, state);
        let Some(anchors) = state.pool.selector.anchors() else {
            self.unanchored.insert(place);
            return;
        };
        for (key, value) in anchors {
            let values = self.anchored.entry(key.into()).or_default();
            let pools = values.entry(value.into()).or_default();
            pools.insert(place.clone());
        }
    }

    pub(super) fn unindex(&mut self, name: &ObjectName, state: &PoolState) {
        for (span, block) in blocks(name, state) {
            self.segments.remove(span, &block);
        }
        let place = place(name, state);
        self.unanchored.remove(&place);
        for (key, value) in state.pool.selector.anchors().unwrap_or_default() {
            let Some(values) = self.anchored.get_mut(key) else {
                continue;
            };
            if let Some(pools) = values.get_mut(value) {
                pools.remove(&place);
                if pools.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.anchored.remove(key);
            }
        }
    }

    /// Decides again about the pool and those that it overlaps or did overlap.
    pub(super) fn settle_conflicts(&mut self, name: &ObjectName, spans: &[Span]) {
        let mut concerned: BTreeSet<ObjectName> = spans
            .iter()
            .flat_map(|span| self.segments.over(*span))
            .map(|block| block.pool.clone())
            .collect();
        concerned.insert(name.clone());
        for name in concerned {
            let conflict = self.conflict_of(&name);
            if let Some(state) = self.by_name.get_mut(&name) {
                state.conflict = conflict;
                self.touched.insert(name);
            }
        }
    }

    /// The oldest pool that the pool overlaps, if it is older than it; else the pool itself.
    fn conflict_of(&self, name: &ObjectName) -> Option<Conflict> {
        let state = self.by_name.get(name)?;
        let overlaps = blocks(name, state).flat_map(|(own, block)| {
            self.segments
                .over(own)
                .into_iter()
                .filter(move |other| **other != block)
                .map(move |other| (own, other))
        });
        let (own, other) = overlaps
            .filter_map(|(own, other)| Some((own, other, self.age(&other.pool)?)))
            .filter(|(_, _, age)| *age <= (state.pool.created, name))
            .min_by_key(|(_, _, age)| *age)
            .map(|(own, other, _)| (own, other))?;
        let other_span = self.by_name.get(&other.pool)?.span(other.index)?;
        Some(Conflict {
            own: Range::from(own),
            other: Range::from(other_span),
            pool: other.pool.clone(),
        })
    }

    /// Orders pools from the oldest to the youngest.
    fn age(&self, name: &ObjectName) -> Option<(u64, &ObjectName)> {
        let (name, state) = self.by_name.get_key_value(name)?;
        Some((state.pool.created, name))
    }
}

fn place(name: &ObjectName, state: &PoolState) -> Place {
    (Reverse(state.pool.priority), name.clone())
}

fn blocks<'a>(
    name: &'a ObjectName,
    state: &'a PoolState,
) -> impl Iterator<Item = (Span, BlockRef)> + 'a {
    state.spans().enumerate().map(|(index, span)| {
        let pool = name.clone();
        (span, BlockRef { pool, index })
    })
}
