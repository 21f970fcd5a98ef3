//! A lab: namespaces that the kernel cleans up, and the hosts within.

mod cgroups;
mod host;
mod link;
mod sandbox;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

pub use host::{Host, Process};
pub use link::{Cable, Switch};
pub use sandbox::{enter_command, is_there, run, run_program, run_programs, runs_inside};

/// One lab: its hosts, and the folder that daemons keep their files in.
pub struct Lab {
    folder: PathBuf,
    hosts: RefCell<Vec<Host>>,
}

impl Lab {
    /// Prepares the namespaces this process runs in: private mounts, an empty `/run/netns`,
    /// a bpffs of its own.
    pub(crate) fn prepare() -> Result<Self> {
        command("mount", &["--make-rprivate", "/"])?;
        let folder = PathBuf::from("/run/sluice-lab");
        for (fs, kind, at) in [
            ("netns", "tmpfs", "/run/netns"),
            ("lab", "tmpfs", "/run/sluice-lab"),
            ("bpf", "bpf", "/sys/fs/bpf"),
        ] {
            fs::create_dir_all(at).with_context(|| format!("creating {at}"))?;
            command("mount", &["-t", kind, fs, at])?;
        }
        command("ip", &["link", "set", "lo", "up"])?;
        Ok(Self {
            folder,
            hosts: RefCell::default(),
        })
    }

    /// A folder for `name`'s files, made when first asked for; gone with the lab.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(folder)
    }

    /// A new host: a network namespace with `lo` up and forwarding off.
    ///
    /// # Errors
    /// If the name is taken or the kernel refuses.
    pub fn host(&self, name: &str) -> Result<Host> {
        command("ip", &["netns", "add", name])?;
        let host = Host::open(name, self.folder(name)?)?;
        host.ip("link set lo up")?;
        self.hosts.borrow_mut().push(host.clone());
        Ok(host)
    }

    /// Puts an empty folder of the lab's own in the place of one of this machine.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn cover(&self, folder: &str) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("creating {folder}"))?;
        command("mount", &["-t", "tmpfs", "lab", folder])?;
        Ok(())
    }

    /// The namespace that the caller itself runs in, as a host with a name.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn own_host(&self, name: &str) -> Result<Host> {
        let own = std::process::id().to_string();
        command("ip", &["netns", "attach", name, &own])?;
        let host = Host::open(name, self.folder(name)?)?;
        self.hosts.borrow_mut().push(host.clone());
        Ok(host)
    }

    /// Every host made so far, in order.
    #[must_use]
    pub fn hosts(&self) -> Vec<Host> {
        self.hosts.borrow().clone()
    }
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// If it cannot be started or fails; the error holds its standard error.
pub fn command(program: &str, args: &[&str]) -> Result<String> {
    let output = std::process::Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} {}: {}: {}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a program under test is: `release/NAME` of the target folder this program is in.
///
/// # Errors
/// If it has not been built.
pub fn built_program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    own.ancestors()
        .map(|folder| folder.join("release").join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is not built: run `make build` (cargo build --release)"))
}

/// The end of a text file, for an error message; empty if there is none.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all.iter()
        .skip(all.len().saturating_sub(lines))
        .copied()
        .collect::<Vec<_>>()
        .join("\n")
}
