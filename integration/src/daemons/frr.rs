//! FRR (zebra and bgpd) as a router of the lab.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::lab::{Host, Process, command};
use crate::{Patience, until};

/// The kernel drops a next hop object when its link goes down, and zebra 8.4 takes it for installed
/// when the link is back: routes with next hops of their own are always complete.
const ZEBRA: &str = "\
log stdout warnings
no zebra nexthop kernel enable
";

/// A running FRR; dropping it ends its daemons.
pub struct Frr {
    host: Host,
    sockets: PathBuf,
    daemons: Vec<Process>,
}

impl Frr {
    /// Starts zebra, which knows nothing but the kernel, and bgpd with a configuration.
    ///
    /// # Errors
    /// If they cannot be started.
    pub fn start(host: &Host, config: &str) -> Result<Self> {
        let sockets = host.folder().join("frr");
        fs::create_dir_all(&sockets).context("creating FRR's folder")?;
        let file = sockets.join("bgpd.conf");
        fs::write(&file, config).context("writing bgpd.conf")?;
        fs::write(sockets.join("zebra.conf"), ZEBRA).context("writing zebra.conf")?;
        // The daemons give up root for the user that Debian's package made.
        command("chown", &["-R", "frr:frr", &sockets.to_string_lossy()])?;
        let mut frr = Self {
            host: host.clone(),
            sockets,
            daemons: Vec::new(),
        };
        for daemon in ["zebra", "bgpd"] {
            let process = frr.start_daemon(daemon)?;
            frr.daemons.push(process);
            let socket = frr.sockets.join(format!("{daemon}.vty"));
            until(&format!("{daemon} listens"), Patience::START, || {
                ensure!(socket.exists(), "{} is not there", socket.display());
                Ok(())
            })?;
        }
        Ok(frr)
    }

    /// Runs a `vtysh` command such as `show bgp summary` and returns its answer.
    ///
    /// # Errors
    /// If the daemons do not answer.
    pub fn show(&self, command: &str) -> Result<String> {
        let sockets = self.sockets.to_string_lossy();
        self.host
            .run("/usr/bin/vtysh", &["--vty_socket", &sockets, "-c", command])
    }

    /// The host it runs on.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    fn start_daemon(&self, daemon: &str) -> Result<Process> {
        let path = |file: &str| self.sockets.join(file).into_os_string();
        let args: [OsString; 10] = [
            "-f".into(),
            path(&format!("{daemon}.conf")),
            "-i".into(),
            path(&format!("{daemon}.pid")),
            "-z".into(),
            path("zserv.api"),
            "--vty_socket".into(),
            self.sockets.clone().into_os_string(),
            "--log".into(),
            "stdout".into(),
        ];
        self.host
            .spawn(daemon, format!("/usr/lib/frr/{daemon}"), &args)
    }
}
