//! The speaker as the rest of the agent sees it.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::thread;

use bgp_speaker_core::Start;
use bgp_speaker_core::desired::{ExportChange, Instance};
use tokio::sync::{mpsc, oneshot};
use types::Family;

use crate::driver::Driver;
use crate::view::{PeerStatus, RouteStatus};

/// How many commands may wait; whoever sends one more waits until there is room.
const COMMANDS: usize = 64;

/// A speaker on a thread of its own. Dropping the last clone ends the thread as [`Exit::Restart`]
/// does.
#[derive(Clone, Debug)]
pub struct Speaker {
    commands: mpsc::Sender<Command>,
}

/// Why the process, or the speaker, ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It comes back. Sessions with graceful restart end without a NOTIFICATION, so that peers
    /// keep their routes; the others end with Cease/Administrative Shutdown.
    Restart,
    /// It does not come back: every session ends with Cease/Peer De-configured, and routes go.
    Farewell,
}

/// Which routes to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteQuery {
    /// Those that can be advertised.
    Available(Family),
    /// Those that are, to each peer.
    Advertised(Family),
    /// Those that each peer has sent; none of them is used.
    Received(Family),
}

/// The speaker's thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the BGP speaker has stopped")]
pub struct Stopped;

pub(crate) enum Command {
    Instances(Vec<Instance>),
    Exports(Vec<ExportChange>),
    Ready,
    Peers(oneshot::Sender<Vec<PeerStatus>>),
    Routes(RouteQuery, oneshot::Sender<Vec<RouteStatus>>),
    Stop(Exit, oneshot::Sender<()>),
}

impl Speaker {
    /// Starts the thread, in the caller's network namespace.
    ///
    /// `forwarding_preserved`: this is a restart, and packets were forwarded all the time.
    ///
    /// # Errors
    /// If the thread or its runtime cannot be made.
    pub fn start(forwarding_preserved: bool) -> io::Result<Self> {
        let (commands, received) = mpsc::channel(COMMANDS);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let start = Start {
            seed: RandomState::new().hash_one(()),
            forwarding_preserved,
        };
        let driver = {
            let _in_runtime = runtime.enter();
            Driver::new(start, received)?
        };
        thread::Builder::new()
            .name("bgp".to_owned())
            .spawn(move || runtime.block_on(driver.run()))?;
        Ok(Self { commands })
    }

    /// The instances that should be, and no others.
    ///
    /// # Errors
    /// If the speaker has stopped.
    pub async fn update(&self, instances: Vec<Instance>) -> Result<(), Stopped> {
        self.send(Command::Instances(instances)).await
    }

    /// Changes what is exported, in this order.
    ///
    /// # Errors
    /// If the speaker has stopped.
    pub async fn export(&self, changes: Vec<ExportChange>) -> Result<(), Stopped> {
        self.send(Command::Exports(changes)).await
    }

    /// Everything to be exported has been, and what carries its traffic is in place: End-of-RIB
    /// may be sent.
    ///
    /// # Errors
    /// If the speaker has stopped.
    pub async fn end_of_rib_allowed(&self) -> Result<(), Stopped> {
        self.send(Command::Ready).await
    }

    /// Every peer, by instance and name.
    ///
    /// # Errors
    /// If the speaker has stopped.
    pub async fn peers(&self) -> Result<Vec<PeerStatus>, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Peers(answer)).await?;
        answered.await.map_err(|_| Stopped)
    }

    /// Routes, by instance, peer and prefix.
    ///
    /// # Errors
    /// If the speaker has stopped.
    pub async fn routes(&self, query: RouteQuery) -> Result<Vec<RouteStatus>, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Routes(query, answer)).await?;
        answered.await.map_err(|_| Stopped)
    }

    /// Ends the speaker, and returns when every peer has been told, or would not listen.
    pub async fn stop(self, exit: Exit) {
        let (answer, answered) = oneshot::channel();
        if self.send(Command::Stop(exit, answer)).await.is_ok() {
            // The answer is dropped if the thread ends before it gives one: it has ended too.
            let _ended = answered.await;
        }
    }

    async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }
}
