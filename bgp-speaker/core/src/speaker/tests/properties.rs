//! Random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bgp_speaker_packet::{NextHop, PathAttributes, RouteRefresh, write_keepalive};
use proptest::prelude::*;
use types::{Family, Prefix};

use super::remote::{LOCAL, World, asn, ends, key, offer, peer};
use crate::desired::{self, ExportChange, ExportId, Instance};
use crate::io::ConnectionId;
use crate::speaker::{Speaker, Start};
use crate::{Action, Ends, Event, NextHops, Notice, PeerKey, SessionState};

/// Two peers that are told the same, one in our AS, one with another export.
const PEERS: [(&str, u32, u32); 4] = [
    ("a", 65000, 1),
    ("b", 65000, 1),
    ("c", LOCAL, 1),
    ("d", 65000, 2),
];

#[derive(Clone, Debug)]
enum Step {
    Announce { export: u32, prefix: u16, kind: u32 },
    Withdraw { export: u32, prefix: u16 },
    Clear { export: u32 },
    Establish { peer: usize },
    Lose { peer: usize },
    Pull { peer: usize, limit: usize },
    Refresh { peer: usize, family: Family },
    Retarget { peer: usize, export: u32 },
    NextHops { peer: usize, there: bool },
    Work { budget: usize },
    Ready,
}

fn step() -> impl Strategy<Value = Step> {
    // Few prefixes, so that the same ones come and go; far enough apart for several blocks.
    let prefix = prop_oneof![0u16..12, Just(5000), Just(9000)];
    let peer = 0..PEERS.len();
    let export = 1u32..3;
    prop_oneof![
        8 => (export.clone(), prefix.clone(), 0u32..3)
            .prop_map(|(export, prefix, kind)| Step::Announce { export, prefix, kind }),
        4 => (export.clone(), prefix).prop_map(|(export, prefix)| Step::Withdraw { export, prefix }),
        1 => export.clone().prop_map(|export| Step::Clear { export }),
        3 => peer.clone().prop_map(|peer| Step::Establish { peer }),
        1 => peer.clone().prop_map(|peer| Step::Lose { peer }),
        8 => (peer.clone(), 1usize..300).prop_map(|(peer, limit)| Step::Pull { peer, limit }),
        1 => (peer.clone(), any::<bool>()).prop_map(|(peer, v4)| Step::Refresh {
            peer,
            family: if v4 { Family::V4 } else { Family::V6 },
        }),
        2 => (peer.clone(), export).prop_map(|(peer, export)| Step::Retarget { peer, export }),
        1 => (peer, any::<bool>()).prop_map(|(peer, there)| Step::NextHops { peer, there }),
        1 => (0usize..3).prop_map(|budget| Step::Work { budget }),
        1 => Just(Step::Ready),
    ]
}

type Model = BTreeMap<u32, BTreeMap<Prefix, desired::Attributes>>;

/// The world, and what should be in it.
struct Run {
    world: World,
    model: Model,
    sessions: [Option<ConnectionId>; PEERS.len()],
    has_ipv6: [bool; PEERS.len()],
}

impl Run {
    fn new() -> Self {
        let peers = PEERS.into_iter().enumerate();
        let mut world = World::new(peers.map(|(at, (name, asn, export))| {
            let address = format!("10.0.0.{}", at + 2);
            (name, peer(&address, asn, export))
        }));
        // Names of prefixes past the first block.
        let far = (0..9100u32).map(|at| ExportChange::Announce {
            export: ExportId(3),
            prefix: prefix(u16::try_from(at).unwrap()),
            attributes: attributes(0),
        });
        world.event(Event::Exports(far.collect()));
        Self {
            world,
            model: Model::new(),
            sessions: [None; PEERS.len()],
            has_ipv6: [true; PEERS.len()],
        }
    }

    fn change(&mut self, change: ExportChange) {
        self.world.event(Event::Exports(vec![change]));
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Announce {
                export,
                prefix: at,
                kind,
            } => {
                let (prefix, attributes) = (prefix(at), attributes(kind));
                let routes = self.model.entry(export).or_default();
                routes.insert(prefix, attributes.clone());
                let export = ExportId(export);
                self.change(ExportChange::Announce {
                    export,
                    prefix,
                    attributes,
                });
            }
            Step::Withdraw { export, prefix: at } => {
                let prefix = prefix(at);
                self.model.entry(export).or_default().remove(&prefix);
                let export = ExportId(export);
                self.change(ExportChange::Withdraw { export, prefix });
            }
            Step::Clear { export } => {
                self.model.remove(&export);
                self.change(ExportChange::Clear(ExportId(export)));
            }
            Step::Establish { peer } => self.establish(peer),
            Step::Lose { peer } => {
                if let Some(connection) = self.sessions[peer].take() {
                    self.world.lose(connection);
                }
            }
            Step::Pull { peer, limit } => {
                if let Some(connection) = self.sessions[peer] {
                    self.world.pull(connection, limit);
                }
            }
            Step::Refresh { peer, family } => {
                if let Some(connection) = self.sessions[peer] {
                    let mut bytes = Vec::new();
                    RouteRefresh::request(family).write(&mut bytes);
                    self.world.bytes(connection, &bytes);
                }
            }
            Step::Retarget { peer, export } => {
                let (name, ..) = PEERS[peer];
                let desired = self.world.instance.peers.get_mut(&name.into()).unwrap();
                for wanted in desired.families.values_mut() {
                    *wanted = Some(ExportId(export));
                }
                self.world.configure();
            }
            Step::NextHops { peer, there } => {
                self.has_ipv6[peer] = there;
                if let Some(connection) = self.sessions[peer] {
                    let next_hops = self.next_hops(peer);
                    self.world.event(Event::NextHops {
                        connection,
                        next_hops,
                    });
                }
            }
            Step::Work { budget } => {
                self.world.speaker.work(budget);
            }
            Step::Ready => self.world.event(Event::Ready),
        }
    }

    fn establish(&mut self, peer: usize) {
        if self.sessions[peer].is_some() {
            return;
        }
        let (name, asn, _) = PEERS[peer];
        let ends = Ends {
            next_hops: self.next_hops(peer),
            ..ends()
        };
        // Time passes until the peer is dialled, so that other sessions may die of silence.
        for connection in self.sessions.iter().flatten() {
            let mut keepalive = Vec::new();
            write_keepalive(&mut keepalive);
            self.world.bytes(*connection, &keepalive);
        }
        let id = u32::try_from(peer).unwrap() + 2;
        let connection = self.world.establish(name, offer(asn, id), ends);
        self.sessions[peer] = Some(connection);
        for session in &mut self.sessions {
            *session = session.filter(|it| self.world.remotes.contains_key(it));
        }
    }

    fn next_hops(&self, peer: usize) -> NextHops {
        let all = ends().next_hops;
        NextHops {
            v6: all.v6.filter(|_| self.has_ipv6[peer]),
            ..all
        }
    }

    /// What a peer should have been told in the end.
    fn expected(&self, peer: usize) -> BTreeMap<Prefix, (NextHop, Vec<u8>)> {
        let (name, number, _) = PEERS[peer];
        let desired = &self.world.instance.peers[&name.into()];
        let ExportId(export) = desired.families[&Family::V4].unwrap();
        let routes = self.model.get(&export).into_iter().flatten();
        let ipv6 = self.next_hops(peer).v6;
        let reachable = routes.filter_map(|(prefix, attributes)| {
            let next_hop = match prefix.family() {
                Family::V4 => NextHop::from(ends().local.ip()),
                Family::V6 => NextHop::from(IpAddr::from(ipv6?)),
            };
            let mut bytes = Vec::new();
            PathAttributes {
                as_path: if number == LOCAL {
                    vec![]
                } else {
                    vec![asn(LOCAL)]
                },
                local_pref: (number == LOCAL).then(|| attributes.local_pref.unwrap_or(100)),
                communities: attributes.communities.iter().copied().collect(),
                ..PathAttributes::default()
            }
            .write(&mut bytes);
            Some((*prefix, (next_hop, bytes)))
        });
        reachable.collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_peers_view_ends_up_as_what_is_exported(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut run = Run::new();

        for step in steps {
            run.apply(step);
        }
        run.world.event(Event::Ready);
        run.world.drain();

        for peer in 0..PEERS.len() {
            let Some(connection) = run.sessions[peer] else {
                continue;
            };
            let remote = &run.world.remotes[&connection];
            let told: BTreeMap<_, _> = remote
                .routes
                .iter()
                .map(|(prefix, heard)| (*prefix, (heard.next_hop, heard.attributes.clone())))
                .collect();
            prop_assert_eq!(told, run.expected(peer), "{}", PEERS[peer].0);
            prop_assert!(remote.end_of_rib.contains(&Family::V4));
            prop_assert!(!run.world.speaker.fill(connection, &mut Vec::new(), 1));
            let name = key(PEERS[peer].0);
            let shown = |family| run.world.speaker.advertised(&name, family).count();
            prop_assert_eq!(shown(Family::V4) + shown(Family::V6), remote.routes.len());
        }
        // Nothing is left of what is not exported any more.
        for export in 1..4 {
            run.change(ExportChange::Clear(ExportId(export)));
        }
        for session in run.sessions.into_iter().flatten() {
            run.world.lose(session);
        }
        while run.world.speaker.work(1000) {}
        prop_assert_eq!(run.world.speaker.sizes(), crate::Sizes::default());
    }
}

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

    fn event(&mut self, chaos: Chaos) -> Option<Event> {
        Some(match chaos {
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
    #![proptest_config(ProptestConfig::with_cases(512))]

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
            match step {
                Chaos::Bytes(at, talk) => {
                    if let Some(connection) = Shell::pick(&shell.open, at) {
                        speaker.on_bytes(shell.now, connection, &said(&talk), &mut actions);
                    }
                }
                Chaos::Fill(at) => {
                    if let Some(connection) = Shell::pick(&shell.open, at) {
                        speaker.fill(connection, &mut Vec::new(), 4096);
                    }
                }
                other => {
                    if let Some(event) = shell.event(other) {
                        speaker.on_event(shell.now, event, &mut actions);
                    }
                }
            }
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

/// Every third is IPv6.
fn prefix(at: u16) -> Prefix {
    let addr = if at % 3 == 0 {
        IpAddr::from(Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(at)))
    } else {
        IpAddr::from(Ipv4Addr::from(0xc600_0000 | u32::from(at)))
    };
    Prefix::host(addr)
}

fn attributes(kind: u32) -> desired::Attributes {
    desired::Attributes {
        local_pref: (kind == 1).then_some(300),
        communities: (0..kind).collect(),
        ..desired::Attributes::default()
    }
}
