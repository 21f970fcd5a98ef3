//! Clients: short requests, and long transfers that are checked to the last byte.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use super::pattern::{BLOCK, Checksum, expected};
use crate::lab::Host;

/// How long a client waits for anything before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many requests [`get_many`] has under way at once.
const AT_ONCE: usize = 8;

/// What came back for one request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The backend that answered, by its own word.
    pub backend: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A long transfer on a thread of its own.
pub struct Transfer {
    progress: Arc<Progress>,
    thread: JoinHandle<Result<()>>,
}

#[derive(Default)]
struct Progress {
    backend: Mutex<Option<String>>,
    bytes: AtomicU64,
}

/// One request for `/` from a host.
///
/// # Errors
/// If the server does not answer with success in time.
pub fn get(host: &Host, to: SocketAddr) -> Result<Answer> {
    host.enter(|| request(to))
}

/// `count` requests for `/`, a few at once; how many each backend answered.
///
/// # Errors
/// The first request that failed.
pub fn get_many(host: &Host, to: SocketAddr, count: usize) -> Result<BTreeMap<String, usize>> {
    host.enter(|| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|worker| {
                let share = count / AT_ONCE + usize::from(worker < count % AT_ONCE);
                // A thread inherits the namespace of the thread that starts it.
                thread::spawn(move || -> Result<Vec<String>> {
                    (0..share)
                        .map(|_| request(to).map(|answer| answer.backend))
                        .collect()
                })
            })
            .collect();
        let mut spread = BTreeMap::new();
        for worker in workers {
            let backends = worker.join().map_err(|_| anyhow!("a client panicked"))??;
            for backend in backends {
                *spread.entry(backend).or_insert(0) += 1;
            }
        }
        Ok(spread)
    })
}

impl Transfer {
    /// Starts a transfer of `blocks` blocks of 4 KiB, with a pause after each.
    #[must_use]
    pub fn start(host: &Host, to: SocketAddr, seed: u64, blocks: usize, pause: Duration) -> Self {
        let progress = Arc::new(Progress::default());
        let seen = Arc::clone(&progress);
        let thread = host.enter(|| thread::spawn(move || receive(to, seed, blocks, pause, &seen)));
        Self { progress, thread }
    }

    /// The backend that sends, once its answer's head has arrived.
    #[must_use]
    pub fn backend(&self) -> Option<String> {
        self.progress
            .backend
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many bytes have arrived.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.progress.bytes.load(Ordering::Relaxed)
    }

    /// Whether it has ended, well or not.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// If it broke, or a byte was not what it should be.
    pub fn finish(self) -> Result<()> {
        self.thread
            .join()
            .map_err(|_| anyhow!("a client panicked"))?
    }
}

pub(super) fn request(to: SocketAddr) -> Result<Answer> {
    let (mut reader, backend) = open(to, "/")?;
    let mut body = Vec::new();
    reader
        .read_to_end(&mut body)
        .with_context(|| format!("reading from {to}"))?;
    Ok(Answer { backend, body })
}

fn receive(
    to: SocketAddr,
    seed: u64,
    blocks: usize,
    pause: Duration,
    progress: &Progress,
) -> Result<()> {
    let started = Instant::now();
    let path = format!("/transfer/{seed}/{blocks}/{}", pause.as_millis());
    let (mut reader, backend) = open(to, &path)?;
    *progress
        .backend
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(backend.clone());
    let mut checksum = Checksum::new();
    let mut block = [0; BLOCK];
    for number in 0..blocks {
        reader.read_exact(&mut block).with_context(|| {
            let after = started.elapsed();
            format!("block {number} of {blocks} from {backend} through {to}, after {after:?}")
        })?;
        checksum.update(&block);
        progress.bytes.fetch_add(BLOCK as u64, Ordering::Relaxed);
    }
    if checksum.value() != expected(seed, blocks) {
        bail!("the transfer from {backend} through {to} has wrong bytes");
    }
    Ok(())
}

fn open(to: SocketAddr, path: &str) -> Result<(BufReader<TcpStream>, String)> {
    let mut stream =
        TcpStream::connect_timeout(&to, PATIENCE).with_context(|| format!("connecting to {to}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n"
    )?;
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader
        .read_line(&mut status)
        .with_context(|| format!("reading from {to}"))?;
    if !status.starts_with("HTTP/1.1 200") {
        bail!("{to} answered {status:?}");
    }
    let mut backend = String::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim_end().split_once(": ") {
            Some(("X-Backend", name)) => backend = name.to_owned(),
            Some(_) => {}
            None => return Ok((reader, backend)),
        }
    }
}
