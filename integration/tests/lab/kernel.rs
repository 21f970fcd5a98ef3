//! What the kernel refuses.

use anyhow::{Context as _, ensure};
use integration::daemons::Agent;
use integration::lab;

/// An agent that the kernel refuses what it needs ends at once and names it.
#[test]
fn a_kernel_that_lacks_what_is_needed_is_told_by_name_at_start() {
    lab::run_programs(|lab| {
        let edge = lab.host("edge")?;
        let config = "role = \"balancer\"\n[balancer]\ninterfaces = [\"lo\"]\n\
             outer-source-ipv4 = \"10.254.0.0/16\"\nouter-source-ipv6 = \"fd00:254::/64\"\n";
        let _files = Agent::configure(&edge, config)?;
        let agent = lab::built_program("sluice-agent")?;
        let without = "-bpf,-sys_admin,-perfmon";
        let file = edge.folder().join("agent.toml");

        let outcome = edge.run(
            "setpriv",
            &[
                "--bounding-set",
                without,
                "--inh-caps",
                without,
                &agent.to_string_lossy(),
                "--config",
                &file.to_string_lossy(),
            ],
        );

        let error = format!("{:#}", outcome.err().context("the agent started")?);
        ensure!(
            error.contains("this kernel lacks bpf(2) for XDP programs"),
            "{error}"
        );
        Ok(())
    });
}
