//! Passwords, AS numbers, who dials: what must match and what happens if it does not.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use bgp_speaker_core::SessionState;
use bgp_speaker_core::desired::{Peer, Secret};

use crate::daemons::{Daemon, Over, Settings};
use crate::lab::{Lab, Ours, for_a_while, instance, output, peer, until};

#[test]
fn a_password_opens_the_session_that_we_dial() {
    for (daemon, over) in [(Daemon::Bird, Over::V4), (Daemon::Frr, Over::V6)] {
        let Some((_lab, ours)) = with_password(daemon, over, "right") else {
            return;
        };

        ours.until_established();
    }
}

#[test]
fn a_wrong_password_never_opens_a_session() {
    for (daemon, over) in [(Daemon::Bird, Over::V6), (Daemon::Frr, Over::V4)] {
        let Some((_lab, ours)) = with_password(daemon, over, "wrong") else {
            return;
        };

        for_a_while("there is no session", Duration::from_secs(4), || {
            ours.peer().state < SessionState::OpenSent
        });
    }
}

#[test]
fn a_password_opens_the_session_that_they_dial() {
    for (daemon, over) in [
        (Daemon::Bird, Over::V4),
        (Daemon::Frr, Over::V6),
        (Daemon::Gobgp, Over::V4),
    ] {
        let Some(mut lab) = Lab::new(daemon.needs()) else {
            return;
        };
        let mut theirs = peer(over.theirs());
        theirs.passive = true;
        theirs.password = Some(Secret::new(b"right"));
        let ours = lab.speaker(false, listening(theirs));
        let settings = Settings {
            passive: false,
            password: Some("right"),
            ..Settings::over(over)
        };

        daemon.start(&mut lab, settings);

        ours.until_established();
        daemon.until_route(&lab, "192.0.2.1/32");
    }
}

#[test]
fn whoever_dials_without_the_password_is_not_heard() {
    let Some(mut lab) = Lab::new(Daemon::Bird.needs()) else {
        return;
    };
    let mut theirs = peer(Over::V6.theirs());
    theirs.passive = true;
    theirs.password = Some(Secret::new(b"right"));
    let ours = lab.speaker(false, listening(theirs));

    let settings = Settings {
        passive: false,
        ..Settings::over(Over::V6)
    };
    Daemon::Bird.start(&mut lab, settings);

    for_a_while("there is no session", Duration::from_secs(4), || {
        ours.peer().state < SessionState::OpenSent
    });
}

#[test]
fn another_as_number_is_refused_and_told() {
    for daemon in [Daemon::Bird, Daemon::Frr] {
        let Some(mut lab) = Lab::new(daemon.needs()) else {
            return;
        };
        let mut theirs = peer(Over::V4.theirs());
        theirs.asn = Some(64999.try_into().unwrap());
        theirs.passive = true;
        let ours = lab.speaker(false, listening(theirs));

        let settings = Settings {
            passive: false,
            ..Settings::over(Over::V4)
        };
        daemon.start(&mut lab, settings);

        until("they know why", || {
            let text = daemon.peer(&lab);
            let told = text.contains("Bad peer AS") || text.contains("Bad Peer AS");
            if told { Ok(()) } else { Err(text) }
        });
        let (reason, _) = ours.peer().last_error.unwrap();
        assert!(reason.contains("bad peer AS"), "{reason}");
    }
}

#[test]
fn any_as_number_is_taken_where_none_is_configured() {
    let Some(mut lab) = Lab::new(Daemon::Bird.needs()) else {
        return;
    };
    Daemon::Bird.start(&mut lab, Settings::over(Over::V4));
    let mut theirs = peer(Over::V4.theirs());
    theirs.asn = None;

    let ours = lab.speaker(false, instance(theirs));

    let status = ours.until_established();
    assert_eq!(status.peer_asn, Some(65002.try_into().unwrap()));
}

#[test]
fn when_both_dial_one_connection_is_left() {
    for daemon in Daemon::ALL {
        let Some(mut lab) = Lab::new(daemon.needs()) else {
            return;
        };
        let ours = lab.speaker(false, listening(peer(Over::V4.theirs())));
        let settings = Settings {
            passive: false,
            ..Settings::over(Over::V4)
        };
        daemon.start(&mut lab, settings);

        ours.until_established();
        daemon.until_route(&lab, "192.0.2.1/32");

        let uptime = || ours.peer().uptime;
        let mut last = uptime();
        for_a_while("the session stays", Duration::from_secs(3), || {
            let now = uptime();
            let stays = now.is_some() && now >= last;
            last = now;
            stays
        });
        let inside = [
            "netns",
            "exec",
            &lab.ours,
            "ss",
            "-Htn",
            "state",
            "established",
        ];
        let connections = output("ip", &inside);
        assert_eq!(connections.lines().count(), 1, "{connections}");
    }
}

#[test]
fn a_port_is_open_only_if_there_is_one_to_listen_on() {
    let Some(lab) = Lab::new(&["ss"]) else {
        return;
    };
    let listeners = || {
        let inside = [
            "netns", "exec", &lab.ours, "ss", "-Htln", "sport", "=", ":179",
        ];
        output("ip", &inside).lines().count()
    };
    let ours = lab.speaker(false, instance(peer(Over::V4.theirs())));
    ours.peer();
    assert_eq!(listeners(), 0);

    ours.update(vec![listening(peer(Over::V4.theirs()))]);

    until("both families are listened on", || {
        if listeners() == 2 {
            Ok(())
        } else {
            Err(String::new())
        }
    });
    ours.update(Vec::new());
    until("nothing listens", || {
        if listeners() == 0 {
            Ok(())
        } else {
            Err(String::new())
        }
    });
}

#[test]
fn packets_are_network_control_and_go_no_further_than_configured() {
    for (over, class, limit, hops) in [
        (Over::V4, "tos 0xc0,", "ttl", 1),
        (Over::V4, "tos 0xc0,", "ttl", 7),
        (Over::V6, "class 0xc0,", "hlim", 1),
        (Over::V6, "class 0xc0,", "hlim", 7),
    ] {
        let Some(mut lab) = Lab::new(&["tcpdump"]) else {
            return;
        };
        let filter = format!("src {} and tcp port 179", over.ours());
        lab.start("tcpdump", &["-lnvi", "eth0", &filter]);
        let log = || std::fs::read_to_string(lab.path("log0")).unwrap_or_default();
        until("tcpdump listens", || {
            if log().contains("listening") {
                Ok(())
            } else {
                Err(log())
            }
        });
        let mut theirs = peer(over.theirs());
        theirs.ebgp_multihop = hops;

        let _ours = lab.speaker(false, instance(theirs));

        let limit = format!("{limit} {hops},");
        until(&limit, || match log() {
            text if text.contains(class) && text.contains(&limit) => Ok(()),
            text => Err(text),
        });
    }
}

#[test]
fn a_speaker_with_nothing_to_do_sleeps() {
    let Some(mut lab) = Lab::new(Daemon::Bird.needs()) else {
        return;
    };
    Daemon::Bird.start(&mut lab, Settings::over(Over::V4));
    let ours = lab.speaker(false, instance(peer(Over::V4.theirs())));
    ours.until_established();
    Daemon::Bird.until_route(&lab, "192.0.2.1/32");
    let before = wake_ups(&lab);

    for_a_while("it is established", Duration::from_secs(2), || {
        ours.peer().uptime.is_some()
    });

    // The questions above are 20; a loop that spins wakes up without end but never sleeps, and
    // one that polls does so thousands of times.
    let after = wake_ups(&lab);
    assert!(after.0 - before.0 < 500, "{before:?} {after:?}");
    assert!(after.1 - before.1 < 50, "{before:?} {after:?}");
}

/// How often the speaker's thread has gone to sleep, and the hundredths of a second it has run.
fn wake_ups(lab: &Lab) -> (u64, u64) {
    let home = std::fs::metadata(format!("/run/netns/{}", lab.ours)).unwrap();
    let mut threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let thread = threads
        .find(|thread| {
            std::fs::metadata(thread.path().join("ns/net"))
                .is_ok_and(|it| (it.dev(), it.ino()) == (home.dev(), home.ino()))
        })
        .unwrap()
        .path();
    let status = std::fs::read_to_string(thread.join("status")).unwrap();
    let sleeps = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
        .unwrap();
    let stat = std::fs::read_to_string(thread.join("stat")).unwrap();
    let ran = stat.split(' ').skip(13).take(2);
    (
        sleeps.trim().parse().unwrap(),
        ran.map(|it| it.parse::<u64>().unwrap()).sum(),
    )
}

fn with_password(daemon: Daemon, over: Over, ours: &str) -> Option<(Lab, Ours)> {
    let mut lab = Lab::new(daemon.needs())?;
    let settings = Settings {
        password: Some("right"),
        ..Settings::over(over)
    };
    daemon.start(&mut lab, settings);
    let mut theirs = peer(over.theirs());
    theirs.password = Some(Secret::new(ours.as_bytes()));
    let ours = lab.speaker(false, instance(theirs));
    Some((lab, ours))
}

fn listening(peer: Peer) -> bgp_speaker_core::desired::Instance {
    let mut instance = instance(peer);
    instance.local_port = Some(179);
    instance
}
