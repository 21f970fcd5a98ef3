//! A host: one network namespace, what runs in it and where its files are.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One network namespace by name. Clones name the same host.
#[derive(Clone)]
pub struct Host {
    name: Arc<str>,
    folder: Arc<Path>,
    namespace: Arc<File>,
}

/// A program running on a host; dropping it ends the program.
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Host {
    pub(super) fn open(name: &str, folder: PathBuf) -> Result<Self> {
        let path = Path::new("/run/netns").join(name);
        let namespace = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        Ok(Self {
            name: name.into(),
            folder: folder.into(),
            namespace: Arc::new(namespace),
        })
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the host's files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs `work` on a thread of its own that has entered this host's namespace and ends there.
    ///
    /// # Panics
    /// If `work` panics.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&*self.namespace, CloneFlags::CLONE_NEWNET)
                    .expect("root may enter a namespace that it made");
                work()
            });
            match inside.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Starts a thread of this host that outlives the call.
    pub fn spawn_thread(&self, work: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
        let namespace = Arc::clone(&self.namespace);
        thread::spawn(move || {
            setns(&*namespace, CloneFlags::CLONE_NEWNET)
                .expect("root may enter a namespace that it made");
            work();
        })
    }

    /// Runs `ip ARGS` on this host.
    ///
    /// # Errors
    /// If `ip` fails; the error holds its message.
    pub fn ip(&self, args: &str) -> Result<String> {
        let args: Vec<&str> = ["-n", &self.name]
            .into_iter()
            .chain(args.split(' '))
            .collect();
        super::command("ip", &args)
    }

    /// Runs a command on this host to its end and returns what it printed.
    ///
    /// # Errors
    /// If it cannot be started or fails.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        self.enter(|| super::command(program, args))
            .with_context(|| format!("on {}", self.name))
    }

    /// Sets a sysctl of this host's network, such as `net.ipv4.ip_forward`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        self.enter(|| fs::write(&path, value))
            .with_context(|| format!("setting {name} on {}", self.name))
    }

    /// Starts a program on this host; its output goes to `NAME.log` in the host's folder.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn<S: AsRef<OsStr> + Sync>(
        &self,
        name: &str,
        program: impl AsRef<OsStr> + Sync,
        args: &[S],
    ) -> Result<Process> {
        let log = self.folder.join(format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("opening {}", log.display()))?;
        let errors = output.try_clone().context("duplicating the log")?;
        let child = self
            .enter(|| {
                Command::new(&program)
                    .args(args)
                    .stdin(Stdio::null())
                    .stdout(output)
                    .stderr(errors)
                    .spawn()
            })
            .with_context(|| format!("starting {name} on {}", self.name))?;
        Ok(Process {
            name: format!("{name} on {}", self.name),
            log,
            child,
        })
    }

    /// The logs in this host's folder, by program.
    #[must_use]
    pub fn logs(&self) -> Vec<(String, PathBuf)> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut logs: Vec<_> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| path.extension() == Some(OsStr::new("log")))
            .map(|path| {
                (
                    path.file_stem()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into(),
                    path,
                )
            })
            .collect();
        logs.sort();
        logs
    }
}

impl Process {
    /// The process id within the lab.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).context("process id")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Kills the process at once, as a crash would, and waits for its end.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn kill(mut self) -> Result<()> {
        self.child
            .kill()
            .with_context(|| format!("killing {}", self.name))?;
        self.child
            .wait()
            .with_context(|| format!("waiting for {}", self.name))?;
        Ok(())
    }

    /// Asks the process to stop and waits until it has.
    ///
    /// # Errors
    /// If it does not stop in time.
    pub fn stop(mut self, patience: crate::Patience) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let name = self.name.clone();
        crate::until(&format!("{name} has stopped"), patience, || {
            self.child
                .try_wait()?
                .ok_or_else(|| anyhow!("{name} still runs"))
        })
    }

    /// Fails with the end of its log if the process is no longer running.
    ///
    /// # Errors
    /// If it has ended.
    pub fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait().context("asking for its state")? {
            None => Ok(()),
            Some(status) => Err(anyhow!(
                "{} ended with {status}:\n{}",
                self.name,
                super::tail(&self.log, 20)
            )),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
