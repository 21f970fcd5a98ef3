//! The agent under test, and its command line.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use agent_api::{Lb, Peer, Service, Status};
use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Patience;
use crate::lab::{Host, Process, built_program};

/// A `sluice-agent` of the lab: its configuration and state stay when its process ends.
pub struct Agent {
    host: Host,
    /// Of an agent with a configuration file of its own.
    config: PathBuf,
    args: Vec<OsString>,
    socket: PathBuf,
    process: Option<Process>,
}

impl Agent {
    /// Writes the configuration file; the agent is not running yet. The keys every agent needs
    /// (socket, state and pin folders of this host) are added to `config`, which is TOML.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn configure(host: &Host, config: &str) -> Result<Self> {
        let folder = host.folder();
        let socket = folder.join("agent.sock");
        // The hosts of a lab share one bpffs: each agent pins into a folder of its own.
        let pins = PathBuf::from("/sys/fs/bpf").join(host.name());
        fs::create_dir_all(&pins).with_context(|| format!("creating {}", pins.display()))?;
        let text = format!(
            "socket = {:?}\nstate-dir = {:?}\nbpf-dir = {:?}\nnode-name = {:?}\n{config}",
            socket,
            folder.join("state"),
            pins,
            host.name(),
        );
        let file = folder.join("agent.toml");
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        Ok(Self {
            host: host.clone(),
            args: vec!["--config".into(), file.clone().into_os_string()],
            config: file,
            socket,
            process: None,
        })
    }

    /// An agent of the node `name` of a cluster, with no configuration but these flags; it is not
    /// running yet.
    #[must_use]
    pub fn in_cluster(host: &Host, name: &str, kubeconfig: &Path, flags: &[&str]) -> Self {
        let mut agent = Self::with_flags_only(host, name, flags);
        let own = ["--kubeconfig".into(), kubeconfig.as_os_str().to_owned()];
        agent.args.extend(own);
        agent
    }

    /// An agent of the node `name` with no configuration but these flags; it is not running yet.
    #[must_use]
    pub fn with_flags_only(host: &Host, name: &str, flags: &[&str]) -> Self {
        let socket = host.folder().join(format!("agent-{name}.sock"));
        let own: [&OsStr; 4] = [
            "--node-name".as_ref(),
            name.as_ref(),
            "--socket".as_ref(),
            socket.as_os_str(),
        ];
        let flags = flags.iter().map(OsStr::new);
        Self {
            host: host.clone(),
            args: own.into_iter().chain(flags).map(OsStr::to_owned).collect(),
            config: PathBuf::new(),
            socket,
            process: None,
        }
    }

    /// The same agent with more flags.
    #[must_use]
    pub fn with_flags(mut self, flags: &[&str]) -> Self {
        self.args.extend(flags.iter().map(OsString::from));
        self
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// If it is not built or cannot be started.
    pub fn start(&mut self) -> Result<()> {
        let program = built_program("sluice-agent")?;
        self.process = Some(self.host.spawn("sluice-agent", program, &self.args)?);
        Ok(())
    }

    /// Kills the agent as a crash would.
    ///
    /// # Errors
    /// If it is not running.
    pub fn kill(&mut self) -> Result<()> {
        self.process
            .take()
            .context("the agent is not running")?
            .kill()
    }

    /// Asks the agent to stop and waits for its end.
    ///
    /// # Errors
    /// If it is not running, does not stop, or fails.
    pub fn stop(&mut self) -> Result<()> {
        let process = self.process.take().context("the agent is not running")?;
        let status = process.stop(Patience::START)?;
        if !status.success() {
            bail!("the agent on {} ended with {status}", self.host.name());
        }
        Ok(())
    }

    /// Stops the agent's process from running without ending it, or lets it go on.
    ///
    /// # Errors
    /// If it is not running.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let process = self.process.as_ref().context("the agent is not running")?;
        process.signal(if frozen {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        })
    }

    /// Fails with the end of its log if the agent has ended by itself.
    ///
    /// # Errors
    /// If it is not running.
    pub fn check_running(&mut self) -> Result<()> {
        self.process
            .as_mut()
            .context("the agent is not running")?
            .check_running()
    }

    /// Runs `sluice ARGS` against this agent to its end, whatever that is.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn ask(&self, args: &str) -> Result<Output> {
        let program = built_program("sluice")?;
        self.host
            .enter(|| {
                Command::new(program)
                    .arg("--socket")
                    .arg(&self.socket)
                    .args(args.split(' '))
                    .output()
            })
            .context("starting sluice")
    }

    /// Runs `sluice ARGS` against this agent and returns what it printed.
    ///
    /// # Errors
    /// If the command fails; the error holds its message.
    pub fn sluice(&self, args: &str) -> Result<String> {
        let output = self.ask(args)?;
        if !output.status.success() {
            bail!(
                "sluice {args}: {}: {}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs `sluice ARGS -o json` and returns the document.
    ///
    /// # Errors
    /// If the command fails or prints something else.
    pub fn json(&self, args: &str) -> Result<Value> {
        let text = self.sluice(&format!("{args} -o json"))?;
        serde_json::from_str(&text).with_context(|| format!("sluice {args} printed {text:?}"))
    }

    /// What `sluice status` says, ready or not.
    ///
    /// # Errors
    /// If the agent does not answer.
    pub fn status(&self) -> Result<Status> {
        self.read("status")
    }

    /// What `sluice service list` says.
    ///
    /// # Errors
    /// If the agent does not answer.
    pub fn services(&self) -> Result<Vec<Service>> {
        self.read("service list")
    }

    /// What `sluice bgp peers` says.
    ///
    /// # Errors
    /// If the agent does not answer.
    pub fn peers(&self) -> Result<Vec<Peer>> {
        self.read("bgp peers")
    }

    /// What `sluice lb list` says.
    ///
    /// # Errors
    /// If the agent does not answer.
    pub fn lb(&self) -> Result<Lb> {
        self.read("lb list")
    }

    /// Runs another agent with this configuration, changed by `change`, and these arguments, to
    /// its end: what it printed, and how it ended.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run_other(&self, change: impl Fn(String) -> String, args: &[&str]) -> Result<Output> {
        let text = fs::read_to_string(&self.config).context("reading the configuration")?;
        let file = self.config.with_extension("other.toml");
        fs::write(&file, change(text)).with_context(|| format!("writing {}", file.display()))?;
        let program = built_program("sluice-agent")?;
        self.host
            .enter(|| {
                Command::new(program)
                    .arg("--config")
                    .arg(&file)
                    .args(args)
                    .output()
            })
            .context("starting another agent")
    }

    /// The agent's process.
    ///
    /// # Errors
    /// If it is not running.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().context("the agent is not running")
    }

    /// What it has logged so far, over all of its lives.
    ///
    /// # Errors
    /// If there is no log.
    pub fn log(&self) -> Result<String> {
        let log = self.host.folder().join("sluice-agent.log");
        fs::read_to_string(&log).with_context(|| format!("reading {}", log.display()))
    }

    /// Where its API listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its state directory.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.host.folder().join("state")
    }

    /// A document, whatever the exit status says about it.
    fn read<T: DeserializeOwned>(&self, args: &str) -> Result<T> {
        let output = self.ask(&format!("{args} -o json"))?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "sluice {args}: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    /// The host it runs on.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }
}
