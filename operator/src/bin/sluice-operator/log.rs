//! Structured logs on standard error: text for a terminal, JSON for a collector.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use settings::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts logging; called once.
///
/// # Errors
/// If the filter is not one, or logging was started already.
pub(crate) fn start(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(&log.level)
        .with_context(|| format!("the log level: \"{}\" is not a filter", log.level))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("starting the log: {error}"))
}
