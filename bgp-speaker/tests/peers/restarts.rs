//! How sessions end, and what the other side keeps.

use std::time::Duration;

use bgp_speaker::Exit;
use bgp_speaker_core::SessionState;

use crate::daemons::{Daemon, Over, Settings};
use crate::lab::{Lab, Ours, for_a_while, instance, peer, until};

const PREFIXES: [&str; 2] = ["192.0.2.1/32", "2001:db8::1/128"];

#[test]
fn bird_keeps_routes_over_a_graceful_restart() {
    keeps_routes(Daemon::Bird);
}

#[test]
fn frr_keeps_routes_over_a_graceful_restart() {
    keeps_routes(Daemon::Frr);
}

#[test]
fn gobgp_keeps_routes_over_a_graceful_restart() {
    keeps_routes(Daemon::Gobgp);
}

#[test]
fn without_graceful_restart_an_exit_is_an_administrative_shutdown() {
    for daemon in [Daemon::Bird, Daemon::Frr] {
        let Some((lab, ours)) = with_routes(daemon, false) else {
            return;
        };

        ours.stop(Exit::Restart);

        PREFIXES
            .iter()
            .for_each(|it| daemon.until_no_route(&lab, it));
        let text = daemon.peer(&lab).to_lowercase();
        assert!(text.contains("administrative shutdown"), "{text}");
    }
}

#[test]
fn a_farewell_takes_the_routes_along_even_with_graceful_restart() {
    for daemon in [Daemon::Bird, Daemon::Frr] {
        let Some((lab, ours)) = with_routes(daemon, true) else {
            return;
        };

        ours.stop(Exit::Farewell);

        PREFIXES
            .iter()
            .for_each(|it| daemon.until_no_route(&lab, it));
        de_configured(daemon, &lab);
    }
}

#[test]
fn a_peer_that_is_removed_is_told_so() {
    let Some((lab, ours)) = with_routes(Daemon::Bird, true) else {
        return;
    };
    let mut without = instance(peer(Over::V4.theirs()));
    without.peers.clear();

    ours.update(vec![without]);

    PREFIXES
        .iter()
        .for_each(|it| Daemon::Bird.until_no_route(&lab, it));
    de_configured(Daemon::Bird, &lab);
}

#[test]
fn dropping_the_handle_ends_the_sessions() {
    let Some((lab, ours)) = with_routes(Daemon::Bird, false) else {
        return;
    };

    drop(ours);

    PREFIXES
        .iter()
        .for_each(|it| Daemon::Bird.until_no_route(&lab, it));
}

#[test]
fn a_peer_that_comes_back_is_found_again() {
    let Some((mut lab, ours)) = with_routes(Daemon::Bird, false) else {
        return;
    };

    lab.kill_all();
    until("the session is down", || {
        let peer = ours.peer();
        let down = peer.state != SessionState::Established;
        if down {
            Ok(())
        } else {
            Err(format!("{peer:?}"))
        }
    });
    Daemon::Bird.start(&mut lab, Settings::over(Over::V4));

    ours.until_established();
    PREFIXES
        .iter()
        .for_each(|it| drop(Daemon::Bird.until_route(&lab, it)));
}

fn de_configured(daemon: Daemon, lab: &Lab) {
    let text = daemon.peer(lab).to_lowercase();
    let words = [
        "peer de-configured",
        "peer unconfigured",
        "peer deconfigured",
    ];
    assert!(words.iter().any(|it| text.contains(it)), "{text}");
}

fn with_routes(daemon: Daemon, graceful: bool) -> Option<(Lab, Ours)> {
    let mut lab = Lab::new(daemon.needs())?;
    daemon.start(&mut lab, Settings::over(Over::V4));
    let ours = start(&lab, graceful, false);
    ours.end_of_rib_allowed();
    ours.until_established();
    PREFIXES
        .iter()
        .for_each(|it| drop(daemon.until_route(&lab, it)));
    Some((lab, ours))
}

fn start(lab: &Lab, graceful: bool, forwarding_preserved: bool) -> Ours {
    let mut theirs = peer(Over::V4.theirs());
    theirs.graceful_restart = graceful.then_some(Duration::from_secs(60));
    lab.speaker(forwarding_preserved, instance(theirs))
}

fn keeps_routes(daemon: Daemon) {
    let Some((lab, ours)) = with_routes(daemon, true) else {
        return;
    };
    until("End-of-RIB is out", || {
        let peer = ours.peer();
        let sent = peer.families.iter().all(|it| it.end_of_rib_sent);
        if sent {
            Ok(())
        } else {
            Err(format!("{peer:?}"))
        }
    });
    let all_there = || PREFIXES.iter().all(|it| !daemon.route(&lab, it).is_empty());

    ours.stop(Exit::Restart);

    for_a_while("the routes stay", Duration::from_secs(2), all_there);
    let ours = start(&lab, true, true);
    ours.until_established();
    for_a_while(
        "the routes stay before End-of-RIB",
        Duration::from_secs(1),
        all_there,
    );
    ours.end_of_rib_allowed();
    for_a_while(
        "the routes stay after it",
        Duration::from_secs(2),
        all_there,
    );
    until("nothing is stale", || {
        let text = PREFIXES.map(|it| daemon.route(&lab, it)).concat();
        if text.to_lowercase().contains("stale") {
            Err(text)
        } else {
            Ok(())
        }
    });
}
