//! A place for objects, with what gives them addresses and statuses.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use integration::cluster::{self, Authority, ControlPlane, Etcd, KeyPair, chart};
use integration::daemons::{Agent, start_operator};
use integration::lab::{Host, Lab, Process, built_program, is_there};
use integration::{Patience, until};
use serde_json::{Value, json};

/// Long enough for a new leader on a busy machine.
pub(crate) const PATIENCE: Patience = Patience(Duration::from_secs(60));

/// The node's name.
pub(crate) const NODE: &str = "edge1";

/// Where the chart's programs are.
const NAMESPACE: &str = "kube-system";

/// What the chart has for the programs' accounts.
const ROLES: [&str; 4] = ["accounts", "agent-rbac", "operator-rbac", "secrets-rbac"];

/// A lease that a test does not wait long for.
const TERMS: [&str; 6] = [
    "--leader-election-lease-duration",
    "3s",
    "--leader-election-renew-deadline",
    "2s",
    "--leader-election-retry-period",
    "500ms",
];

/// The node of places that have no kubelet, and no agent that registers it.
const NODE_OBJECT: &str = "apiVersion: v1
kind: Node
metadata: {name: edge1, labels: {rack: r1, kubernetes.io/hostname: edge1}}
status: {addresses: [{type: InternalIP, address: 10.1.0.1}]}
";

/// Where the story is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    Fleet,
    Cluster,
}

/// A running place.
pub(crate) struct Site {
    pub(crate) kind: Kind,
    pub(crate) folder: PathBuf,
    host: Host,
    /// What names the place to `sluice`.
    flags: Vec<String>,
    agent: Agent,
    source: Source,
}

enum Source {
    Directory,
    Fleet(Etcd),
    Cluster {
        plane: Box<ControlPlane>,
        account: PathBuf,
        operator: Option<Process>,
    },
}

/// As `lab::run`, for a test in a place of this kind: skipped, loudly, where its programs are not
/// built.
pub(crate) fn run<F>(kind: Kind, body: F)
where
    F: FnOnce(&Lab) -> Result<()>,
{
    let product = ["sluice-agent", "sluice"].map(built_program);
    let more = match kind {
        Kind::Directory => Vec::new(),
        Kind::Fleet => vec![cluster::program("etcd")],
        Kind::Cluster => vec![built_program("sluice-operator"), cluster::program("helm")],
    };
    if !is_there(product.into_iter().chain(more)) {
        return;
    }
    match kind {
        Kind::Directory | Kind::Fleet => integration::lab::run(body),
        Kind::Cluster => cluster::run(body),
    }
}

impl Site {
    /// Builds a place of this kind; an agent runs, and whoever else gives addresses.
    pub(crate) fn build(kind: Kind, lab: &Lab) -> Result<Self> {
        match kind {
            Kind::Directory => Self::directory(lab),
            Kind::Fleet => Self::fleet(lab),
            Kind::Cluster => Self::cluster(lab),
        }
    }

    fn directory(lab: &Lab) -> Result<Self> {
        let host = lab.host(NODE)?;
        let manifests = host.folder().join("manifests");
        std::fs::create_dir(&manifests).context("making the directory")?;
        let config = format!("role = \"announcer\"\nmanifests = {manifests:?}\n");
        let flags = vec![
            "--manifests".to_owned(),
            manifests.to_string_lossy().into_owned(),
        ];
        Self {
            kind: Kind::Directory,
            folder: lab.folder("files")?,
            flags,
            agent: Agent::configure(&host, &config)?,
            source: Source::Directory,
            host,
        }
        .begin()
    }

    /// Only who has a certificate may talk to this etcd.
    fn fleet(lab: &Lab) -> Result<Self> {
        let host = lab.host(NODE)?;
        let authority = Authority::create(&host.folder().join("pki"))?;
        let etcd = Etcd::start_with_tls(&host, &authority)?;
        let ca = authority.certificate();
        let KeyPair { certificate, key } = authority.client("edge", None)?;
        let url = etcd.url();
        let config = format!(
            "role = \"announcer\"\n[etcd]\nendpoints = [{url:?}]\naddresses = [\"10.1.0.1\"]\n\
             labels = {{rack = \"r1\"}}\nca = {ca:?}\ncertificate = {certificate:?}\nkey = {key:?}\n"
        );
        let flag = |name: &str, value: &Path| [name.to_owned(), value.to_string_lossy().into()];
        let flags = [
            ["--etcd".to_owned(), url],
            flag("--etcd-ca", &ca),
            flag("--etcd-cert", &certificate),
            flag("--etcd-key", &key),
        ];
        Self {
            kind: Kind::Fleet,
            folder: lab.folder("files")?,
            flags: flags.concat(),
            agent: Agent::configure(&host, &config)?,
            source: Source::Fleet(etcd),
            host,
        }
        .begin()
    }

    fn cluster(lab: &Lab) -> Result<Self> {
        let plane = ControlPlane::start(lab)?;
        plane.apply(&chart(NAMESPACE, &ROLES)?)?;
        plane.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: batuu}\n")?;
        let host = plane.host().clone();
        let kubeconfig = plane.admin().to_string_lossy().into_owned();
        let agents = plane.token_of(NAMESPACE, "sluicegate")?;
        let mut site = Self {
            kind: Kind::Cluster,
            folder: lab.folder("files")?,
            flags: vec!["--kubeconfig".to_owned(), kubeconfig],
            agent: Agent::in_cluster(&host, NODE, &agents, &[]),
            source: Source::Cluster {
                account: plane.token_of(NAMESPACE, "sluicegate-operator")?,
                plane: Box::new(plane),
                operator: None,
            },
            host,
        };
        site.start_operator()?;
        site.begin()
    }

    fn begin(mut self) -> Result<Self> {
        self.agent.start()?;
        // The operator installs the definitions.
        until("every kind is there", PATIENCE, || {
            self.sluice("get ippools,ciliumbgpclusterconfigs,ciliumbgppeerconfigs")?;
            self.sluice("get ciliumbgpnodeconfigs")
        })?;
        if self.kind != Kind::Fleet {
            self.sluice_with(&["apply", "-f", "-"], NODE_OBJECT)?;
        }
        if let Source::Cluster { plane, .. } = &self.source {
            // As its kubelet would.
            let args = ["apply", "--server-side", "--subresource=status", "-f", "-"];
            plane.kubectl_with(&args, NODE_OBJECT)?;
        }
        Ok(self)
    }

    /// Crashes everything that gives addresses and statuses, and the source, and starts it again.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.agent.kill()?;
        match &mut self.source {
            Source::Directory => {}
            Source::Fleet(etcd) => {
                etcd.stop()?;
                etcd.resume()?;
            }
            Source::Cluster {
                plane, operator, ..
            } => {
                operator.take().context("no operator runs")?.kill()?;
                plane.stop_api()?;
                plane.start_api()?;
                self.start_operator()?;
            }
        }
        self.agent.start()
    }

    /// Ends what gives addresses, or lets it go on. The place itself stays.
    pub(crate) fn pause(&mut self, paused: bool) -> Result<()> {
        match (&mut self.source, paused) {
            (Source::Directory | Source::Fleet(_), true) => self.agent.kill(),
            (Source::Directory | Source::Fleet(_), false) => self.agent.start(),
            (Source::Cluster { operator, .. }, true) => {
                operator.take().context("no operator runs")?.kill()
            }
            (Source::Cluster { .. }, false) => self.start_operator(),
        }
    }

    /// Puts an object there as another program would, which validates nothing.
    pub(crate) fn put(&self, plural: &str, name: &str, manifest: &Value) -> Result<()> {
        let text = manifest.to_string();
        match &self.source {
            Source::Directory => {
                let dir = self.host.folder().join("manifests").join(plural);
                std::fs::write(dir.join(format!("{name}.yaml")), text).context("writing a manifest")
            }
            Source::Fleet(etcd) => {
                let key = format!("/sluicegate/cilium.io/{plural}/-/{name}");
                let put = json!({"key": BASE64.encode(key), "value": BASE64.encode(text)});
                let [_, _, _, ca, _, certificate, _, key] = self.flags.as_slice() else {
                    anyhow::bail!("{:?}", self.flags);
                };
                let url = format!("{}/v3/kv/put", etcd.url());
                let put = put.to_string();
                let proof = ["--cacert", ca, "--cert", certificate, "--key", key];
                let args = [&proof[..], &["--silent", "--fail", "--data", &put, &url]].concat();
                self.host.run("curl", &args).map(drop)
            }
            Source::Cluster { plane, .. } => {
                let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
                plane.kubectl_with(&args, &text).map(drop)
            }
        }
    }

    /// Whether BGP configurations of nodes are objects here.
    pub(crate) fn has_node_configs(&self) -> bool {
        match self.kind {
            Kind::Directory => false,
            Kind::Fleet | Kind::Cluster => true,
        }
    }

    /// Runs `sluice ARGS` about this place to its end, whatever that is.
    pub(crate) fn ask(&self, args: &[&str], input: &str) -> Result<Output> {
        let program = built_program("sluice")?;
        self.host
            .enter(|| {
                let mut child = Command::new(program)
                    .args(args)
                    .args(&self.flags)
                    .arg("--socket")
                    .arg(self.agent.socket())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()?;
                if let Some(mut to) = child.stdin.take() {
                    // A command that does not read closes its input.
                    let _ = to.write_all(input.as_bytes());
                }
                child.wait_with_output()
            })
            .context("starting sluice")
    }

    /// Runs `sluice ARGS` about this place and returns what it printed.
    pub(crate) fn sluice(&self, args: &str) -> Result<String> {
        let args: Vec<&str> = args.split(' ').collect();
        self.sluice_with(&args, "")
    }

    /// As [`Self::sluice`], with something on its standard input.
    pub(crate) fn sluice_with(&self, args: &[&str], input: &str) -> Result<String> {
        let output = self.ask(args, input)?;
        ensure!(
            output.status.success(),
            "sluice {}: {}: {}{}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// As [`Self::sluice`], the document that it printed.
    pub(crate) fn json(&self, args: &str) -> Result<Value> {
        let text = self.sluice(&format!("{args} -o json"))?;
        serde_json::from_str(&text).with_context(|| format!("sluice {args} printed {text:?}"))
    }

    /// Runs `sluice ARGS` beside the test; its output goes to `NAME.log` in the host's folder.
    pub(crate) fn spawn(&self, name: &str, args: &[&str]) -> Result<(Process, PathBuf)> {
        let all = args.iter().map(|arg| (*arg).to_owned());
        let socket = self.agent.socket().to_string_lossy().into_owned();
        let all: Vec<String> = all
            .chain(self.flags.iter().cloned())
            .chain(["--socket".to_owned(), socket])
            .collect();
        let process = self.host.spawn(name, built_program("sluice")?, &all)?;
        Ok((process, self.host.folder().join(format!("{name}.log"))))
    }

    fn start_operator(&mut self) -> Result<()> {
        if let Source::Cluster {
            account, operator, ..
        } = &mut self.source
        {
            *operator = Some(start_operator(&self.host, account, &TERMS)?);
        }
        Ok(())
    }
}
