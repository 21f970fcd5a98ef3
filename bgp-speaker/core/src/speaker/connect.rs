//! Leads events to the machine they are for, and what it wants done to the shell.

use std::sync::Arc;
use std::time::Duration;

use bgp_speaker_packet::{Offer, write_keepalive};

use super::collision::{Loser, Rank, resolve};
use super::peer::Role;
use super::{Connection, Speaker};
use crate::desired::{InstanceName, Peer};
use crate::fsm::{Cause, Context, Fsm, Input, Output, Timing};
use crate::io::{Action, ConnectionId, Dial, Ends, Notice, PeerKey};
use crate::negotiate::{negotiate, offer};

/// The TTL of packets to a peer in our own AS, which may be many hops away.
const INTERNAL_TTL: u8 = 64;

impl Speaker {
    /// What was dialled is connected.
    pub(super) fn connected(
        &mut self,
        now: Duration,
        connection: ConnectionId,
        ends: Ends,
        out: &mut Vec<Action>,
    ) {
        if let Some(known) = self.connections.get_mut(&connection) {
            known.ends = Some(ends);
            self.input_from(now, connection, Input::Connected, out);
        }
    }

    /// A peer has connected: its main machine takes it, or a second one, or nobody.
    pub(super) fn incoming(
        &mut self,
        now: Duration,
        instance: &InstanceName,
        connection: ConnectionId,
        ends: Ends,
        out: &mut Vec<Action>,
    ) {
        let key = (!self.stopping)
            .then(|| self.expected(instance, &ends))
            .flatten();
        let Some(key) = key else {
            return out.push(Action::Close { connection });
        };
        let Some(peer) = self.peers.get(&key) else {
            return;
        };
        let role = if peer.main_is_free() {
            Role::Main
        } else if peer.rival.is_none() && may_have_rival(&peer.main) {
            Role::Rival
        } else {
            return out.push(Action::Close { connection });
        };
        let known = Connection {
            peer: key.clone(),
            role,
            ends: Some(ends),
        };
        self.connections.insert(connection, known);
        match role {
            Role::Main => self.input(now, &key, role, Input::Accepted(connection), out),
            Role::Rival => self.add_rival(now, &key, connection, out),
        }
    }

    fn add_rival(
        &mut self,
        now: Duration,
        key: &PeerKey,
        connection: ConnectionId,
        out: &mut Vec<Action>,
    ) {
        let context = self.context(now, key);
        let (Some(context), Some(peer)) = (context, self.peers.get_mut(key)) else {
            return;
        };
        let mut outputs = Vec::new();
        peer.rival = Some(Fsm::accepting(connection, context, &mut outputs));
        for output in outputs {
            self.perform(now, key, output, out);
        }
        self.settle(now, key, out);
    }

    /// The peer that connects from there.
    fn expected(&self, instance: &InstanceName, ends: &Ends) -> Option<PeerKey> {
        let remote = ends.remote.ip().to_canonical();
        let local = ends.local.ip().to_canonical();
        let peers = &self.instances.get(instance)?.desired.peers;
        let (name, _) = peers.iter().find(|(_, peer)| {
            peer.address == remote
                && (peer.scope.is_none() || peer.scope == ends.scope)
                && peer.local_address.is_none_or(|address| address == local)
        })?;
        Some(PeerKey {
            instance: instance.clone(),
            peer: name.clone(),
        })
    }

    /// Gives an input to the machine that has the connection.
    pub(super) fn input_from(
        &mut self,
        now: Duration,
        connection: ConnectionId,
        input: Input,
        out: &mut Vec<Action>,
    ) {
        let Some(known) = self.connections.get(&connection) else {
            return;
        };
        let (key, role) = (known.peer.clone(), known.role);
        if matches!(input, Input::Disconnected(_)) {
            self.connections.remove(&connection);
        }
        self.input(now, &key, role, input, out);
    }

    /// Gives an input to both machines of a peer.
    pub(super) fn input_both(
        &mut self,
        now: Duration,
        key: &PeerKey,
        input: &Input,
        out: &mut Vec<Action>,
    ) {
        // The second one first: it would take the place of the first, and get the input twice.
        for role in [Role::Rival, Role::Main] {
            self.input(now, key, role, input.clone(), out);
        }
    }

    /// Gives an input to one of a peer's machines, if it is there.
    pub(super) fn input(
        &mut self,
        now: Duration,
        key: &PeerKey,
        role: Role,
        input: Input,
        out: &mut Vec<Action>,
    ) {
        let Some(context) = self.context(now, key) else {
            return;
        };
        let machine = self.peers.get_mut(key).and_then(|it| it.machine(role));
        let Some(machine) = machine else {
            return;
        };
        let mut outputs = Vec::new();
        machine.on_input(context, input, &mut outputs);
        for output in outputs {
            self.perform(now, key, output, out);
        }
        self.settle(now, key, out);
    }

    fn context(&mut self, now: Duration, key: &PeerKey) -> Option<Context> {
        let random = self.random.next_u32();
        let peer = self.peers.get(key)?;
        Some(Context {
            now,
            timing: Timing::of(&peer.desired, random),
            next_connection: ConnectionId::Dialled(self.dialled),
        })
    }

    fn perform(&mut self, now: Duration, key: &PeerKey, output: Output, out: &mut Vec<Action>) {
        let send = |connection, write: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = Vec::new();
            write(&mut bytes);
            Action::Send { connection, bytes }
        };
        match output {
            Output::Dial(connection) => self.dial(key, connection, out),
            Output::Accept(connection) => self.accept(key, connection, out),
            Output::Close(connection) => {
                self.connections.remove(&connection);
                out.push(Action::Close { connection });
            }
            Output::Open(connection) => {
                if let Some(offer) = self.offer(key) {
                    out.push(send(connection, &|bytes| offer.write(bytes)));
                }
            }
            Output::Keepalive(connection) => out.push(send(connection, &write_keepalive)),
            Output::Notify(connection, ours) => {
                out.push(send(connection, &|bytes| ours.write(bytes)));
            }
            Output::Up(connection, agreed) => {
                self.begin_session(now, key, connection, &agreed, out);
            }
            Output::Down { established, cause } => {
                self.note_end(now, key, established, &cause, out);
            }
        }
    }

    fn dial(&mut self, key: &PeerKey, connection: ConnectionId, out: &mut Vec<Action>) {
        let Some(peer) = self.peers.get(key).map(|peer| &peer.desired) else {
            return;
        };
        out.push(Action::Connect(Dial {
            connection,
            peer: key.clone(),
            to: (peer.address, peer.port).into(),
            scope: peer.scope.clone(),
            from: peer.local_address,
            ttl: self.ttl(key, peer),
            password: peer.password.clone(),
        }));
        self.dialled += 1;
        let known = Connection {
            peer: key.clone(),
            role: Role::Main,
            ends: None,
        };
        self.connections.insert(connection, known);
    }

    fn accept(&mut self, key: &PeerKey, connection: ConnectionId, out: &mut Vec<Action>) {
        if let Some(peer) = self.peers.get(key) {
            out.push(Action::Accept {
                connection,
                peer: key.clone(),
                ttl: self.ttl(key, &peer.desired),
            });
        }
    }

    fn ttl(&self, key: &PeerKey, peer: &Peer) -> u8 {
        let instance = self.instances.get(&key.instance);
        let internal = instance.is_some_and(|it| peer.asn == Some(it.desired.local_asn));
        if internal {
            INTERNAL_TTL
        } else {
            peer.ebgp_multihop
        }
    }

    fn offer(&self, key: &PeerKey) -> Option<Offer> {
        let peer = self.peers.get(key)?;
        let instance = &self.instances.get(&key.instance)?.desired;
        Some(offer(instance, &peer.desired, self.restart(peer)))
    }

    fn note_end(
        &mut self,
        now: Duration,
        key: &PeerKey,
        established: bool,
        cause: &Cause,
        out: &mut Vec<Action>,
    ) {
        if established {
            self.end_session(key);
        }
        // That one of two connections goes is no news.
        if !established && *cause == Cause::Superseded {
            return;
        }
        let reason: Arc<str> = cause.to_string().into();
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let repeated = peer.note_error(now, reason.clone());
        if repeated && !established {
            return;
        }
        out.push(Action::Notice {
            peer: key.clone(),
            notice: Notice::Down {
                established,
                reason,
            },
        });
    }

    /// An OPEN has come: a session, a collision, or an error.
    pub(super) fn opened(
        &mut self,
        now: Duration,
        connection: ConnectionId,
        theirs: &Offer,
        out: &mut Vec<Action>,
    ) {
        let Some(known) = self.connections.get(&connection) else {
            return;
        };
        let (key, role) = (known.peer.clone(), known.role);
        let instance = self.instances.get(&key.instance);
        let (Some(instance), Some(peer)) = (instance, self.peers.get(&key)) else {
            return;
        };
        let ours = Rank {
            id: instance.desired.router_id,
            asn: instance.desired.local_asn,
        };
        let agreed = match negotiate(&instance.desired, &peer.desired, theirs) {
            Ok(agreed) => agreed,
            Err(refusal) => return self.input(now, &key, role, Input::Malformed(refusal), out),
        };
        let (this, other, other_role) = match role {
            Role::Main => (Some(&peer.main), peer.rival.as_ref(), Role::Rival),
            Role::Rival => (peer.rival.as_ref(), Some(&peer.main), Role::Main),
        };
        let loser = match (this.is_some_and(Fsm::awaits_open), other) {
            (true, Some(other)) => resolve(ours, connection, &agreed, other),
            // A second OPEN is an error of its own.
            (true, None) | (false, _) => Loser::Nobody,
        };
        match loser {
            Loser::Nobody => {}
            Loser::This => return self.input(now, &key, role, Input::Superseded, out),
            Loser::Other => self.input(now, &key, other_role, Input::Superseded, out),
        }
        // Where the other one has gone, this one may have taken its place.
        self.input_from(now, connection, Input::Open(agreed), out);
    }

    /// Keeps at most one machine with a connection beside the main one, and the session with it.
    fn settle(&mut self, now: Duration, key: &PeerKey, out: &mut Vec<Action>) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.rival = peer.rival.take().filter(|it| it.connection().is_some());
        let rival_is_session = peer
            .rival
            .as_ref()
            .is_some_and(|it| it.established().is_some());
        if rival_is_session && !peer.main_is_free() {
            self.input(now, key, Role::Main, Input::Superseded, out);
            return;
        }
        if peer.main_is_free()
            && let Some(rival) = peer.rival.take()
        {
            let connection = rival.connection();
            peer.main = rival;
            if let Some(known) = connection.and_then(|it| self.connections.get_mut(&it)) {
                known.role = Role::Main;
            }
        }
        if let Some(peer) = self.peers.get_mut(key) {
            peer.note_state(now);
        }
    }
}

/// Only a peer that can restart may open a second connection beside an established session.
fn may_have_rival(main: &Fsm) -> bool {
    main.established()
        .is_none_or(|session| session.graceful_restart)
}
