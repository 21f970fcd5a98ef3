//! Objects, wherever they are: a directory of manifests, etcd, or a Kubernetes cluster.

mod age;
mod apply;
mod args;
mod columns;
mod delete;
mod document;
mod export;
mod get;
mod input;
mod kinds;
mod news;
mod place;
mod situation;
mod watch;

use std::future::Future;

use anyhow::{Context as _, Result};
use store::WriteError;

pub(crate) use apply::apply;
pub(crate) use args::{ApplyArgs, DeleteArgs, ExportArgs, GetArgs, PlaceArgs, WatchArgs};
pub(crate) use delete::delete;
pub(crate) use export::export;
pub(crate) use get::get;
pub(crate) use situation::{Given, Known, given, of_agent, of_place};
pub(crate) use watch::watch;

/// Whether nobody was there to ask.
pub(crate) fn is_away(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause: &WriteError| matches!(cause, WriteError::Unavailable(_)))
}

fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(work)
}
