//! Sessions come up and carry routes, with every speaker and over both families.

use std::time::Duration;

use bgp_speaker::RouteQuery;
use types::Family;

use crate::daemons::{Daemon, Over, Settings};
use crate::lab::{
    Lab, OUR_LINK_LOCAL, OUR_V4, OUR_V6, Ours, announce, instance, peer, until, withdraw,
};

#[test]
fn both_families_go_over_an_ipv4_session_to_bird() {
    both_families(Daemon::Bird, Over::V4);
}

#[test]
fn both_families_go_over_an_ipv4_session_to_frr() {
    both_families(Daemon::Frr, Over::V4);
}

#[test]
fn both_families_go_over_an_ipv4_session_to_gobgp() {
    both_families(Daemon::Gobgp, Over::V4);
}

#[test]
fn both_families_go_over_an_ipv6_session_to_bird() {
    both_families(Daemon::Bird, Over::V6);
}

#[test]
fn both_families_go_over_an_ipv6_session_to_frr() {
    both_families(Daemon::Frr, Over::V6);
}

#[test]
fn both_families_go_over_an_ipv6_session_to_gobgp() {
    both_families(Daemon::Gobgp, Over::V6);
}

#[test]
fn a_link_local_session_goes_over_its_interface() {
    let Some(mut lab) = Lab::new(Daemon::Bird.needs()) else {
        return;
    };
    Daemon::Bird.start(&mut lab, Settings::over(Over::LinkLocal));
    let mut theirs = peer(Over::LinkLocal.theirs());
    theirs.scope = Some("eth0".into());

    let ours = lab.speaker(false, instance(theirs));
    ours.until_established();

    let route = Daemon::Bird.until_route(&lab, "192.0.2.1/32");
    assert!(route.contains(OUR_LINK_LOCAL), "{route}");
    Daemon::Bird.until_route(&lab, "2001:db8::1/128");
}

#[test]
fn an_address_that_comes_later_becomes_the_next_hop() {
    let Some(mut lab) = Lab::new(Daemon::Bird.needs()) else {
        return;
    };
    Daemon::Bird.start(&mut lab, Settings::over(Over::V4));
    lab.remove_address(&lab.ours, OUR_V6);
    let ours = lab.speaker(false, instance(peer(Over::V4.theirs())));
    ours.until_established();
    let by = |address: &str| {
        until(&format!("the next hop is {address}"), || {
            let route = Daemon::Bird.route(&lab, "2001:db8::1/128");
            if route.contains(address) {
                Ok(())
            } else {
                Err(route)
            }
        });
    };
    by(OUR_LINK_LOCAL);

    lab.add_address(&lab.ours, OUR_V6);

    by(OUR_V6);
    assert!(ours.peer().uptime.is_some());
}

#[test]
fn routes_are_sent_again_on_request() {
    // GoBGP keeps what it has heard and never asks.
    for daemon in [Daemon::Bird, Daemon::Frr] {
        let Some((lab, ours)) = established(daemon, Over::V4) else {
            return;
        };
        daemon.until_route(&lab, "192.0.2.1/32");
        daemon.until_route(&lab, "2001:db8::1/128");
        let before = daemon.updates_received(&lab);
        let uptime = ours.peer().uptime.unwrap();

        daemon.refresh(&lab);

        until(&format!("{daemon:?} has both routes again"), || {
            let now = daemon.updates_received(&lab);
            if now >= before + 2 {
                Ok(())
            } else {
                Err(format!("{before}, then {now}"))
            }
        });
        daemon.until_route(&lab, "192.0.2.1/32");
        assert!(ours.peer().uptime.unwrap() >= uptime);
    }
}

#[test]
fn many_routes_arrive_and_go() {
    for daemon in Daemon::ALL {
        let Some((lab, ours)) = established(daemon, Over::V4) else {
            return;
        };
        let prefix = |number: u32| {
            let [_, _, high, low] = number.to_be_bytes();
            format!("10.200.{high}.{low}/32")
        };

        ours.export((0..20_000).map(|it| announce(&prefix(it))).collect());
        daemon.until_route(&lab, &prefix(19_999));
        daemon.until_route(&lab, &prefix(0));
        until("all are advertised", || {
            let peer = ours.peer();
            let advertised = peer.families[0].advertised;
            if advertised == 20_001 {
                Ok(())
            } else {
                Err(format!("{advertised}"))
            }
        });
        ours.export((0..20_000).map(|it| withdraw(&prefix(it))).collect());

        daemon.until_no_route(&lab, &prefix(19_999));
        daemon.until_no_route(&lab, &prefix(0));
        daemon.until_route(&lab, "192.0.2.1/32");
    }
}

fn established(daemon: Daemon, over: Over) -> Option<(Lab, Ours)> {
    let mut lab = Lab::new(daemon.needs())?;
    daemon.start(&mut lab, Settings::over(over));
    let mut theirs = peer(over.theirs());
    // Some send End-of-RIB only to those who know what it is for.
    theirs.graceful_restart = Some(Duration::from_secs(60));
    let ours = lab.speaker(false, instance(theirs));
    ours.until_established();
    Some((lab, ours))
}

/// Routes of both families in both directions, attributes, next hops, counts, End-of-RIB.
fn both_families(daemon: Daemon, over: Over) {
    let Some((lab, ours)) = established(daemon, over) else {
        return;
    };

    let v4 = daemon.until_route(&lab, "192.0.2.1/32");
    let v6 = daemon.until_route(&lab, "2001:db8::1/128");

    let by = if over == Over::V4 { OUR_V4 } else { OUR_V6 };
    assert!(v4.contains(by), "{v4}");
    assert!(v6.contains(OUR_V6), "{v6}");
    for route in [&v4, &v6] {
        assert!(
            route.contains("65001:1:2") || route.contains("65001, 1, 2"),
            "{route}"
        );
        assert!(
            route.contains("65001:7") || route.contains("65001,7"),
            "{route}"
        );
    }
    until("their routes and End-of-RIB have come", || {
        let peer = ours.peer();
        let complete = |it: &bgp_speaker::FamilyStatus| {
            it.received >= 1 && it.advertised == 1 && it.end_of_rib_received && it.negotiated
        };
        if peer.families.iter().all(complete) {
            Ok(())
        } else {
            Err(format!("{peer:?}"))
        }
    });
    let received = ours.routes(RouteQuery::Received(Family::V6));
    assert!(
        received
            .iter()
            .any(|it| it.prefix.to_string() == "2001:db8:2::/48")
    );
    let advertised = ours.routes(RouteQuery::Advertised(Family::V4));
    assert_eq!(advertised[0].prefix.to_string(), "192.0.2.1/32");
    assert_eq!(advertised[0].next_hop.unwrap().addr().to_string(), by);
    assert!(
        advertised[0]
            .attributes
            .contains(&"{AsPath: 65001}".to_owned())
    );
    assert_eq!(ours.routes(RouteQuery::Available(Family::V4)).len(), 1);
    assert_eq!(ours.peer().hold_time, Some(Duration::from_secs(30)));
    // Nothing says yet that these are all routes.
    assert!(ours.peer().families.iter().all(|it| !it.end_of_rib_sent));
    ours.end_of_rib_allowed();
    until("End-of-RIB is out", || {
        let peer = ours.peer();
        if peer.families.iter().all(|it| it.end_of_rib_sent) {
            Ok(())
        } else {
            Err(format!("{peer:?}"))
        }
    });

    ours.export(vec![withdraw("192.0.2.1/32"), withdraw("2001:db8::1/128")]);

    daemon.until_no_route(&lab, "192.0.2.1/32");
    daemon.until_no_route(&lab, "2001:db8::1/128");
}
