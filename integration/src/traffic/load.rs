//! Requests without a pause, each on a new connection, until someone has seen enough.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::client::request;
use crate::lab::Host;
use crate::{Patience, until};

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(20);

/// How many failures are kept to be read.
const KEPT: usize = 5;

/// Clients that ask again and again; dropping it ends them after their current request.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many were answered, by who answered.
    pub answered: BTreeMap<String, usize>,
    /// How many were not.
    pub failed: usize,
    /// The first failures.
    pub failures: Vec<String>,
    /// The longest that an answer took.
    pub slowest: Duration,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    tally: Mutex<Tally>,
}

impl Load {
    /// Starts `clients` clients for each target.
    #[must_use]
    pub fn start(host: &Host, targets: &[SocketAddr], clients: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let clients = targets
            .iter()
            .flat_map(|target| std::iter::repeat_n(*target, clients))
            .map(|target| {
                let shared = Arc::clone(&shared);
                host.spawn_thread(move || ask(target, &shared))
            })
            .collect();
        Self { shared, clients }
    }

    /// What became of the requests so far.
    #[must_use]
    pub fn so_far(&self) -> Tally {
        self.shared.tally().clone()
    }

    /// Waits until `count` more requests were answered.
    ///
    /// # Errors
    /// If that takes too long.
    pub fn answers(&self, count: usize) -> Result<()> {
        let enough = self.so_far().total() + count;
        until("requests are answered", Patience::START, || {
            let tally = self.so_far();
            ensure!(tally.total() >= enough, "{tally}");
            Ok(())
        })
    }

    /// Ends the clients; what became of every request.
    ///
    /// # Errors
    /// If a client panicked.
    pub fn finish(mut self) -> Result<Tally> {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            client.join().map_err(|_| anyhow!("a client panicked"))?;
        }
        Ok(self.so_far())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
    }
}

impl Tally {
    /// How many requests were answered.
    #[must_use]
    pub fn total(&self) -> usize {
        self.answered.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = self.total() + self.failed;
        write!(f, "{} of {asked} requests answered", self.total())?;
        write!(f, ", the slowest in {} ms", self.slowest.as_millis())?;
        for failure in &self.failures {
            write!(f, "\n{failure}")?;
        }
        Ok(())
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask(target: SocketAddr, shared: &Shared) {
    while !shared.stopped.load(Ordering::SeqCst) {
        let started = Instant::now();
        let outcome = request(target);
        let mut tally = shared.tally();
        match outcome {
            Ok(answer) => {
                tally.slowest = tally.slowest.max(started.elapsed());
                *tally.answered.entry(answer.backend).or_default() += 1;
            }
            Err(error) => {
                tally.failed += 1;
                if tally.failures.len() < KEPT {
                    let after = started.elapsed();
                    tally
                        .failures
                        .push(format!("{target} after {after:?}: {error:#}"));
                }
            }
        }
        drop(tally);
        thread::sleep(PAUSE);
    }
}
