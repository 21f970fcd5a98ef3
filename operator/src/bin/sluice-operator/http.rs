//! Health and metrics over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use operator::View;
use tokio::net::TcpListener;

use crate::health::{Troubles, health};
use crate::metrics;

struct Shown {
    view: View,
    troubles: Troubles,
}

/// Listens, if there is an address for it.
///
/// # Errors
/// If the address cannot be listened at.
pub(crate) async fn listen(addr: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    let Some(addr) = addr else {
        return Ok(None);
    };
    let listener = TcpListener::bind(addr).await;
    let listener = listener.with_context(|| format!("listening for metrics at {addr}"))?;
    Ok(Some(listener))
}

/// Serves for ever; without a listener, nothing.
///
/// # Errors
/// If the socket breaks.
pub(crate) async fn serve(
    listener: Option<TcpListener>,
    view: View,
    troubles: Troubles,
) -> Result<()> {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(Shown { view, troubles }));
    axum::serve(listener, router)
        .await
        .context("serving health and metrics")
}

async fn ready(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    let health = health(&shown.view.standing(), &shown.troubles.texts());
    let code = if health.is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, health.text)
}

async fn metrics(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    let text = metrics::text(&shown.view.standing(), shown.view.tally());
    ([(CONTENT_TYPE, metrics::FORMAT)], text)
}
