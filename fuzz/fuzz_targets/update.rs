//! The body of an UPDATE, read for every sort of session.
#![no_main]

use bgp_speaker_packet::{
    Attributes, Dialect, Families, MessageLimit, Notification, Peering, Update,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(update) = Update::parse(body) else {
        return;
    };
    let mut canonical = Vec::new();
    for bits in 0..8 {
        let dialect = Dialect {
            peering: if bits & 1 == 0 {
                Peering::External
            } else {
                Peering::Internal
            },
            four_octet_as: bits & 2 == 0,
            families: Families::BOTH,
            extended_next_hop: bits & 4 == 0,
            limit: MessageLimit::Extended,
        };
        match update.read(&dialect, &mut canonical) {
            Ok(reading) => {
                reading.gone().for_each(drop);
                for routes in reading.announced.into_iter().flatten() {
                    routes.nlri.iter().for_each(drop);
                }
                for attribute in Attributes::from_canonical(&canonical).iter() {
                    drop(attribute.to_string());
                }
            }
            Err(error) => Notification::from(error).write(&mut Vec::new()),
        }
    }
});
