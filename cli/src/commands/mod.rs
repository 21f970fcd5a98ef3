//! One module a command: asks, and makes the table.

mod addresses;
mod bgp;
mod cilium;
mod config;
pub(crate) mod explain;
pub(crate) mod install;
mod lb;
mod lb_ipam;
mod manifest;
mod node;
pub(crate) mod objects;
mod peers;
pub(crate) mod plan;
mod service;
mod status;
mod version;
pub(crate) mod workloads;

use anyhow::Result;

use crate::args::{Args, BgpCommand, Command, LbIpamCommand};
use crate::called::Called;
use crate::client::Client;
use crate::cluster::ClusterArgs;

/// Runs a command; `false` is a clean no.
pub(crate) fn run(args: &Args, called: Called) -> Result<bool> {
    let client = Client::new(&args.socket);
    let cluster = &args.cluster;
    match &args.command {
        Command::Status(wanted) if wanted.wait || is_about_a_cluster(args, called) => {
            if wanted.wait {
                return workloads::wait(cluster, args.output, wanted.wait_duration);
            }
            workloads::status(cluster, args.output)
        }
        Command::Status(_) => status::run(&client, args.output),
        Command::Service(command) => service::run(&client, args.output, command, called),
        Command::Lb(command) => lb::run(&client, args.output, command),
        Command::Bgp(BgpCommand::Peers) if is_about_a_cluster(args, called) => {
            bgp::peers_of_cluster(cluster, args.output)
        }
        Command::Bgp(command) => bgp::run(&client, args.output, command, called),
        Command::Node(command) => node::run(&client, args.output, *command),
        Command::LbIpam(LbIpamCommand::Show(wanted)) => addresses::show(args, wanted),
        Command::LbIpam(LbIpamCommand::Why(wanted)) => addresses::why(args, wanted),
        Command::LbIpam(LbIpamCommand::Simulate(wanted)) => plan::simulate(args, wanted),
        Command::LbIpam(command) => lb_ipam::run(&client, args.output, command),
        Command::Manifest(command) => manifest::run(args.output, command),
        Command::Plan(wanted) => plan::run(args, wanted),
        Command::Explain(command) => explain::run(args, command),
        Command::Install(wanted) => install::install(cluster, wanted),
        Command::Upgrade(wanted) => install::upgrade(cluster, wanted),
        Command::Uninstall(wanted) => install::uninstall(cluster, wanted),
        Command::Config(command) => config::run(cluster, args.output, command),
        Command::Version(wanted) => version::run(cluster, args.output, wanted),
        Command::Apply(wanted) => objects::apply(args, wanted),
        Command::Get(wanted) => objects::get(args, wanted),
        Command::Delete(wanted) => objects::delete(args, wanted),
        Command::Export(wanted) => objects::export(args, wanted),
        Command::Watch(wanted) => objects::watch(args, wanted),
    }
}

/// A node has an agent's socket; whoever has a kubeconfig instead asks about a cluster.
fn is_about_a_cluster(args: &Args, called: Called) -> bool {
    match called {
        Called::CiliumDbg => false,
        Called::Sluice | Called::Cilium => {
            args.cluster.given() || (!args.socket.exists() && ClusterArgs::at_hand())
        }
    }
}
