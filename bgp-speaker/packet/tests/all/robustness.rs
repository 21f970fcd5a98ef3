//! Whatever the bytes are, nothing panics, and what is read is consistent.

use crate::common::{dialect, next_hop, offer, path_attributes, prefix};
use bgp_speaker_packet::{
    Attributes, Capability, Dialect, ExtendedNextHop, GracefulRestart, Message, MessageLimit,
    NextHop, Notification, Peering, Reading, Severity, UpdateBuilder, split,
};
use proptest::collection::vec;
use proptest::prelude::*;
use types::Family;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_streams_are_survived(bytes: Vec<u8>) {
        consume(&bytes);
    }

    #[test]
    fn random_bodies_are_survived(kind in 1u8..=5, body in vec(any::<u8>(), 0..200)) {
        consume(&message(kind, &body));
    }

    /// Lengths that nearly fit get further than random ones.
    #[test]
    fn random_attributes_are_survived(
        attributes in vec((any::<u8>(), 0u8..40, vec(any::<u8>(), 0..40), 0u8..20), 0..12),
        nlri in vec(any::<u8>(), 0..12),
    ) {
        let mut list = Vec::new();
        for (flags, code, value, lie) in attributes {
            let len = u8::try_from(value.len()).unwrap();
            list.extend_from_slice(&[flags & 0xe0, code, if lie == 0 { len + 1 } else { len }]);
            list.extend_from_slice(&value);
        }
        let mut body = vec![0, 0];
        body.extend_from_slice(&u16::try_from(list.len()).unwrap().to_be_bytes());
        body.extend_from_slice(&list);
        body.extend_from_slice(&nlri);

        consume(&message(2, &body));
    }

    #[test]
    fn mutated_updates_are_survived(
        attributes in path_attributes(),
        next_hop in next_hop(Family::V4),
        prefixes in vec(prefix(Family::V4), 1..40),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut canonical = Vec::new();
        attributes.write(&mut canonical);
        let mut out = Vec::new();
        let attributes = Attributes::from_canonical(&canonical);
        let mut builder =
            UpdateBuilder::announce(&mut out, &dialect(), Family::V4, attributes, &next_hop).unwrap();
        let _all = prefixes.iter().all(|prefix| builder.push(prefix));
        prop_assume!(builder.finish() > 0);

        mutate(&mut out, &changes);
        consume(&out);
        out.truncate(cut.index(out.len()));
        consume(&out);
    }

    #[test]
    fn mutated_opens_are_survived(
        offer in offer(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut out = Vec::new();
        offer.write(&mut out);

        mutate(&mut out, &changes);

        consume(&out);
    }
}

/// The header stays as it is: it would stop everything else.
fn mutate(message: &mut [u8], changes: &[(prop::sample::Index, u8)]) {
    let body = &mut message[19..];
    if body.is_empty() {
        return;
    }
    for (at, value) in changes {
        body[at.index(body.len())] = *value;
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    bytes.extend_from_slice(&(19 + u16::try_from(body.len()).unwrap()).to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(body);
    bytes
}

/// Reads all there is to read.
fn consume(mut stream: &[u8]) {
    while let Ok(Some((frame, rest))) = split(stream, MessageLimit::Extended) {
        assert!(rest.len() < stream.len());
        stream = rest;
        match Message::parse(frame) {
            Err(error) => drop(Notification::from(error).to_string()),
            Ok(Message::Open(open)) => {
                for capability in open.capabilities() {
                    if let Capability::ExtendedNextHop(value) = capability {
                        ExtendedNextHop::entries(value).for_each(drop);
                    }
                    if let Capability::GracefulRestart(value) = capability {
                        assert!(GracefulRestart::parse(value).is_some());
                    }
                }
                let mut out = Vec::new();
                open.offer().write(&mut out);
                let (frame, _) = split(&out, MessageLimit::Standard).unwrap().unwrap();
                assert!(matches!(Message::parse(frame), Ok(Message::Open(_))));
            }
            Ok(Message::Update(update)) => {
                for peering in [Peering::Internal, Peering::External] {
                    for four_octet_as in [true, false] {
                        let dialect = Dialect {
                            peering,
                            four_octet_as,
                            ..dialect()
                        };
                        let mut canonical = Vec::new();
                        match update.read(&dialect, &mut canonical) {
                            Ok(reading) => check(&dialect, &reading, &canonical),
                            Err(error) => drop(Notification::from(error)),
                        }
                    }
                }
            }
            Ok(Message::Notification(notification)) => drop(notification.to_string()),
            Ok(Message::Keepalive | Message::RouteRefresh(_)) => (),
        }
    }
}

/// What was read is canonical, and can be sent on and read again.
fn check(dialect: &Dialect, reading: &Reading<'_>, canonical: &[u8]) {
    let attributes = Attributes::from_canonical(canonical);
    let codes: Vec<_> = attributes.raw().map(|raw| raw.code).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    let whole: usize = attributes.raw().map(|raw| raw.whole.len()).sum();
    assert_eq!(whole, canonical.len());
    attributes
        .iter()
        .for_each(|attribute| drop(attribute.to_string()));
    let _ = reading.fault.map(|fault| fault.to_string());
    let withdraws = reading
        .fault
        .is_some_and(|fault| fault.severity == Severity::TreatAsWithdraw);
    let announced = reading.announced.iter().flatten();
    for routes in announced {
        assert!(!withdraws);
        assert!(!routes.nlri.is_empty());
        if routes.nlri.family() == Family::V6 {
            assert!(matches!(routes.next_hop, NextHop::V6 { .. }));
        }
        resend(
            dialect,
            reading,
            routes.next_hop,
            routes.nlri.iter(),
            canonical,
        );
    }
    reading.gone().for_each(drop);
}

fn resend(
    dialect: &Dialect,
    reading: &Reading<'_>,
    next_hop: NextHop,
    mut prefixes: impl Iterator<Item = types::Prefix>,
    canonical: &[u8],
) {
    let first = prefixes.next().unwrap();
    let attributes = Attributes::from_canonical(canonical);
    let mut out = Vec::new();
    let dialect = Dialect {
        limit: MessageLimit::Extended,
        ..*dialect
    };
    let Ok(mut builder) =
        UpdateBuilder::announce(&mut out, &dialect, first.family(), attributes, &next_hop)
    else {
        return;
    };
    assert!(builder.push(&first));
    builder.finish();
    let (frame, _) = split(&out, MessageLimit::Extended).unwrap().unwrap();
    let Ok(Message::Update(update)) = Message::parse(frame) else {
        panic!("not an UPDATE")
    };
    let mut again = Vec::new();
    let reread = update.read(&dialect, &mut again).unwrap();
    assert_eq!(again, canonical);
    assert_eq!(reread.key, reading.key);
    assert_eq!(reread.fault, None);
}
