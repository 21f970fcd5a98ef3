//! Starts the parts of a balancer, serves, and stops them in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context as _, Result};
use bgp_speaker::{Exit, Speaker};
use desired::Progress;
use operator::{Operator, OperatorHandle};
use store::{Directory, DirectoryConfig, Faults, Hub, HubHandle, Overrides};
use tokio::sync::{mpsc, watch};
use types::{Family, NodeName};
use xdp_l4lb::{AttachMode, Balancer, BalancerConfig, Outer, Sizes, Sources};
use xdp_l4lb_core::Capacity;
use xdp_l4lb_core::desired::{Service, ServiceKey};

use super::wiring::Wiring;
use crate::config::{self, Config, XdpMode};
use crate::{http, stop};

/// Objects that wait for the allocator. A full channel holds up the next delta, which the hub
/// then merges.
const INPUTS: usize = 16;

/// The seed of every node's Maglev tables: the same in the whole fleet.
const MAGLEV_SEED: u64 = 0x736c_7569_6365_3031;

/// ICMP errors a second that each CPU generates at most.
const ERROR_RATE: u32 = 100;

/// The parts of a running balancer, as the API sees them.
pub(super) struct Node {
    pub(super) name: NodeName,
    pub(super) started: Instant,
    pub(super) bpf_dir: std::path::PathBuf,
    pub(super) hub: HubHandle,
    pub(super) faults: watch::Receiver<Faults>,
    pub(super) overrides: Overrides,
    pub(super) operator: OperatorHandle,
    pub(super) balancer: Balancer,
    pub(super) speaker: Speaker,
    /// What the balancer was told last, and what of the BGP configuration is not run.
    pub(super) told: Mutex<Told>,
}

/// What the wiring keeps for people to see.
#[derive(Default)]
pub(super) struct Told {
    pub(super) services: BTreeMap<ServiceKey, Service>,
    pub(super) left_out: Vec<String>,
    pub(super) progress: Progress,
    /// Whether peers were told that everything has been announced.
    pub(super) end_of_rib: bool,
}

/// Runs a balancer until a signal ends it.
///
/// # Errors
/// If it cannot be started. What an earlier agent put into the kernel goes on.
pub(crate) async fn run(config: &Config, own: &config::Balancer) -> Result<()> {
    // First of all, so that two agents never get in each other's way.
    let listener = http::listen(&config.socket)?;
    let metrics = http::listen_metrics(config.metrics).await?;
    let (node, inputs, live) = start(config, own).await?;
    let node = Arc::new(node);
    let wiring = Wiring::new(Arc::clone(&node), own.router_id, inputs);
    let served = http::serve_api(listener, Arc::clone(&node), stop::requested());
    let scraped = http::serve_metrics(metrics, Arc::clone(&node), stop::requested());
    tracing::info!(node = %config.node, forwarding = live, "the balancer has started");
    let outcome = tokio::select! {
        outcome = served => outcome,
        outcome = scraped => outcome,
        outcome = wiring.run() => outcome,
        () = stop::requested() => Ok(()),
    };
    tracing::info!("stopping; the kernel goes on with what it has");
    node.speaker.clone().stop(Exit::Restart).await;
    outcome
}

/// Starts every part; also whether packets were being forwarded already.
async fn start(
    config: &Config,
    own: &config::Balancer,
) -> Result<(Node, mpsc::Sender<operator::Input>, bool)> {
    let directory = DirectoryConfig::new(&own.manifests, &own.state_dir);
    let (directory, statuses, overrides) = Directory::open(directory)
        .with_context(|| format!("opening the state in {}", own.state_dir.display()))?;
    let faults = directory.faults();
    let balancer = Balancer::start(balancer_config(&config.bpf_dir, own))
        .await
        .context("starting the balancer")?;
    let live = !balancer.state().borrow().ready.is_empty();
    let speaker = Speaker::start(live).context("starting the BGP speaker")?;
    let (inputs, received) = mpsc::channel(INPUTS);
    let node = Node {
        name: config.node.clone(),
        started: Instant::now(),
        bpf_dir: config.bpf_dir.clone(),
        hub: Hub::spawn(directory),
        faults,
        overrides,
        operator: Operator::spawn(&Family::BOTH, received, statuses),
        balancer,
        speaker,
        told: Mutex::default(),
    };
    Ok((node, inputs, live))
}

fn balancer_config(bpf_dir: &Path, own: &config::Balancer) -> BalancerConfig {
    let tables = own.tables;
    BalancerConfig {
        bpffs: bpf_dir.to_owned(),
        interfaces: own.interfaces.clone(),
        attach_mode: match own.xdp {
            XdpMode::Auto => AttachMode::Auto,
            XdpMode::Native => AttachMode::Native,
            XdpMode::Generic => AttachMode::Generic,
        },
        sizes: Sizes {
            capacity: Capacity {
                services: tables.services,
                slots: tables.slots,
                backends: tables.backends,
                ..Capacity::default()
            },
            flows: tables.flows,
        },
        outer: Outer {
            v4: own.outer_v4,
            v6: own.outer_v6,
            error_rate: ERROR_RATE,
        },
        maglev_seed: MAGLEV_SEED,
        probe_sources: Sources::default(),
    }
}
