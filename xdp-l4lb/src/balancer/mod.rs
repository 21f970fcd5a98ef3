//! Runs the balancer: changes in, planner's steps out to the kernel, a readable state beside it.
//!
//! ```text
//!  commands --+                        +--> tables (stores in order)
//!  kernel   --+--> planner --> steps --+--> next hops (what to resolve)
//!  probes   --+                        +--> state (who may be announced)
//! ```
//!
//! One task owns all of it, so nothing is locked and no two stores race.

mod census;
mod health;
mod run;
mod state;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bpf_user::AttachMode;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use xdp_l4lb_core::ServiceStatus;
use xdp_l4lb_core::desired::{Delta, ServiceKey};

pub use state::State;

use crate::netlink::NetlinkError;
use crate::probes::Sources;
use crate::tables::{OpenError, Outer, Sizes, Tables};
use run::Runner;

/// Changes that wait to be planned. A sender that is faster waits: changes are never lost, and
/// the ones not sent yet can still be merged.
const COMMANDS: usize = 64;

/// What the balancer is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancerConfig {
    /// Where programs, tables and links are pinned.
    pub bpffs: PathBuf,
    /// Where clients' packets arrive.
    pub interfaces: Vec<String>,
    /// In the driver, in the stack, or in the driver where it can.
    pub attach_mode: AttachMode,
    /// How large the tables are.
    pub sizes: Sizes,
    /// What holds for all packets.
    pub outer: Outer,
    /// Seed of the Maglev tables: the same on every node.
    pub maglev_seed: u64,
    /// Where probes come from.
    pub probe_sources: Sources,
}

/// The balancer did not start. What ran before still runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The tables are not there.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The kernel does not answer.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// The balancer's task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the balancer has stopped")]
pub struct Stopped;

/// A running balancer. Dropping it ends its task; the kernel goes on with what it has.
#[derive(Debug)]
pub struct Balancer {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<Arc<State>>,
    task: JoinHandle<()>,
}

/// What the task is told.
#[derive(Debug)]
enum Command {
    Change(Delta),
    Synced,
    TakeOff,
    Services(oneshot::Sender<BTreeMap<ServiceKey, ServiceStatus>>),
}

impl Balancer {
    /// Opens the tables, reads back what they hold and goes on from there. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the tables cannot be opened or made, or the kernel does not answer.
    pub async fn start(config: BalancerConfig) -> Result<Self, StartError> {
        let tables = Tables::open(&config.bpffs, &config.sizes, &config.outer)?;
        let (commands, todo) = mpsc::channel(COMMANDS);
        let (runner, state) = Runner::new(&config, tables, todo).await?;
        Ok(Self {
            commands,
            state,
            task: tokio::spawn(runner.run()),
        })
    }

    /// Desired services changed.
    ///
    /// # Errors
    /// If the task has ended.
    pub async fn change(&self, delta: Delta) -> Result<(), Stopped> {
        self.send(Command::Change(delta)).await
    }

    /// Everything desired has been told once: what nobody asked for may be removed from now on.
    ///
    /// # Errors
    /// If the task has ended.
    pub async fn synced(&self) -> Result<(), Stopped> {
        self.send(Command::Synced).await
    }

    /// Takes the program off every interface and the blackhole routes away: for a node that is to
    /// be a balancer no more. The tables stay.
    ///
    /// # Errors
    /// If the task has ended.
    pub async fn take_off(&self) -> Result<(), Stopped> {
        self.send(Command::TakeOff).await
    }

    /// Every service as it is planned now.
    ///
    /// # Errors
    /// If the task has ended.
    pub async fn services(&self) -> Result<BTreeMap<ServiceKey, ServiceStatus>, Stopped> {
        let (answer, services) = oneshot::channel();
        self.send(Command::Services(answer)).await?;
        services.await.map_err(|_| Stopped)
    }

    /// What it does, always current.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<Arc<State>> {
        self.state.clone()
    }

    async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
