//! The operator under test.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;

use crate::lab::{Host, Process, built_program};

/// Starts a `sluice-operator` on a host, with this account and these flags.
///
/// # Errors
/// If it is not built or cannot be started.
pub fn start_operator(host: &Host, kubeconfig: &Path, flags: &[&str]) -> Result<Process> {
    let program = built_program("sluice-operator")?;
    let own = [OsStr::new("--kubeconfig"), kubeconfig.as_os_str()];
    let args: Vec<&OsStr> = own
        .into_iter()
        .chain(flags.iter().map(OsStr::new))
        .collect();
    host.spawn("sluice-operator", program, &args)
}
