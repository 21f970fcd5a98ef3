//! Random histories of routes and sessions: what a peer has been told is what is exported.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp_speaker_packet::{NextHop, PathAttributes, RouteRefresh, write_keepalive};
use proptest::prelude::*;
use types::{Family, Prefix};

use super::remote::{LOCAL, World, asn, ends, key, offer, peer};
use crate::desired::{self, ExportChange, ExportId};
use crate::io::ConnectionId;
use crate::{Ends, Event, NextHops};

/// Two peers that are told the same, one in our AS, one with another export.
const PEERS: [(&str, u32, u32); 4] = [
    ("a", 65000, 1),
    ("b", 65000, 1),
    ("c", LOCAL, 1),
    ("d", 65000, 2),
];

#[derive(Clone, Copy, Debug)]
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
    let prefix = prop_oneof![0u16..12, Just(4100), Just(4199)];
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
        let far = (0..4200u32).map(|at| ExportChange::Announce {
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
            Step::Retarget { peer, export } => self.retarget(peer, export),
            Step::NextHops { peer, there } => self.set_next_hops(peer, there),
            Step::Work { budget } => {
                self.world.speaker.work(budget);
            }
            Step::Ready => self.world.event(Event::Ready),
        }
    }

    fn retarget(&mut self, peer: usize, export: u32) {
        let (name, ..) = PEERS[peer];
        let desired = self.world.instance.peers.get_mut(&name.into()).unwrap();
        for wanted in desired.families.values_mut() {
            *wanted = Some(ExportId(export));
        }
        self.world.configure();
    }

    fn set_next_hops(&mut self, peer: usize, there: bool) {
        self.has_ipv6[peer] = there;
        if let Some(connection) = self.sessions[peer] {
            let next_hops = self.next_hops(peer);
            self.world.event(Event::NextHops {
                connection,
                next_hops,
            });
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
    #![proptest_config(ProptestConfig::with_cases(48))]

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

        for (peer, (name, ..)) in PEERS.into_iter().enumerate() {
            let Some(connection) = run.sessions[peer] else {
                continue;
            };
            let remote = &run.world.remotes[&connection];
            let told: BTreeMap<_, _> = remote
                .routes
                .iter()
                .map(|(prefix, heard)| (*prefix, (heard.next_hop, heard.attributes.clone())))
                .collect();
            prop_assert_eq!(told, run.expected(peer), "{}", name);
            prop_assert!(remote.end_of_rib.contains(&Family::V4));
            prop_assert!(!run.world.speaker.fill(connection, &mut Vec::new(), 1));
            let name = key(name);
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

/// Every third is IPv6.
pub(super) fn prefix(at: u16) -> Prefix {
    let addr = if at.is_multiple_of(3) {
        IpAddr::from(Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(at)))
    } else {
        IpAddr::from(Ipv4Addr::from(0xc600_0000 | u32::from(at)))
    };
    Prefix::host(addr)
}

pub(super) fn attributes(kind: u32) -> desired::Attributes {
    desired::Attributes {
        local_pref: (kind == 1).then_some(300),
        communities: (0..kind).collect(),
        ..desired::Attributes::default()
    }
}
