//! One etcd, with TLS where wanted.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use super::{Authority, program};
use crate::lab::{Host, Process};
use crate::{Patience, until};

const CLIENTS: u16 = 2379;
const PEERS: u16 = 2380;

/// Longer than any test.
const LIFETIME: Duration = Duration::from_secs(86_400);

/// An etcd of one member on a host's loopback; dropping it ends it. Its data stay until the lab ends.
pub struct Etcd {
    host: Host,
    folder: PathBuf,
    tls: Vec<String>,
    process: Mutex<Option<Process>>,
}

impl Etcd {
    /// Starts etcd without TLS, and waits until it answers.
    ///
    /// # Errors
    /// If it is not built or does not come up.
    pub fn start(host: &Host) -> Result<Self> {
        Self::start_as(host, Vec::new())
    }

    /// Starts etcd so that it talks TLS, and only to holders of a certificate of `authority`
    /// ([`Authority::client`]).
    ///
    /// # Errors
    /// As [`Etcd::start`].
    pub fn start_with_tls(host: &Host, authority: &Authority) -> Result<Self> {
        let at = [
            [127, 0, 0, 1].into(),
            IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ];
        let pair = authority.server("etcd", &at, LIFETIME)?;
        let tls = vec![
            format!("--cert-file={}", pair.certificate.display()),
            format!("--key-file={}", pair.key.display()),
            format!("--trusted-ca-file={}", authority.certificate().display()),
            "--client-cert-auth".to_owned(),
        ];
        Self::start_as(host, tls)
    }

    fn start_as(host: &Host, tls: Vec<String>) -> Result<Self> {
        let etcd = Self {
            host: host.clone(),
            folder: host.folder().join("etcd"),
            tls,
            process: Mutex::default(),
        };
        etcd.resume()?;
        Ok(etcd)
    }

    /// Where clients find it: `http://127.0.0.1:2379`, or `https` with TLS.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_empty() { "http" } else { "https" };
        format!("{scheme}://127.0.0.1:{CLIENTS}")
    }

    /// Starts it again after [`Etcd::stop`], with its data, and waits until it answers.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn resume(&self) -> Result<()> {
        let clients = self.url();
        let mut args = vec![
            "--name=lab".to_owned(),
            format!("--data-dir={}", self.folder.display()),
            format!("--listen-client-urls={clients}"),
            format!("--advertise-client-urls={clients}"),
            format!("--listen-peer-urls=http://127.0.0.1:{PEERS}"),
            format!("--initial-advertise-peer-urls=http://127.0.0.1:{PEERS}"),
            format!("--initial-cluster=lab=http://127.0.0.1:{PEERS}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        args.extend(self.tls.iter().cloned());
        let mut process = self.host.spawn("etcd", program("etcd")?, &args)?;
        until("etcd listens", Patience::START, || {
            process.check_running()?;
            super::listens(&self.host, CLIENTS)
        })?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    /// Kills it as a crash would.
    ///
    /// # Errors
    /// If it is not running.
    pub fn stop(&self) -> Result<()> {
        let process = self
            .process
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        process.context("etcd is not running")?.kill()
    }

    /// Stops it from running without ending it, or lets it go on.
    ///
    /// # Errors
    /// If it is not running.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let signal = if frozen {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        process
            .as_ref()
            .context("etcd is not running")?
            .signal(signal)
    }
}
