//! The agent: from a manifest's write to the kernel's tables and to a router.

use std::ffi::OsStr;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use types::{Prefix, Protocol, Vip};
use xdp_l4lb::Inspector;

use super::peer::Peer;
use super::{Case, Report, Summary};
use crate::Patience;
use crate::daemons::Agent;
use crate::lab::{Host, Lab};

const ROUNDS: usize = 15;

/// How long a change may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at the tables.
const STEP: Duration = Duration::from_micros(100);

/// Between two changes: what the one before left to be done is done by then.
const PAUSE: Duration = Duration::from_millis(200);

const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 5);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 2, 1, 1);
const ROUTER_ASN: u32 = 65001;

const CONFIG: &str = r#"
[balancer]
interfaces = ["router"]
outer-source-ipv4 = "10.254.0.0/16"
outer-source-ipv6 = "fd00:254::/64"
[bgp]
router-id = "10.255.1.1"
"#;

/// What is there all the time.
const BASE: &str = include_str!("agent/base.yaml");

/// What comes and goes.
const SERVICE: &str = include_str!("agent/service.yaml");

/// Milliseconds from the write, by round.
#[derive(Default)]
struct Times {
    kernel: Vec<f64>,
    wire: Vec<f64>,
}

struct Bed {
    folder: std::path::PathBuf,
    tables: Inspector,
    peer: Peer,
    _agent: Agent,
}

pub(super) fn run(lab: &Lab) -> Result<()> {
    let reference = reference(&lab.folder("plain")?)?;
    let bed = Bed::start(lab)?;
    let (mut added, mut removed) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        bed.change(SERVICE, true, &mut added)?;
        bed.change("# Nothing.\n", false, &mut removed)?;
    }
    let mut report = Report::new("agent");
    for (case, rounds) in [
        ("service-to-kernel", added.kernel),
        ("service-to-wire", added.wire),
        ("removal-to-wire", removed.wire),
        ("removal-to-kernel", removed.kernel),
    ] {
        report.add(Case {
            case: case.to_owned(),
            unit: "ms",
            measured: Summary::of(rounds),
            reference: "inotify and read".to_owned(),
            reference_median: reference.median,
        });
    }
    report.write()?;
    Ok(())
}

impl Bed {
    /// One edge node with one router, and everything but the service in place.
    fn start(lab: &Lab) -> Result<Self> {
        let (edge, router) = (lab.host("edge1")?, lab.host("router")?);
        lab.cable((&edge, "router"), (&router, "edge"))?;
        edge.ip("addr add 10.2.1.2/24 dev router")?;
        router.ip(&format!("addr add {ROUTER}/24 dev edge"))?;
        let peer = Peer::listen(&router, ROUTER, ROUTER_ASN)?;
        let folder = lab.folder("manifests")?;
        fs::write(folder.join("base.yaml"), BASE).context("writing the manifests")?;
        replace(&folder, SERVICE)?;
        let agent = start_agent(&edge, &folder)?;
        peer.wait(vip_prefix(), true, PATIENCE)?;
        let tables = Inspector::open(&Path::new("/sys/fs/bpf").join(edge.name()))?;
        let bed = Self {
            folder,
            tables,
            peer,
            _agent: agent,
        };
        // The first addition is not like the others: the session is young, the neighbour unknown.
        bed.change("# Nothing.\n", false, &mut Times::default())?;
        Ok(bed)
    }

    fn change(&self, text: &str, is_there: bool, times: &mut Times) -> Result<()> {
        thread::sleep(PAUSE);
        let written = Instant::now();
        replace(&self.folder, text)?;
        let kernel = self.in_kernel(is_there)?;
        let wire = self.peer.wait(vip_prefix(), is_there, PATIENCE)?;
        times.kernel.push(millis(written, kernel));
        times.wire.push(millis(written, wire));
        Ok(())
    }

    /// Waits until packets find the service, or no longer do.
    fn in_kernel(&self, is_there: bool) -> Result<Instant> {
        let vip = Vip {
            addr: IpAddr::from(VIP),
            port: 80,
            protocol: Protocol::Tcp,
        };
        let deadline = Instant::now() + PATIENCE;
        while self.tables.maglev(&vip)?.is_some() != is_there {
            ensure!(Instant::now() < deadline, "the tables have not changed");
            thread::sleep(STEP);
        }
        Ok(Instant::now())
    }
}

fn start_agent(host: &Host, manifests: &Path) -> Result<Agent> {
    let config = format!("role = \"balancer\"\nmanifests = {manifests:?}\n{CONFIG}");
    let mut agent = Agent::configure(host, &config)?;
    agent.start()?;
    crate::until("the agent answers", Patience::START, || {
        agent.check_running()?;
        agent.json("lb list")
    })?;
    Ok(agent)
}

/// The least that a watcher of a directory can do: wake up and read the file.
fn reference(folder: &Path) -> Result<Summary> {
    replace(folder, "# Nothing.\n")?;
    let watch = Inotify::init(InitFlags::IN_CLOEXEC).context("watching")?;
    watch
        .add_watch(folder, AddWatchFlags::IN_MOVED_TO)
        .with_context(|| format!("watching {}", folder.display()))?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let read: Result<f64> = thread::scope(|scope| {
            let reader = scope.spawn(|| -> Result<Instant> {
                watch.read_events().context("waiting for an event")?;
                let text = fs::read_to_string(folder.join("service.yaml"))?;
                ensure!(text == SERVICE, "another text was read");
                Ok(Instant::now())
            });
            thread::sleep(PAUSE);
            let written = Instant::now();
            replace(folder, SERVICE)?;
            match reader.join() {
                Ok(read) => Ok(millis(written, read?)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        });
        rounds.push(read?);
    }
    Ok(Summary::of(rounds))
}

/// As an editor does: a new file takes the place of the old one.
fn replace(folder: &Path, text: &str) -> Result<()> {
    let file = folder.join("service.yaml");
    let fresh = file.with_extension(OsStr::new("new"));
    fs::write(&fresh, text).with_context(|| format!("writing {}", fresh.display()))?;
    fs::rename(&fresh, &file).with_context(|| format!("replacing {}", file.display()))
}

fn vip_prefix() -> Prefix {
    Prefix::host(IpAddr::from(VIP))
}

fn millis(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e3
}
