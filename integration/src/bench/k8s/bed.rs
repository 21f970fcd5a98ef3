//! What is measured: a control plane, an operator, and one node that balances.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use store::Objects as _;
use store::kubernetes::Cluster;
use tokio::runtime::Runtime;
use types::{ObjectName, Protocol, Vip};
use xdp_l4lb::Inspector;

use super::fill;
use super::follow::{Follower, connect};
use crate::cluster::{self, ADDRESSES, ControlPlane};
use crate::daemons::Agent;
use crate::lab::{Host, Lab, Process, built_program};
use crate::{Patience, until};

/// How long a change may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at one service.
const STEP: Duration = Duration::from_micros(200);

/// Where the chart's accounts are.
const NAMESPACE: &str = "kube-system";

const BALANCER: &str = r#"
[balancer]
interfaces = ["router"]
outer-source-ipv4 = "10.254.0.0/16"
outer-source-ipv6 = "fd00:254::/64"
[bgp]
router-id = "10.255.1.1"
"#;

/// Everything that takes part.
pub(super) struct Bed {
    pub(super) plane: ControlPlane,
    pub(super) runtime: Arc<Runtime>,
    /// Who makes services and endpoints.
    pub(super) filler: Cluster,
    pub(super) follower: Follower,
    edge: Host,
    /// The next hop of everything; kept for its interface.
    _router: Host,
}

/// A program under test.
pub(super) enum Program {
    Operator(Process),
    Agent(Agent),
}

impl Bed {
    /// A control plane with the definitions and the chart's roles, and a node without an agent.
    pub(super) fn start(lab: &Lab) -> Result<Self> {
        let plane = ControlPlane::start(lab)?;
        let (edge, router) = (lab.host("edge1")?, lab.host("router")?);
        wire(lab, &plane, &edge, &router)?;
        let repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let definitions = repository.join("configs/crds");
        plane.kubectl(&format!("apply --server-side -f {}", definitions.display()))?;
        plane.kubectl("wait --for=condition=Established --timeout=30s crd --all")?;
        plane.apply(&roles(&repository.join("configs/helm/sluicegate"))?)?;
        plane.apply(
            "apiVersion: v1\nkind: Node\n\
             metadata: {name: edge1, labels: {kubernetes.io/hostname: edge1}}\n",
        )?;
        until("the definitions are served", Patience::START, || {
            plane.kubectl("get ippools,ciliumbgpnodeconfigs").map(drop)
        })?;
        let runtime = Arc::new(Runtime::new().context("starting a runtime")?);
        let filler = connect(&runtime, plane.admin())?;
        let follower = Follower::start(&runtime, &filler);
        Ok(Self {
            plane,
            runtime,
            filler,
            follower,
            edge,
            _router: router,
        })
    }

    /// The operator, with the chart's account.
    pub(super) fn start_operator(&self) -> Result<Program> {
        let account = self.plane.token_of(NAMESPACE, "sluicegate-operator")?;
        let account = account.to_string_lossy().into_owned();
        let program = built_program("sluice-operator")?;
        let args = ["--kubeconfig", &account, "--log-level", "warn"];
        let process = self.plane.host().spawn("sluice-operator", program, &args)?;
        Ok(Program::Operator(process))
    }

    /// The agent, balancing, with the chart's account.
    pub(super) fn start_agent(&self) -> Result<Program> {
        let account = self.plane.token_of(NAMESPACE, "sluicegate")?;
        let config =
            format!("role = \"balancer\"\n[kubernetes]\nkubeconfig = {account:?}\n{BALANCER}");
        let mut agent = Agent::configure(&self.edge, &config)?;
        agent.start()?;
        Ok(Program::Agent(agent))
    }

    /// What packets are sent to, by the services' order.
    pub(super) fn vips(&self, services: usize) -> Result<Vec<Vip>> {
        let addresses = self.follower.addresses();
        let vip = |n| {
            let (namespace, name) = fill::name(n);
            let addr = addresses.get(&ObjectName::new(&namespace, &name));
            Some(Vip {
                addr: *addr?,
                port: 80,
                protocol: Protocol::Tcp,
            })
        };
        let vips: Option<Vec<Vip>> = (0..services).map(vip).collect();
        vips.context("a service lost its address")
    }

    /// Waits until packets find every service, and says when that was.
    pub(super) fn tables_hold(&self, vips: &[Vip]) -> Result<(Inspector, Instant)> {
        let pins = Path::new("/sys/fs/bpf").join(self.edge.name());
        let patience = Patience(PATIENCE);
        let tables = until("there are tables", patience, || Ok(Inspector::open(&pins)?))?;
        let deadline = Instant::now() + PATIENCE;
        for (n, vip) in vips.iter().enumerate() {
            while tables.maglev(vip)?.is_none_or(|slots| slots.is_empty()) {
                ensure!(Instant::now() < deadline, "{n} services are there in time");
                thread::sleep(STEP);
            }
        }
        Ok((tables, Instant::now()))
    }

    /// Moves a service's endpoints. Milliseconds from the request until its slots say so.
    pub(super) fn move_endpoints(&self, tables: &Inspector, n: usize, vip: &Vip) -> Result<f64> {
        let before = slots(tables, vip)?;
        let slice = fill::slice(n, true);
        let began = Instant::now();
        self.runtime.block_on(self.filler.apply(&slice))?;
        while slots(tables, vip)? == before {
            ensure!(began.elapsed() < PATIENCE, "{vip:?} has not changed");
            thread::sleep(STEP);
        }
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }
}

/// The backends that new flows of a service go to, by slot.
fn slots(tables: &Inspector, vip: &Vip) -> Result<Vec<u32>> {
    let slots = tables.maglev(vip)?.context("packets do not find it")?;
    Ok(slots.iter().map(|slot| slot.current()).collect())
}

impl Program {
    /// The most memory that it had at a time.
    pub(super) fn peak_megabytes(&self) -> Result<f64> {
        let id = match self {
            Self::Operator(process) => process.id(),
            Self::Agent(agent) => agent.process()?.id(),
        };
        let path = PathBuf::from(format!("/proc/{id}/status"));
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path:?}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        let kilobytes: f64 = kilobytes.context("it has no peak")?.parse()?;
        Ok(kilobytes / 1024.0)
    }
}

fn wire(lab: &Lab, plane: &ControlPlane, edge: &Host, router: &Host) -> Result<()> {
    lab.cable((plane.host(), "edge1"), (edge, "api"))?;
    plane.host().ip("addr add 10.21.1.1/24 dev edge1")?;
    edge.ip("addr add 10.21.1.2/24 dev api")?;
    let [server, _] = ADDRESSES;
    edge.ip(&format!("route add {server} via 10.21.1.1"))?;
    lab.cable((edge, "router"), (router, "edge"))?;
    edge.ip("addr add 10.2.1.2/24 dev router")?;
    router.ip("addr add 10.2.1.1/24 dev edge")?;
    edge.ip("route add default via 10.2.1.1")?;
    Ok(())
}

/// The chart's accounts and roles, and nothing else of it.
fn roles(chart: &Path) -> Result<String> {
    let shown = ["accounts", "agent-rbac", "operator-rbac", "secrets-rbac"];
    let shown = shown.map(|name| format!("--show-only=templates/{name}.yaml"));
    let output = Command::new(cluster::program("helm")?)
        .args(["template", "sluicegate"])
        .arg(chart)
        // Helm takes itself for a cluster of its own version otherwise.
        .args(["--namespace", NAMESPACE, "--kube-version", "1.36.0"])
        .args(shown)
        .output()
        .context("starting helm")?;
    if !output.status.success() {
        bail!("helm template: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
