//! Starts the parts of an edge node, serves, and stops them in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bgp_speaker::{Exit, Speaker};
use desired::{Facts, Forwarding, Progress, Role};
use operator::{OperatorHandle, Report};
use store::{HubHandle, Overrides};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use types::NodeName;
use xdp_l4lb::{AttachMode, Balancer, BalancerConfig, Outer, Sizes, Sources};
use xdp_l4lb_core::Capacity;
use xdp_l4lb_core::desired::{Service, ServiceKey};

use super::boot::Boot;
use super::guide::Guide;
use super::origin::{Opened, Origin};
use super::report::{Reports, Subject};
use super::wiring::Wiring;
use crate::config::{self, Config, Edge, XdpMode};
use crate::{http, stop, surroundings};

/// The seed of every node's Maglev tables: the same in the whole fleet.
const MAGLEV_SEED: u64 = 0x736c_7569_6365_3031;

/// ICMP errors a second that each CPU generates at most.
const ERROR_RATE: u32 = 100;

/// How long the end of the agent waits until the operators' lease is given back.
const LEAVE: Duration = Duration::from_secs(3);

/// The parts of a running node, as the API sees them.
pub(super) struct Node {
    pub(super) name: NodeName,
    pub(super) started: Instant,
    pub(super) bpf_dir: std::path::PathBuf,
    pub(super) boot: Boot,
    pub(super) hub: HubHandle,
    pub(super) origin: Origin,
    pub(super) role: Role,
    /// Who leads the operators, where there are others.
    pub(super) guide: Option<Guide>,
    pub(super) overrides: Overrides,
    /// The operator, where its duties are this node's.
    pub(super) operator: Option<OperatorHandle>,
    /// None where another program balances.
    pub(super) balancer: Option<Balancer>,
    pub(super) speaker: Speaker,
    /// Whether BGP is spoken at all.
    pub(super) speaks: bool,
    /// What this node's CiliumBGPNodeConfig says, and is to say.
    pub(super) subject: watch::Sender<Subject>,
    /// Writes it, where that is wanted.
    pub(super) reports: Option<Reports>,
    /// What the parts were told last, and what of the BGP configuration is not run.
    pub(super) told: Mutex<Told>,
}

/// What the wiring keeps for people to see.
#[derive(Default)]
pub(super) struct Told {
    pub(super) services: BTreeMap<ServiceKey, Service>,
    pub(super) left_out: Vec<String>,
    /// What a person should know of the node's own state.
    pub(super) remark: Option<String>,
    pub(super) progress: Progress,
    /// Whether peers were told that everything has been announced.
    pub(super) end_of_rib: bool,
}

/// Runs a node until a signal ends it.
///
/// # Errors
/// If it cannot be started. What an earlier agent put into the kernel goes on.
pub(crate) async fn run(config: &Config, own: &Edge) -> Result<()> {
    // First of all, so that two agents never get in each other's way.
    let listener = http::listen(&config.socket)?;
    let metrics = http::listen_metrics(config.metrics).await?;
    let (node, inputs) = start(config, own).await?;
    let node = Arc::new(node);
    let facts = facts(config, own, &node);
    let wiring = Wiring::new(Arc::clone(&node), facts, inputs);
    let served = http::serve_api(listener, Arc::clone(&node), stop::requested());
    let scraped = http::serve_metrics(metrics, Arc::clone(&node), stop::requested());
    tracing::info!(node = %config.node, balances = node.balancer.is_some(), "the node has started");
    let outcome = tokio::select! {
        outcome = served => outcome,
        outcome = scraped => outcome,
        outcome = wiring.run() => outcome,
        () = stop::requested() => Ok(()),
    };
    tracing::info!("stopping; traffic goes on");
    tokio::join!(node.leave(), node.speaker.clone().stop(Exit::Restart));
    outcome
}

/// Starts every part.
async fn start(
    config: &Config,
    own: &Edge,
) -> Result<(Node, Option<mpsc::Sender<operator::Input>>)> {
    let opened = Opened::open(&config.node, own).await?;
    let balancer = start_balancer(config, own).await?;
    let boot = Boot::of(own.state_dir.as_deref(), &config.socket);
    let live = match &balancer {
        Some(balancer) => !balancer.state().borrow().ready.is_empty(),
        None => boot.has_announced(),
    };
    let speaker = Speaker::start(live).context("starting the BGP speaker")?;
    let (operator, inputs) = match opened.duties {
        Some(duties) => (Some(duties.operator), Some(duties.inputs)),
        None => (None, None),
    };
    let (subject, shown) = watch::channel(Subject::default());
    let remote = opened.remote.filter(|_| own.bgp.status_report);
    let reports = remote.map(|remote| Reports::start(remote, speaker.clone(), shown));
    let node = Node {
        name: config.node.clone(),
        started: Instant::now(),
        bpf_dir: config.bpf_dir.clone(),
        boot,
        hub: opened.hub,
        origin: opened.origin,
        role: opened.role,
        guide: opened.guide,
        overrides: opened.overrides,
        operator,
        balancer,
        speaker,
        speaks: own.bgp.enabled,
        subject,
        reports,
        told: Mutex::default(),
    };
    Ok((node, inputs))
}

async fn start_balancer(config: &Config, own: &Edge) -> Result<Option<Balancer>> {
    let Some(settings) = &own.balancer else {
        return Ok(None);
    };
    let balancer = Balancer::start(balancer_config(&config.bpf_dir, settings))
        .await
        .context("starting the balancer")?;
    Ok(Some(balancer))
}

/// What is known of this node without any object.
fn facts(config: &Config, own: &Edge, node: &Node) -> Facts {
    Facts {
        role: node.role,
        forwarding: match node.balancer {
            Some(_) => Forwarding::Balancer,
            None => Forwarding::Elsewhere,
        },
        router_id: own.bgp.router_id,
        spare_router_id: surroundings::spare_router_id(),
        secrets_namespace: own.bgp.secrets_namespace.as_str().into(),
        status_reports: own.bgp.status_report,
        announce_empty: own.bgp.announce_empty,
        ..Facts::new(config.node.clone())
    }
}

impl Node {
    /// Leaves the election of an operator, if this node takes part, as long as others can be told.
    async fn leave(&self) {
        if let Some(guide) = &self.guide
            && timeout(LEAVE, guide.leave()).await.is_err()
        {
            tracing::warn!("the operators' lease is not given back; it runs out");
        }
    }

    /// What the parts were told last.
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the operator has done, where its duties are this node's.
    pub(super) fn report(&self) -> Report {
        let operator = self.operator.as_ref();
        operator.map(OperatorHandle::report).unwrap_or_default()
    }
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
