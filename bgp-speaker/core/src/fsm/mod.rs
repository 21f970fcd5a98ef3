//! The state machine of one connection to a peer (RFC 4271 §8).
//!
//! ```text
//!           start, or held long enough      connected            OPEN            KEEPALIVE
//!    Idle ----------------------------> Connect ------> OpenSent ------> OpenConfirm ------> Established
//!     ^                                  ^    | failed     ^  |              |                   |
//!     |                            retry |    v            |  | lost         | lost              | lost
//!     |                                  Active -----------'  |              |                   |
//!     |                                    ^      accepted    |              |                   |
//!     |                                    '------------------'--------------'-------------------'
//!     '---- any error, either side's NOTIFICATION, the hold timer, a stop
//! ```
//!
//! Departs from RFC 4271 §8.2.2: a connection that fails or is lost leads to Active, where the
//! peer may connect to us at once, not to Idle, where it would be refused.

mod talking;
#[cfg(test)]
mod tests;
mod timing;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use bgp_speaker_packet::Notification;

use crate::io::ConnectionId;
use crate::negotiate::Negotiated;

pub(crate) use timing::Timing;

/// What the machine is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The session is wanted.
    Start,
    /// The session is not wanted; tell the peer why, if it should know.
    Stop(Option<Notification<'static>>),
    /// The session is wanted anew, after a pause.
    Restart(Notification<'static>, Duration),
    /// The other connection with the peer, or a newer one, is the session.
    Superseded,
    /// A deadline has come.
    Deadline,
    /// What was dialled is connected.
    Connected,
    /// The peer has connected.
    Accepted(ConnectionId),
    /// The dial has failed, or the connection is lost.
    Disconnected(Arc<str>),
    /// A valid OPEN, which makes this session.
    Open(Negotiated),
    /// A KEEPALIVE.
    Keepalive,
    /// An UPDATE that does not end the session.
    Update,
    /// A ROUTE-REFRESH.
    Refresh,
    /// A NOTIFICATION.
    Notification(Notification<'static>),
    /// A message so wrong that it ends the session.
    Malformed(Notification<'static>),
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Dial; the connection's name is chosen by the machine's caller.
    Dial(ConnectionId),
    /// Read from an incoming connection.
    Accept(ConnectionId),
    /// Close, once what was sent is gone.
    Close(ConnectionId),
    /// Send our OPEN.
    Open(ConnectionId),
    /// Send a KEEPALIVE.
    Keepalive(ConnectionId),
    /// Send a NOTIFICATION.
    Notify(ConnectionId, Notification<'static>),
    /// The session is established.
    Up(ConnectionId, Box<Negotiated>),
    /// The session, or an attempt at it, is over.
    Down {
        /// Whether it was established.
        established: bool,
        /// Why.
        cause: Cause,
    },
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// We have ended it.
    #[error("sent {0}")]
    Sent(Notification<'static>),
    /// The peer has ended it.
    #[error("received {0}")]
    Received(Notification<'static>),
    /// The connection failed.
    #[error("{0}")]
    Disconnected(Arc<str>),
    /// The peer has opened a new one in its place.
    #[error("replaced by a new connection")]
    Superseded,
    /// It is not wanted any more.
    #[error("stopped")]
    Stopped,
}

/// Where the machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Without a connection that works.
    Waiting(Waiting),
    /// With one.
    Talking(ConnectionId, Phase),
}

/// The states without a working connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Nothing goes on until a time, if at all.
    Idle { until: Option<Duration> },
    /// Dialling.
    Connect {
        connection: ConnectionId,
        retry_at: Duration,
    },
    /// Waiting for the peer to connect, and until it is time to dial, if ever.
    Active { retry_at: Option<Duration> },
}

/// The states with a working connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Our OPEN is out.
    OpenSent { hold_at: Duration },
    /// The peer's OPEN is answered.
    OpenConfirm {
        session: Box<Negotiated>,
        timers: Timers,
    },
    /// Routes are exchanged.
    Established {
        session: Box<Negotiated>,
        timers: Timers,
        since: Duration,
    },
}

/// When a session is next acted on; both are off if the hold time is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timers {
    pub(crate) hold_at: Option<Duration>,
    pub(crate) keepalive_at: Option<Duration>,
}

/// The machine.
#[derive(Clone, Debug)]
pub(crate) struct Fsm {
    state: State,
    /// Failures in a row: each doubles the next pause.
    failures: u32,
}

/// What stands behind one input: the time, chance, the peer's settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    pub(crate) now: Duration,
    pub(crate) timing: Timing,
    /// The name for a connection, should one be dialled.
    pub(crate) next_connection: ConnectionId,
}

impl Fsm {
    /// A machine that has not been started.
    pub(crate) fn new() -> Self {
        Self {
            state: State::Waiting(Waiting::Idle { until: None }),
            failures: 0,
        }
    }

    /// A machine for a second connection, which the peer has opened.
    pub(crate) fn accepting(connection: ConnectionId, cx: Context, out: &mut Vec<Output>) -> Self {
        let mut fsm = Self::new();
        fsm.accept(connection, cx, out);
        fsm
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// When to deliver [`Input::Deadline`], if at all.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Waiting(Waiting::Idle { until }) => *until,
            State::Waiting(Waiting::Connect { retry_at, .. }) => Some(*retry_at),
            State::Waiting(Waiting::Active { retry_at }) => *retry_at,
            State::Talking(_, Phase::OpenSent { hold_at }) => Some(*hold_at),
            State::Talking(
                _,
                Phase::OpenConfirm { timers, .. } | Phase::Established { timers, .. },
            ) => timers.next(),
        }
    }

    /// Takes one step.
    pub(crate) fn on_input(&mut self, cx: Context, input: Input, out: &mut Vec<Output>) {
        match self.state {
            State::Waiting(waiting) => self.on_input_waiting(waiting, cx, input, out),
            State::Talking(connection, _) => self.on_input_talking(connection, cx, input, out),
        }
    }

    /// The connection that the machine has, dialled ones included.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        match self.state {
            State::Waiting(Waiting::Idle { .. } | Waiting::Active { .. }) => None,
            State::Waiting(Waiting::Connect { connection, .. }) | State::Talking(connection, _) => {
                Some(connection)
            }
        }
    }

    /// The session, if it is established.
    pub(crate) fn established(&self) -> Option<&Negotiated> {
        match &self.state {
            State::Talking(_, Phase::Established { session, .. }) => Some(session),
            State::Talking(_, Phase::OpenSent { .. } | Phase::OpenConfirm { .. })
            | State::Waiting(_) => None,
        }
    }

    /// Whether an OPEN is what comes next.
    pub(crate) fn awaits_open(&self) -> bool {
        match &self.state {
            State::Talking(_, Phase::OpenSent { .. }) => true,
            State::Talking(_, Phase::OpenConfirm { .. } | Phase::Established { .. })
            | State::Waiting(_) => false,
        }
    }

    fn accept(&mut self, connection: ConnectionId, cx: Context, out: &mut Vec<Output>) {
        out.push(Output::Accept(connection));
        self.send_open(connection, cx, out);
    }

    fn send_open(&mut self, connection: ConnectionId, cx: Context, out: &mut Vec<Output>) {
        out.push(Output::Open(connection));
        let hold_at = cx.now + Timing::OPEN_PATIENCE;
        self.state = State::Talking(connection, Phase::OpenSent { hold_at });
    }

    /// The connection is gone: dial again soon, and let the peer do so at once.
    fn lose(&mut self, reason: Arc<str>, cx: Context, out: &mut Vec<Output>) {
        self.count_failure(cx.now);
        out.push(Output::Down {
            established: self.established().is_some(),
            cause: Cause::Disconnected(reason),
        });
        let pause = cx.timing.connect_retry(self.failures);
        self.state = State::Waiting(Waiting::Active {
            retry_at: (!cx.timing.passive).then(|| cx.now + pause),
        });
    }

    fn count_failure(&mut self, now: Duration) {
        let stable = match &self.state {
            State::Talking(_, Phase::Established { since, .. }) => now >= *since + Timing::STABLE,
            State::Talking(_, Phase::OpenSent { .. } | Phase::OpenConfirm { .. })
            | State::Waiting(_) => false,
        };
        self.failures = if stable {
            1
        } else {
            self.failures.saturating_add(1)
        };
    }

    fn rest(&mut self, until: Option<Duration>) {
        self.state = State::Waiting(Waiting::Idle { until });
    }
}

impl Timers {
    fn next(&self) -> Option<Duration> {
        self.hold_at.into_iter().chain(self.keepalive_at).min()
    }
}
