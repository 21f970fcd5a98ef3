//! The role `backend`: takes encapsulated packets from balancers, and keeps doing so.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agent_api::{
    Allocation, Bgp, Drained, Interface, Ipam, Lb, Maglev, Objects, Peer, Pool, Role, Route,
    Service, Status, Transitions, Withdrawn,
};
use anyhow::{Context as _, Result, bail};
use types::{BackendAddr, NodeName, Vip};
use xdp_l4lb::{BackendDesired, BackendRole, DecapCounters};

use crate::config::{self, Config};
use crate::edge::{interfaces, verdicts};
use crate::http::Api;
use crate::{http, stop};

/// How long to wait before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often everything is looked at without an event: somebody may have removed an address.
const LOOK: Duration = Duration::from_secs(30);

/// What the API shows of a backend.
struct Node {
    name: NodeName,
    bpf_dir: PathBuf,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    interfaces: Vec<Interface>,
    problem: Option<String>,
    applied: bool,
}

/// Runs a backend until a signal ends it. What was set up stays, so that traffic goes on.
///
/// # Errors
/// If it cannot be started.
pub(crate) async fn run(config: &Config, own: &config::Backend) -> Result<()> {
    let listener = http::listen(&config.socket)?;
    let metrics = http::listen_metrics(config.metrics).await?;
    let role = BackendRole::open(&config.bpf_dir, own.interfaces.clone())
        .context("starting the backend side")?;
    let desired = BackendDesired {
        balancers: own.balancers.iter().copied().collect(),
        vips: own.vips.iter().copied().collect(),
    };
    let node = Arc::new(Node {
        name: config.node.clone(),
        bpf_dir: config.bpf_dir.clone(),
        started: Instant::now(),
        state: Mutex::default(),
    });
    tracing::info!(node = %config.node, vips = desired.vips.len(), "the backend has started");
    tokio::select! {
        outcome = http::serve_api(listener, Arc::clone(&node), stop::requested()) => outcome,
        outcome = http::serve_metrics(metrics, Arc::clone(&node), stop::requested()) => outcome,
        () = keep(role, &desired, &node) => Ok(()),
        () = stop::requested() => Ok(()),
    }
}

/// Applies what is desired whenever an interface changes, and again where it failed.
async fn keep(mut role: BackendRole, desired: &BackendDesired, node: &Node) {
    loop {
        let outcome = role.apply(desired).await;
        let pause = node.keep(&role, outcome.err().map(|error| chain(&error)));
        tokio::select! {
            () = role.interface_changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl Node {
    /// Keeps how an attempt went, and says how long to wait before the next.
    fn keep(&self, role: &BackendRole, problem: Option<String>) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.interfaces = interfaces(role.states());
        let attached = role.states().values().all(xdp_l4lb::LinkState::is_attached);
        if let Some(problem) = &problem
            && state.problem.as_ref() != Some(problem)
        {
            tracing::warn!(%problem, "the backend side is not in place, and is tried again");
        }
        state.applied = problem.is_none();
        state.problem = problem;
        if attached && state.applied {
            LOOK
        } else {
            RETRY
        }
    }
}

impl Api for Node {
    async fn status(&self) -> Result<Status> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut problems: Vec<String> = state.problem.iter().cloned().collect();
        for interface in &state.interfaces {
            if !["native", "generic"].contains(&interface.mode.as_str()) {
                let why = interface
                    .reason
                    .as_deref()
                    .unwrap_or("there is no such interface");
                problems.push(format!("{}: {why}", interface.name));
            }
        }
        Ok(Status {
            node: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: Role::Backend,
            uptime_secs: self.started.elapsed().as_secs(),
            ready: state.applied && problems.is_empty(),
            problems,
            remarks: Vec::new(),
            source: None,
            operator: None,
            objects: Vec::new(),
            refused: Vec::new(),
            interfaces: state.interfaces.clone(),
            bgp: Bgp::default(),
            ipam: Ipam::default(),
            alarms: Vec::new(),
            vips_ready: 0,
            vips_wanted: 0,
            stores: 0,
            drained: Vec::new(),
            withdrawn: false,
        })
    }

    async fn services(&self) -> Result<Vec<Service>> {
        Ok(Vec::new())
    }

    /// A backend has no services in its kernel, only counters of what it took off.
    fn lb(&self) -> Result<Lb> {
        let counters = DecapCounters::read(&self.bpf_dir).context("reading the counters")?;
        let others = counters.others.iter();
        let others = others.map(|(counter, count)| (counter.name(), *count));
        Ok(Lb {
            role: Role::Backend,
            services: Vec::new(),
            transitions: Transitions::default(),
            verdicts: verdicts(&counters.drops, others),
        })
    }

    fn maglev(&self, _: Vip) -> Result<Option<Maglev>> {
        bail!("this node is a backend: ask a balancer")
    }

    async fn drain(&self, _: BackendAddr, _: bool) -> Result<Option<Drained>> {
        bail!("this node is a backend: drain it at its balancers")
    }

    async fn withdraw(&self, _: bool) -> Result<Withdrawn> {
        bail!("this node is a backend and announces nothing: drain it at its balancers")
    }

    async fn peers(&self) -> Result<Vec<Peer>> {
        Ok(Vec::new())
    }

    async fn routes(&self, _: bool) -> Result<Vec<Route>> {
        Ok(Vec::new())
    }

    fn objects(&self) -> Option<Objects> {
        None
    }

    fn allocations(&self) -> Vec<Allocation> {
        Vec::new()
    }

    fn pools(&self) -> Vec<Pool> {
        Vec::new()
    }
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
