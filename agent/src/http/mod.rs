//! The local API on a Unix socket, and metrics on TCP.

mod listener;
mod metrics;
mod routes;

use std::future::Future;
use std::net::SocketAddr;
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

/// Serves metrics until `stop` is done; without a listener, for ever nothing.
///
/// # Errors
/// If the socket breaks.
pub(crate) async fn serve_metrics<A: Api>(
    listener: Option<TcpListener>,
    api: Arc<A>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    axum::serve(listener, metrics::router(api))
        .with_graceful_shutdown(stop)
        .await
        .context("serving metrics")
}

/// Listens for scrapes of metrics, if there is an address for them.
///
/// # Errors
/// If the address cannot be listened at.
pub(crate) async fn listen_metrics(addr: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    let Some(addr) = addr else {
        return Ok(None);
    };
    let listener = TcpListener::bind(addr)
        .await
        .with_context(|| format!("listening for metrics at {addr}"))?;
    Ok(Some(listener))
}

/// Listens for the local API.
///
/// # Errors
/// If another agent listens there, or the folder cannot be written.
pub(crate) fn listen(path: &Path) -> Result<Local> {
    Local::bind(path)
}
