//! What BIRD, FRR and GoBGP have sent means here what it means to them.

use std::fmt::Write as _;
use std::path::Path;

use bgp_speaker_packet::{
    AsPath, Attributes, Dialect, Families, GracefulRestart, Message, MessageLimit, NextHop, Offer,
    Open, Peering, UpdateBuilder, split,
};

use crate::common::dialect;

#[test]
fn bird_over_ipv4() {
    check("ipv4-session.bird", dialect());
}

#[test]
fn frr_over_ipv4() {
    check("ipv4-session.frr", dialect());
}

#[test]
fn bird_over_ipv6() {
    check("ipv6-session.bird", dialect());
}

#[test]
fn frr_over_ipv6() {
    check("ipv6-session.frr", dialect());
}

#[test]
fn bird_with_two_octets() {
    check("two-octet-session.bird", two_octets());
}

#[test]
fn frr_with_two_octets() {
    check("two-octet-session.frr", two_octets());
}

#[test]
fn bird_to_gobgp() {
    check("gobgp-session.bird", dialect());
}

#[test]
fn gobgp() {
    check("gobgp-session.gobgp", dialect());
}

#[test]
fn bird_is_refused() {
    check("wrong-asn.bird", dialect());
}

#[test]
fn frr_refuses() {
    check("wrong-asn.frr", dialect());
}

fn two_octets() -> Dialect {
    Dialect {
        four_octet_as: false,
        ..dialect()
    }
}

fn check(name: &str, dialect: Dialect) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let read = |kind| std::fs::read_to_string(folder.join(format!("{name}.{kind}"))).unwrap();

    let said: Vec<_> = read("hex")
        .lines()
        .map(|line| describe(&unhex(line), &dialect))
        .collect();

    let said = said.join("\n") + "\n";
    assert_eq!(said, read("txt"), "{name} says:\n{said}");
}

fn unhex(line: &str) -> Vec<u8> {
    line.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn describe(message: &[u8], dialect: &Dialect) -> String {
    let (frame, rest) = split(message, MessageLimit::Standard).unwrap().unwrap();
    assert!(rest.is_empty());
    match Message::parse(frame).unwrap() {
        Message::Open(open) => describe_open(&open),
        Message::Update(update) => {
            let mut canonical = Vec::new();
            let reading = update.read(dialect, &mut canonical).unwrap();
            assert_eq!(reading.fault, None);
            let attributes = Attributes::from_canonical(&canonical);
            let mut text = "UPDATE".to_owned();
            for prefix in reading.gone() {
                write!(text, " -{prefix}").unwrap();
            }
            for routes in reading.announced.into_iter().flatten() {
                for prefix in routes.nlri {
                    write!(text, " +{prefix}").unwrap();
                }
                write!(text, " by {}", describe_next_hop(routes.next_hop)).unwrap();
                resend(dialect, &routes, attributes);
            }
            for attribute in attributes.iter() {
                write!(text, " {attribute}").unwrap();
            }
            if let Some(family) = reading.end_of_rib {
                write!(text, " End-of-RIB {family}").unwrap();
            }
            text
        }
        Message::Notification(notification) => format!("NOTIFICATION {notification}"),
        Message::Keepalive => "KEEPALIVE".to_owned(),
        Message::RouteRefresh(refresh) => {
            format!("ROUTE-REFRESH {:?} {}", refresh.kind, refresh.family)
        }
    }
}

fn describe_next_hop(next_hop: NextHop) -> String {
    match next_hop {
        NextHop::V6 {
            link_local: Some(link_local),
            ..
        } => format!("{next_hop} {link_local}"),
        NextHop::V4(_) | NextHop::V6 { .. } => next_hop.to_string(),
    }
}

fn describe_open(open: &Open<'_>) -> String {
    let Offer {
        asn,
        hold_time_secs,
        router_id,
        families,
        four_octet_as,
        extended_next_hop,
        route_refresh,
        enhanced_route_refresh,
        extended_message,
        graceful_restart,
    } = open.offer();
    assert_eq!(families, Families::BOTH);
    let mut text = format!("OPEN AS {asn} hold {hold_time_secs} id {router_id}");
    let flags = [
        (four_octet_as, "as4"),
        (extended_next_hop, "extended-next-hop"),
        (route_refresh, "refresh"),
        (enhanced_route_refresh, "enhanced-refresh"),
        (extended_message, "extended-message"),
    ];
    for (_, flag) in flags.into_iter().filter(|(set, _)| *set) {
        write!(text, " {flag}").unwrap();
    }
    if let Some(restart) = graceful_restart {
        describe_restart(&mut text, &restart);
    }
    text
}

fn describe_restart(text: &mut String, restart: &GracefulRestart) {
    write!(text, " restart {} s", restart.restart_time_secs).unwrap();
    for (set, flag) in [
        (restart.restarted, "restarted"),
        (restart.notification, "notification"),
    ] {
        if set {
            write!(text, " {flag}").unwrap();
        }
    }
    for entry in &restart.families {
        let kept = if entry.forwarding_kept { " kept" } else { "" };
        write!(text, " ({}{kept})", entry.family).unwrap();
    }
}

/// What was read can be written for the same peer, and says the same again.
fn resend(
    dialect: &Dialect,
    routes: &bgp_speaker_packet::Announced<'_>,
    attributes: Attributes<'_>,
) {
    let mut out = Vec::new();
    let family = routes.nlri.family();
    let mut builder =
        UpdateBuilder::announce(&mut out, dialect, family, attributes, &routes.next_hop).unwrap();
    assert!(routes.nlri.iter().all(|prefix| builder.push(&prefix)));
    builder.finish();

    let (frame, _) = split(&out, MessageLimit::Standard).unwrap().unwrap();
    let Ok(Message::Update(update)) = Message::parse(frame) else {
        panic!("not an UPDATE")
    };
    let mut again = Vec::new();
    let reading = update.read(dialect, &mut again).unwrap();
    assert_eq!(again, attributes.bytes());
    assert_eq!(
        reading.announced.into_iter().flatten().collect::<Vec<_>>(),
        [*routes]
    );
    assert_eq!(dialect.peering, Peering::External);
    assert_ne!(attributes.as_path(), AsPath::EMPTY);
}
