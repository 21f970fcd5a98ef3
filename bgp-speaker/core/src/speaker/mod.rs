//! Ties sessions, routes and desired state together.

mod collision;
mod configure;
mod connect;
mod exchange;
mod next_hop;
mod peer;
mod random;
mod receive;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bgp_speaker_packet::{CeaseSubcode, ErrorCode};

use crate::desired::{Instance, InstanceName};
use crate::fsm::Input;
use crate::io::{Action, ConnectionId, Ends, Event, PeerKey};
use crate::negotiate::Restart;
use crate::rib::Rib;
pub use next_hop::Unreachable;
use peer::{PeerState, Role};
use random::Random;
pub use view::{FamilyView, LastError, PeerView, SessionState};

/// The pause before a failed listen is tried again.
const LISTEN_RETRY: Duration = Duration::from_secs(5);

/// What a speaker is born with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Anything: jitter and hashes come from it.
    pub seed: u64,
    /// The process was restarted, and packets were forwarded all the time: peers are told
    /// (RFC 4724 §4.1), so that they go on using the routes they have.
    pub forwarding_preserved: bool,
}

/// All instances of a node, their peers and their routes.
#[derive(Debug)]
pub struct Speaker {
    instances: BTreeMap<InstanceName, InstanceState>,
    peers: BTreeMap<PeerKey, PeerState>,
    /// Whose each connection is, and its ends once it has some.
    connections: BTreeMap<ConnectionId, Connection>,
    rib: Rib,
    random: Random,
    dialled: u64,
    ready: bool,
    stopping: bool,
    forwarding_preserved: bool,
    /// What an UPDATE's attributes are read into.
    canonical: Vec<u8>,
}

#[derive(Debug)]
struct InstanceState {
    desired: Instance,
    /// When to ask for the listener again, if the last attempt failed.
    listen_at: Option<Duration>,
    listen_error: Option<Arc<str>>,
}

#[derive(Debug)]
struct Connection {
    peer: PeerKey,
    role: Role,
    ends: Option<Ends>,
}

impl Speaker {
    /// A speaker of which nothing is desired yet.
    #[must_use]
    pub fn new(start: Start) -> Self {
        let mut random = Random::new(start.seed);
        Self {
            instances: BTreeMap::new(),
            peers: BTreeMap::new(),
            connections: BTreeMap::new(),
            rib: Rib::new(random.next_u64()),
            random,
            dialled: 0,
            ready: false,
            stopping: false,
            forwarding_preserved: start.forwarding_preserved,
            canonical: Vec::new(),
        }
    }

    /// Takes an event and appends what is to be done.
    pub fn on_event(&mut self, now: Duration, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Instance(desired) => self.configure(now, *desired, out),
            Event::InstanceGone(name) => self.remove_instance(now, &name, out),
            Event::Exports(changes) => {
                for change in &changes {
                    self.rib.change(now, change);
                }
                self.pull_all(out);
            }
            Event::Ready => {
                self.ready = true;
                self.pull_all(out);
            }
            Event::Connected { connection, ends } => self.connected(now, connection, ends, out),
            Event::Incoming {
                instance,
                connection,
                ends,
            } => self.incoming(now, &instance, connection, ends, out),
            Event::NextHops {
                connection,
                next_hops,
            } => self.next_hops(connection, next_hops, out),
            Event::Disconnected { connection, reason } => {
                self.input_from(now, connection, Input::Disconnected(reason), out);
            }
            Event::Listening { instance, outcome } => self.listening(now, &instance, outcome),
            Event::DeadlineReached => self.deadline(now, out),
            Event::Stop => self.stop(now, out),
        }
    }

    /// When to deliver [`Event::DeadlineReached`], if at all.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let peers = self.peers.values().filter_map(PeerState::next_deadline);
        let listeners = self.instances.values().filter_map(|state| state.listen_at);
        peers.chain(listeners).min()
    }

    /// Does what can wait, for about `budget` routes; whether there is more.
    pub fn work(&mut self, budget: usize) -> bool {
        self.rib.work(budget)
    }

    fn deadline(&mut self, now: Duration, out: &mut Vec<Action>) {
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        let keys: Vec<PeerKey> = self
            .peers
            .iter()
            .filter(|(_, peer)| due(peer.next_deadline()))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            for role in [Role::Main, Role::Rival] {
                self.input(now, &key, role, Input::Deadline, out);
            }
        }
        for state in self.instances.values_mut().filter(|it| due(it.listen_at)) {
            state.listen_at = None;
            out.extend(listen(&state.desired));
        }
    }

    fn listening(&mut self, now: Duration, instance: &InstanceName, outcome: Result<(), Arc<str>>) {
        if let Some(state) = self.instances.get_mut(instance) {
            state.listen_at = outcome.is_err().then_some(now + LISTEN_RETRY);
            state.listen_error = outcome.err();
        }
    }

    /// Leaves sessions to graceful restart where both sides have it, and ends the others.
    fn stop(&mut self, now: Duration, out: &mut Vec<Action>) {
        self.stopping = true;
        for state in self.instances.values_mut() {
            state.listen_at = None;
            out.push(Action::StopListening {
                instance: state.desired.name.clone(),
            });
        }
        let ending: Vec<PeerKey> = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.survives_a_stop())
            .map(|(key, _)| key.clone())
            .collect();
        for key in ending {
            let shutdown = ErrorCode::Cease(CeaseSubcode::AdministrativeShutdown).into();
            self.input_both(now, &key, &Input::Stop(Some(shutdown)), out);
        }
    }

    /// What an OPEN says about our last restart.
    fn restart(&self, peer: &PeerState) -> Restart {
        Restart {
            restarted: self.forwarding_preserved && !peer.restart_told,
            forwarding_kept: self.forwarding_preserved || self.ready,
        }
    }
}

fn listen(desired: &Instance) -> Option<Action> {
    Some(Action::Listen {
        instance: desired.name.clone(),
        port: desired.local_port?,
    })
}
