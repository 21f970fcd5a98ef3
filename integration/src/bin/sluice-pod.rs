//! What the lab's pods run: `sluice-pod pause`, or `sluice-pod serve`.
//!
//! The server listens on `PORT` (80), answers as `POD_NAME@NODE_NAME`, and serves on for
//! `DRAIN_SECS` (5) seconds after it was asked to end.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use integration::traffic::pod;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice-pod: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("pause") => pod::hold(),
        Some("serve") => {
            let name = format!("{}@{}", text("POD_NAME", "pod"), text("NODE_NAME", "node"));
            let port = text("PORT", "80").parse().context("reading PORT")?;
            let drain = text("DRAIN_SECS", "5")
                .parse()
                .context("reading DRAIN_SECS")?;
            pod::serve(&name, port, Duration::from_secs(drain))
        }
        other => bail!("say `pause` or `serve`, not {other:?}"),
    }
}

fn text(variable: &str, or: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| or.to_owned())
}
