//! Connections that are over: their last words are sent, then they are closed.

use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;

use crate::connection::Connection;
use crate::sockets;

/// How long a peer may take to read a NOTIFICATION.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection that says its last words.
pub(crate) struct Lingering {
    connection: Connection,
    until: Duration,
    /// All was written and the peer knows that no more follows.
    shut: bool,
}

/// Connections that say their last words.
#[derive(Default)]
pub(crate) struct Linger(Vec<Lingering>);

impl Linger {
    pub(crate) fn add(&mut self, now: Duration, connection: Connection) {
        // It is about to be closed: if this fails, nothing is lost but the kernel's memory for a
        // while.
        drop(sockets::give_up_soon(&connection.stream));
        self.0.push(Lingering {
            connection,
            until: now + PATIENCE,
            shut: false,
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.0.iter().map(|it| it.until).min()
    }

    pub(crate) fn expire(&mut self, now: Duration) {
        self.0.retain(|it| it.until > now);
    }

    /// Ready when one of them is done, which is then gone.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let before = self.0.len();
        self.0.retain_mut(|it| it.poll(cx).is_pending());
        if self.0.len() < before {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Lingering {
    /// Ready when the connection can be dropped.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.step(cx) {
            Ok(true) | Err(_) => Poll::Ready(()),
            Ok(false) => Poll::Pending,
        }
    }

    /// Whether the peer has closed its end too.
    fn step(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while !self.connection.is_flushed() {
            if self.connection.stream.poll_write_ready(cx)?.is_pending() {
                break;
            }
            self.connection.flush()?;
        }
        let stream = &self.connection.stream;
        if self.connection.is_flushed() && !self.shut {
            SockRef::from(stream).shutdown(Shutdown::Write)?;
            self.shut = true;
        }
        // A socket that is closed with bytes unread resets the connection, and the peer may never
        // see the last words.
        let mut unread = [0; 4096];
        while stream.poll_read_ready(cx)?.is_ready() {
            match stream.try_read(&mut unread) {
                Ok(0) => return Ok(self.shut),
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}
