//! The operator of a cluster or a fleet: one of several leads, and the others wait.

mod args;
mod cluster;
mod config;
mod definitions;
#[cfg(feature = "etcd")]
mod fleet;
mod health;
mod http;
mod log;
mod metrics;

use std::future::Future;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use operator::{Runner, View};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use args::Args;
use config::{Config, Store};
use health::Troubles;

fn main() -> ExitCode {
    match start(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<()> {
    let (config, remarks) = args.config()?;
    log::start(&config.log)?;
    for remark in remarks {
        tracing::warn!("{remark}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(run(config))
}

async fn run(config: Config) -> Result<()> {
    // Heard from here on, so that an early one is not missed.
    let stop = stop_requested()?;
    let listener = http::listen(config.serve).await?;
    info!(lease = %config.options.lease, identity = config.options.identity, "the operator starts");
    let (runner, troubles) = match config.store {
        Store::Kubernetes(kubernetes) => cluster::open(kubernetes, config.options).await?,
        #[cfg(feature = "etcd")]
        Store::Etcd(etcd) => fleet::open(etcd, config.options)?,
    };
    serve(runner, troubles, listener, stop).await
}

/// Runs until it is to stop, and then gives the lease back.
async fn serve(
    mut runner: Runner,
    troubles: Troubles,
    listener: Option<tokio::net::TcpListener>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let view: View = runner.view();
    let http = http::serve(listener, view, troubles);
    tokio::pin!(http);
    tokio::select! {
        () = stop => info!("the operator is asked to end"),
        () = runner.ended() => anyhow::bail!("the operator has ended by itself"),
        ended = &mut http => return ended,
    }
    runner.stop().await;
    Ok(())
}

/// Is done once SIGTERM or SIGINT has come.
fn stop_requested() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
