//! One peer: its settings, its one or two connections, and its session.

use std::sync::Arc;
use std::time::Duration;

use bgp_speaker_packet::{Dialect, Families, MessageLimit, Peering};

use super::view::{LastError, SessionState};
use crate::desired::Peer;
use crate::fsm::{Fsm, State, Waiting};
use crate::io::ConnectionId;
use crate::negotiate::Negotiated;

/// Which of a peer's machines a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The one that dials, and that becomes the session.
    Main,
    /// A second one, for a connection the peer has opened while the first has its own.
    Rival,
}

/// One peer.
#[derive(Debug)]
pub(crate) struct PeerState {
    pub(crate) desired: Peer,
    pub(crate) main: Fsm,
    pub(crate) rival: Option<Fsm>,
    pub(crate) session: Option<Session>,
    /// Since when the state that people see is what it is.
    pub(crate) since: Duration,
    pub(crate) seen: SessionState,
    pub(crate) last_error: Option<LastError>,
    /// The peer has heard of our restart, and all that we export after it.
    pub(crate) restart_told: bool,
}

/// An established session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: ConnectionId,
    pub(crate) dialect: Dialect,
    /// The families whose End-of-RIB the peer has sent.
    pub(crate) end_of_rib: Families,
    /// The families that have no next hop, so that nothing is advertised.
    pub(crate) blocked: Families,
    /// The shell has been asked to pull, and has not been told that nothing is left.
    pub(crate) pulling: bool,
}

impl PeerState {
    pub(crate) fn new(now: Duration, desired: Peer) -> Self {
        Self {
            desired,
            main: Fsm::new(),
            rival: None,
            session: None,
            since: now,
            seen: SessionState::Idle,
            last_error: None,
            restart_told: false,
        }
    }

    pub(crate) fn machine(&mut self, role: Role) -> Option<&mut Fsm> {
        match role {
            Role::Main => Some(&mut self.main),
            Role::Rival => self.rival.as_mut(),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let rival = self.rival.as_ref().and_then(Fsm::next_deadline);
        self.main.next_deadline().into_iter().chain(rival).min()
    }

    /// The state that people see: that of the machine that is further.
    pub(crate) fn state(&self) -> SessionState {
        let main = SessionState::of(self.main.state());
        let rival = self.rival.as_ref().map(|fsm| SessionState::of(fsm.state()));
        rival.map_or(main, |rival| rival.max(main))
    }

    /// Remembers when the state that people see has changed.
    pub(crate) fn note_state(&mut self, now: Duration) {
        let state = self.state();
        if state != self.seen {
            self.seen = state;
            self.since = now;
        }
    }

    /// Remembers why a session or an attempt has ended; whether the one before did so too.
    pub(crate) fn note_error(&mut self, now: Duration, reason: Arc<str>) -> bool {
        let last = self.last_error.replace(LastError { at: now, reason });
        last.map(|it| it.reason) == self.last_error.as_ref().map(|it| it.reason.clone())
    }

    /// The main machine waits without a connection.
    pub(crate) fn main_is_free(&self) -> bool {
        match self.main.state() {
            State::Waiting(Waiting::Idle { .. } | Waiting::Active { .. }) => true,
            State::Waiting(Waiting::Connect { .. }) | State::Talking(..) => false,
        }
    }

    /// The peer keeps our routes when the process ends and the kernel closes the connection.
    pub(crate) fn survives_a_stop(&self) -> bool {
        let graceful = |session: &Negotiated| session.graceful_restart;
        self.desired.graceful_restart.is_some() && self.main.established().is_some_and(graceful)
    }
}

impl Session {
    pub(crate) fn new(connection: ConnectionId, agreed: &Negotiated) -> Self {
        Self {
            connection,
            dialect: Dialect {
                peering: if agreed.internal {
                    Peering::Internal
                } else {
                    Peering::External
                },
                four_octet_as: agreed.four_octet_as,
                families: agreed.families,
                extended_next_hop: agreed.extended_next_hop,
                limit: MessageLimit::Standard,
            },
            end_of_rib: Families::NONE,
            blocked: Families::NONE,
            pulling: false,
        }
    }
}
