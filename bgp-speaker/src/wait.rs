//! Waits for whatever comes first, the most urgent first.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound::{Excluded, Unbounded};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bgp_speaker_core::ConnectionId;
use bgp_speaker_core::desired::InstanceName;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::connection::{Connection, Readiness};
use crate::driver::Driver;
use crate::handle::Command;
use crate::sys::boot_time;

/// What the loop woke up for.
pub(crate) enum Woken {
    /// The core's deadline, or that of a connection that says its last words.
    Deadline,
    /// Somebody wants something; `None` if nobody is left who could.
    Command(Option<Command>),
    /// Addresses came or went.
    Addresses,
    /// A connection that said its last words is gone.
    Lingered,
    /// Somebody has connected.
    Incoming(InstanceName, TcpStream, SocketAddr),
    /// A connection can be read, written, or is made.
    Ready(ConnectionId, Readiness),
    /// Nothing: there is time for work that can wait.
    Idle,
}

/// A timer for a deadline on the boot clock.
pub(crate) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    armed: Option<Duration>,
}

/// Which connection was served last: the next one is first in turn.
#[derive(Default)]
pub(crate) struct Turn(Option<ConnectionId>);

impl Alarm {
    pub(crate) fn new() -> Self {
        Self {
            sleep: Box::pin(sleep(Duration::ZERO)),
            armed: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Duration>) -> Poll<()> {
        let Some(at) = deadline else {
            self.armed = None;
            return Poll::Pending;
        };
        let left = at.saturating_sub(boot_time());
        if left.is_zero() {
            return Poll::Ready(());
        }
        if self.armed != Some(at) {
            self.sleep.as_mut().reset(Instant::now() + left);
            self.armed = Some(at);
        }
        // The two clocks may differ by a little: then the rest is slept too.
        if self.sleep.as_mut().poll(cx).is_ready() {
            self.sleep.as_mut().reset(Instant::now() + left);
            return self.sleep.as_mut().poll(cx);
        }
        Poll::Pending
    }
}

impl Turn {
    /// The next connection that is ready.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        connections: &mut BTreeMap<ConnectionId, Connection>,
    ) -> Poll<(ConnectionId, Readiness)> {
        let mut ready =
            |(&id, connection): (&ConnectionId, &mut Connection)| match connection.poll_ready(cx) {
                Poll::Ready(readiness) => Some((id, readiness)),
                Poll::Pending => None,
            };
        let after = self.0.map_or(Unbounded, Excluded);
        let mut found = connections
            .range_mut((after, Unbounded))
            .find_map(&mut ready);
        if let (None, Some(last)) = (found, self.0) {
            found = connections.range_mut(..=last).find_map(ready);
        }
        let Some(found) = found else {
            return Poll::Pending;
        };
        self.0 = Some(found.0);
        Poll::Ready(found)
    }
}

impl Driver {
    /// What comes next; [`Woken::Idle`] at once if `busy` and nothing does.
    pub(crate) async fn wait(&mut self, busy: bool) -> Woken {
        std::future::poll_fn(|cx| self.poll(cx, busy)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>, busy: bool) -> Poll<Woken> {
        let deadlines = [self.core.next_deadline(), self.linger.next_deadline()];
        // A flood of bytes must not hold back the timers.
        if self
            .alarm
            .poll(cx, deadlines.into_iter().flatten().min())
            .is_ready()
        {
            return Poll::Ready(Woken::Deadline);
        }
        if !self.ending
            && let Poll::Ready(command) = self.commands.poll_recv(cx)
        {
            return Poll::Ready(Woken::Command(command));
        }
        if self.linger.poll(cx).is_ready() {
            return Poll::Ready(Woken::Lingered);
        }
        if self.addresses.poll_changed(cx).is_ready() {
            return Poll::Ready(Woken::Addresses);
        }
        if let Poll::Ready((instance, stream, from)) = self.listeners.poll_accept(cx) {
            return Poll::Ready(Woken::Incoming(instance, stream, from));
        }
        if let Poll::Ready((id, readiness)) = self.turn.poll(cx, &mut self.connections) {
            return Poll::Ready(Woken::Ready(id, readiness));
        }
        if busy {
            Poll::Ready(Woken::Idle)
        } else {
            Poll::Pending
        }
    }
}
