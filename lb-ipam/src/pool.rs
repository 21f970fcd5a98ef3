//! One pool: which of its blocks have room, and what there is to say about it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use types::Family;

use crate::action::{Conflict, PoolConditions};
use crate::count::Count;
use crate::desired::{Pool, Quotas, Reservation};
use crate::holders::Holders;
use crate::span::Span;

/// A pool with what is derived from it and from the addresses in use.
#[derive(Clone, Debug)]
pub(crate) struct PoolState {
    pub(crate) pool: Pool,
    pub(crate) conflict: Option<Conflict>,
    /// What was last said about it.
    pub(crate) told: Option<PoolConditions>,
    /// What was last said about its reservations.
    pub(crate) told_reserved: Vec<Reservation>,
    blocks: Vec<BlockState>,
    /// The blocks with a free address.
    open: BTreeMap<Family, BTreeSet<usize>>,
    /// How many addresses may be given, an address of two blocks counted once.
    usable: Count,
    /// Addresses in use.
    used: u64,
    /// Those of them that a block would keep back: given before it said so.
    used_but_kept_back: u64,
    /// How many addresses the services of a namespace hold, if there is a quota for any.
    by_namespace: BTreeMap<Arc<str>, u64>,
}

#[derive(Clone, Debug)]
struct BlockState {
    span: Span,
    usable: Span,
    /// Usable addresses in use.
    taken: u64,
}

impl PoolState {
    /// A pool of which no address is in use.
    pub(crate) fn new(pool: Pool) -> Self {
        let blocks: Vec<BlockState> = pool
            .blocks
            .iter()
            .map(|block| BlockState {
                span: block.span(),
                usable: block.usable(pool.allow_first_last),
                taken: 0,
            })
            .collect();
        let mut open: BTreeMap<Family, BTreeSet<usize>> = BTreeMap::new();
        for (index, block) in blocks.iter().enumerate() {
            open.entry(block.usable.family).or_default().insert(index);
        }
        let usable = merged(blocks.iter().map(|block| block.usable))
            .iter()
            .fold(Count::default(), |sum, span| sum + span.count());
        Self {
            pool,
            conflict: None,
            told: None,
            told_reserved: Vec::new(),
            blocks,
            open,
            usable,
            used: 0,
            used_but_kept_back: 0,
            by_namespace: BTreeMap::new(),
        }
    }

    /// Whether it gives addresses at present.
    pub(crate) const fn gives(&self) -> bool {
        !self.pool.disabled && self.conflict.is_none()
    }

    /// Whether it has a block of the family.
    pub(crate) fn has_family(&self, family: Family) -> bool {
        self.blocks.iter().any(|block| block.span.family == family)
    }

    /// Whether it gives addresses of the family and has one left.
    pub(crate) fn has_free(&self, family: Family) -> bool {
        self.gives() && self.open.get(&family).is_some_and(|open| !open.is_empty())
    }

    /// The first free address of the first block that has one.
    pub(crate) fn first_free(&self, family: Family, holders: &Holders) -> Option<IpAddr> {
        let index = self.open.get(&family)?.first()?;
        holders.first_free(self.blocks.get(*index)?.usable)
    }

    /// Whether one of its blocks holds `addr` and does not keep it back.
    pub(crate) fn may_give(&self, addr: IpAddr) -> bool {
        self.gives() && self.blocks.iter().any(|block| block.usable.contains(addr))
    }

    /// Whether one of its blocks holds `addr`, kept back or not.
    pub(crate) fn holds(&self, addr: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.span.contains(addr))
    }

    /// Whether there is a quota for any namespace.
    pub(crate) fn is_limited(&self) -> bool {
        self.pool.quotas != Quotas::default()
    }

    /// Whether the services of the namespace have as many addresses as they may.
    pub(crate) fn is_used_up(&self, namespace: &str) -> bool {
        let used = self.by_namespace.get(namespace).copied().unwrap_or(0);
        let limit = self.pool.quotas.of(namespace);
        limit.is_some_and(|limit| used >= limit)
    }

    /// Notes that the services of a namespace have one address more or less.
    pub(crate) fn note_namespace(&mut self, namespace: &Arc<str>, more: bool) {
        let used = self.by_namespace.entry(Arc::clone(namespace)).or_default();
        count(used, more);
        if *used == 0 {
            self.by_namespace.remove(namespace);
        }
    }

    pub(crate) fn span(&self, index: usize) -> Option<Span> {
        self.blocks.get(index).map(|block| block.span)
    }

    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> {
        self.blocks.iter().map(|block| block.span)
    }

    /// Its addresses without repetition.
    pub(crate) fn merged_spans(&self) -> Vec<Span> {
        merged(self.spans())
    }

    /// Notes that an address was taken or released. `within` are the blocks that hold it.
    pub(crate) fn note(&mut self, addr: IpAddr, within: &[usize], taken: bool) {
        let mut kept_back = true;
        for &index in within {
            let Some(block) = self.blocks.get_mut(index) else {
                continue;
            };
            if !block.usable.contains(addr) {
                continue;
            }
            kept_back = false;
            count(&mut block.taken, taken);
            let open = self.open.entry(block.usable.family).or_default();
            if block.is_full() {
                open.remove(&index);
            } else {
                open.insert(index);
            }
        }
        count(&mut self.used, taken);
        if kept_back {
            count(&mut self.used_but_kept_back, taken);
        }
    }

    pub(crate) fn conditions(&self) -> PoolConditions {
        let used = Count::from(self.used);
        let available = self.usable - Count::from(self.used - self.used_but_kept_back);
        PoolConditions {
            conflict: self.conflict.clone(),
            total: available + used,
            available,
            used,
        }
    }
}

impl BlockState {
    const fn is_full(&self) -> bool {
        self.taken as u128 > self.usable.last - self.usable.first
    }
}

const fn count(counter: &mut u64, up: bool) {
    if up {
        *counter += 1;
    } else {
        *counter -= 1;
    }
}

/// The same addresses as spans that do not overlap.
fn merged(spans: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut sorted: Vec<Span> = spans.collect();
    sorted.sort_unstable();
    let mut merged: Vec<Span> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match merged.last_mut() {
            Some(last) if last.overlaps(span) => last.last = last.last.max(span.last),
            Some(_) | None => merged.push(span),
        }
    }
    merged
}
