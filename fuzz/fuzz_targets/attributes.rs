//! Path attributes in front of one route: their canonical form is stable and can be sent.
#![no_main]

use std::net::Ipv4Addr;

use bgp_speaker_packet::{
    Attributes, Dialect, Families, HEADER_LEN, MessageLimit, NextHop, Peering, Update,
    UpdateBuilder,
};
use libfuzzer_sys::fuzz_target;
use types::{Family, Prefix};

fuzz_target!(|attributes: &[u8]| {
    let Ok(len) = u16::try_from(attributes.len()) else {
        return;
    };
    for four_octet_as in [true, false] {
        let dialect = Dialect {
            peering: Peering::Internal,
            four_octet_as,
            families: Families::BOTH,
            extended_next_hop: true,
            limit: MessageLimit::Extended,
        };
        let mut body = vec![0, 0];
        body.extend_from_slice(&len.to_be_bytes());
        body.extend_from_slice(attributes);
        body.extend_from_slice(&[8, 10]);
        let mut canonical = Vec::new();
        let read = Update::parse(&body).map(|update| update.read(&dialect, &mut canonical));
        let Ok(Ok(reading)) = read else {
            continue;
        };
        if reading.announced.iter().all(Option::is_none) {
            continue;
        }
        resend(&dialect, &canonical);
    }
});

fn resend(dialect: &Dialect, canonical: &[u8]) {
    let mut out = Vec::new();
    let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
    let attributes = Attributes::from_canonical(canonical);
    let Ok(mut builder) =
        UpdateBuilder::announce(&mut out, dialect, Family::V4, attributes, &next_hop)
    else {
        return;
    };
    assert!(builder.push(&Prefix::host(Ipv4Addr::new(198, 51, 100, 1).into())));
    assert_eq!(builder.finish(), 1);
    let mut again = Vec::new();
    let update = Update::parse(&out[HEADER_LEN..]).expect("an UPDATE of ours is whole");
    let reading = update.read(dialect, &mut again).expect("and well-formed");
    assert_eq!(reading.fault, None);
    assert_eq!(again, canonical);
}
