//! Routes: what peers have sent, what is exported, and what each peer still has to be told.
//!
//! ```text
//!   UPDATE --read in place--> Adj-RIB-In: prefix id -> attribute id      (kept, never exported)
//!   deltas --> Export: prefix id -> attribute id
//!                |  a bit in every peer's `pending`
//!                '--> pack: a block of 4096 prefixes -> UPDATEs, shared by a group --> socket
//! ```
//!
//! A prefix and a set of attributes each exist once and are named by a `u32`; tables are arrays of
//! those. All sessions are named by their connection.

mod attrs;
mod bits;
mod export;
mod family;
mod hash;
mod outbound;
mod pack;
mod paged;
mod prefixes;

use std::time::Duration;

use bgp_speaker_packet::{
    Attributes, DecisionKey, NextHop, PathAttributes, Reading, write_end_of_rib,
};
use types::{Family, Prefix};

use crate::desired::{self, ExportChange, ExportId};
use crate::io::ConnectionId;
use attrs::Attrs;
use family::FamilyRib;
pub(crate) use pack::Profile;

/// A route with its attributes.
#[derive(Clone, Copy, Debug)]
pub struct Route<'r> {
    /// What is reached.
    pub prefix: Prefix,
    /// Where it leads; `None` for a route of ours, whose next hop depends on the session.
    pub next_hop: Option<NextHop>,
    /// The attributes, in canonical form.
    pub attributes: Attributes<'r>,
    /// The attributes as the decision process sees them.
    pub key: &'r DecisionKey,
    /// Since when the route is what it is, for routes of ours.
    pub since: Option<Duration>,
}

/// How much is in the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Different prefixes, over all tables of both families.
    pub prefixes: usize,
    /// Different sets of attributes.
    pub attributes: usize,
}

/// All routes.
#[derive(Debug)]
pub(crate) struct Rib {
    attrs: Attrs,
    v4: FamilyRib,
    v6: FamilyRib,
    scratch: Vec<u8>,
}

impl Rib {
    /// No routes.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            attrs: Attrs::new(seed),
            v4: FamilyRib::new(Family::V4, seed),
            v6: FamilyRib::new(Family::V6, seed),
            scratch: Vec::new(),
        }
    }

    /// Carries out a change to what is exported.
    pub(crate) fn change(&mut self, now: Duration, change: &ExportChange) {
        match change {
            ExportChange::Announce {
                export,
                prefix,
                attributes,
            } => self.announce(now, *export, prefix, attributes),
            ExportChange::Withdraw { export, prefix } => {
                let (rib, attrs) = self.split(prefix.family());
                rib.withdraw(attrs, now, *export, prefix);
            }
            ExportChange::Clear(export) => {
                self.v4.clear(*export);
                self.v6.clear(*export);
            }
        }
    }

    fn announce(
        &mut self,
        now: Duration,
        export: ExportId,
        prefix: &Prefix,
        attributes: &desired::Attributes,
    ) {
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        let key = own_path(attributes).write(&mut bytes);
        if let Some(attr) = self.attrs.intern(&bytes, None, &key) {
            let (rib, attrs) = self.split(prefix.family());
            rib.announce(attrs, now, export, prefix, attr);
        }
        self.scratch = bytes;
    }

    /// Takes up what an UPDATE says; `canonical` is what it was read into.
    pub(crate) fn receive(
        &mut self,
        session: ConnectionId,
        reading: &Reading<'_>,
        canonical: &[u8],
    ) {
        for nlri in reading.withdrawn.iter().flatten() {
            let (rib, attrs) = self.split(nlri.family());
            rib.receive_withdrawals(attrs, session, nlri);
        }
        for announced in reading.announced.iter().flatten() {
            let next_hop = Some(announced.next_hop);
            let Some(attr) = self.attrs.intern(canonical, next_hop, &reading.key) else {
                continue;
            };
            let (rib, attrs) = self.split(announced.nlri.family());
            rib.receive_routes(attrs, session, &announced.nlri, attr);
            self.attrs.forget_unused(attr);
        }
    }

    /// A session that receives routes of the family.
    pub(crate) fn open_inbound(&mut self, session: ConnectionId, family: Family) {
        self.of_mut(family).open_inbound(session);
    }

    /// A session is to be told the profile's export: from the start, or from where it is if it
    /// has been told another one.
    pub(crate) fn open_outbound(
        &mut self,
        session: ConnectionId,
        family: Family,
        profile: &Profile,
    ) {
        self.of_mut(family).open_outbound(session, profile);
    }

    /// The session is over. Its routes go in steps, by [`Self::work`].
    pub(crate) fn close(&mut self, session: ConnectionId) {
        self.v4.close(session);
        self.v6.close(session);
    }

    /// The peer wants to be told a family's routes again.
    pub(crate) fn refresh(&mut self, session: ConnectionId, family: Family) {
        self.of_mut(family).refresh(session);
    }

    /// Appends whole messages to `buffer` until it is `limit` long. End-of-RIB is among them only
    /// once everything is `ready`.
    pub(crate) fn fill(
        &mut self,
        session: ConnectionId,
        ready: bool,
        buffer: &mut Vec<u8>,
        limit: usize,
    ) {
        for family in Family::BOTH {
            let (rib, attrs) = self.split(family);
            rib.fill(attrs, session, buffer, limit);
            if buffer.len() < limit && rib.take_end_of_rib(session, ready) {
                write_end_of_rib(buffer, family);
            }
        }
    }

    /// Whether `fill` has anything for the session.
    pub(crate) fn has_more(&self, session: ConnectionId, ready: bool) -> bool {
        [&self.v4, &self.v6]
            .iter()
            .any(|rib| rib.has_more(session, ready))
    }

    /// Whether the session is still to be sent an End-of-RIB.
    pub(crate) fn owes_end_of_rib(&self, session: ConnectionId, family: Family) -> bool {
        self.of(family).owes_end_of_rib(session)
    }

    /// Frees routes of sessions that are over: about `budget` of them. Whether there are more.
    pub(crate) fn work(&mut self, budget: usize) -> bool {
        let left = self.v4.work(&mut self.attrs, budget);
        let left = self.v6.work(&mut self.attrs, left);
        left == 0
    }

    /// How many routes a session has sent.
    pub(crate) fn received_count(&self, session: ConnectionId, family: Family) -> usize {
        self.of(family).received_count(session)
    }

    /// How many routes a session has been told.
    pub(crate) fn advertised_count(&self, session: ConnectionId, family: Family) -> usize {
        self.of(family).advertised_count(session)
    }

    /// What a session has sent, in no useful order.
    pub(crate) fn received(
        &self,
        session: ConnectionId,
        family: Family,
    ) -> impl Iterator<Item = Route<'_>> {
        self.of(family).received(&self.attrs, session)
    }

    /// What an export has, in no useful order.
    pub(crate) fn exported(
        &self,
        export: ExportId,
        family: Family,
    ) -> impl Iterator<Item = Route<'_>> {
        self.of(family).exported(&self.attrs, export)
    }

    /// What a session has been told, in no useful order.
    pub(crate) fn advertised(
        &self,
        session: ConnectionId,
        family: Family,
    ) -> impl Iterator<Item = Advertised> {
        self.of(family).advertised(&self.attrs, session)
    }

    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            prefixes: self.v4.prefix_count() + self.v6.prefix_count(),
            attributes: self.attrs.len(),
        }
    }

    fn of(&self, family: Family) -> &FamilyRib {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    fn of_mut(&mut self, family: Family) -> &mut FamilyRib {
        self.split(family).0
    }

    fn split(&mut self, family: Family) -> (&mut FamilyRib, &mut Attrs) {
        match family {
            Family::V4 => (&mut self.v4, &mut self.attrs),
            Family::V6 => (&mut self.v6, &mut self.attrs),
        }
    }
}

/// A route as a peer has been told it.
#[derive(Clone, Debug)]
pub struct Advertised {
    /// What is reached.
    pub prefix: Prefix,
    /// The next hop in the UPDATE.
    pub next_hop: NextHop,
    /// The attributes in the UPDATE.
    pub attributes: PathAttributes,
    /// Since when the route is what it is.
    pub since: Option<Duration>,
}

/// The attributes of a route of ours before any peer's are added.
fn own_path(attributes: &desired::Attributes) -> PathAttributes {
    let large = attributes.large.iter();
    PathAttributes {
        origin: attributes.origin,
        local_pref: attributes.local_pref,
        communities: attributes.communities.iter().copied().collect(),
        large_communities: large.map(|&(a, b, c)| [a, b, c]).collect(),
        ..PathAttributes::default()
    }
}
