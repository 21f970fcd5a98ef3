//! Makes our OPEN, judges the peer's, and says what the session is made of.

use std::time::Duration;

use bgp_speaker_packet::{
    ErrorCode, Families, GracefulFamily, GracefulRestart, Notification, Offer, OpenSubcode,
};
use types::{Asn, Family, RouterId};

use crate::desired::{HoldTime, Instance, Peer};

/// The restart time has twelve bits (RFC 4724 §3).
const LONGEST_RESTART: u16 = 0x0fff;

/// What both sides have agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The peer's AS.
    pub peer_asn: Asn,
    /// The peer's identifier.
    pub peer_id: RouterId,
    /// Whether the peer is in our AS.
    pub internal: bool,
    /// The smaller hold time.
    pub hold: HoldTime,
    /// The pause between two KEEPALIVEs; none are sent if the hold time is zero.
    pub keepalive: Duration,
    /// The families that both sides speak.
    pub families: Families,
    /// Whether AS_PATH has AS numbers of four octets.
    pub four_octet_as: bool,
    /// Whether the peer takes IPv4 routes with an IPv6 next hop (RFC 8950).
    pub extended_next_hop: bool,
    /// Whether the peer comes back from a restart with its forwarding state (RFC 4724).
    pub graceful_restart: bool,
}

/// What a restart of ours has kept (RFC 4724 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restart {
    /// This session follows a restart of the speaker.
    pub(crate) restarted: bool,
    /// Packets were forwarded all the time.
    pub(crate) forwarding_kept: bool,
}

/// What we offer a peer.
pub(crate) fn offer(instance: &Instance, peer: &Peer, restart: Restart) -> Offer {
    let families: Families = peer.families.keys().copied().collect();
    Offer {
        families,
        extended_next_hop: families.contains(Family::V4),
        route_refresh: true,
        graceful_restart: peer
            .graceful_restart
            .map(|time| graceful(time, families, restart)),
        ..Offer::new(
            instance.local_asn,
            instance.router_id,
            peer.timers.hold.secs(),
        )
    }
}

/// What a session with a peer that offers this would be.
///
/// # Errors
/// The NOTIFICATION to refuse it with.
pub(crate) fn negotiate(
    instance: &Instance,
    peer: &Peer,
    theirs: &Offer,
) -> Result<Negotiated, Notification<'static>> {
    if peer.asn.is_some_and(|asn| asn != theirs.asn) {
        return Err(refuse(OpenSubcode::BadPeerAs));
    }
    let internal = theirs.asn == instance.local_asn;
    // RFC 6286 §2.2: identifiers need only be unique within an AS.
    if internal && theirs.router_id == instance.router_id {
        return Err(refuse(OpenSubcode::BadIdentifier));
    }
    let hold = HoldTime::try_from(theirs.hold_time_secs)
        .map_err(|_| refuse(OpenSubcode::UnacceptableHoldTime))?
        .min(peer.timers.hold);
    let ours: Families = peer.families.keys().copied().collect();
    Ok(Negotiated {
        peer_asn: theirs.asn,
        peer_id: theirs.router_id,
        internal,
        hold,
        keepalive: keepalive(hold, peer.timers.keepalive),
        families: ours.intersection(theirs.families),
        four_octet_as: theirs.four_octet_as,
        extended_next_hop: theirs.extended_next_hop,
        graceful_restart: theirs.graceful_restart.is_some(),
    })
}

fn graceful(time: Duration, families: Families, restart: Restart) -> GracefulRestart {
    GracefulRestart {
        restarted: restart.restarted,
        notification: false,
        restart_time_secs: u16::try_from(time.as_secs())
            .unwrap_or(LONGEST_RESTART)
            .min(LONGEST_RESTART),
        families: families
            .iter()
            .map(|family| GracefulFamily {
                family,
                forwarding_kept: restart.forwarding_kept,
            })
            .collect(),
    }
}

/// RFC 4271 §10: a third of the hold time is reasonable; never more, whatever was configured.
fn keepalive(hold: HoldTime, configured: Duration) -> Duration {
    match hold.duration() {
        Some(hold) => configured.min(hold / 3),
        None => configured,
    }
}

fn refuse(subcode: OpenSubcode) -> Notification<'static> {
    ErrorCode::Open(subcode).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_hold_time_wins_and_keepalives_follow_it() {
        let (instance, mut peer, mut theirs) = sides();

        for (ours, peers, hold, every) in [(90, 180, 90, 30), (90, 9, 9, 3), (90, 0, 0, 30)] {
            peer.timers.hold = ours.try_into().unwrap();
            theirs.hold_time_secs = peers;
            let agreed = negotiate(&instance, &peer, &theirs).unwrap();
            assert_eq!(agreed.hold.secs(), hold);
            assert_eq!(agreed.keepalive, Duration::from_secs(every));
        }
    }

    #[test]
    fn a_peer_of_another_as_than_configured_is_refused() {
        let (instance, mut peer, theirs) = sides();

        peer.asn = Some(asn(64999));
        assert_eq!(
            negotiate(&instance, &peer, &theirs),
            Err(refuse(OpenSubcode::BadPeerAs))
        );
        peer.asn = None;
        assert!(negotiate(&instance, &peer, &theirs).is_ok());
    }

    #[test]
    fn our_own_identifier_is_refused_within_the_as_only() {
        let (instance, peer, mut theirs) = sides();
        theirs.router_id = instance.router_id;
        assert!(negotiate(&instance, &peer, &theirs).is_ok());

        theirs.asn = instance.local_asn;
        assert_eq!(
            negotiate(&instance, &peer, &theirs),
            Err(refuse(OpenSubcode::BadIdentifier))
        );
    }

    #[test]
    fn hold_times_of_one_and_two_seconds_are_refused() {
        let (instance, peer, mut theirs) = sides();
        theirs.hold_time_secs = 2;

        assert_eq!(
            negotiate(&instance, &peer, &theirs),
            Err(refuse(OpenSubcode::UnacceptableHoldTime))
        );
    }

    #[test]
    fn what_the_peer_lacks_is_left_out() {
        let (instance, peer, mut theirs) = sides();
        theirs.families = [Family::V4].into_iter().collect();
        theirs.four_octet_as = false;

        let agreed = negotiate(&instance, &peer, &theirs).unwrap();

        assert_eq!(agreed.families.iter().collect::<Vec<_>>(), [Family::V4]);
        assert!(!agreed.four_octet_as && !agreed.extended_next_hop && !agreed.graceful_restart);
    }

    #[test]
    fn a_restart_is_in_the_offer_with_its_time_and_families() {
        let (instance, mut peer, _) = sides();
        peer.graceful_restart = Some(Duration::from_secs(120));
        let restart = Restart {
            restarted: true,
            forwarding_kept: true,
        };

        let graceful = offer(&instance, &peer, restart).graceful_restart.unwrap();

        assert!(graceful.restarted);
        assert_eq!(graceful.restart_time_secs, 120);
        assert!(graceful.families.iter().all(|entry| entry.forwarding_kept));
        assert_eq!(graceful.families.len(), 2);
    }

    fn sides() -> (Instance, Peer, Offer) {
        let mut peer = Peer::new("10.0.0.2".parse().unwrap());
        peer.families = Family::BOTH
            .into_iter()
            .map(|family| (family, None))
            .collect();
        let instance = Instance {
            name: "main".into(),
            local_asn: asn(65001),
            router_id: 1.try_into().unwrap(),
            local_port: None,
            peers: [("tor".into(), peer.clone())].into(),
        };
        let mut theirs = Offer::new(asn(65000), 2.try_into().unwrap(), 90);
        theirs.families = Families::BOTH;
        (instance, peer, theirs)
    }

    fn asn(number: u32) -> Asn {
        number.try_into().unwrap()
    }
}
