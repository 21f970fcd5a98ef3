//! The per-node daemon: reads its configuration, starts what its role needs, and waits.

mod backend;
mod config;
mod edge;
mod http;
mod limits;
mod log;
mod stop;
mod surroundings;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::config::{Config, Environment, Flags, RoleConfig};

/// The Sluicegate agent: announces virtual addresses and balances them, or serves as a backend.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "On a Kubernetes node:  sluice-agent --kubeconfig FILE --node-name NAME\n\
        In a pod:              sluice-agent\n\
        On a standalone node:  sluice-agent --config FILE\n\
        In a fleet:            sluice-agent --etcd URL --etcd URL ...\n\n\
        Without a configuration file the agent announces addresses and leaves balancing to another \
        program, such as kube-proxy. With one, --kubeconfig and --etcd say where objects come from \
        instead of its manifests. docs/standalone.md names every key.\n\
        SIGTERM stops the agent and leaves traffic flowing: what is in the kernel stays, and \
        routers keep its routes until it is back (BGP graceful restart).\n\
        An agent whose state database is broken does not start. Put a copy back, or set the broken \
        file aside with --reset-state: services then get addresses anew, except where a manifest \
        requests them (sluice lb-ipam export prints such requests while an agent runs)."
)]
struct Args {
    #[command(flatten)]
    flags: Flags,

    /// Check the configuration and end
    #[arg(long)]
    check: bool,

    /// Set the state database aside, say where it is now, and end; the next start makes a new one
    #[arg(long, conflicts_with = "check")]
    reset_state: bool,
}

fn main() -> ExitCode {
    match start(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<()> {
    let subject = args.flags.subject();
    let config = args.flags.config(&Environment::read())?;
    if args.check {
        println!("{subject} is valid");
        return Ok(());
    }
    if args.reset_state {
        return reset_state(&config);
    }
    log::start(&config.log)?;
    for remark in &config.remarks {
        tracing::warn!(%remark, "a setting");
    }
    limits::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let outcome = runtime.block_on(async {
        match &config.role {
            RoleConfig::Edge(own) => edge::run(&config, own).await,
            RoleConfig::Backend(own) => backend::run(&config, own).await,
        }
    });
    // Blocking reads of tables may still be under way; nothing waits for them.
    runtime.shutdown_background();
    outcome
}

/// Sets the state database aside; an agent that runs keeps it.
fn reset_state(config: &Config) -> Result<()> {
    let state_dir = match &config.role {
        RoleConfig::Edge(own) => own.state_dir.as_deref(),
        RoleConfig::Backend(_) => None,
    };
    let Some(state_dir) = state_dir else {
        bail!("this agent keeps no state");
    };
    let folder = state_dir.display();
    let aside = store::reset_state(state_dir)
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
