//! Asks the agent, over HTTP on its Unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_api::Problem;
use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// The agent answers from memory; what takes longer is not an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The agent cannot be asked.
#[derive(Debug)]
pub(crate) struct Unreachable {
    socket: PathBuf,
    why: String,
}

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "cannot reach the agent at {}: {} (is sluice-agent running? --socket names another)",
            self.socket.display(),
            self.why
        )
    }
}

impl std::error::Error for Unreachable {}

/// An agent's socket.
pub(crate) struct Client<'a> {
    socket: &'a Path,
}

impl<'a> Client<'a> {
    pub(crate) fn new(socket: &'a Path) -> Self {
        Self { socket }
    }

    /// Asks for a document.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask(&Method::GET, path)
    }

    /// Sends a request and reads the document that answers it.
    pub(crate) fn ask<T: DeserializeOwned>(&self, method: &Method, path: &str) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting the runtime")?;
        let exchange = async { tokio::time::timeout(PATIENCE, self.exchange(method, path)).await };
        let (good, body) = runtime
            .block_on(exchange)
            .unwrap_or_else(|_| Err(self.unreachable("no answer in 30 s")))?;
        if good {
            return serde_json::from_slice(&body)
                .with_context(|| format!("reading the agent's answer to {path}"));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => bail!("{}", problem.error),
            Err(_) => bail!(
                "the agent refused {path}: {}",
                String::from_utf8_lossy(&body)
            ),
        }
    }

    async fn exchange(&self, method: &Method, path: &str) -> Result<(bool, Bytes)> {
        let stream = UnixStream::connect(self.socket)
            .await
            .map_err(|error| self.unreachable(&error.to_string()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unreachable(&error.to_string()))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "sluicegate")
            .body(Empty::<Bytes>::new())
            .context("building the request")?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| self.unreachable(&error.to_string()))?;
        let good = answer.status().is_success();
        let body = answer
            .into_body()
            .collect()
            .await
            .context("reading the answer")?
            .to_bytes();
        Ok((good, body))
    }

    fn unreachable(&self, why: &str) -> anyhow::Error {
        Unreachable {
            socket: self.socket.to_owned(),
            why: why.to_owned(),
        }
        .into()
    }
}
