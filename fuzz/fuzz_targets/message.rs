//! A stream of BGP messages, as it comes from a peer.
#![no_main]

use bgp_speaker_packet::{Message, MessageLimit, Notification, split};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut stream = bytes;
    loop {
        match split(stream, MessageLimit::Extended) {
            Ok(Some((frame, rest))) => {
                stream = rest;
                if let Err(error) = Message::parse(frame) {
                    Notification::from(error).write(&mut Vec::new());
                }
            }
            Ok(None) => break,
            Err(error) => {
                Notification::from(error).write(&mut Vec::new());
                break;
            }
        }
    }
});
