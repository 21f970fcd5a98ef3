//! What `sluice install`, `upgrade` and `uninstall` take.

use std::path::PathBuf;

use clap::Args;

/// `sluice install`.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    pub(crate) chart: ChartArgs,
}

/// `sluice upgrade`.
#[derive(Debug, Args)]
pub(crate) struct UpgradeArgs {
    #[command(flatten)]
    pub(crate) chart: ChartArgs,

    /// Keep the values that were given before; --set and --values change some of them
    #[arg(long, conflicts_with_all = ["reset_values", "reset_then_reuse_values"])]
    pub(crate) reuse_values: bool,

    /// Forget the values that were given before
    #[arg(long, conflicts_with = "reset_then_reuse_values")]
    pub(crate) reset_values: bool,

    /// Take this version's defaults, and the values that were given before on top
    #[arg(long)]
    pub(crate) reset_then_reuse_values: bool,
}

/// `sluice uninstall`.
#[derive(Debug, Args)]
pub(crate) struct UninstallArgs {
    #[command(flatten)]
    pub(crate) helm: HelmArgs,

    /// Wait until everything is gone
    #[arg(long)]
    pub(crate) wait: bool,
}

/// The chart with its values.
#[derive(Debug, Args)]
pub(crate) struct ChartArgs {
    #[command(flatten)]
    pub(crate) helm: HelmArgs,

    /// Set a value of the chart: PATH=VALUE, as helm has it; can be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,

    /// As --set, and the value is text whatever it looks like
    #[arg(long, value_name = "PATH=TEXT")]
    pub(crate) set_string: Vec<String>,

    /// A file of values; can be repeated, later ones win
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) values: Vec<PathBuf>,

    /// The version of the images (default: this program's own)
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<String>,

    /// A chart to use instead of the one in this program
    #[arg(long, value_name = "DIR")]
    pub(crate) chart_directory: Option<PathBuf>,

    /// Print what would be applied, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Wait until everything runs
    #[arg(long)]
    pub(crate) wait: bool,

    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = crate::commands::workloads::time)]
    pub(crate) wait_duration: std::time::Duration,
}

/// Helm itself.
#[derive(Debug, Args)]
pub(crate) struct HelmArgs {
    /// The helm to use (default: the one on PATH)
    #[arg(long, value_name = "FILE", env = "SLUICE_HELM")]
    pub(crate) helm: Option<PathBuf>,

    /// What helm calls the installation
    #[arg(long, value_name = "NAME", default_value = "sluicegate")]
    pub(crate) helm_release_name: String,
}
