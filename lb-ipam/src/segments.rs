//! Which blocks hold which addresses.
//!
//! The address space is cut where a block starts or ends; each piece names the blocks that cover it.
//!
//! ```text
//! block a     |-----------------|
//! block b             |-----------------|
//! segments    |   a   |   a b   |   b   |
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use types::{Family, ObjectName};

use crate::span::{Span, number};

/// A block by its pool and its place in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlockRef {
    pub(crate) pool: ObjectName,
    pub(crate) index: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Segments(BTreeMap<(Family, u128), Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    last: u128,
    blocks: BTreeSet<BlockRef>,
}

impl Segments {
    pub(crate) fn add(&mut self, span: Span, block: &BlockRef) {
        self.cut(span.family, span.first);
        if let Some(after) = span.last.checked_add(1) {
            self.cut(span.family, after);
        }
        let mut gap = Some(span.first);
        let mut gaps = Vec::new();
        for (&(_, first), segment) in self.inside_mut(span) {
            gaps.extend(
                gap.filter(|&start| start < first)
                    .map(|start| (start, first - 1)),
            );
            gap = segment.last.checked_add(1);
            segment.blocks.insert(block.clone());
        }
        gaps.extend(
            gap.filter(|&start| start <= span.last)
                .map(|start| (start, span.last)),
        );
        for (first, last) in gaps {
            let blocks = BTreeSet::from([block.clone()]);
            self.0
                .insert((span.family, first), Segment { last, blocks });
        }
    }

    pub(crate) fn remove(&mut self, span: Span, block: &BlockRef) {
        let mut empty = Vec::new();
        for (&start, segment) in self.inside_mut(span) {
            segment.blocks.remove(block);
            if segment.blocks.is_empty() {
                empty.push(start);
            }
        }
        for start in empty {
            self.0.remove(&start);
        }
        self.join(span.family, span.first);
        if let Some(after) = span.last.checked_add(1) {
            self.join(span.family, after);
        }
    }

    /// The blocks that hold an address, by pool.
    pub(crate) fn at(&self, addr: IpAddr) -> impl Iterator<Item = &BlockRef> {
        let (family, number) = number(addr);
        self.before(family, number)
            .filter(|(_, segment)| segment.last >= number)
            .into_iter()
            .flat_map(|(_, segment)| &segment.blocks)
    }

    /// The blocks that share an address with `span`.
    pub(crate) fn over(&self, span: Span) -> BTreeSet<&BlockRef> {
        let first = self
            .before(span.family, span.first)
            .filter(|(_, segment)| segment.last >= span.first)
            .map_or(span.first, |(first, _)| first);
        self.0
            .range((span.family, first)..=(span.family, span.last))
            .flat_map(|(_, segment)| &segment.blocks)
            .collect()
    }

    fn inside_mut(&mut self, span: Span) -> impl Iterator<Item = (&(Family, u128), &mut Segment)> {
        self.0
            .range_mut((span.family, span.first)..=(span.family, span.last))
    }

    /// The last segment that starts at or before `number`.
    fn before(&self, family: Family, number: u128) -> Option<(u128, &Segment)> {
        let (&(_, first), segment) = self.0.range((family, 0)..=(family, number)).next_back()?;
        Some((first, segment))
    }

    /// Makes `at` the start of a segment, if it is inside one.
    fn cut(&mut self, family: Family, at: u128) {
        let Some((first, segment)) = self.before(family, at) else {
            return;
        };
        if first == at || segment.last < at {
            return;
        }
        let tail = segment.clone();
        self.0.insert((family, at), tail);
        if let Some(head) = self.0.get_mut(&(family, first)) {
            head.last = at - 1;
        }
    }

    /// Undoes a cut at `at` that no block needs any more.
    fn join(&mut self, family: Family, at: u128) {
        let Some(before) = at.checked_sub(1) else {
            return;
        };
        let (Some((first, head)), Some(tail)) =
            (self.before(family, before), self.0.get(&(family, at)))
        else {
            return;
        };
        if head.last == before && head.blocks == tail.blocks {
            let last = tail.last;
            self.0.remove(&(family, at));
            if let Some(head) = self.0.get_mut(&(family, first)) {
                head.last = last;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::span::address;

    proptest! {
        #[test]
        fn segments_know_what_covers_every_address(
            steps in prop::collection::vec((0usize..6, 0u128..20, 0u128..8), 1..60),
            at_the_end: bool,
        ) {
            let base = if at_the_end { u128::MAX - 27 } else { 0 };
            let mut segments = Segments::default();
            let mut model: BTreeMap<usize, Span> = BTreeMap::new();
            for (index, first, len) in steps {
                let first = base + first;
                let span = Span { family: Family::V6, first, last: first + len };
                if let Some(old) = model.remove(&index) {
                    segments.remove(old, &block(index));
                } else {
                    segments.add(span, &block(index));
                    model.insert(index, span);
                }

                for number in base..=base + 27 {
                    let addr = address(Family::V6, number);
                    let found: Vec<usize> = segments.at(addr).map(|block| block.index).collect();
                    let covering: Vec<usize> =
                        model.iter().filter(|(_, s)| s.contains(addr)).map(|(i, _)| *i).collect();
                    prop_assert_eq!(found, covering);
                }
                let over: Vec<usize> = segments.over(span).iter().map(|b| b.index).collect();
                let overlapping: Vec<usize> =
                    model.iter().filter(|(_, s)| s.overlaps(span)).map(|(i, _)| *i).collect();
                prop_assert_eq!(over, overlapping);
                let ends: BTreeSet<u128> =
                    model.values().flat_map(|s| [Some(s.first), s.last.checked_add(1)]).flatten().collect();
                prop_assert!(segments.0.keys().all(|(_, first)| ends.contains(first)));
            }
        }
    }

    fn block(index: usize) -> BlockRef {
        BlockRef {
            pool: ObjectName::of_cluster("pool"),
            index,
        }
    }
}
