//! Opens the place where objects come from, and starts what differs by it.

use std::path::{Path, PathBuf};

use agent_api::{Source, SourceKind};
use anyhow::{Context as _, Result, bail};
use operator::{Operator, OperatorHandle};
use store::{Directory, DirectoryConfig, Faults, Hub, HubHandle, Overrides};
use tokio::sync::{mpsc, watch};
use types::Family;

use crate::config::{Edge, SourceConfig};

/// Objects that wait for the allocator. A full channel holds up the next delta, which the hub
/// then merges.
const INPUTS: usize = 16;

/// Where objects come from, opened, and what came with it.
pub(super) struct Opened {
    /// Follows the objects.
    pub(super) hub: HubHandle,
    /// What people are shown of the source.
    pub(super) origin: Origin,
    /// What an operator orders.
    pub(super) overrides: Overrides,
    /// The operator's duties, where they are this node's.
    pub(super) duties: Option<Duties>,
}

/// The operator of a node of its own.
pub(super) struct Duties {
    pub(super) operator: OperatorHandle,
    pub(super) inputs: mpsc::Sender<operator::Input>,
}

/// What people are shown of where objects come from.
pub(super) enum Origin {
    /// A directory of manifests.
    Directory {
        /// Where it is.
        manifests: PathBuf,
        /// What is wrong with them.
        faults: watch::Receiver<Faults>,
    },
}

impl Opened {
    /// Opens the source that is configured.
    ///
    /// # Errors
    /// If it cannot be used at all. One that does not answer is waited for.
    pub(super) fn open(own: &Edge) -> Result<Self> {
        match &own.source {
            SourceConfig::Directory(manifests) => directory(manifests, own),
            SourceConfig::Kubernetes(_) | SourceConfig::Etcd(_) => bail!("not built in"),
        }
    }
}

impl Origin {
    /// In words.
    pub(super) fn shown(&self) -> Source {
        match self {
            Self::Directory { manifests, .. } => Source {
                kind: SourceKind::Directory,
                place: manifests.display().to_string(),
                faults: Vec::new(),
            },
        }
    }

    /// What is wrong with manifests, by place; a source without places has none.
    pub(super) fn file_faults(&self) -> Faults {
        match self {
            Self::Directory { faults, .. } => faults.borrow().clone(),
        }
    }
}

fn directory(manifests: &Path, own: &Edge) -> Result<Opened> {
    let state_dir = own
        .state_dir
        .as_deref()
        .context("a directory of manifests needs a state-dir")?;
    let (directory, statuses, overrides) =
        Directory::open(DirectoryConfig::new(manifests, state_dir))
            .with_context(|| in_dir(state_dir))?;
    let faults = directory.faults();
    let (inputs, received) = mpsc::channel(INPUTS);
    Ok(Opened {
        hub: Hub::spawn(directory),
        origin: Origin::Directory {
            manifests: manifests.to_owned(),
            faults,
        },
        overrides,
        duties: Some(Duties {
            operator: Operator::spawn(&Family::BOTH, received, statuses),
            inputs,
        }),
    })
}

fn in_dir(state_dir: &Path) -> String {
    format!("opening the state in {}", state_dir.display())
}
