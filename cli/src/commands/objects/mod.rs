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

use std::fmt;
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

/// Nobody is there to ask.
#[derive(Debug)]
struct Away(String);

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Away {}

/// Whether nobody was there to ask.
pub(crate) fn is_away(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn std::error::Error>::is::<Away>)
}

/// Why something was not read or written, in words that fit both.
fn in_words(error: WriteError) -> anyhow::Error {
    match error {
        WriteError::Unavailable(reason) => Away(reason).into(),
        WriteError::Forbidden(reason) => anyhow::Error::msg(reason),
        WriteError::Conflict | WriteError::Gone => error.into(),
    }
}

fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(work)
}
