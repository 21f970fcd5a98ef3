//! An HTTP server on a host: `/` names the host, `/transfer/SEED/BLOCKS/PAUSE_MS` sends a pattern.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::pattern::{BLOCK, Pattern};
use crate::lab::Host;

/// A running server; dropping it resets every connection and closes the port.
pub struct Server {
    host: Host,
    shared: Arc<Shared>,
    port: u16,
}

#[derive(Default)]
pub(super) struct Shared {
    pub(super) stopped: AtomicBool,
    requests: AtomicU64,
    pub(super) open: Mutex<BTreeMap<u64, TcpStream>>,
}

impl Server {
    /// Serves both families on a port of the host.
    ///
    /// # Errors
    /// If the port is taken.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        let listener = host
            .enter(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))
            .with_context(|| format!("listening on port {port} of {}", host.name()))?;
        let shared = Arc::new(Shared::default());
        let name = host.name().to_owned();
        let accepting = Arc::clone(&shared);
        host.spawn_thread(move || accept(&listener, &accepting, &name));
        Ok(Self {
            host: host.clone(),
            shared,
            port,
        })
    }

    /// How many requests were answered so far, health checks included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let mut open = self
            .shared
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for connection in std::mem::take(&mut *open).into_values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(open);
        // The accepting thread wakes up, sees the flag and closes the port.
        let port = self.port;
        self.host
            .enter(|| drop(TcpStream::connect((Ipv6Addr::LOCALHOST, port))));
    }
}

pub(super) fn accept(listener: &TcpListener, shared: &Arc<Shared>, name: &str) {
    for (number, connection) in (0..).zip(listener.incoming()) {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        if let Ok(copy) = connection.try_clone() {
            shared
                .open
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(number, copy);
        }
        let shared = Arc::clone(shared);
        let name = name.to_owned();
        thread::spawn(move || {
            // A client that hangs up is its own business.
            let _ = serve(&connection, &shared, &name);
            let _ = connection.shutdown(Shutdown::Both);
            let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.remove(&number);
        });
    }
}

fn serve(connection: &TcpStream, shared: &Shared, name: &str) -> Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(connection);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let path = request.split(' ').nth(1).unwrap_or("/");
    let mut parts = path.trim_start_matches('/').split('/');
    let mut out = connection;
    if parts.next() == Some("transfer") {
        let mut number = || {
            parts
                .next()
                .and_then(|part| part.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let (seed, blocks, pause) = (number(), number(), Duration::from_millis(number()));
        let length = blocks * BLOCK as u64;
        write!(
            out,
            "HTTP/1.1 200 OK\r\nX-Backend: {name}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        )?;
        send_pattern(out, seed, blocks, pause)
    } else {
        write!(
            out,
            "HTTP/1.1 200 OK\r\nX-Backend: {name}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{name}",
            name.len()
        )?;
        Ok(())
    }
}

fn send_pattern(mut out: &TcpStream, seed: u64, blocks: u64, pause: Duration) -> Result<()> {
    let mut pattern = Pattern::new(seed);
    let mut block = [0; BLOCK];
    for _ in 0..blocks {
        pattern.fill(&mut block);
        out.write_all(&block)?;
        thread::sleep(pause);
    }
    Ok(())
}
