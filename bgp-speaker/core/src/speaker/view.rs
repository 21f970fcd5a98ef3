//! What people are shown.

use std::sync::Arc;
use std::time::Duration;

use bgp_speaker_packet::Families;
use types::Family;

use super::Speaker;
use super::next_hop::Unreachable;
use super::peer::PeerState;
use crate::desired::{ExportId, Instance, InstanceName, Peer};
use crate::fsm::{Phase, State, Waiting};
use crate::io::{ConnectionId, PeerKey};
use crate::negotiate::Negotiated;
use crate::rib::{Advertised, Route, Sizes};

/// A session's state (RFC 4271 §8.2.2), the further ones being greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionState {
    /// Nothing goes on.
    Idle,
    /// Waiting for the peer, or for the time to dial.
    Active,
    /// Dialling.
    Connect,
    /// Our OPEN is out.
    OpenSent,
    /// The peer's OPEN is answered.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

/// Why the last session, or the last attempt at one, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: Duration,
    /// In words.
    pub reason: Arc<str>,
}

/// One peer as people see it.
#[derive(Clone, Debug)]
pub struct PeerView<'s> {
    /// Its instance's name and its own.
    pub key: &'s PeerKey,
    /// Its instance.
    pub instance: &'s Instance,
    /// Its settings.
    pub desired: &'s Peer,
    /// The state of the session.
    pub state: SessionState,
    /// Since when.
    pub since: Duration,
    /// What was agreed on, while established.
    pub session: Option<&'s Negotiated>,
    /// What the last session, or attempt at one, ended with.
    pub last_error: Option<&'s LastError>,
    /// Each configured family; the numbers are zero unless established.
    pub families: Vec<FamilyView>,
}

/// One family of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyView {
    /// Which.
    pub family: Family,
    /// Both sides speak it.
    pub negotiated: bool,
    /// Routes received, all of which stay in Adj-RIB-In.
    pub received: usize,
    /// Routes the peer has been told.
    pub advertised: usize,
    /// The peer has sent all it had at first.
    pub end_of_rib_received: bool,
    /// We have sent all we had at first.
    pub end_of_rib_sent: bool,
    /// Why nothing can be advertised, if so.
    pub unreachable: Option<Unreachable>,
}

impl SessionState {
    /// As `bgp peers` prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::Active => "active",
            Self::OpenSent => "open_sent",
            Self::OpenConfirm => "open_confirm",
            Self::Established => "established",
        }
    }

    pub(crate) fn of(state: &State) -> Self {
        match state {
            State::Waiting(Waiting::Idle { .. }) => Self::Idle,
            State::Waiting(Waiting::Connect { .. }) => Self::Connect,
            State::Waiting(Waiting::Active { .. }) => Self::Active,
            State::Talking(_, Phase::OpenSent { .. }) => Self::OpenSent,
            State::Talking(_, Phase::OpenConfirm { .. }) => Self::OpenConfirm,
            State::Talking(_, Phase::Established { .. }) => Self::Established,
        }
    }
}

impl Speaker {
    /// Every peer, by instance and name.
    pub fn peers(&self) -> impl Iterator<Item = PeerView<'_>> {
        self.peers.iter().filter_map(|(key, peer)| {
            let instance = &self.instances.get(&key.instance)?.desired;
            Some(self.peer_view(key, instance, peer))
        })
    }

    /// Why an instance does not listen although it should.
    #[must_use]
    pub fn listen_error(&self, instance: &InstanceName) -> Option<&str> {
        self.instances.get(instance)?.listen_error.as_deref()
    }

    /// What an export has, in no useful order: the Loc-RIB is all exports of an instance's peers.
    pub fn exported(&self, export: ExportId, family: Family) -> impl Iterator<Item = Route<'_>> {
        self.rib.exported(export, family)
    }

    /// The routes an instance has to give in a family, by export and then in no useful order.
    pub fn available(
        &self,
        instance: &InstanceName,
        family: Family,
    ) -> impl Iterator<Item = Route<'_>> {
        let peers = self.instances.get(instance).map(|it| &it.desired.peers);
        let exports: std::collections::BTreeSet<ExportId> = peers
            .into_iter()
            .flatten()
            .filter_map(|(_, peer)| *peer.families.get(&family)?)
            .collect();
        exports
            .into_iter()
            .flat_map(move |export| self.rib.exported(export, family))
    }

    /// What a peer has been told, in no useful order.
    pub fn advertised(&self, peer: &PeerKey, family: Family) -> impl Iterator<Item = Advertised> {
        self.connection_of(peer)
            .into_iter()
            .flat_map(move |connection| self.rib.advertised(connection, family))
    }

    /// What a peer has sent, in no useful order. None of it is used.
    pub fn received(&self, peer: &PeerKey, family: Family) -> impl Iterator<Item = Route<'_>> {
        self.connection_of(peer)
            .into_iter()
            .flat_map(move |connection| self.rib.received(connection, family))
    }

    /// How much is in the tables.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        self.rib.sizes()
    }

    fn connection_of(&self, peer: &PeerKey) -> Option<ConnectionId> {
        Some(self.peers.get(peer)?.session.as_ref()?.connection)
    }

    fn peer_view<'s>(
        &'s self,
        key: &'s PeerKey,
        instance: &'s Instance,
        peer: &'s PeerState,
    ) -> PeerView<'s> {
        let families = peer.desired.families.keys();
        PeerView {
            key,
            instance,
            desired: &peer.desired,
            state: peer.state(),
            since: peer.since,
            session: peer.main.established(),
            last_error: peer.last_error.as_ref(),
            families: families
                .map(|&family| self.family_view(peer, family))
                .collect(),
        }
    }

    fn family_view(&self, peer: &PeerState, family: Family) -> FamilyView {
        let Some(session) = &peer.session else {
            return FamilyView {
                family,
                negotiated: false,
                received: 0,
                advertised: 0,
                end_of_rib_received: false,
                end_of_rib_sent: false,
                unreachable: None,
            };
        };
        let has = |families: Families| families.contains(family);
        let (connection, negotiated) = (session.connection, has(session.dialect.families));
        let blocked = has(session.blocked);
        FamilyView {
            family,
            negotiated,
            received: self.rib.received_count(connection, family),
            advertised: self.rib.advertised_count(connection, family),
            end_of_rib_received: has(session.end_of_rib),
            end_of_rib_sent: negotiated
                && !blocked
                && !self.rib.owes_end_of_rib(connection, family),
            unreachable: blocked.then(|| Unreachable::of(family)),
        }
    }
}
