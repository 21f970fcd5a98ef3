//! Two speakers that dial each other over a network that delivers in any order: whatever it does,
//! they end up with one session, over the same connection.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::remote::{asn, peer};
use crate::desired::Instance;
use crate::speaker::{Speaker, Start};
use crate::{Action, ConnectionId, Ends, Event, NextHops, SessionState};

/// Pauses after collisions and errors grow with each, so a long history has long ones.
const AGREED: Duration = Duration::from_secs(300);

/// One connection: what each side calls it, and what is on the way to it.
#[derive(Debug)]
struct Link {
    dialler: usize,
    names: [Option<ConnectionId>; 2],
    /// Whether each side has heard that the connection is there.
    told: [bool; 2],
    /// A side has closed it, so that the other is to hear of its end.
    closed: bool,
    on_the_way: [Vec<u8>; 2],
}

struct Net {
    now: Duration,
    speakers: [Speaker; 2],
    links: Vec<Link>,
    accepted: u64,
}

/// The next thing that may happen on a link.
#[derive(Clone, Copy, Debug)]
enum Delivery {
    /// The side hears that the connection is there.
    Opening(usize, usize),
    /// The side gets all bytes that are on the way to it.
    Bytes(usize, usize),
    /// The side hears that the connection has ended.
    End(usize, usize),
}

impl Net {
    fn new(seed: u64, ids: [u32; 2], asns: [u32; 2], graceful: bool) -> Self {
        let speakers = [0, 1].map(|side| {
            Speaker::new(Start {
                seed: seed.wrapping_add(side),
                forwarding_preserved: false,
            })
        });
        let mut net = Self {
            now: Duration::ZERO,
            speakers,
            links: Vec::new(),
            accepted: 0,
        };
        for side in [0, 1] {
            let mut other = peer(&address(1 - side).ip().to_string(), asns[1 - side], 1);
            other.graceful_restart = graceful.then_some(Duration::from_secs(60));
            let instance = Instance {
                name: "main".into(),
                local_asn: asn(asns[side]),
                router_id: ids[side].try_into().unwrap(),
                local_port: Some(179),
                peers: [("other".into(), other)].into(),
            };
            net.event(side, Event::Instance(Box::new(instance)));
        }
        net
    }

    fn event(&mut self, side: usize, event: Event) {
        let mut out = Vec::new();
        self.speakers[side].on_event(self.now, event, &mut out);
        self.perform(side, out);
    }

    fn perform(&mut self, side: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Connect(dial) => {
                    let mut link = Link {
                        dialler: side,
                        names: [None; 2],
                        told: [false; 2],
                        closed: false,
                        on_the_way: Default::default(),
                    };
                    link.names[side] = Some(dial.connection);
                    self.links.push(link);
                }
                Action::Send { connection, bytes } => {
                    let link = self.link(side, connection).unwrap();
                    link.on_the_way[1 - side].extend(bytes);
                }
                Action::Close { connection } => {
                    let link = self.link(side, connection).unwrap();
                    link.names[side] = None;
                    link.closed = true;
                }
                Action::Pull { .. }
                | Action::Accept { .. }
                | Action::Listen { .. }
                | Action::StopListening { .. }
                | Action::Key { .. }
                | Action::Notice { .. } => {}
            }
        }
    }

    fn link(&mut self, side: usize, connection: ConnectionId) -> Option<&mut Link> {
        let mut links = self.links.iter_mut();
        links.find(|link| link.names[side] == Some(connection))
    }

    fn deliveries(&self) -> Vec<Delivery> {
        let mut all = Vec::new();
        for (at, link) in self.links.iter().enumerate() {
            for side in [0, 1] {
                // Each kernel needs only the other's word to open a connection.
                let knows = side == link.dialler || link.told[side];
                if !knows && !link.closed || knows && !link.told[side] && link.names[side].is_some()
                {
                    all.push(Delivery::Opening(at, side));
                } else if link.names[side].is_none() {
                    continue;
                } else if !link.on_the_way[side].is_empty() {
                    all.push(Delivery::Bytes(at, side));
                } else if link.closed {
                    all.push(Delivery::End(at, side));
                }
            }
        }
        all
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Opening(at, side) => {
                let link = &mut self.links[at];
                link.told[side] = true;
                let ends = Ends {
                    local: address(side),
                    remote: address(1 - side),
                    scope: None,
                    next_hops: NextHops::default(),
                };
                let event = if side == link.dialler {
                    let connection = link.names[side].unwrap();
                    Event::Connected { connection, ends }
                } else {
                    self.accepted += 1;
                    let connection = ConnectionId::Accepted(self.accepted);
                    link.names[side] = Some(connection);
                    Event::Incoming {
                        instance: "main".into(),
                        connection,
                        ends,
                    }
                };
                self.event(side, event);
            }
            Delivery::Bytes(at, side) => {
                let link = &mut self.links[at];
                let bytes = std::mem::take(&mut link.on_the_way[side]);
                let connection = link.names[side].unwrap();
                let mut out = Vec::new();
                self.speakers[side].on_bytes(self.now, connection, &bytes, &mut out);
                self.perform(side, out);
            }
            Delivery::End(at, side) => {
                let connection = self.links[at].names[side].take().unwrap();
                let reason = "closed".into();
                self.event(side, Event::Disconnected { connection, reason });
            }
        }
    }

    /// Time passes until somebody has something to do.
    fn sleep(&mut self) {
        let deadlines = self.speakers.iter().filter_map(Speaker::next_deadline);
        self.now = deadlines.min().unwrap().max(self.now);
        for side in [0, 1] {
            self.event(side, Event::DeadlineReached);
        }
    }

    fn is_settled(&self) -> bool {
        let established = |speaker: &Speaker| {
            speaker
                .peers()
                .all(|peer| peer.state == SessionState::Established)
        };
        self.speakers.iter().all(established) && self.deliveries().is_empty()
    }
}

fn address(side: usize) -> SocketAddr {
    let host = if side == 0 { "10.0.0.1" } else { "10.0.0.2" };
    SocketAddr::new(host.parse().unwrap(), 179)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn two_speakers_that_dial_each_other_agree_on_one_connection(
        seed: u64,
        ids in prop_oneof![Just([1, 2]), Just([2, 1]), Just([7, 7])],
        asns in prop_oneof![Just([65001, 65002]), Just([65002, 65001])],
        graceful: bool,
        choices in prop::collection::vec(prop::option::weighted(0.9, any::<prop::sample::Index>()), 0..80),
    ) {
        let mut net = Net::new(seed, ids, asns, graceful);

        for choice in choices {
            let possible = net.deliveries();
            match choice {
                Some(index) if !possible.is_empty() => net.deliver(*index.get(&possible)),
                Some(_) | None => net.sleep(),
            }
        }
        // From now on the network is prompt.
        let since = net.now;
        while !net.is_settled() {
            match net.deliveries().first() {
                Some(delivery) => net.deliver(*delivery),
                None => net.sleep(),
            }
            prop_assert!(net.now < since + AGREED, "they never agree");
        }

        let open = net.links.iter().filter(|link| !link.closed);
        let both: Vec<_> = open.filter(|link| link.names.iter().all(Option::is_some)).collect();
        prop_assert_eq!(both.len(), 1);
        prop_assert_eq!(net.links.iter().flat_map(|link| link.names).flatten().count(), 2);
    }
}
