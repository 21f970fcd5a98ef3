//! One module a command: asks, and makes the table.

mod bgp;
mod lb;
mod lb_ipam;
mod manifest;
mod node;
mod service;
mod status;

use anyhow::Result;

use crate::args::{Args, Command};
use crate::client::Client;

/// Runs a command; `false` is a clean no.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let client = Client::new(&args.socket);
    match &args.command {
        Command::Status => status::run(&client, args.output),
        Command::Service(command) => service::run(&client, args.output, command),
        Command::Lb(command) => lb::run(&client, args.output, command),
        Command::Bgp(command) => bgp::run(&client, args.output, command),
        Command::Node(command) => node::run(&client, args.output, *command),
        Command::LbIpam(command) => lb_ipam::run(&client, args.output, command),
        Command::Manifest(command) => manifest::run(args.output, command),
    }
}
