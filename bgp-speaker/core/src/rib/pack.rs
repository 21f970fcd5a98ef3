//! Packs a block of routes into UPDATEs, once for all peers that get the same bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use bgp_speaker_packet::{
    Attributes, DecisionKey, Dialect, NextHop, PathAttributes, Peering, UpdateBuilder,
};
use types::{Asn, Family, Prefix};

use super::attrs::{AttrId, Attrs, Set};
use super::bits::{Block, WORDS, ids, mark};
use super::export::Export;
use super::prefixes::{PrefixId, Prefixes};
use crate::desired::ExportId;

/// What internal peers are told where nothing is configured.
const LOCAL_PREF: u32 = 100;
/// Blocks whose bytes are kept for the other peers of a group, which may be behind.
const KEPT: usize = 32;

/// All that a peer's UPDATEs depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) export: Option<ExportId>,
    pub(crate) local_asn: Asn,
    /// Without one, everything is withdrawn.
    pub(crate) next_hop: Option<NextHop>,
    pub(crate) dialect: Dialect,
}

/// Peers with the same profile, and the bytes that were packed last for one of them.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) profile: Profile,
    pub(crate) members: usize,
    chunks: VecDeque<Chunk>,
}

/// The changes to one block that a peer is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) block: u32,
    /// Of the export's block when this was asked.
    pub(crate) version: u64,
    pub(crate) announce: Block,
    pub(crate) withdraw: Block,
}

/// Whole UPDATEs.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) bytes: Arc<[u8]>,
    /// Routes whose attributes do not fit into a message: withdrawn instead.
    pub(crate) refused: Block,
}

#[derive(Debug)]
struct Chunk {
    wanted: Wanted,
    packed: Packed,
}

/// What is packed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables<'t> {
    pub(crate) family: Family,
    pub(crate) prefixes: &'t Prefixes,
    pub(crate) attrs: &'t Attrs,
    pub(crate) export: Option<&'t Export>,
}

impl Group {
    pub(crate) fn new(profile: Profile) -> Self {
        Self {
            profile,
            members: 0,
            chunks: VecDeque::new(),
        }
    }

    /// The bytes that carry out what is wanted, packed now or for an earlier peer.
    pub(crate) fn pack(&mut self, tables: Tables<'_>, wanted: &Wanted) -> Packed {
        if let Some(chunk) = self.chunks.iter().find(|chunk| chunk.wanted == *wanted) {
            return chunk.packed.clone();
        }
        let packed = self.profile.pack(tables, wanted);
        if self.members > 1 {
            if self.chunks.len() == KEPT {
                self.chunks.pop_front();
            }
            self.chunks.push_back(Chunk {
                wanted: *wanted,
                packed: packed.clone(),
            });
        }
        packed
    }

    /// Forgets bytes whose versions may come again.
    pub(crate) fn forget(&mut self) {
        self.chunks.clear();
    }
}

impl Profile {
    fn pack(&self, tables: Tables<'_>, wanted: &Wanted) -> Packed {
        let mut out = Vec::new();
        let mut refused = [0; WORDS];
        let mut routes: Vec<(AttrId, PrefixId)> = ids(wanted.block, &wanted.announce)
            .filter_map(|id| Some((tables.export?.routes.get(id)?, id)))
            .collect();
        routes.sort_unstable();
        let mut gone: Vec<PrefixId> = ids(wanted.block, &wanted.withdraw).collect();
        let mut announced = Vec::new();
        for same in routes.chunk_by(|(a, _), (b, _)| a == b) {
            let Some(set) = same.first().and_then(|(attr, _)| tables.attrs.get(*attr)) else {
                continue;
            };
            let prefixes = same.iter().map(|&(_, id)| id);
            if !self.announce(tables, set, prefixes.clone(), &mut announced) {
                gone.extend(prefixes.clone());
                prefixes.for_each(|id| mark(&mut refused, id));
            }
        }
        self.withdraw(tables, &gone, &mut out);
        out.append(&mut announced);
        Packed {
            bytes: out.into(),
            refused,
        }
    }

    fn withdraw(&self, tables: Tables<'_>, gone: &[PrefixId], out: &mut Vec<u8>) {
        let mut prefixes = lookup(tables, gone.iter().copied()).peekable();
        while prefixes.peek().is_some() {
            let mut update = UpdateBuilder::withdraw(out, &self.dialect, tables.family);
            while prefixes.next_if(|prefix| update.push(prefix)).is_some() {}
            if update.finish() == 0 {
                // A message without attributes holds any prefix: this one is not of the family.
                prefixes.next();
            }
        }
    }

    /// Appends the announcement of routes with the same attributes; `false` if these are too long.
    fn announce(
        &self,
        tables: Tables<'_>,
        set: &Set,
        ids: impl Iterator<Item = PrefixId>,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(next_hop) = self.next_hop else {
            return false;
        };
        let mut canonical = Vec::new();
        self.attributes(set.attributes(), set.key())
            .write(&mut canonical);
        let attributes = Attributes::from_canonical(&canonical);
        let mut prefixes = lookup(tables, ids).peekable();
        while prefixes.peek().is_some() {
            let update =
                UpdateBuilder::announce(out, &self.dialect, tables.family, attributes, &next_hop);
            let Ok(mut update) = update else {
                return false;
            };
            while prefixes.next_if(|prefix| update.push(prefix)).is_some() {}
            if update.finish() == 0 {
                return false;
            }
        }
        true
    }

    /// The attributes of a route of ours as this peer is told them.
    pub(crate) fn attributes(&self, own: Attributes<'_>, key: &DecisionKey) -> PathAttributes {
        let (as_path, local_pref) = match self.dialect.peering {
            Peering::External => (vec![self.local_asn], None),
            Peering::Internal => (Vec::new(), Some(key.local_pref.unwrap_or(LOCAL_PREF))),
        };
        PathAttributes {
            origin: key.origin,
            as_path,
            local_pref,
            communities: own.communities().collect(),
            large_communities: own.large_communities().collect(),
            ..PathAttributes::default()
        }
    }
}

fn lookup(tables: Tables<'_>, ids: impl Iterator<Item = PrefixId>) -> impl Iterator<Item = Prefix> {
    ids.filter_map(move |id| tables.prefixes.get(id))
}
