//! RFC 7606: what a malformed UPDATE costs, attribute by attribute.

use crate::common::dialect;
use bgp_speaker_packet::{
    AttributeCode, Attributes, Dialect, ErrorCode, Families, FaultReason, Message, Notification,
    Origin, Peering, Severity, Update, UpdateError, UpdateSubcode,
};
use types::{Asn, Family};

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 10, 0, 0, 1];
const LOCAL_PREF: &[u8] = &[0x40, 5, 4, 0, 0, 0, 200];
/// 10.0.0.0/8 and 192.0.2.0/24.
const NLRI: &[u8] = &[8, 10, 24, 192, 0, 2];
/// MP_REACH_NLRI: 2001:db8::/32 by fd00::1.
const REACH: &[u8] = &[
    0x80, 14, 26, 0, 2, 1, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 32, 0x20, 1,
    0x0d, 0xb8,
];
/// MP_UNREACH_NLRI: 2001:db8::/32.
const UNREACH: &[u8] = &[0x80, 15, 8, 0, 2, 1, 32, 0x20, 1, 0x0d, 0xb8];

#[test]
fn a_malformed_attribute_costs_what_rfc_7606_says() {
    use AttributeCode as Code;
    use FaultReason::{Duplicate, Flags, Length, Missing, Unexpected, Value};
    use Severity::{AttributeDiscard as Discard, TreatAsWithdraw as Withdraw};
    let external: &[(&[u8], _, _, _)] = &[
        (&[0x40, 1, 1, 3], Withdraw, Code::ORIGIN, Value),
        (&[0x40, 1, 2, 0, 0], Withdraw, Code::ORIGIN, Value),
        (&[0xc0, 1, 1, 0], Withdraw, Code::ORIGIN, Flags),
        // A segment of no AS, one that is cut, one of an unknown kind, AS 0, a confederation's.
        (&[0x40, 2, 2, 2, 0], Withdraw, Code::AS_PATH, Value),
        (&[0x40, 2, 3, 2, 1, 0], Withdraw, Code::AS_PATH, Value),
        (
            &[0x40, 2, 6, 9, 1, 0, 0, 0, 1],
            Withdraw,
            Code::AS_PATH,
            Value,
        ),
        (
            &[0x40, 2, 6, 2, 1, 0, 0, 0, 0],
            Withdraw,
            Code::AS_PATH,
            Value,
        ),
        (
            &[0x40, 2, 6, 3, 1, 0, 0, 0, 1],
            Withdraw,
            Code::AS_PATH,
            Value,
        ),
        (&[0x40, 3, 3, 10, 0, 0], Withdraw, Code::NEXT_HOP, Value),
        (&[0x40, 3, 4, 0, 0, 0, 0], Withdraw, Code::NEXT_HOP, Value),
        (&[0x40, 3, 4, 224, 0, 0, 1], Withdraw, Code::NEXT_HOP, Value),
        (&[0x80, 4, 3, 0, 0, 0], Withdraw, Code::MED, Length),
        (&[0x40, 4, 4, 0, 0, 0, 0], Withdraw, Code::MED, Flags),
        (
            &[0x40, 5, 4, 0, 0, 0, 1],
            Discard,
            Code::LOCAL_PREF,
            Unexpected,
        ),
        (&[0x40, 5, 1, 0], Discard, Code::LOCAL_PREF, Unexpected),
        (&[0x40, 6, 1, 0], Discard, Code::ATOMIC_AGGREGATE, Length),
        (&[0xc0, 6, 0], Discard, Code::ATOMIC_AGGREGATE, Flags),
        (
            &[0xc0, 7, 6, 0, 1, 1, 1, 1, 1],
            Discard,
            Code::AGGREGATOR,
            Length,
        ),
        (
            &[0xc0, 7, 8, 0, 0, 0, 0, 1, 1, 1, 1],
            Discard,
            Code::AGGREGATOR,
            Value,
        ),
        (&[0xc0, 8, 0], Withdraw, Code::COMMUNITIES, Length),
        (
            &[0xc0, 8, 5, 0, 0, 0, 0, 0],
            Withdraw,
            Code::COMMUNITIES,
            Length,
        ),
        (
            &[0x80, 9, 4, 1, 1, 1, 1],
            Discard,
            Code::ORIGINATOR_ID,
            Unexpected,
        ),
        (
            &[0x80, 10, 4, 1, 1, 1, 1],
            Discard,
            Code::CLUSTER_LIST,
            Unexpected,
        ),
        (
            &[0xc0, 16, 7, 0, 0, 0, 0, 0, 0, 0],
            Withdraw,
            Code::EXTENDED_COMMUNITIES,
            Length,
        ),
        (
            &[0xc0, 32, 4, 0, 0, 0, 0],
            Withdraw,
            Code::LARGE_COMMUNITIES,
            Length,
        ),
    ];
    let internal: &[(&[u8], _, _, _)] = &[
        (&[0x40, 5, 1, 0], Withdraw, Code::LOCAL_PREF, Length),
        (
            &[0x80, 9, 3, 1, 1, 1],
            Withdraw,
            Code::ORIGINATOR_ID,
            Length,
        ),
        (&[0x80, 10, 0], Withdraw, Code::CLUSTER_LIST, Length),
    ];
    let both = [(Peering::External, external), (Peering::Internal, internal)];

    for (peering, cases) in both {
        for &(attribute, severity, code, reason) in cases {
            let body = with_attribute(attribute, peering);
            let dialect = Dialect {
                peering,
                ..dialect()
            };

            let (fault, gone, there) = read(&body, &dialect).unwrap();

            assert_eq!(fault, Some((severity, code, reason)), "{attribute:?}");
            let expected = if severity == Withdraw { (2, 0) } else { (0, 2) };
            assert_eq!((gone, there), expected, "{attribute:?}");
        }
    }

    for (code, part) in [
        (Code::ORIGIN, ORIGIN),
        (Code::AS_PATH, AS_PATH),
        (Code::NEXT_HOP, NEXT_HOP),
    ] {
        let kept = [ORIGIN, AS_PATH, NEXT_HOP]
            .into_iter()
            .filter(|&other| other != part);
        let body = body(&[], &kept.collect::<Vec<_>>().concat(), NLRI);

        assert_eq!(
            read(&body, &dialect()),
            Ok((Some((Withdraw, code, Missing)), 2, 0))
        );
    }
    let twice = body(
        &[],
        &[ORIGIN, AS_PATH, NEXT_HOP, &[0x40, 1, 1, 2]].concat(),
        NLRI,
    );
    assert_eq!(
        read(&twice, &dialect()),
        Ok((Some((Discard, Code::ORIGIN, Duplicate)), 0, 2))
    );
}

#[test]
fn an_internal_peer_must_send_local_pref() {
    let dialect = Dialect {
        peering: Peering::Internal,
        ..dialect()
    };
    let without = body(&[], &[ORIGIN, AS_PATH, NEXT_HOP].concat(), NLRI);
    let with = body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF].concat(), NLRI);

    let missing = (
        Severity::TreatAsWithdraw,
        AttributeCode::LOCAL_PREF,
        FaultReason::Missing,
    );
    assert_eq!(read(&without, &dialect), Ok((Some(missing), 2, 0)));
    assert_eq!(read(&with, &dialect), Ok((None, 0, 2)));
}

#[test]
fn what_hides_routes_ends_the_session() {
    let good = [ORIGIN, AS_PATH, NEXT_HOP].concat();
    let list = UpdateSubcode::MalformedAttributeList;
    let optional = UpdateSubcode::OptionalAttribute;
    let network = UpdateSubcode::InvalidNetworkField;
    let reach_of = |value: &[u8]| [&[0x80, 14, u8::try_from(value.len()).unwrap()], value].concat();
    let cases: &[(Vec<u8>, UpdateSubcode)] = &[
        // The parts do not fit into the message.
        (vec![0, 9, 0, 0], list),
        (vec![0, 0, 0, 9], list),
        // Prefixes that are too long or cut.
        (body(&[33, 1, 2, 3, 4, 5], &[], &[]), network),
        (body(&[], &good, &[24, 1, 2]), network),
        // Routes twice.
        (body(&[], &[&good, REACH, REACH].concat(), &[]), list),
        (body(&[], &[UNREACH, UNREACH].concat(), &[]), list),
        // A next hop of five octets, of four for IPv6, cut; prefixes that are cut.
        (
            body(
                &[],
                &[&good, &reach_of(&[0, 2, 1, 5, 1, 2, 3, 4, 5, 0])[..]].concat(),
                &[],
            ),
            optional,
        ),
        (
            body(
                &[],
                &[&good, &reach_of(&[0, 2, 1, 4, 1, 2, 3, 4, 0])[..]].concat(),
                &[],
            ),
            optional,
        ),
        (
            body(
                &[],
                &[&good, &reach_of(&[0, 2, 1, 16, 1])[..]].concat(),
                &[],
            ),
            optional,
        ),
        (body(&[], &[0x80, 15, 2, 0, 2], &[]), optional),
        (body(&[], &[0x80, 15, 5, 0, 2, 1, 129, 0], &[]), optional),
        // An attribute that everybody must know.
        (
            body(&[], &[&good, &[0x40, 99, 0][..]].concat(), NLRI),
            UpdateSubcode::UnrecognizedWellKnown,
        ),
        // Worth a withdrawal, but of what?
        (body(&[], &[0x40, 1, 1, 7], &[]), list),
        (body(&[8, 10], &[0x40, 1, 200, 7], &[]), list),
    ];

    for (bytes, subcode) in cases {
        let error = match Update::parse(bytes) {
            Ok(update) => update.read(&dialect(), &mut Vec::new()).map(drop),
            Err(error) => Err(error),
        };
        let code = Notification::from(error.unwrap_err()).code;
        assert_eq!(code, ErrorCode::Update(*subcode), "{bytes:?}");
    }
}

#[test]
fn an_attribute_that_is_cut_withdraws_the_routes_behind_it() {
    let cut = body(
        &[],
        &[ORIGIN, AS_PATH, NEXT_HOP, &[0xc0, 8, 200, 1]].concat(),
        NLRI,
    );

    let fault = (
        Severity::TreatAsWithdraw,
        AttributeCode::COMMUNITIES,
        FaultReason::Cut,
    );
    assert_eq!(read(&cut, &dialect()), Ok((Some(fault), 2, 0)));
}

#[test]
fn routes_of_a_family_that_was_not_agreed_on_are_ignored() {
    let only_v4 = Dialect {
        families: [Family::V4].into_iter().collect(),
        ..dialect()
    };
    let none = Dialect {
        families: Families::NONE,
        ..dialect()
    };
    let both = body(&[], &[REACH, ORIGIN, AS_PATH, NEXT_HOP].concat(), NLRI);
    let ignored = |code| {
        (
            Severity::AttributeDiscard,
            code,
            FaultReason::FamilyNotNegotiated,
        )
    };

    let reach = ignored(AttributeCode::MP_REACH_NLRI);
    assert_eq!(read(&both, &dialect()), Ok((None, 0, 3)));
    assert_eq!(read(&both, &only_v4), Ok((Some(reach), 0, 2)));
    assert_eq!(read(&both, &none).map(|read| read.2), Ok(0));
    let vpn = [0x80, 14, 5, 0, 1, 128, 0, 0];
    let foreign = body(&[], &[ORIGIN, AS_PATH, &vpn[..]].concat(), &[]);
    assert_eq!(read(&foreign, &dialect()), Ok((Some(reach), 0, 0)));
}

#[test]
fn an_ipv6_next_hop_of_ipv4_routes_needs_the_capability() {
    let mut reach = REACH.to_vec();
    reach[4] = 1; // IPv4 unicast
    let body = body(&[], &[&reach, ORIGIN, AS_PATH].concat(), &[]);
    let old = Dialect {
        extended_next_hop: false,
        ..dialect()
    };

    assert_eq!(read(&body, &dialect()), Ok((None, 0, 1)));
    assert_eq!(read(&body, &old).map(|read| (read.1, read.2)), Ok((1, 0)));
}

#[test]
fn unknown_attributes_pass_if_they_are_transitive() {
    let unknown: &[u8] = &[0xc0, 200, 2, 1, 2, 0x80, 201, 1, 1];
    let body = body(&[], &[unknown, AS_PATH, NEXT_HOP, ORIGIN].concat(), NLRI);
    let mut canonical = Vec::new();

    Update::parse(&body)
        .unwrap()
        .read(&dialect(), &mut canonical)
        .unwrap();

    assert_eq!(canonical, [ORIGIN, AS_PATH, &[0xe0, 200, 2, 1, 2]].concat());
}

#[test]
fn the_form_of_an_attribute_does_not_change_its_canonical_bytes() {
    // Extended lengths, another order, two sequences instead of one.
    let long_origin: &[u8] = &[0x50, 1, 0, 1, 0];
    let long_path: &[u8] = &[
        0x50, 2, 0, 12, 2, 1, 0, 0, 0xfd, 0xe9, 2, 1, 0, 0, 0xfd, 0xea,
    ];
    let path: &[u8] = &[0x40, 2, 10, 2, 2, 0, 0, 0xfd, 0xe9, 0, 0, 0xfd, 0xea];
    let bodies = [
        body(&[], &[long_path, NEXT_HOP, long_origin].concat(), NLRI),
        body(&[], &[ORIGIN, path, NEXT_HOP].concat(), NLRI),
    ];

    let read = bodies.map(|body| {
        let mut canonical = Vec::new();
        Update::parse(&body)
            .unwrap()
            .read(&dialect(), &mut canonical)
            .unwrap();
        canonical
    });

    assert_eq!(read[0], read[1]);
    assert_eq!(read[0], [ORIGIN, path].concat());
}

#[test]
fn as4_path_replaces_the_end_of_an_old_speakers_path() {
    // RFC 6793 §4.2.3: 65001 23456 23456, of which the last two are known to be 70000 and 80000.
    let old_path: &[u8] = &[0x40, 2, 8, 2, 3, 0xfd, 0xe9, 0x5b, 0xa0, 0x5b, 0xa0];
    let as4_path: &[u8] = &[0xc0, 17, 10, 2, 2, 0, 1, 0x11, 0x70, 0, 1, 0x38, 0x80];
    let aggregator: &[u8] = &[0xc0, 7, 6, 0x5b, 0xa0, 1, 1, 1, 1];
    let as4_aggregator: &[u8] = &[0xc0, 18, 8, 0, 1, 0x11, 0x70, 1, 1, 1, 1];
    let later: &[u8] = &[0xc0, 7, 6, 0xfd, 0xe9, 1, 1, 1, 1];
    let old = Dialect {
        four_octet_as: false,
        ..dialect()
    };
    let path = |parts: &[&[u8]]| {
        let body = body(
            &[],
            &[&[ORIGIN, old_path, NEXT_HOP], parts].concat().concat(),
            NLRI,
        );
        let mut canonical = Vec::new();
        let reading = Update::parse(&body)
            .unwrap()
            .read(&old, &mut canonical)
            .unwrap();
        assert_eq!(reading.key.as_path_len, 3);
        assert_eq!(reading.key.neighbor.map(Asn::get), Some(65001));
        let text: Vec<_> = Attributes::from_canonical(&canonical)
            .iter()
            .map(|attribute| attribute.to_string())
            .collect();
        text.join(" ")
    };

    assert_eq!(path(&[as4_path]), "{Origin: i} {AsPath: 65001 70000 80000}");
    assert_eq!(
        path(&[aggregator, as4_path, as4_aggregator]),
        "{Origin: i} {AsPath: 65001 70000 80000} {Aggregate: {AS: 70000, Address: 1.1.1.1}}"
    );
    // Somebody aggregated who did not know AS4_PATH: it is stale.
    assert_eq!(
        path(&[later, as4_path, as4_aggregator]),
        "{Origin: i} {AsPath: 65001 23456 23456} {Aggregate: {AS: 65001, Address: 1.1.1.1}}"
    );
}

#[test]
fn the_decision_key_has_what_the_decision_compares() {
    let set: &[u8] = &[
        0x40, 2, 16, 2, 1, 0, 0, 0xfd, 0xe9, 1, 2, 0, 0, 0, 1, 0, 0, 0, 2,
    ];
    let list = [
        &[0x40, 1, 1, 2],
        set,
        NEXT_HOP,
        &[0x80, 4, 4, 0, 0, 0, 9],
        LOCAL_PREF,
        &[0x80, 9, 4, 1, 2, 3, 4],
        &[0x80, 10, 8, 1, 1, 1, 1, 2, 2, 2, 2],
    ];
    let body = body(&[], &list.concat(), NLRI);
    let dialect = Dialect {
        peering: Peering::Internal,
        ..dialect()
    };

    let key = Update::parse(&body)
        .unwrap()
        .read(&dialect, &mut Vec::new())
        .unwrap()
        .key;

    assert_eq!(key.local_pref, Some(200));
    assert_eq!(key.as_path_len, 2);
    assert_eq!(key.origin, Origin::Incomplete);
    assert_eq!(key.med, Some(9));
    assert_eq!(key.neighbor.map(Asn::get), Some(65001));
    assert_eq!(
        key.originator.map(|id| id.to_string()),
        Some("1.2.3.4".into())
    );
    assert_eq!(key.cluster_list_len, 2);
}

#[test]
fn an_open_names_its_first_fault() {
    use bgp_speaker_packet::OpenSubcode as Sub;
    let open = |version: u8, asn: u16, hold: u8, id: u8, parameters: &[u8]| {
        let [high, low] = asn.to_be_bytes();
        let head = [
            version,
            high,
            low,
            0,
            hold,
            0,
            0,
            0,
            id,
            u8::try_from(parameters.len()).unwrap(),
        ];
        [&head, parameters].concat()
    };
    let cases = [
        (open(3, 65001, 90, 1, &[]), Sub::UnsupportedVersion),
        (open(4, 0, 90, 1, &[]), Sub::BadPeerAs),
        (
            open(4, 23456, 90, 1, &[2, 6, 65, 4, 0, 0, 0, 0]),
            Sub::BadPeerAs,
        ),
        (open(4, 65001, 90, 0, &[]), Sub::BadIdentifier),
        (open(4, 65001, 2, 1, &[]), Sub::UnacceptableHoldTime),
        (
            open(4, 65001, 90, 1, &[1, 1, 0]),
            Sub::UnsupportedOptionalParameter,
        ),
        (open(4, 65001, 90, 1, &[2, 3, 1, 4, 0]), Sub::Unspecific),
        (open(4, 65001, 90, 1, &[2, 9]), Sub::Unspecific),
    ];

    for (body, subcode) in cases {
        let error = bgp_speaker_packet::Open::parse(&body).unwrap_err();
        let notification = Notification::from(error);
        assert_eq!(notification.code, ErrorCode::Open(subcode));
        if subcode == Sub::UnsupportedVersion {
            assert_eq!(*notification.data, [0, 4]);
        }
    }
}

#[test]
fn extended_optional_parameters_hold_capabilities_too() {
    // RFC 9072 §2.
    let body = [
        4, 0xfd, 0xe9, 0, 90, 1, 1, 1, 1, 255, 255, 0, 9, 2, 0, 6, 65, 4, 0, 1, 0x11, 0x70,
    ];

    let open = bgp_speaker_packet::Open::parse(&body).unwrap();

    assert_eq!(open.asn.get(), 70000);
    assert!(open.offer().four_octet_as);
    assert!(open.offer().families.contains(Family::V4));
}

#[test]
fn a_route_refresh_of_another_length_is_refused() {
    let error = Message::parse(bgp_speaker_packet::Frame {
        kind: bgp_speaker_packet::MessageKind::RouteRefresh,
        body: &[0, 1, 0, 1, 5],
    })
    .unwrap_err();

    assert_eq!(Notification::from(error).code.numbers(), (7, 1));
}

/// All mandatory attributes and one more, in place of its like.
fn with_attribute(attribute: &[u8], peering: Peering) -> Vec<u8> {
    let mut list = [ORIGIN, AS_PATH, NEXT_HOP].to_vec();
    if peering == Peering::Internal {
        list.push(LOCAL_PREF);
    }
    list.retain(|other| other[1] != attribute[1]);
    list.push(attribute);
    body(&[], &list.concat(), NLRI)
}

fn body(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(withdrawn.len())
        .unwrap()
        .to_be_bytes()
        .to_vec();
    body.extend_from_slice(withdrawn);
    body.extend_from_slice(&u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend_from_slice(attributes);
    body.extend_from_slice(nlri);
    body
}

type Outcome = (Option<(Severity, AttributeCode, FaultReason)>, usize, usize);

/// The fault, and how many prefixes are gone and how many are there.
fn read(body: &[u8], dialect: &Dialect) -> Result<Outcome, UpdateError> {
    let reading = Update::parse(body)?.read(dialect, &mut Vec::new())?;
    let fault = reading
        .fault
        .map(|fault| (fault.severity, fault.code, fault.reason));
    let there = reading.announced.iter().flatten();
    let there = there.map(|routes| routes.nlri.iter().count()).sum();
    Ok((fault, reading.gone().count(), there))
}
