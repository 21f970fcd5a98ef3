//! The local API on a Unix socket, and metrics on TCP.

mod listener;
mod metrics;
mod routes;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;

pub(crate) use listener::Local;
pub(crate) use routes::Api;

/// Serves the local API until `stop` is done.
///
/// # Errors
/// If the socket breaks.
pub(crate) async fn serve_api<A: Api>(
    listener: Local,
    api: Arc<A>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    axum::serve(listener, routes::router(api))
        .with_graceful_shutdown(stop)
        .await
        .context("serving the local API")
}

/// Serves metrics until `stop` is done.
///
/// # Errors
/// If the socket breaks.
pub(crate) async fn serve_metrics<A: Api>(
    listener: TcpListener,
    api: Arc<A>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    axum::serve(listener, metrics::router(api))
        .with_graceful_shutdown(stop)
        .await
        .context("serving metrics")
}

/// Listens for the local API.
///
/// # Errors
/// If another agent listens there, or the folder cannot be written.
pub(crate) fn listen(path: &Path) -> Result<Local> {
    Local::bind(path)
}
