//! The loop: what happens becomes an event, and what the core wants is done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bgp_speaker_core::desired::{Instance, InstanceName};
use bgp_speaker_core::{Action, ConnectionId, Dial, Event, Notice, PeerKey, Speaker, Start};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

use crate::addresses::{AddressWatch, ends, next_hops};
use crate::connection::{Connection, Phase, Readiness};
use crate::handle::{Command, Exit};
use crate::linger::Linger;
use crate::listener::Listeners;
use crate::sys::boot_time;
use crate::wait::{Alarm, Turn, Woken};
use crate::{sockets, view};

/// How many routes the core works on before the loop looks around again: a fraction of a
/// millisecond's work.
const WORK_STEP: usize = 512;

pub(crate) struct Driver {
    pub(crate) core: Speaker,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) listeners: Listeners,
    pub(crate) linger: Linger,
    pub(crate) addresses: AddressWatch,
    pub(crate) alarm: Alarm,
    pub(crate) turn: Turn,
    /// No more commands are taken: the loop ends when all last words are said.
    pub(crate) ending: bool,
    /// How many connections have been accepted.
    accepted: u64,
    instances: BTreeSet<InstanceName>,
    /// What is still to be done for the event at hand.
    todo: VecDeque<Action>,
    ended: Vec<oneshot::Sender<()>>,
}

impl Driver {
    pub(crate) fn new(start: Start, commands: mpsc::Receiver<Command>) -> io::Result<Self> {
        Ok(Self {
            core: Speaker::new(start),
            commands,
            connections: BTreeMap::new(),
            listeners: Listeners::default(),
            linger: Linger::default(),
            addresses: AddressWatch::open()?,
            alarm: Alarm::new(),
            turn: Turn::default(),
            ending: false,
            accepted: 0,
            instances: BTreeSet::new(),
            todo: VecDeque::new(),
            ended: Vec::new(),
        })
    }

    pub(crate) async fn run(mut self) {
        let mut work_left = false;
        while !(self.ending && self.linger.is_empty()) {
            let woken = self.wait(work_left).await;
            if self.handle(woken) {
                work_left = true;
            } else {
                work_left = self.core.work(WORK_STEP);
                // Sockets are looked at only when the runtime has its turn.
                tokio::task::yield_now().await;
            }
        }
        // Whoever waits for the end sees sockets closed.
        self.connections.clear();
        for ended in self.ended.drain(..) {
            // Nobody waits any more: that is their right.
            let _unheard = ended.send(());
        }
    }

    /// Whether there was something to handle.
    fn handle(&mut self, woken: Woken) -> bool {
        match woken {
            Woken::Deadline => {
                self.linger.expire(boot_time());
                self.event(Event::DeadlineReached);
            }
            Woken::Command(Some(command)) => self.command(command),
            Woken::Command(None) => self.end(Exit::Restart),
            Woken::Addresses => self.addresses_changed(),
            Woken::Incoming(instance, stream, from) => self.incoming(instance, stream, from),
            Woken::Ready(id, readiness) => self.ready(id, readiness),
            Woken::Lingered => (),
            Woken::Idle => return false,
        }
        true
    }

    fn command(&mut self, command: Command) {
        // Who asked and is gone needs no answer.
        match command {
            Command::Instances(instances) => self.update(instances),
            Command::Exports(changes) => self.event(Event::Exports(changes)),
            Command::Ready => self.event(Event::Ready),
            Command::Peers(answer) => {
                drop(answer.send(view::peers(&self.core, boot_time())));
            }
            Command::Routes(query, answer) => {
                drop(answer.send(view::routes(&self.core, boot_time(), query)));
            }
            Command::Stop(exit, ended) => {
                self.ended.push(ended);
                self.end(exit);
            }
        }
    }

    fn update(&mut self, instances: Vec<Instance>) {
        let names = instances.iter().map(|it| it.name.clone()).collect();
        let before = std::mem::replace(&mut self.instances, names);
        for gone in before.difference(&self.instances.clone()) {
            self.event(Event::InstanceGone(gone.clone()));
        }
        for instance in instances {
            self.event(Event::Instance(Box::new(instance)));
        }
    }

    fn end(&mut self, exit: Exit) {
        match exit {
            Exit::Restart => self.event(Event::Stop),
            Exit::Farewell => self.update(Vec::new()),
        }
        self.ending = true;
    }

    /// Gives the core an event, and does what it wants.
    fn event(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.core.on_event(boot_time(), event, &mut actions);
        self.todo.extend(actions);
        self.perform_all();
    }

    /// Does all there is to do. Outcomes are events too, and what they lead to comes last.
    fn perform_all(&mut self) {
        while let Some(action) = self.todo.pop_front() {
            if let Some(outcome) = self.perform(action) {
                let mut actions = Vec::new();
                self.core.on_event(boot_time(), outcome, &mut actions);
                self.todo.extend(actions);
            }
        }
    }

    /// Does one action; what the core has to know of how it went.
    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Listen { instance, port } => {
                let outcome = self.listeners.listen(&instance, port);
                if let Err(reason) = &outcome {
                    warn!(%instance, port, %reason, "cannot listen");
                }
                return Some(Event::Listening { instance, outcome });
            }
            Action::StopListening { instance } => self.listeners.stop(&instance),
            Action::Key {
                instance,
                peer,
                scope: _,
                password,
            } => {
                if let Err(error) = self.listeners.set_key(&instance, peer, password.as_ref()) {
                    warn!(%instance, %peer, %error, "cannot set the password");
                }
            }
            Action::Connect(dial) => return self.dial(&dial),
            Action::Accept {
                connection, ttl, ..
            } => return self.accept(connection, ttl),
            Action::Send { connection, bytes } => {
                if let Some(open) = self.connections.get_mut(&connection) {
                    open.queue(&bytes);
                }
            }
            Action::Pull { connection } => {
                if let Some(open) = self.connections.get_mut(&connection) {
                    open.pull();
                }
            }
            Action::Close { connection } => self.close(connection),
            Action::Notice { peer, notice } => log(&peer, &notice),
        }
        None
    }

    fn dial(&mut self, dial: &Dial) -> Option<Event> {
        debug!(peer = %dial.peer, to = %dial.to, "dialling");
        match sockets::dial(dial) {
            Ok(stream) => {
                let connection = Connection::new(stream, Phase::Dialling);
                self.connections.insert(dial.connection, connection);
                None
            }
            Err(error) => Some(disconnected(dial.connection, &error)),
        }
    }

    fn accept(&mut self, id: ConnectionId, ttl: u8) -> Option<Event> {
        let connection = self.connections.get_mut(&id)?;
        connection.phase = Phase::Open;
        let outcome = connection
            .stream
            .peer_addr()
            .and_then(|remote| sockets::set_accepted(&connection.stream, remote.ip(), ttl));
        match outcome {
            Ok(()) => None,
            Err(error) => {
                self.connections.remove(&id);
                Some(disconnected(id, &error))
            }
        }
    }

    fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(&id)
            && connection.phase == Phase::Open
        {
            self.linger.add(boot_time(), connection);
        }
    }

    fn incoming(&mut self, instance: InstanceName, stream: TcpStream, from: SocketAddr) {
        let Ok(local) = stream.local_addr() else {
            // It is gone already.
            return;
        };
        self.accepted += 1;
        let connection = ConnectionId::Accepted(self.accepted);
        debug!(%instance, %from, %connection, "incoming connection");
        self.connections
            .insert(connection, Connection::new(stream, Phase::Offered));
        self.event(Event::Incoming {
            instance,
            connection,
            ends: ends(local, from),
        });
    }

    fn ready(&mut self, id: ConnectionId, readiness: Readiness) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let outcome = match readiness {
            Readiness::Dialled => match connection.dialled() {
                None => return,
                Some(Ok(())) => return self.connected(id),
                Some(Err(error)) => Err(error),
            },
            Readiness::Writable => connection.write(id, &mut self.core),
            Readiness::Readable => {
                let mut actions = Vec::new();
                let core = &mut self.core;
                let outcome =
                    connection.read(|bytes| core.on_bytes(boot_time(), id, bytes, &mut actions));
                self.todo.extend(actions);
                outcome
            }
        };
        match outcome {
            Ok(()) => self.perform_all(),
            Err(error) => {
                // What the last bytes led to comes before their end.
                self.perform_all();
                self.broken(id, &error);
            }
        }
    }

    fn connected(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let stream = &connection.stream;
        match (stream.local_addr(), stream.peer_addr()) {
            (Ok(local), Ok(remote)) => self.event(Event::Connected {
                connection: id,
                ends: ends(local, remote),
            }),
            (Err(error), _) | (_, Err(error)) => self.broken(id, &error),
        }
    }

    fn broken(&mut self, id: ConnectionId, error: &io::Error) {
        self.connections.remove(&id);
        self.event(disconnected(id, error));
    }

    fn addresses_changed(&mut self) {
        let open: Vec<(ConnectionId, SocketAddr)> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.phase == Phase::Open)
            .filter_map(|(&id, connection)| Some((id, connection.stream.local_addr().ok()?)))
            .collect();
        for (connection, local) in open {
            self.event(Event::NextHops {
                connection,
                next_hops: next_hops(local.ip().to_canonical()),
            });
        }
    }
}

fn disconnected(connection: ConnectionId, error: &io::Error) -> Event {
    Event::Disconnected {
        connection,
        reason: Arc::from(error.to_string()),
    }
}

fn log(peer: &PeerKey, notice: &Notice) {
    let (instance, peer) = (&peer.instance, &peer.peer);
    match notice {
        Notice::Up => info!(%instance, %peer, "session established"),
        Notice::Down {
            established: true,
            reason,
        } => warn!(%instance, %peer, %reason, "session down"),
        Notice::Down {
            established: false,
            reason,
        } => debug!(%instance, %peer, %reason, "no session"),
        Notice::NoNextHop(family) => {
            warn!(%instance, %peer, %family, "no next hop: routes are not advertised");
        }
    }
}
