//! What is written reads back as what it was.

use crate::common::{asn, dialect, family, next_hop, offer, path_attributes, prefix};
use bgp_speaker_packet::{
    AfiSafi, Attribute, Attributes, CeaseSubcode, Dialect, ErrorCode, Frame, HeaderError, Message,
    MessageKind, MessageLimit, NextHop, Notification, PackError, Peering, RefreshKind,
    RouteRefresh, SegmentKind, UpdateBuilder, split, write_end_of_rib, write_keepalive,
};
use proptest::collection::vec;
use proptest::prelude::*;
use types::{Family, Prefix};

proptest! {
    #[test]
    fn an_offer_is_what_its_open_says(offer in offer()) {
        let mut out = Vec::new();
        offer.write(&mut out);

        let Message::Open(open) = only_message(&out) else { panic!("not an OPEN") };

        prop_assert_eq!(open.offer(), offer);
    }

    #[test]
    fn a_notification_keeps_its_code_and_data(code: u8, subcode: u8, data: Vec<u8>) {
        let sent = Notification::new(ErrorCode::from_numbers(code, subcode), data);
        let mut out = Vec::new();
        sent.write(&mut out);

        let Message::Notification(got) = only_message(&out) else { panic!("not one") };

        prop_assert_eq!(got.code.numbers(), (code, subcode));
        prop_assert_eq!(got, sent);
    }

    #[test]
    fn a_shutdown_carries_its_text(text in "[ -~é]{0,300}") {
        let sent = Notification::with_text(ErrorCode::ADMINISTRATIVE_SHUTDOWN, &text);
        let mut out = Vec::new();
        sent.write(&mut out);

        let Message::Notification(got) = only_message(&out) else { panic!("not one") };

        let got = got.text().unwrap_or("").to_owned();
        prop_assert!(text.starts_with(&got));
        prop_assert!(got.len() == text.len() || got.len() >= 252);
    }

    #[test]
    fn a_route_refresh_keeps_its_family_and_kind(afi: u16, safi: u8, kind: u8) {
        let sent = RouteRefresh { family: AfiSafi { afi, safi }, kind: RefreshKind::from(kind) };
        let mut out = Vec::new();
        sent.write(&mut out);

        prop_assert_eq!(only_message(&out), Message::RouteRefresh(sent));
    }

    #[test]
    fn announced_routes_arrive_whole(
        (family, prefixes, next_hop) in family().prop_flat_map(|family| {
            (Just(family), vec(prefix(family), 1..600), next_hop(family))
        }),
        attributes in path_attributes(),
        four_octet_as: bool,
        internal: bool,
    ) {
        let peering = if internal { Peering::Internal } else { Peering::External };
        let dialect = Dialect { four_octet_as, peering, ..dialect() };
        let mut attributes = attributes;
        attributes.local_pref = internal.then_some(attributes.local_pref.unwrap_or(100));
        let mut canonical = Vec::new();
        let key = attributes.write(&mut canonical);

        let messages = pack(&dialect, family, &canonical, &next_hop, &prefixes);
        let mut got = Vec::new();
        let mut read = Vec::new();
        for frame in frames(&messages) {
            let Message::Update(update) = Message::parse(frame).unwrap() else { panic!("not one") };
            let reading = update.read(&dialect, &mut read).unwrap();
            prop_assert_eq!(reading.fault, None);
            prop_assert_eq!(reading.key, key);
            prop_assert_eq!(&read, &canonical);
            prop_assert_eq!(reading.gone().count(), 0);
            for routes in reading.announced.into_iter().flatten() {
                prop_assert_eq!(routes.next_hop, next_hop);
                got.extend(routes.nlri);
            }
        }

        prop_assert_eq!(got, prefixes);
    }

    #[test]
    fn withdrawn_routes_arrive_whole(
        (family, prefixes) in family().prop_flat_map(|family| {
            (Just(family), vec(prefix(family), 1..1500))
        }),
        extended_next_hop: bool,
    ) {
        let dialect = Dialect { extended_next_hop, ..dialect() };
        let mut out = Vec::new();
        let mut left = prefixes.iter().peekable();
        while left.peek().is_some() {
            let mut builder = UpdateBuilder::withdraw(&mut out, &dialect, family);
            while left.next_if(|prefix| builder.push(prefix)).is_some() {}
            prop_assert!(builder.finish() > 0);
        }

        let mut got = Vec::new();
        for frame in frames(&out) {
            let Message::Update(update) = Message::parse(frame).unwrap() else { panic!("not one") };
            let reading = update.read(&dialect, &mut Vec::new()).unwrap();
            prop_assert_eq!(reading.fault, None);
            prop_assert_eq!(reading.end_of_rib, None);
            got.extend(reading.gone());
        }

        prop_assert_eq!(got, prefixes);
    }

    #[test]
    fn a_path_in_canonical_form_has_full_sequences(path in vec(asn(), 0..700)) {
        let attributes = bgp_speaker_packet::PathAttributes {
            as_path: path.clone(),
            ..Default::default()
        };
        let mut canonical = Vec::new();
        attributes.write(&mut canonical);

        let written = Attributes::from_canonical(&canonical).as_path();

        let lengths: Vec<_> = written.segments().map(|part| part.asns().count()).collect();
        prop_assert!(lengths.iter().rev().skip(1).all(|&len| len == 255));
        prop_assert!(written.segments().all(|part| part.kind == SegmentKind::Sequence));
        prop_assert_eq!(written.hops(), path.len());
        prop_assert_eq!(written.neighbor(), path.first().copied());
        prop_assert!(path.iter().all(|&asn| written.contains(asn)));
    }
}

#[test]
fn end_of_rib_has_two_forms() {
    for family in Family::BOTH {
        let mut out = Vec::new();
        write_end_of_rib(&mut out, family);

        let Message::Update(update) = only_message(&out) else {
            panic!("not an UPDATE")
        };
        let reading = update.read(&dialect(), &mut Vec::new()).unwrap();

        assert_eq!(reading.end_of_rib, Some(family));
        assert_eq!(reading.fault, None);
    }
}

#[test]
fn a_message_is_cut_off_only_when_it_is_whole() {
    let mut out = Vec::new();
    write_keepalive(&mut out);
    write_keepalive(&mut out);

    for len in 0..19 {
        assert_eq!(split(&out[..len], MessageLimit::Standard), Ok(None));
    }
    let (frame, rest) = split(&out, MessageLimit::Standard).unwrap().unwrap();
    assert_eq!(frame.kind, MessageKind::Keepalive);
    assert_eq!(rest.len(), 19);
}

#[test]
fn the_header_error_names_the_first_wrong_field() {
    let message = |marker: u8, len: u16, kind: u8| {
        let mut bytes = vec![marker; 16];
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.push(kind);
        bytes
    };
    let cases = [
        (message(0, 5, 9), HeaderError::NotSynchronized),
        (message(0xff, 18, 9), HeaderError::BadLength(18)),
        (message(0xff, 4097, 2), HeaderError::BadLength(4097)),
        (message(0xff, 19, 9), HeaderError::BadType(9)),
        (message(0xff, 20, 4), HeaderError::BadLength(20)),
        (message(0xff, 28, 1), HeaderError::BadLength(28)),
        (message(0xff, 22, 2), HeaderError::BadLength(22)),
        (message(0xff, 20, 3), HeaderError::BadLength(20)),
    ];

    for (bytes, error) in cases {
        assert_eq!(split(&bytes, MessageLimit::Standard), Err(error));
    }
    assert_eq!(
        split(&message(0xff, 4097, 2), MessageLimit::Extended),
        Ok(None)
    );
    assert_eq!(
        split(&message(0xff, 4097, 1), MessageLimit::Extended),
        Err(HeaderError::BadLength(4097))
    );
}

#[test]
fn an_update_without_prefixes_is_not_written() {
    let mut out = vec![1, 2, 3];

    assert_eq!(
        UpdateBuilder::withdraw(&mut out, &dialect(), Family::V4).finish(),
        0
    );
    drop(UpdateBuilder::withdraw(&mut out, &dialect(), Family::V6));

    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn attributes_that_leave_no_room_are_refused() {
    let attributes = bgp_speaker_packet::PathAttributes {
        communities: (0..1020).collect(),
        ..Default::default()
    };
    let mut canonical = Vec::new();
    attributes.write(&mut canonical);
    let next_hop = NextHop::V4("10.0.0.1".parse().unwrap());
    let mut out = Vec::new();

    let built = UpdateBuilder::announce(
        &mut out,
        &dialect(),
        Family::V4,
        Attributes::from_canonical(&canonical),
        &next_hop,
    );

    assert_eq!(built.err(), Some(PackError::TooLong));
    assert!(out.is_empty());
}

#[test]
fn a_next_hop_that_the_peer_does_not_take_is_refused() {
    let v4 = NextHop::V4("10.0.0.1".parse().unwrap());
    let v6 = NextHop::from(std::net::IpAddr::V6("2001:db8::1".parse().unwrap()));
    let old = Dialect {
        extended_next_hop: false,
        ..dialect()
    };
    let attributes = Attributes::from_canonical(&[]);
    let mut out = Vec::new();

    let cases = [(&old, Family::V4, &v6), (&dialect(), Family::V6, &v4)];

    for (dialect, family, next_hop) in cases {
        let built = UpdateBuilder::announce(&mut out, dialect, family, attributes, next_hop);
        assert_eq!(built.err(), Some(PackError::NextHop));
    }
}

#[test]
fn a_hard_reset_holds_its_reason() {
    let reason = Notification::from(ErrorCode::HoldTimerExpired);
    let mut out = Vec::new();
    Notification::hard_reset(&reason).write(&mut out);

    let Message::Notification(got) = only_message(&out) else {
        panic!("not a NOTIFICATION")
    };

    assert_eq!(got.code, ErrorCode::Cease(CeaseSubcode::HardReset));
    assert_eq!(got.reset_reason(), Some(reason));
    assert_eq!(got.to_string(), "cease: hard reset (hold timer expired)");
}

#[test]
fn attributes_read_as_the_command_line_prints_them() {
    let attributes = bgp_speaker_packet::PathAttributes {
        as_path: vec![65001.try_into().unwrap(), 4_200_000_000.try_into().unwrap()],
        med: Some(5),
        local_pref: Some(100),
        communities: vec![0xffff_ff01, 65000 << 16 | 7],
        large_communities: vec![[1, 2, 3]],
        ..Default::default()
    };
    let mut canonical = Vec::new();
    attributes.write(&mut canonical);

    let text: Vec<_> = Attributes::from_canonical(&canonical)
        .iter()
        .map(|attribute: Attribute<'_>| attribute.to_string())
        .collect();

    assert_eq!(
        text.join(" "),
        "{Origin: i} {AsPath: 65001 4200000000} {Med: 5} {LocalPref: 100} \
         {Communities: 65000:7, 65535:65281} {LargeCommunity: 1:2:3}"
    );
}

fn pack(
    dialect: &Dialect,
    family: Family,
    canonical: &[u8],
    next_hop: &NextHop,
    prefixes: &[Prefix],
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut left = prefixes.iter().peekable();
    while left.peek().is_some() {
        let attributes = Attributes::from_canonical(canonical);
        let mut builder =
            UpdateBuilder::announce(&mut out, dialect, family, attributes, next_hop).unwrap();
        while left.next_if(|prefix| builder.push(prefix)).is_some() {}
        assert!(builder.finish() > 0);
    }
    out
}

fn frames(mut stream: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = split(stream, MessageLimit::Standard).unwrap() {
        frames.push(frame);
        stream = rest;
    }
    assert!(stream.is_empty(), "a message is cut");
    frames
}

fn only_message(stream: &[u8]) -> Message<'_> {
    let frames = frames(stream);
    assert_eq!(frames.len(), 1);
    Message::parse(frames[0]).unwrap()
}
