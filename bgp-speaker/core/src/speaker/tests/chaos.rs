//! Random events of every sort: one session a peer, sane timers, no panic.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bgp_speaker_packet::write_keepalive;
use proptest::prelude::*;

use super::properties::{attributes, prefix};
use super::remote::{LOCAL, asn, ends, offer, peer};
use crate::desired::{ExportChange, ExportId, Instance};
use crate::speaker::{Speaker, Start};
use crate::{Action, ConnectionId, Ends, Event, Notice, PeerKey, SessionState};

/// Anything at all, from a shell that keeps no rules but one: a connection's name is never used
/// again.
#[derive(Clone, Debug)]
enum Chaos {
    Later(u32),
    Deadline,
    Connected(u8),
    Incoming(u8, bool),
    Lost(u8),
    Bytes(u8, Talk),
    Configure {
        hold: bool,
        passive: bool,
        both: bool,
        graceful: bool,
    },
    Gone,
    Exports(u8),
    Ready,
    Listening(bool),
    Fill(u8),
}

#[derive(Clone, Debug)]
enum Talk {
    Open {
        asn: u32,
        id: u32,
        hold: u16,
        graceful: bool,
    },
    Keepalive,
    Noise(Vec<u8>),
    Message(u8, Vec<u8>),
}

fn chaos() -> impl Strategy<Value = Chaos> {
    let talk = prop_oneof![
        4 => (65000u32..65002, 1u32..4, prop_oneof![Just(90u16), Just(3), Just(0)], any::<bool>())
            .prop_map(|(asn, id, hold, graceful)| Talk::Open { asn, id, hold, graceful }),
        4 => Just(Talk::Keepalive),
        1 => any::<Vec<u8>>().prop_map(Talk::Noise),
        2 => (0u8..7, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(kind, body)| Talk::Message(kind, body)),
    ];
    prop_oneof![
        3 => (0u32..200_000).prop_map(Chaos::Later),
        4 => Just(Chaos::Deadline),
        4 => any::<u8>().prop_map(Chaos::Connected),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(at, two)| Chaos::Incoming(at, two)),
        2 => any::<u8>().prop_map(Chaos::Lost),
        12 => (any::<u8>(), talk).prop_map(|(at, talk)| Chaos::Bytes(at, talk)),
        1 => any::<[bool; 4]>().prop_map(|[hold, passive, both, graceful]| {
            Chaos::Configure { hold, passive, both, graceful }
        }),
        1 => Just(Chaos::Gone),
        1 => any::<u8>().prop_map(Chaos::Exports),
        1 => Just(Chaos::Ready),
        1 => any::<bool>().prop_map(Chaos::Listening),
        2 => any::<u8>().prop_map(Chaos::Fill),
    ]
}

/// What the shell knows: which connections are open, dialling or refused.
#[derive(Default)]
struct Shell {
    now: Duration,
    accepted: u64,
    open: Vec<ConnectionId>,
    dialling: Vec<ConnectionId>,
    up: BTreeSet<PeerKey>,
}

impl Shell {
    fn check(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Connect(dial) => self.dialling.push(dial.connection),
                Action::Accept { connection, .. } => assert!(self.open.contains(connection)),
                Action::Send { connection, .. } | Action::Pull { connection } => {
                    assert!(self.open.contains(connection), "{connection} is not open");
                }
                Action::Close { connection } => {
                    let known = self.open.len() + self.dialling.len();
                    self.open.retain(|it| it != connection);
                    self.dialling.retain(|it| it != connection);
                    assert_eq!(self.open.len() + self.dialling.len() + 1, known);
                }
                Action::Notice { peer, notice } => match notice {
                    Notice::Up => assert!(self.up.insert(peer.clone()), "up twice"),
                    Notice::Down { established, .. } => {
                        assert!(!established || self.up.remove(peer), "down twice");
                    }
                    Notice::NoNextHop(_) => {}
                },
                Action::Listen { .. } | Action::StopListening { .. } | Action::Key { .. } => {}
            }
        }
    }

    fn pick(list: &[ConnectionId], at: u8) -> Option<ConnectionId> {
        list.get(usize::from(at) % list.len().max(1)).copied()
    }

    fn step(&mut self, speaker: &mut Speaker, chaos: &Chaos, actions: &mut Vec<Action>) {
        if let Chaos::Bytes(at, talk) = chaos
            && let Some(connection) = Self::pick(&self.open, *at)
        {
            speaker.on_bytes(self.now, connection, &said(talk), actions);
        } else if let Chaos::Fill(at) = chaos
            && let Some(connection) = Self::pick(&self.open, *at)
        {
            speaker.fill(connection, &mut Vec::new(), 4096);
        } else if let Some(event) = self.event(chaos) {
            speaker.on_event(self.now, event, actions);
        }
    }

    fn event(&mut self, chaos: &Chaos) -> Option<Event> {
        Some(match *chaos {
            Chaos::Later(pause) => {
                self.now += Duration::from_millis(pause.into());
                Event::DeadlineReached
            }
            Chaos::Deadline => Event::DeadlineReached,
            Chaos::Connected(at) => {
                let connection = Self::pick(&self.dialling, at)?;
                self.dialling.retain(|it| *it != connection);
                self.open.push(connection);
                Event::Connected {
                    connection,
                    ends: from(2),
                }
            }
            Chaos::Incoming(at, known) => {
                self.accepted += 1;
                let connection = ConnectionId::Accepted(self.accepted);
                self.open.push(connection);
                let ends = from(if known { 2 + at % 2 } else { 77 });
                Event::Incoming {
                    instance: "main".into(),
                    connection,
                    ends,
                }
            }
            Chaos::Lost(at) => {
                let all = [self.open.clone(), self.dialling.clone()].concat();
                let connection = Self::pick(&all, at)?;
                self.open.retain(|it| *it != connection);
                self.dialling.retain(|it| *it != connection);
                Event::Disconnected {
                    connection,
                    reason: "lost".into(),
                }
            }
            Chaos::Configure {
                hold,
                passive,
                both,
                graceful,
            } => Event::Instance(Box::new(configuration(hold, passive, both, graceful))),
            Chaos::Gone => Event::InstanceGone("main".into()),
            Chaos::Exports(at) => Event::Exports(vec![ExportChange::Announce {
                export: ExportId(1),
                prefix: prefix(at.into()),
                attributes: attributes(u32::from(at) % 3),
            }]),
            Chaos::Ready => Event::Ready,
            Chaos::Listening(works) => Event::Listening {
                instance: "main".into(),
                outcome: if works { Ok(()) } else { Err("in use".into()) },
            },
            Chaos::Bytes(..) | Chaos::Fill(_) => return None,
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn whatever_happens_a_peer_has_one_session_and_timers_are_sane(
        seed: u64,
        steps in prop::collection::vec(chaos(), 0..200),
    ) {
        let mut speaker = Speaker::new(Start { seed, forwarding_preserved: seed % 2 == 0 });
        let mut shell = Shell::default();
        let mut actions = Vec::new();
        let first = configuration(false, false, true, true);
        speaker.on_event(shell.now, Event::Instance(Box::new(first)), &mut actions);
        shell.check(&actions);

        for step in steps {
            actions.clear();
            shell.step(&mut speaker, &step, &mut actions);
            shell.check(&actions);
            for peer in speaker.peers() {
                prop_assert_eq!(
                    peer.session.is_some(),
                    peer.state == SessionState::Established
                );
            }
            // No deadline is more than twice the longest timer away, nor is one due for ever.
            let far = shell.now + Duration::from_secs(241);
            prop_assert!(speaker.next_deadline().is_none_or(|at| at <= far));
            for _ in 0..20 {
                if speaker.next_deadline().is_some_and(|at| at <= shell.now) {
                    actions.clear();
                    speaker.on_event(shell.now, Event::DeadlineReached, &mut actions);
                    shell.check(&actions);
                }
            }
            prop_assert!(speaker.next_deadline().is_none_or(|at| at > shell.now));
        }
    }
}

fn said(talk: &Talk) -> Vec<u8> {
    let mut out = Vec::new();
    match talk {
        Talk::Open {
            asn,
            id,
            hold,
            graceful,
        } => {
            let mut offer = offer(*asn, *id);
            offer.hold_time_secs = *hold;
            offer.graceful_restart = graceful.then(Default::default);
            offer.write(&mut out);
        }
        Talk::Keepalive => write_keepalive(&mut out),
        Talk::Noise(noise) => out.extend_from_slice(noise),
        Talk::Message(kind, body) => {
            out.extend_from_slice(&[0xff; 16]);
            let len = u16::try_from(19 + body.len()).unwrap();
            out.extend_from_slice(&len.to_be_bytes());
            out.push(*kind);
            out.extend_from_slice(body);
        }
    }
    out
}

fn configuration(hold: bool, passive: bool, both: bool, graceful: bool) -> Instance {
    let mut peers: BTreeMap<_, _> = ["a", "b"]
        .into_iter()
        .zip(2..)
        .map(|(name, host)| {
            let mut peer = peer(&format!("10.0.0.{host}"), 65000, 1);
            peer.passive = passive;
            peer.graceful_restart = graceful.then_some(Duration::from_secs(120));
            if hold {
                peer.timers.hold = 9.try_into().unwrap();
            }
            (name.into(), peer)
        })
        .collect();
    if !both {
        peers.pop_last();
    }
    Instance {
        name: "main".into(),
        local_asn: asn(LOCAL),
        router_id: 1.try_into().unwrap(),
        local_port: Some(179),
        peers,
    }
}

fn from(host: u8) -> Ends {
    Ends {
        remote: SocketAddr::new(Ipv4Addr::new(10, 0, 0, host).into(), 40000),
        ..ends()
    }
}
