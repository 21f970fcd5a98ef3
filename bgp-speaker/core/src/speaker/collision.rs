//! Which of two connections with a peer stays (RFC 4271 §6.8).

use types::{Asn, RouterId};

use crate::fsm::{Fsm, Phase, State};
use crate::io::ConnectionId;
use crate::negotiate::Negotiated;

/// A speaker as collisions compare it: by identifier, then by AS (RFC 6286 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) id: RouterId,
    pub(crate) asn: Asn,
}

/// Which connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loser {
    /// Neither: there is no collision.
    Nobody,
    /// The one whose OPEN has just come.
    This,
    /// The other one.
    Other,
}

impl Rank {
    pub(crate) fn of(session: &Negotiated) -> Self {
        Self {
            id: session.peer_id,
            asn: session.peer_asn,
        }
    }
}

/// Judges when an OPEN has come over `this` and the peer has another machine.
pub(crate) fn resolve(
    ours: Rank,
    this: ConnectionId,
    this_session: &Negotiated,
    other: &Fsm,
) -> Loser {
    match other.state() {
        // The other one will be judged when its OPEN comes, if it does.
        State::Waiting(_) | State::Talking(_, Phase::OpenSent { .. }) => Loser::Nobody,
        State::Talking(connection, Phase::OpenConfirm { .. }) => {
            let theirs = Rank::of(this_session);
            match (this, *connection) {
                // The connection of the speaker with the higher rank stays.
                (ConnectionId::Dialled(_), ConnectionId::Accepted(_)) if ours > theirs => {
                    Loser::Other
                }
                (ConnectionId::Accepted(_), ConnectionId::Dialled(_)) if ours < theirs => {
                    Loser::Other
                }
                (ConnectionId::Dialled(_), ConnectionId::Accepted(_))
                | (ConnectionId::Accepted(_), ConnectionId::Dialled(_)) => Loser::This,
                // Nobody dials twice at a time: whoever did so has given up the older one.
                (ConnectionId::Accepted(_), ConnectionId::Accepted(_))
                | (ConnectionId::Dialled(_), ConnectionId::Dialled(_)) => Loser::Other,
            }
        }
        // RFC 4724 §4.2: a peer that can restart, and opens a new session, has restarted.
        State::Talking(_, Phase::Established { session, .. }) if session.graceful_restart => {
            Loser::Other
        }
        State::Talking(_, Phase::Established { .. }) => Loser::This,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bgp_speaker_packet::Families;

    use super::*;
    use crate::fsm::{Context, Input, Timing};

    const DIALLED: ConnectionId = ConnectionId::Dialled(1);
    const ACCEPTED: ConnectionId = ConnectionId::Accepted(1);

    #[test]
    fn the_connection_of_the_higher_identifier_stays() {
        for (ours, theirs, loser_if_dialled_is_new) in [
            (rank(2, 65001), rank(1, 65000), Loser::Other),
            (rank(1, 65001), rank(2, 65000), Loser::This),
        ] {
            let session = session(theirs, false);
            let opposite = match loser_if_dialled_is_new {
                Loser::Other => Loser::This,
                Loser::This | Loser::Nobody => Loser::Other,
            };

            let dialled_is_new = resolve(ours, DIALLED, &session, &confirming(ACCEPTED, &session));
            let accepted_is_new = resolve(ours, ACCEPTED, &session, &confirming(DIALLED, &session));

            assert_eq!(dialled_is_new, loser_if_dialled_is_new);
            assert_eq!(accepted_is_new, opposite);
        }
    }

    #[test]
    fn equal_identifiers_are_told_apart_by_the_as() {
        let session = session(rank(1, 65000), false);

        let loser = resolve(
            rank(1, 65001),
            DIALLED,
            &session,
            &confirming(ACCEPTED, &session),
        );

        assert_eq!(loser, Loser::Other);
    }

    #[test]
    fn both_sides_agree_on_the_connection_that_stays() {
        let (a, b) = (rank(1, 65000), rank(1, 65001));

        // What one side dialled, the other accepted.
        let at_a = resolve(
            a,
            DIALLED,
            &session(b, false),
            &confirming(ACCEPTED, &session(b, false)),
        );
        let at_b = resolve(
            b,
            ACCEPTED,
            &session(a, false),
            &confirming(DIALLED, &session(a, false)),
        );

        assert_eq!((at_a, at_b), (Loser::This, Loser::This));
    }

    #[test]
    fn of_two_that_the_peer_opened_the_newer_stays() {
        let session = session(rank(9, 65000), false);
        let older = confirming(ConnectionId::Accepted(7), &session);

        assert_eq!(
            resolve(rank(1, 65001), ACCEPTED, &session, &older),
            Loser::Other
        );
    }

    #[test]
    fn an_established_session_stays_unless_the_peer_can_restart() {
        for (graceful, loser) in [(false, Loser::This), (true, Loser::Other)] {
            let session = session(rank(9, 65000), graceful);
            let mut other = confirming(DIALLED, &session);
            other.on_input(context(), Input::Keepalive, &mut Vec::new());

            assert_eq!(resolve(rank(1, 65001), ACCEPTED, &session, &other), loser);
        }
    }

    #[test]
    fn a_connection_without_an_open_is_not_judged() {
        let session = session(rank(9, 65000), false);
        let other = Fsm::accepting(ACCEPTED, context(), &mut Vec::new());

        assert_eq!(
            resolve(rank(1, 65001), DIALLED, &session, &other),
            Loser::Nobody
        );
    }

    fn confirming(connection: ConnectionId, session: &Negotiated) -> Fsm {
        let mut fsm = Fsm::accepting(connection, context(), &mut Vec::new());
        fsm.on_input(context(), Input::Open(session.clone()), &mut Vec::new());
        fsm
    }

    fn context() -> Context {
        Context {
            now: Duration::ZERO,
            timing: Timing {
                passive: false,
                connect_retry: Duration::from_secs(120),
                random: 0,
            },
            next_connection: DIALLED,
        }
    }

    fn rank(id: u32, asn: u32) -> Rank {
        Rank {
            id: id.try_into().unwrap(),
            asn: asn.try_into().unwrap(),
        }
    }

    fn session(theirs: Rank, graceful_restart: bool) -> Negotiated {
        Negotiated {
            peer_asn: theirs.asn,
            peer_id: theirs.id,
            internal: false,
            hold: 90.try_into().unwrap(),
            keepalive: Duration::from_secs(30),
            families: Families::BOTH,
            four_octet_as: true,
            extended_next_hop: true,
            graceful_restart,
        }
    }
}
