//! `sluice install`, `upgrade` and `uninstall`: the chart that is in this program, carried out by helm.

mod args;
mod chart;
mod helm;
mod values;

use anyhow::Result;

pub(crate) use args::{InstallArgs, UninstallArgs, UpgradeArgs};
pub(crate) use helm::image;

use self::args::ChartArgs;
use self::chart::Chart;
use self::helm::{Deed, Helm};
use self::values::Support;
use super::workloads;
use crate::args::Output;
use crate::cluster::ClusterArgs;

/// Installs.
pub(super) fn install(cluster: &ClusterArgs, args: &InstallArgs) -> Result<bool> {
    apply(cluster, &args.chart, Deed::Install)
}

/// Upgrades.
pub(super) fn upgrade(cluster: &ClusterArgs, args: &UpgradeArgs) -> Result<bool> {
    apply(cluster, &args.chart, Deed::Upgrade(args))
}

/// Uninstalls.
pub(super) fn uninstall(cluster: &ClusterArgs, args: &UninstallArgs) -> Result<bool> {
    Helm::find(&args.helm, cluster)?.uninstall(args.wait)?;
    println!(
        "Sluicegate is gone from namespace {}. Its custom resources and their definitions are still \
         there, and so are the addresses in the status of Services: kubectl get crd | grep cilium.io",
        cluster.namespace()
    );
    Ok(true)
}

fn apply(cluster: &ClusterArgs, args: &ChartArgs, deed: Deed) -> Result<bool> {
    let helm = Helm::find(&args.helm, cluster)?;
    let chart = Chart::open(args.chart_directory.as_deref())?;
    let release = helm.rehearse(deed, chart.folder(), args)?;
    let support = Support::parse(&chart.support())?;
    for warning in about_version(args)
        .into_iter()
        .chain(support.warnings(&release.config))
    {
        eprintln!("warning: {warning}");
    }
    if args.dry_run {
        print!("{}", release.manifest);
        return Ok(true);
    }
    helm.carry_out(deed, chart.folder(), args)?;
    let done = match deed {
        Deed::Install => "installed",
        Deed::Upgrade(_) => "upgraded",
    };
    let namespace = cluster.namespace();
    println!("Sluicegate is {done} in namespace {namespace}.");
    if args.wait {
        return workloads::wait(cluster, Output::Table, args.wait_duration);
    }
    println!("sluice status --wait -n {namespace} says when everything runs.");
    Ok(true)
}

/// The chart in this program is of one version, whatever the images are.
fn about_version(args: &ChartArgs) -> Option<String> {
    let version = args.version.as_deref()?;
    let own = env!("CARGO_PKG_VERSION");
    let different = helm::tag(version) != helm::tag(own) && args.chart_directory.is_none();
    different.then(|| {
        format!("the images are of version {version}, and the objects of {own}, as this program is")
    })
}
