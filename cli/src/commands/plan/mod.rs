//! `sluice plan`: what a change would do, before it is made.

mod text;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use desired::plan::{Assumptions, Layout, Plan, Situation};
use desired::{Forwarding, IpamOptions};
use types::{Family, NodeName};

use super::objects::{Given, Known, PlaceArgs, given, of_place};
use crate::args::Args;
use crate::output::print;

/// `sluice plan`.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct PlanArgs {
    /// Manifests as they would be: a directory, a file, or - for standard input; repeated for more
    #[arg(short, long, value_name = "DIR|FILE|-", required = true)]
    pub(crate) filename: Vec<PathBuf>,

    /// What is compared with: the manifests as they are
    #[arg(long, value_name = "DIR", conflicts_with_all = ["manifests", "etcd", "kubeconfig", "context"])]
    pub(crate) against: Option<PathBuf>,

    /// In a cluster or fleet: objects that the manifests do not name are deleted (default: they stay)
    #[arg(long)]
    pub(crate) prune: bool,

    #[command(flatten)]
    pub(crate) assume: AssumeArgs,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// What objects do not say.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Assumptions")]
pub(crate) struct AssumeArgs {
    /// Who forwards packets for Services (default: in a Kubernetes cluster elsewhere, else the balancer)
    #[arg(long, value_enum)]
    pub(crate) forwarding: Option<Forwards>,

    /// The node, where no manifest is a Node
    #[arg(long, value_name = "NAME", default_value = "node")]
    pub(crate) node: NodeName,
}

/// Who forwards packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Forwards {
    /// Sluicegate's balancer
    Balancer,
    /// Another program, such as kube-proxy
    Elsewhere,
}

/// Whether nothing would be cut.
pub(crate) fn run(args: &Args, wanted: &PlanArgs) -> Result<bool> {
    let plan = make(args, wanted)?;
    print(args.output, &plan, |plan, _| text::render(plan))?;
    Ok(!plan.cuts_traffic())
}

/// Whether no address would be lost or moved.
pub(crate) fn simulate(args: &Args, wanted: &PlanArgs) -> Result<bool> {
    let plan = make(args, wanted)?;
    let addresses = Plan {
        addresses: plan.addresses,
        pools: plan.pools,
        refused: plan.refused,
        cuts: plan
            .cuts
            .into_iter()
            .filter(|cut| cut.kind == desired::plan::CutKind::Address)
            .collect(),
        ..Plan::default()
    };
    print(args.output, &addresses, |plan, _| text::render(plan))?;
    Ok(!addresses.cuts_traffic())
}

fn make(args: &Args, wanted: &PlanArgs) -> Result<Plan> {
    let given = given(&wanted.filename)?;
    let before = before(args, wanted)?;
    let after = after(&before, &given, wanted.prune);
    let assumptions = assumptions(&wanted.assume, before.layout);
    let mut plan = desired::plan::plan(&before.objects, &after, &assumptions);
    plan.refused = given.refused;
    plan.refused.extend(before.refused);
    Ok(plan)
}

/// What is compared with: nothing, if the command line names nothing.
fn before(args: &Args, wanted: &PlanArgs) -> Result<Known> {
    if let Some(dir) = &wanted.against {
        let Given {
            objects, refused, ..
        } = given(std::slice::from_ref(dir))?;
        return Ok(Known {
            objects,
            refused,
            layout: Layout::Nodes,
        });
    }
    let cluster = &args.cluster;
    let is_named = wanted.place.manifests.is_some()
        || !wanted.place.etcd.is_empty()
        || cluster.kubeconfig.is_some()
        || cluster.context.is_some();
    if is_named {
        return of_place(args, &wanted.place);
    }
    Ok(Known {
        objects: Situation::new(),
        refused: Vec::new(),
        layout: Layout::Nodes,
    })
}

/// A directory is all that there is; elsewhere manifests join what is there. What is refused stays.
fn after(before: &Known, given: &Given, prune: bool) -> Situation {
    let mut after = given.objects.clone();
    for (key, object) in &before.objects {
        let stays = match before.layout {
            Layout::Nodes => false,
            Layout::Cluster => !prune || is_made_elsewhere(key.kind),
        };
        if (stays || given.refuses(key)) && !after.contains_key(key) {
            after.insert(key.clone(), object.clone());
        }
    }
    after
}

/// Whether a cluster makes objects of the kind by itself.
fn is_made_elsewhere(kind: api::Kind) -> bool {
    use api::Kind;

    matches!(
        kind,
        Kind::EndpointSlice | Kind::Node | Kind::Secret | Kind::CiliumBGPNodeConfig
    )
}

/// What objects do not say, from the command line.
pub(crate) fn assumptions(wanted: &AssumeArgs, layout: Layout) -> Assumptions {
    let forwarding = match (wanted.forwarding, layout) {
        (Some(Forwards::Balancer), _) | (None, Layout::Nodes) => Forwarding::Balancer,
        (Some(Forwards::Elsewhere), _) | (None, Layout::Cluster) => Forwarding::Elsewhere,
    };
    Assumptions {
        layout,
        forwarding,
        ipam: IpamOptions::default(),
        families: Family::BOTH.to_vec(),
        node: wanted.node.clone(),
        now: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    }
}
