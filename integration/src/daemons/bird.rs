//! BIRD as a router of the lab.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::lab::{Host, Process};

/// A running BIRD; dropping it ends the daemon.
pub struct Bird {
    host: Host,
    socket: PathBuf,
    process: Process,
}

impl Bird {
    /// Starts BIRD on a host with this configuration.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(host: &Host, config: &str) -> Result<Self> {
        let file = host.folder().join("bird.conf");
        let socket = host.folder().join("bird.ctl");
        fs::write(&file, config).context("writing bird.conf")?;
        let args = [
            "-f".into(),
            "-c".into(),
            file.into_os_string(),
            "-s".into(),
            socket.clone().into_os_string(),
        ];
        let process = host.spawn("bird", "/usr/sbin/bird", &args)?;
        Ok(Self {
            host: host.clone(),
            socket,
            process,
        })
    }

    /// Runs a `birdc` command such as `show route` and returns its answer.
    ///
    /// # Errors
    /// If BIRD does not answer.
    pub fn show(&self, command: &str) -> Result<String> {
        let socket = self.socket.to_string_lossy();
        let mut args = vec!["-r", "-s", &socket];
        args.extend(command.split(' '));
        self.host.run("/usr/sbin/birdc", &args)
    }

    /// The host it runs on.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Where `birdc` finds it.
    #[must_use]
    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// The daemon's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
