//! `sluice`: what the agent on this node does, in tables or as one document.

mod args;
mod called;
mod client;
mod cluster;
mod commands;
mod output;
mod table;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command, LbIpamCommand};
use crate::called::Called;

/// The answer is no: invalid manifests, an agent that is not ready, a backend nobody has.
const NO: u8 = 1;
/// Traffic would be cut. (A wrong command line is 2, too.)
const CUT: u8 = 2;
/// The agent or the API server cannot be asked.
const UNREACHABLE: u8 = 3;

fn main() -> ExitCode {
    let args = Args::parse();
    let called = Called::by(std::env::args_os().next().as_deref());
    match commands::run(&args, called) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(if is_plan(&args.command) { CUT } else { NO }),
        Err(error) => {
            eprintln!("sluice: {error:#}");
            let unreachable = error.downcast_ref::<client::Unreachable>().is_some()
                || cluster::is_away(&error)
                || commands::objects::is_away(&error);
            ExitCode::from(if unreachable { UNREACHABLE } else { NO })
        }
    }
}

/// Whether the answer no means that something would be cut.
const fn is_plan(command: &Command) -> bool {
    matches!(
        command,
        Command::Plan(_) | Command::LbIpam(LbIpamCommand::Simulate(_))
    )
}
