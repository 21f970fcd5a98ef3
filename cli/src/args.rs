//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use types::{BackendAddr, Family, Vip};

use crate::cluster::ClusterArgs;
use crate::commands::explain::ExplainCommand;
use crate::commands::install::{InstallArgs, UninstallArgs, UpgradeArgs};
use crate::commands::objects::PlaceArgs;
use crate::commands::objects::{ApplyArgs, DeleteArgs, ExportArgs, GetArgs, WatchArgs};
use crate::commands::plan::{AssumeArgs, PlanArgs};
use crate::commands::workloads;

/// See and steer the Sluicegate agent on this node, or Sluicegate in a cluster.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
        sluice status                          is everything in place, and if not, what\n  \
        sluice service list                    virtual addresses and their backends\n  \
        sluice lb list                         what the kernel holds\n  \
        sluice bgp peers                       sessions and route counts\n  \
        sluice service drain 10.3.0.21:80      no new flows to a backend; its flows stay\n  \
        sluice node withdraw                   announce nothing until sluice node restore\n  \
        sluice manifest check DIR              before you deploy\n  \
        sluice plan -f NEW --against OLD       what would change, and what would be cut\n  \
        sluice explain vip 192.0.2.1           where the way to an address is broken\n  \
        sluice apply -f DIR --etcd URL         give a fleet its objects\n  \
        sluice get services -A                 objects as kubectl prints them\n  \
        sluice install --set ipv6.enabled=true install in the cluster of your kubeconfig\n  \
        sluice status --wait                   until everything runs there\n\n\
        Exit status: 0 yes or done, 1 no or refused, 2 wrong usage or a plan that cuts traffic, 3 the agent, the API server or etcd cannot be reached."
)]
pub(crate) struct Args {
    /// The agent's socket
    #[arg(
        long,
        global = true,
        env = "SLUICE_SOCKET",
        default_value = "/run/sluicegate/agent.sock"
    )]
    pub(crate) socket: PathBuf,

    /// How to print
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub(crate) output: Output,

    /// Which cluster
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,

    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to print an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns for a person
    Table,
    /// The same with more columns
    Wide,
    /// One JSON document
    Json,
    /// One YAML document
    Yaml,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Is everything in place? Exit status 1 if not. Of this node's agent; of a cluster where one is named, or where there is no agent
    Status(StatusArgs),
    /// Services: virtual addresses and backends
    #[command(subcommand)]
    Service(ServiceCommand),
    /// The load balancer as the kernel holds it
    #[command(subcommand)]
    Lb(LbCommand),
    /// BGP sessions and routes
    #[command(subcommand)]
    Bgp(BgpCommand),
    /// The whole node: take it out of service, let it back
    #[command(subcommand)]
    Node(NodeCommand),
    /// Pools of addresses and what was given of them
    #[command(subcommand)]
    LbIpam(LbIpamCommand),
    /// Manifests, without an agent
    #[command(subcommand)]
    Manifest(ManifestCommand),
    /// What a change of manifests would do, before it is made. Exit status 2 if traffic would be cut
    Plan(PlanArgs),
    /// Why something is reached, or not
    #[command(subcommand)]
    Explain(ExplainCommand),
    /// Install in a cluster (needs helm)
    Install(InstallArgs),
    /// Change what is installed in a cluster (needs helm)
    Upgrade(UpgradeArgs),
    /// Take everything away that was installed in a cluster (needs helm)
    Uninstall(UninstallArgs),
    /// The ConfigMap that agents and operators read
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Versions of this program and of what runs in the cluster
    Version(VersionArgs),
    /// Write manifests to where objects are: a directory, etcd or a cluster
    Apply(ApplyArgs),
    /// Print objects, as kubectl does
    Get(GetArgs),
    /// Remove objects
    Delete(DeleteArgs),
    /// Print manifests that ask for what is there, to be applied elsewhere
    Export(ExportArgs),
    /// Print objects, and then what happens to them, until ended
    Watch(WatchArgs),
}

/// `sluice status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Of the cluster: look until all is well
    #[arg(long)]
    pub(crate) wait: bool,

    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = workloads::time)]
    pub(crate) wait_duration: Duration,
}

/// `sluice version`.
#[derive(Debug, clap::Args)]
pub(crate) struct VersionArgs {
    /// Of this program only
    #[arg(long)]
    pub(crate) client: bool,
}

/// `sluice config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the keys, and what is to be said of them
    View,
}

/// `sluice service`.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// List services with their addresses and backends
    List,
    /// Send no new flows to a backend; the flows it has stay
    Drain {
        /// ADDRESS:PORT or [ADDRESS]:PORT
        backend: BackendAddr,
    },
    /// Let a drained backend take new flows again
    Undrain {
        /// ADDRESS:PORT or [ADDRESS]:PORT
        backend: BackendAddr,
    },
}

/// `sluice lb`.
#[derive(Debug, Subcommand)]
pub(crate) enum LbCommand {
    /// Tables, backends, slots in change and counters, read from the kernel
    List,
    /// The lookup table of one virtual address
    Maglev {
        /// ADDRESS:PORT/TCP or ADDRESS:PORT/UDP
        vip: Vip,
    },
}

/// `sluice bgp`.
#[derive(Debug, Subcommand)]
pub(crate) enum BgpCommand {
    /// Sessions: state, uptime and route counts by family; of every node where a cluster is named
    Peers,
    /// Routes that can be advertised, or are advertised to peers
    Routes {
        /// Which table
        #[arg(value_enum, default_value = "available")]
        table: RouteTable,
        /// Which family
        #[arg(value_parser = family)]
        family: Option<Family>,
    },
}

/// Which routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RouteTable {
    /// Every route that can be advertised
    Available,
    /// What each peer is sent
    Advertised,
}

/// `sluice node`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Withdraw every route; sessions stay, and packets that still arrive are forwarded
    Withdraw,
    /// Announce again what the objects say
    Restore,
}

/// `sluice lb-ipam`.
#[derive(Debug, Subcommand)]
pub(crate) enum LbIpamCommand {
    /// Print the allocations as requests, ready to put into the manifests
    Export,
    /// Pools: how many addresses are free, and what is wrong with them
    Pools,
    /// Services with their addresses, as the objects of a place lead to them
    Show(ShowArgs),
    /// Why a Service has the addresses it has, or has none: what each pool says
    Why(WhyArgs),
    /// Which addresses a change would give, move or refuse. Exit status 2 if one would be lost or moved
    Simulate(PlanArgs),
}

/// `sluice lb-ipam show`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) assume: AssumeArgs,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `sluice lb-ipam why`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WhyArgs {
    /// NAMESPACE/NAME, or NAME in the namespace that is named, or else in default
    pub(crate) service: String,

    #[command(flatten)]
    pub(crate) assume: AssumeArgs,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `sluice manifest`.
#[derive(Debug, Subcommand)]
pub(crate) enum ManifestCommand {
    /// Check a directory: one line a fault, FILE:LINE: KIND/NAME: FIELD: reason
    Check {
        /// The directory, or one file
        dir: PathBuf,
    },
}

fn family(text: &str) -> Result<Family, String> {
    match text {
        "ipv4" => Ok(Family::V4),
        "ipv6" => Ok(Family::V6),
        other => Err(format!(
            "\"{other}\" is not a family: expected ipv4 or ipv6"
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_backend_without_a_port_is_wrong_usage() {
        assert!(Args::try_parse_from(["sluice", "service", "drain", "10.0.0.1"]).is_err());
        assert!(Args::try_parse_from(["sluice", "service", "drain", "10.0.0.1:80"]).is_ok());
    }
}
