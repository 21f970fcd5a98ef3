//! The server in the cluster's pods, and the process that holds their namespaces.

use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};

use super::server::{Shared, accept};

/// How long requests that are under way may take after the port is closed.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// How often the open connections are counted then.
const STEP: Duration = Duration::from_millis(20);

/// Waits until it is asked to end: the first process of a pod.
///
/// # Errors
/// If signals cannot be waited for.
pub fn hold() -> Result<()> {
    end()?.wait().context("waiting for a signal")?;
    Ok(())
}

/// Serves HTTP on a port, in both families, as `name`. Asked to end, it goes on for `drain`, as
/// routers and other nodes still send requests, then closes the port and lets requests finish.
///
/// # Errors
/// If the port is taken.
pub fn serve(name: &str, port: u16, drain: Duration) -> Result<()> {
    // Threads inherit the mask: the signal is left to the wait below.
    let end = end()?;
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .with_context(|| format!("listening on port {port}"))?;
    let shared = Arc::new(Shared::default());
    let accepting = Arc::clone(&shared);
    let owned = name.to_owned();
    let acceptor = thread::spawn(move || accept(&listener, &accepting, &owned));
    end.wait().context("waiting for a signal")?;
    thread::sleep(drain);
    shared.stopped.store(true, Ordering::SeqCst);
    // The accepting thread wakes up, sees the flag and closes the port.
    drop(TcpStream::connect((Ipv6Addr::LOCALHOST, port)));
    // Its panic would be the end of one thread of many.
    let _ = acceptor.join();
    let deadline = Instant::now() + UNDER_WAY;
    while Instant::now() < deadline && is_busy(&shared) {
        thread::sleep(STEP);
    }
    Ok(())
}

fn is_busy(shared: &Shared) -> bool {
    let open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
    !open.is_empty()
}

/// The signals that end a pod, held back until they are waited for.
fn end() -> Result<SigSet> {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    signals.thread_block().context("holding signals back")?;
    Ok(signals)
}
