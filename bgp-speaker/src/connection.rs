//! One TCP connection: bytes in, bytes out.

use std::io;
use std::task::{Context, Poll};

use bgp_speaker_core::{ConnectionId, Speaker};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What is read at once: many small messages, and at least one of any size.
const INPUT: usize = 64 * 1024;
/// UPDATEs are packed up to this much ahead of what the socket takes. It bounds how long a
/// KEEPALIVE waits behind them too.
const OUTPUT: usize = 64 * 1024;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not connected yet.
    Dialling,
    /// Accepted by the kernel; nothing is read before the core wants it.
    Offered,
    /// Bytes flow.
    Open,
}

/// What a connection's socket is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Dialled,
    Readable,
    Writable,
}

pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) phase: Phase,
    input: Box<[u8]>,
    /// How much of `input` is filled: the start of a message that is not whole.
    filled: usize,
    output: Vec<u8>,
    /// How much of `output` is written.
    written: usize,
    /// The core has something to export.
    pulling: bool,
    /// It was the last turn's to write.
    reads_next: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, phase: Phase) -> Self {
        Self {
            stream,
            phase,
            input: Box::default(),
            filled: 0,
            output: Vec::new(),
            written: 0,
            pulling: false,
            reads_next: false,
        }
    }

    /// What can be done now without waiting, if anything. Reading and writing take turns.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Readiness> {
        match self.phase {
            Phase::Dialling => self.stream.poll_write_ready(cx).map(|_| Readiness::Dialled),
            Phase::Offered => Poll::Pending,
            Phase::Open => {
                let readable = self.stream.poll_read_ready(cx).is_ready();
                let writable = self.wants_to_write() && self.stream.poll_write_ready(cx).is_ready();
                self.reads_next = readable && (self.reads_next || !writable);
                match (readable, writable) {
                    (false, false) => Poll::Pending,
                    _ if std::mem::take(&mut self.reads_next) => Poll::Ready(Readiness::Readable),
                    _ => {
                        self.reads_next = true;
                        Poll::Ready(Readiness::Writable)
                    }
                }
            }
        }
    }

    /// The outcome of a dial; `None` if it is not over.
    pub(crate) fn dialled(&mut self) -> Option<io::Result<()>> {
        let outcome = self.stream.try_io(Interest::WRITABLE, || {
            match (self.stream.take_error()?, self.stream.peer_addr()) {
                (Some(error), _) => Err(error),
                (None, Ok(_)) => Ok(()),
                (None, Err(_)) => Err(io::ErrorKind::WouldBlock.into()),
            }
        });
        match outcome {
            Ok(()) => {
                self.phase = Phase::Open;
                Some(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Reads once and gives all there is to `take`, which says how much of it is used up.
    pub(crate) fn read(&mut self, take: impl FnOnce(&[u8]) -> usize) -> io::Result<()> {
        if self.input.is_empty() {
            self.input = vec![0; INPUT].into_boxed_slice();
        }
        let room = self.input.get_mut(self.filled..).unwrap_or_default();
        match self.stream.try_read(room) {
            Ok(0) => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "closed by the peer",
                ));
            }
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        let used = take(self.input.get(..self.filled).unwrap_or_default());
        self.input
            .copy_within(used.min(self.filled)..self.filled, 0);
        self.filled -= used.min(self.filled);
        Ok(())
    }

    /// Queues whole messages. The core's timers bound how many there can be.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    pub(crate) fn pull(&mut self) {
        self.pulling = true;
    }

    fn wants_to_write(&self) -> bool {
        self.pulling || self.written < self.output.len()
    }

    /// Writes what is queued, and once that is gone what the core packs.
    pub(crate) fn write(&mut self, id: ConnectionId, core: &mut Speaker) -> io::Result<()> {
        if self.written == self.output.len() && self.pulling {
            self.pulling = core.fill(id, &mut self.output, OUTPUT);
        }
        self.flush()
    }

    /// Writes what is queued.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.written < self.output.len() {
            let rest = self.output.get(self.written..).unwrap_or_default();
            match self.stream.try_write(rest) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        }
        Ok(())
    }

    pub(crate) fn is_flushed(&self) -> bool {
        self.output.is_empty()
    }
}
