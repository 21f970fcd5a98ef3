//! Peers that are no BGP speakers, or stop being ones.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bgp_speaker_core::desired::Peer;
use bgp_speaker_packet::{Families, Message, MessageLimit, Offer, split, write_keepalive};

use crate::lab::{Lab, THEIR_V4, instance, peer, until};

#[test]
fn garbage_is_answered_with_a_header_error() {
    let Some((_lab, mut socket, ours)) = dialled(peer(THEIR_V4)) else {
        return;
    };

    socket.write_all(&[b'x'; 100]).unwrap();

    assert_eq!(notification(&mut socket), (1, 1));
    until("the reason is shown", || match ours.peer().last_error {
        Some((reason, _)) if reason.contains("not synchronized") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_message_that_is_too_long_is_answered_with_its_length() {
    let Some((_lab, mut socket, _ours)) = dialled(peer(THEIR_V4)) else {
        return;
    };

    let mut header = vec![0xff; 16];
    header.extend_from_slice(&[0xff, 0xff, 2]);
    socket.write_all(&header).unwrap();

    assert_eq!(notification(&mut socket), (1, 2));
}

#[test]
fn an_unexpected_message_is_a_state_machine_error() {
    let Some((_lab, mut socket, _ours)) = dialled(peer(THEIR_V4)) else {
        return;
    };

    let mut keepalive = Vec::new();
    write_keepalive(&mut keepalive);
    socket.write_all(&keepalive).unwrap();

    assert_eq!(notification(&mut socket).0, 5);
}

#[test]
fn half_a_message_and_silence_is_a_dead_peer() {
    let mut theirs = peer(THEIR_V4);
    theirs.timers.hold = 3.try_into().unwrap();
    theirs.timers.keepalive = Duration::from_secs(1);
    let Some((_lab, mut socket, ours)) = dialled(theirs) else {
        return;
    };
    let offer = Offer {
        families: Families::BOTH,
        ..Offer::new(65002.try_into().unwrap(), 1.try_into().unwrap(), 3)
    };
    let mut out = Vec::new();
    offer.write(&mut out);
    write_keepalive(&mut out);
    out.extend_from_slice(&[0xff; 10]);

    socket.write_all(&out).unwrap();

    ours.until_established();
    assert_eq!(notification(&mut socket), (4, 0));
}

#[test]
fn a_peer_that_hangs_up_is_dialled_again() {
    let Some(lab) = Lab::new(&[]) else {
        return;
    };
    let listener = lab.inside(&lab.theirs, || TcpListener::bind((THEIR_V4, 179)).unwrap());
    let _ours = lab.speaker(false, instance(peer(THEIR_V4)));

    for _ in 0..3 {
        let (socket, _) = listener.accept().unwrap();
        drop(socket);
    }
}

/// A plain socket that our speaker has dialled.
fn dialled(theirs: Peer) -> Option<(Lab, TcpStream, crate::lab::Ours)> {
    let lab = Lab::new(&[])?;
    let listener = lab.inside(&lab.theirs, || TcpListener::bind((THEIR_V4, 179)).unwrap());
    let ours = lab.speaker(false, instance(theirs));
    let (socket, _) = listener.accept().unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    Some((lab, socket, ours))
}

/// The code and the subcode of the NOTIFICATION that comes before the end of the connection.
fn notification(socket: &mut TcpStream) -> (u8, u8) {
    let mut stream = Vec::new();
    let mut found = None;
    loop {
        while let Some((frame, rest)) = split(&stream, MessageLimit::Standard).unwrap() {
            if let Ok(Message::Notification(it)) = Message::parse(frame) {
                found = Some(it.code.numbers());
            }
            stream = rest.to_vec();
        }
        let mut bytes = [0; 4096];
        match socket.read(&mut bytes) {
            Ok(0) => return found.expect("a NOTIFICATION comes first"),
            Ok(read) => stream.extend_from_slice(&bytes[..read]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}"),
        }
    }
}
