//! Kubernetes' own client, as a person would use it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{ControlPlane, program};

impl ControlPlane {
    /// Runs `kubectl ARGS` (split at spaces) as the administrator; what it printed.
    ///
    /// # Errors
    /// If the command fails; the error holds its message.
    pub fn kubectl(&self, args: &str) -> Result<String> {
        let args: Vec<&str> = args.split(' ').collect();
        finished(&args, &self.run(self.admin(), &args, None)?)
    }

    /// Runs `kubectl ARGS` with another kubeconfig to its end, whatever that is.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn kubectl_as(&self, kubeconfig: &Path, args: &[&str]) -> Result<Output> {
        self.run(kubeconfig, args, None)
    }

    /// Runs `kubectl ARGS -o json` as the administrator; the document.
    ///
    /// # Errors
    /// If the command fails.
    pub fn json(&self, args: &str) -> Result<Value> {
        let text = self.kubectl(&format!("{args} -o json"))?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {args} printed no JSON"))
    }

    /// Runs `kubectl apply --server-side` with these manifests as the administrator.
    ///
    /// # Errors
    /// If one is refused.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        let args = ["apply", "--server-side", "-f", "-"];
        finished(&args, &self.run(self.admin(), &args, Some(manifests))?)
    }

    /// Runs kubectl with these arguments and this on its standard input, as the administrator.
    ///
    /// # Errors
    /// If the command fails.
    pub fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String> {
        finished(args, &self.run(self.admin(), args, Some(input))?)
    }

    pub(super) fn run(
        &self,
        kubeconfig: &Path,
        args: &[&str],
        input: Option<&str>,
    ) -> Result<Output> {
        let program = program("kubectl")?;
        let cache = self.host().folder().join("kubectl-cache");
        self.host()
            .enter(|| {
                let mut child = Command::new(program)
                    .arg("--kubeconfig")
                    .arg(kubeconfig)
                    .arg("--cache-dir")
                    .arg(cache)
                    .args(args)
                    .stdin(if input.is_some() {
                        Stdio::piped()
                    } else {
                        Stdio::null()
                    })
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()?;
                if let (Some(input), Some(mut to)) = (input, child.stdin.take()) {
                    // A command that refuses early closes its input; its message says why.
                    let _ = to.write_all(input.as_bytes());
                }
                child.wait_with_output()
            })
            .context("running kubectl")
    }
}

fn finished(args: &[&str], output: &Output) -> Result<String> {
    if !output.status.success() {
        bail!(
            "kubectl {}: {}: {}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
