//! A control plane, the chart's account for operators, and hosts that operators run on.
//!
//! ```text
//!  control plane -- net -- o1
//!                     \--- o2
//! ```

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use integration::cluster::{self, ADDRESSES, ControlPlane};
use integration::daemons::start_operator;
use integration::lab::{Host, Lab, Process, Switch, built_program, is_there};
use integration::{Patience, until};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Long enough for a few retries on a busy machine.
pub(crate) const PATIENCE: Patience = Patience(Duration::from_secs(60));

/// Where the chart's operators are.
pub(crate) const NAMESPACE: &str = "kube-system";

/// Their service account.
pub(crate) const ACCOUNT: &str = "sluicegate-operator";

/// Terms that a test does not wait long for.
pub(crate) const SHORT: [&str; 6] = [
    "--leader-election-lease-duration",
    "3s",
    "--leader-election-renew-deadline",
    "2s",
    "--leader-election-retry-period",
    "500ms",
];

/// The interface of an operator's host.
const INTERFACE: &str = "net";

/// Where operators serve health and metrics.
const PORT: u16 = 9963;

/// What tests need: the network, the control plane and the account. No operator runs yet.
pub(crate) struct Field {
    pub(crate) plane: ControlPlane,
    hosts: Vec<Host>,
    switch: Switch,
    account: PathBuf,
}

/// One operator on a host of its own.
pub(crate) struct Operator<'f> {
    field: &'f Field,
    host: &'f Host,
    flags: Vec<&'static str>,
    process: Option<Process>,
}

/// Runs a test in a lab, where an operator and the chart are.
pub(crate) fn run<F: FnOnce(&Lab) -> Result<()>>(body: F) {
    if is_there([built_program("sluice-operator"), cluster::program("helm")]) {
        cluster::run(body);
    }
}

impl Field {
    /// The network, with that many hosts for operators, and the control plane.
    pub(crate) fn build(lab: &Lab, hosts: usize) -> Result<Self> {
        let plane = ControlPlane::start(lab)?;
        let switch = lab.switch("switch", 1500)?;
        switch.plug(plane.host(), INTERFACE)?;
        plane
            .host()
            .ip(&format!("addr add 10.30.0.1/24 dev {INTERFACE}"))?;
        let hosts: Result<Vec<Host>> = (1..=hosts)
            .map(|number| {
                let host = lab.host(&format!("o{number}"))?;
                switch.plug(&host, INTERFACE)?;
                host.ip(&format!(
                    "addr add 10.30.0.{}/24 dev {INTERFACE}",
                    number + 1
                ))?;
                let [server, _] = ADDRESSES;
                host.ip(&format!("route add {server} via 10.30.0.1"))?;
                Ok(host)
            })
            .collect();
        plane.apply(&roles()?)?;
        let account = plane.token_of(NAMESPACE, ACCOUNT)?;
        Ok(Self {
            hosts: hosts?,
            plane,
            switch,
            account,
        })
    }

    /// An operator of a host, running.
    pub(crate) fn operator(&self, number: usize, flags: &[&'static str]) -> Result<Operator<'_>> {
        let host = self.hosts.get(number).context("there is no such host")?;
        let mut operator = Operator {
            field: self,
            host,
            flags: flags.to_vec(),
            process: None,
        };
        operator.start()?;
        Ok(operator)
    }

    /// The lease's fields.
    pub(crate) fn lease(&self) -> Result<Value> {
        let lease = self
            .plane
            .json(&format!("get lease sluicegate-operator -n {NAMESPACE}"))?;
        Ok(lease.get("spec").cloned().unwrap_or_default())
    }

    /// A Service's addresses, as kubectl prints them.
    pub(crate) fn external_ip(&self, namespace: &str, name: &str) -> Result<String> {
        let line = self
            .plane
            .kubectl(&format!("get service {name} -n {namespace} --no-headers"))?;
        let cell = line.split_whitespace().nth(3);
        Ok(cell.context("there is no fourth column")?.to_owned())
    }

    /// Waits until a Service has these addresses.
    pub(crate) fn until_external_ip(&self, namespace: &str, name: &str, ip: &str) -> Result<()> {
        until(&format!("{namespace}/{name} has {ip}"), PATIENCE, || {
            let found = self.external_ip(namespace, name)?;
            ensure!(found == ip, "{found}");
            Ok(())
        })
    }

    /// Status, reason and message of an object's condition; none if it has no such condition.
    pub(crate) fn condition(&self, object: &str, kind: &str) -> Result<Option<String>> {
        let object = self.plane.json(&format!("get {object}"))?;
        let conditions = object.pointer("/status/conditions");
        let mut conditions = conditions.and_then(Value::as_array).into_iter().flatten();
        let Some(found) = conditions.find(|condition| condition["type"] == kind) else {
            return Ok(None);
        };
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        let said = format!("{} {}: {}", text("status"), text("reason"), text("message"));
        Ok(Some(said))
    }

    /// Waits until an object's condition says this.
    pub(crate) fn until_condition(&self, object: &str, kind: &str, says: &str) -> Result<()> {
        until(&format!("{object} says {kind} {says}"), PATIENCE, || {
            let found = self.condition(object, kind)?;
            ensure!(found.as_deref() == Some(says), "{found:?}");
            Ok(())
        })
    }
}

impl Operator<'_> {
    /// Starts it (again).
    pub(crate) fn start(&mut self) -> Result<()> {
        self.process = Some(start_operator(self.host, &self.field.account, &self.flags)?);
        Ok(())
    }

    /// Whether it runs.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("it was not started")?;
        process.check_running()
    }

    /// As a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.take().context("it does not run")?.kill()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let process = self.process.take().context("it does not run")?;
        let status = process.stop(PATIENCE)?;
        ensure!(status.success(), "{status}");
        Ok(())
    }

    /// Stops it from running without ending it, or lets it go on.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<()> {
        let signal = if frozen {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        let process = self.process.as_ref().context("it does not run")?;
        process.signal(signal)
    }

    /// Takes its host off the network, without a sign at either end, or puts it back.
    pub(crate) fn cut_off(&self, cut: bool) -> Result<()> {
        if cut {
            self.field.switch.disconnect(self.host, INTERFACE)
        } else {
            self.field.switch.connect(self.host, INTERFACE)
        }
    }

    /// Status code and text of what it serves.
    pub(crate) fn get(&self, path: &str) -> Result<(u16, String)> {
        get(self.host, PORT, path)
    }

    /// Waits until it says that it is ready, and why.
    pub(crate) fn until_ready(&mut self, text: &str) -> Result<()> {
        let name = self.host.name();
        until(&format!("{name} is ready: {text}"), PATIENCE, || {
            let (code, said) = self.get("/readyz")?;
            ensure!(code == 200 && said.contains(text), "{code} {said}");
            Ok(())
        })
    }

    /// Waits until it leads and has listed everything.
    pub(crate) fn until_leading(&mut self) -> Result<()> {
        self.until_ready("this operator leads")?;
        self.check_running()
    }

    /// Waits until it is a standby that sees who leads.
    pub(crate) fn until_standby(&mut self) -> Result<()> {
        self.until_ready("standby; ")?;
        self.check_running()
    }

    /// The sum of a metric over its labels; those that a line must have may be part of `name`.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let (_, text) = self.get("/metrics")?;
        let lines = text.lines().filter(|line| line.starts_with(name));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> Result<String> {
        let file = self.host.folder().join("sluice-operator.log");
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    }
}

/// The chart's roles and account for operators.
fn roles() -> Result<String> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/helm/sluicegate");
    let mut helm = Command::new(cluster::program("helm")?);
    helm.args(["template", "sluicegate"]).arg(chart);
    helm.args(["--namespace", NAMESPACE, "--kube-version", "1.36.0"]);
    for file in ["accounts", "operator-rbac", "secrets-rbac"] {
        helm.args(["--show-only", &format!("templates/{file}.yaml")]);
    }
    let output = helm.output().context("starting helm")?;
    if !output.status.success() {
        bail!("helm template: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Status code and text of what an operator serves at a port of a host's loopback.
pub(crate) fn get(host: &Host, port: u16, path: &str) -> Result<(u16, String)> {
    let answer = host.enter(|| -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let code = head.split_whitespace().nth(1).context("no code")?;
    Ok((code.parse()?, body.to_owned()))
}
