//! A peer that believes what it is told, and a wire to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bgp_speaker_packet::{
    Dialect, Families, Message, MessageLimit, NextHop, Notification, Offer, Peering, Update, split,
    write_keepalive,
};
use types::{Asn, Family, Prefix};

use crate::desired::{ExportId, Instance, Peer};
use crate::speaker::{Speaker, Start};
use crate::{Action, ConnectionId, Ends, Event, NextHops, PeerKey};

/// Our AS in every test.
pub(super) const LOCAL: u32 = 65001;

/// What a route was announced with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) next_hop: NextHop,
    pub(super) attributes: Vec<u8>,
}

/// The far end of one connection.
#[derive(Debug)]
pub(super) struct Remote {
    offer: Offer,
    dialect: Dialect,
    pub(super) routes: BTreeMap<Prefix, Heard>,
    pub(super) end_of_rib: BTreeSet<Family>,
    pub(super) updates: usize,
    pub(super) heard_open: Option<Offer>,
    pub(super) notification: Option<Notification<'static>>,
}

impl Remote {
    pub(super) fn new(offer: Offer) -> Self {
        let peering = if offer.asn.get() == LOCAL {
            Peering::Internal
        } else {
            Peering::External
        };
        Self {
            dialect: Dialect {
                peering,
                four_octet_as: offer.four_octet_as,
                families: offer.families,
                extended_next_hop: offer.extended_next_hop,
                limit: MessageLimit::Standard,
            },
            offer,
            routes: BTreeMap::new(),
            end_of_rib: BTreeSet::new(),
            updates: 0,
            heard_open: None,
            notification: None,
        }
    }

    /// What this peer says first.
    pub(super) fn greeting(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.offer.write(&mut bytes);
        write_keepalive(&mut bytes);
        bytes
    }

    /// Takes whole messages.
    pub(super) fn hear(&mut self, mut bytes: &[u8]) {
        while let Some((frame, rest)) = split(bytes, MessageLimit::Standard).unwrap() {
            bytes = rest;
            match Message::parse(frame).unwrap() {
                Message::Open(open) => self.heard_open = Some(open.offer()),
                Message::Update(update) => self.update(&update),
                Message::Notification(ours) => self.notification = Some(ours.into_owned()),
                Message::Keepalive | Message::RouteRefresh(_) => {}
            }
        }
        assert_eq!(bytes, b"", "half a message was sent");
    }

    fn update(&mut self, update: &Update<'_>) {
        self.updates += 1;
        let mut canonical = Vec::new();
        let reading = update.read(&self.dialect, &mut canonical).unwrap();
        assert_eq!(reading.fault, None);
        for prefix in reading.gone() {
            assert!(
                self.routes.remove(&prefix).is_some(),
                "{prefix} was not there"
            );
        }
        for announced in reading.announced.into_iter().flatten() {
            for prefix in announced.nlri {
                let heard = Heard {
                    next_hop: announced.next_hop,
                    attributes: canonical.clone(),
                };
                self.routes.insert(prefix, heard);
            }
        }
        self.end_of_rib.extend(reading.end_of_rib);
    }
}

/// An offer of everything.
pub(super) fn offer(asn: u32, id: u32) -> Offer {
    let mut offer = Offer::new(asn.try_into().unwrap(), id.try_into().unwrap(), 90);
    offer.families = Families::BOTH;
    offer.extended_next_hop = true;
    offer.route_refresh = true;
    offer
}

/// A speaker, what it has asked for, and the peers at the end of its connections.
#[derive(Debug)]
pub(super) struct World {
    pub(super) speaker: Speaker,
    pub(super) now: Duration,
    pub(super) instance: Instance,
    pub(super) dialling: BTreeMap<PeerKey, ConnectionId>,
    pub(super) remotes: BTreeMap<ConnectionId, Remote>,
    pub(super) pulls: BTreeSet<ConnectionId>,
    pub(super) log: Vec<Action>,
}

impl World {
    pub(super) fn new(peers: impl IntoIterator<Item = (&'static str, Peer)>) -> Self {
        let peers = peers.into_iter();
        let mut world = Self {
            speaker: Speaker::new(Start {
                seed: 1,
                forwarding_preserved: false,
            }),
            now: Duration::from_secs(100),
            instance: Instance {
                name: "main".into(),
                local_asn: LOCAL.try_into().unwrap(),
                router_id: 1.try_into().unwrap(),
                local_port: None,
                peers: peers.map(|(name, peer)| (name.into(), peer)).collect(),
            },
            dialling: BTreeMap::new(),
            remotes: BTreeMap::new(),
            pulls: BTreeSet::new(),
            log: Vec::new(),
        };
        world.configure();
        world
    }

    pub(super) fn configure(&mut self) {
        let instance = Box::new(self.instance.clone());
        self.event(Event::Instance(instance));
    }

    pub(super) fn event(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.speaker.on_event(self.now, event, &mut actions);
        self.perform(actions);
    }

    pub(super) fn bytes(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let mut actions = Vec::new();
        let used = self
            .speaker
            .on_bytes(self.now, connection, bytes, &mut actions);
        assert_eq!(used, bytes.len());
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in &actions {
            match action {
                Action::Connect(dial) => {
                    self.dialling.insert(dial.peer.clone(), dial.connection);
                }
                Action::Send { connection, bytes } => {
                    self.remotes.get_mut(connection).unwrap().hear(bytes);
                }
                Action::Pull { connection } => {
                    assert!(self.pulls.insert(*connection), "asked to pull twice");
                }
                Action::Close { connection } => self.forget(*connection),
                Action::Accept { .. }
                | Action::Listen { .. }
                | Action::StopListening { .. }
                | Action::Key { .. }
                | Action::Notice { .. } => {}
            }
        }
        self.log.extend(actions);
    }

    fn forget(&mut self, connection: ConnectionId) {
        self.remotes.remove(&connection);
        self.pulls.remove(&connection);
        self.dialling.retain(|_, dialled| *dialled != connection);
    }

    /// Lets time pass until something is dialled for the peer, and establishes the session.
    pub(super) fn establish(&mut self, peer: &str, offer: Offer, ends: Ends) -> ConnectionId {
        let key = key(peer);
        while !self.dialling.contains_key(&key) {
            self.now = self.speaker.next_deadline().unwrap().max(self.now);
            self.event(Event::DeadlineReached);
        }
        let connection = self.dialling.remove(&key).unwrap();
        let remote = Remote::new(offer);
        let greeting = remote.greeting();
        self.remotes.insert(connection, remote);
        self.event(Event::Connected { connection, ends });
        self.bytes(connection, &greeting);
        connection
    }

    /// The connection breaks.
    pub(super) fn lose(&mut self, connection: ConnectionId) {
        self.forget(connection);
        let reason = "connection reset by peer".into();
        self.event(Event::Disconnected { connection, reason });
    }

    /// Writes once what the connection takes.
    pub(super) fn pull(&mut self, connection: ConnectionId, limit: usize) {
        if !self.pulls.contains(&connection) {
            return;
        }
        let mut buffer = Vec::new();
        if !self.speaker.fill(connection, &mut buffer, limit) {
            self.pulls.remove(&connection);
        }
        self.remotes.get_mut(&connection).unwrap().hear(&buffer);
    }

    /// Writes everything.
    pub(super) fn drain(&mut self) {
        while let Some(connection) = self.pulls.first().copied() {
            self.pull(connection, 4096);
        }
    }
}

pub(super) fn key(peer: &str) -> PeerKey {
    PeerKey {
        instance: "main".into(),
        peer: peer.into(),
    }
}

/// An IPv4 peer with both families, each with the export.
pub(super) fn peer(address: &str, asn: u32, export: u32) -> Peer {
    let mut peer = Peer::new(address.parse().unwrap());
    peer.asn = Some(asn.try_into().unwrap());
    peer.families = Family::BOTH
        .into_iter()
        .map(|family| (family, Some(ExportId(export))))
        .collect();
    peer
}

/// An IPv4 connection on an interface with an IPv6 address too.
pub(super) fn ends() -> Ends {
    Ends {
        local: SocketAddr::new("10.0.0.1".parse().unwrap(), 40000),
        remote: SocketAddr::new("10.0.0.2".parse().unwrap(), 179),
        scope: None,
        next_hops: NextHops {
            v4: None,
            v6: Some("2001:db8::1".parse().unwrap()),
            link_local: None,
        },
    }
}

pub(super) fn asn(number: u32) -> Asn {
    number.try_into().unwrap()
}
