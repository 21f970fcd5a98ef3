//! The body of an OPEN. What it offers can be written, and offers the same.
#![no_main]

use bgp_speaker_packet::{Capability, GracefulRestart, HEADER_LEN, Open};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(open) = Open::parse(body) else {
        return;
    };
    for capability in open.capabilities() {
        if let Capability::GracefulRestart(value) = capability {
            assert!(GracefulRestart::parse(value).is_some());
        }
    }
    let mut offer = open.offer();
    // What has no place in an OPEN of ours: unknown families, and several entries for one.
    let short = offer.asn.get() <= 65535;
    if let Some(restart) = offer.graceful_restart.as_mut() {
        restart.families.sort_by_key(|entry| entry.family);
        restart.families.dedup_by_key(|entry| entry.family);
    }
    let mut out = Vec::new();
    offer.write(&mut out);
    let again = Open::parse(&out[HEADER_LEN..]).expect("an OPEN of ours is valid");
    if (short || offer.four_octet_as) && !offer.families.is_empty() {
        assert_eq!(again.offer(), offer);
    }
});
