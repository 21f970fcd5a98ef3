//! The per-node daemon: reads its configuration, starts what its role needs, and waits.

mod backend;
mod balancer;
mod config;
mod http;
mod limits;
mod log;
mod stop;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::config::{Config, RoleConfig};

/// The Sluicegate agent: balances and announces virtual addresses, or serves as a backend.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "The configuration is one TOML file; docs/standalone.md names every key.\n\
        SIGTERM stops the agent and leaves traffic flowing: what is in the kernel stays, and \
        routers keep its routes until it is back (BGP graceful restart).\n\
        An agent whose state database is broken does not start. Put a copy back, or set the broken \
        file aside with --reset-state: services then get addresses anew, except where a manifest \
        requests them (sluice lb-ipam export prints such requests while an agent runs)."
)]
struct Args {
    /// The configuration file
    #[arg(long, default_value = "/etc/sluicegate/agent.toml")]
    config: PathBuf,

    /// Check the configuration and end
    #[arg(long)]
    check: bool,

    /// Set the state database aside, say where it is now, and end; the next start makes a new one
    #[arg(long, conflicts_with = "check")]
    reset_state: bool,
}

fn main() -> ExitCode {
    match start(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args) -> Result<()> {
    let config = Config::read(&args.config)?;
    if args.check {
        println!("{} is valid", args.config.display());
        return Ok(());
    }
    if args.reset_state {
        return reset_state(&config);
    }
    log::start(&config.log)?;
    limits::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let outcome = runtime.block_on(async {
        match &config.role {
            RoleConfig::Balancer(own) => balancer::run(&config, own).await,
            RoleConfig::Backend(own) => backend::run(&config, own).await,
        }
    });
    // Blocking reads of tables may still be under way; nothing waits for them.
    runtime.shutdown_background();
    outcome
}

/// Sets the state database aside; an agent that runs keeps it.
fn reset_state(config: &Config) -> Result<()> {
    let RoleConfig::Balancer(own) = &config.role else {
        bail!("a backend keeps no state");
    };
    let folder = own.state_dir.display();
    let aside = store::reset_state(&own.state_dir)
        .with_context(|| format!("resetting the state in {folder}"))?;
    match aside {
        Some(aside) => println!(
            "the state database is now {}; the next start makes a new one",
            aside.display()
        ),
        None => println!("there is no state database in {folder}"),
    }
    Ok(())
}
