//! What an established session sends: which export, by which next hop, and when.

use std::time::Duration;

use bgp_speaker_packet::Families;
use types::Family;

use super::Speaker;
use super::next_hop::next_hop;
use super::peer::Session;
use crate::io::{Action, ConnectionId, NextHops, Notice, PeerKey};
use crate::negotiate::Negotiated;
use crate::rib::Profile;

impl Speaker {
    /// Appends whole messages for a connection to `buffer`, until it is at least `limit` long or
    /// nothing is left; whether something is left.
    ///
    /// What is appended is taken for sent: the peer's next UPDATEs build on it.
    pub fn fill(&mut self, connection: ConnectionId, buffer: &mut Vec<u8>, limit: usize) -> bool {
        self.rib.fill(connection, self.ready, buffer, limit);
        let more = self.rib.has_more(connection, self.ready);
        let known = self.connections.get(&connection);
        let peer = known.and_then(|known| self.peers.get_mut(&known.peer));
        if let Some(peer) = peer
            && let Some(session) = peer.session.as_mut()
        {
            session.pulling = more;
            let told = |family| !self.rib.owes_end_of_rib(connection, family);
            peer.restart_told |= self.ready && Family::BOTH.into_iter().all(told);
        }
        more
    }

    pub(super) fn begin_session(
        &mut self,
        now: Duration,
        key: &PeerKey,
        connection: ConnectionId,
        agreed: &Negotiated,
        out: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.session = Some(Session::new(connection, agreed));
        peer.note_state(now);
        for family in agreed.families.iter() {
            self.rib.open_inbound(connection, family);
        }
        out.push(Action::Notice {
            peer: key.clone(),
            notice: Notice::Up,
        });
        self.retarget(key, out);
    }

    pub(super) fn end_session(&mut self, key: &PeerKey) {
        let session = self.peers.get_mut(key).and_then(|peer| peer.session.take());
        if let Some(session) = session {
            self.rib.close(session.connection);
        }
    }

    /// The addresses beside a connection's own have changed.
    pub(super) fn next_hops(
        &mut self,
        connection: ConnectionId,
        next_hops: NextHops,
        out: &mut Vec<Action>,
    ) {
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        if let Some(ends) = known.ends.as_mut() {
            ends.next_hops = next_hops;
        }
        let key = known.peer.clone();
        self.retarget(&key, out);
    }

    /// Points a session at the exports and next hops it should have now.
    pub(super) fn retarget(&mut self, key: &PeerKey, out: &mut Vec<Action>) {
        let instance = self.instances.get(&key.instance);
        let (Some(instance), Some(peer)) = (instance, self.peers.get_mut(key)) else {
            return;
        };
        let Some(session) = peer.session.as_mut() else {
            return;
        };
        let ends = self
            .connections
            .get(&session.connection)
            .and_then(|known| known.ends.as_ref());
        let mut blocked = Families::NONE;
        for family in session.dialect.families.iter() {
            let next_hop = ends.and_then(|ends| next_hop(family, &session.dialect, ends));
            if next_hop.is_none() {
                blocked.insert(family);
                if !session.blocked.contains(family) {
                    out.push(Action::Notice {
                        peer: key.clone(),
                        notice: Notice::NoNextHop(family),
                    });
                }
            }
            let profile = Profile {
                export: next_hop.and(peer.desired.families.get(&family).copied().flatten()),
                local_asn: instance.desired.local_asn,
                next_hop,
                dialect: session.dialect,
            };
            self.rib.open_outbound(session.connection, family, &profile);
        }
        session.blocked = blocked;
        self.pull(key, out);
    }

    pub(super) fn pull_all(&mut self, out: &mut Vec<Action>) {
        for peer in self.peers.values_mut() {
            out.extend(ask(&self.rib, self.ready, peer.session.as_mut()));
        }
    }

    pub(super) fn pull(&mut self, key: &PeerKey, out: &mut Vec<Action>) {
        if let Some(peer) = self.peers.get_mut(key) {
            out.extend(ask(&self.rib, self.ready, peer.session.as_mut()));
        }
    }
}

/// Asks the shell to pull if there is something and it does not know.
fn ask(rib: &crate::rib::Rib, ready: bool, session: Option<&mut Session>) -> Option<Action> {
    let session = session.filter(|session| !session.pulling)?;
    let connection = session.connection;
    session.pulling = rib.has_more(connection, ready);
    session.pulling.then_some(Action::Pull { connection })
}
