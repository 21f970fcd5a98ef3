//! Step 8: the API server is away, and nothing happens.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::changes::nothing_lost;
use super::{KubernetesDemo, Say};
use crate::{Patience, until};

/// How many requests are answered before and after the outage.
const AROUND: usize = 200;

pub(super) fn api_server_stops(
    demo: &mut KubernetesDemo,
    say: &Say,
    vips: [IpAddr; 2],
    outage: Duration,
) -> Result<()> {
    let seconds = outage.as_secs();
    say.step(
        8,
        &format!("the API server is stopped for {seconds} s, under requests"),
    );
    let before = demo.updates()?;
    let load = demo.load(vips);
    load.answers(AROUND)?;
    demo.cluster.control.stop_api()?;
    let stopped = Instant::now();
    until("the outage is over", Patience(outage * 2), || {
        demo.check_running()?;
        ensure!(load.so_far().failed == 0, "{}", load.so_far());
        ensure!(
            stopped.elapsed() >= outage,
            "the API server is still stopped"
        );
        Ok(())
    })?;
    load.answers(AROUND)?;
    demo.cluster.control.start_api()?;
    demo.cluster.ready()?;
    demo.settled()?;
    demo.announced_by(vips, &["node1", "node2"])?;
    load.answers(AROUND)?;
    let tally = load.finish()?;
    nothing_lost(&tally)?;
    say.checked(&format!("traffic did not notice: {tally}"));
    let after = demo.updates()?;
    ensure!(
        before == after,
        "the router heard something: {before}, then {after}"
    );
    say.checked("the router heard no update and no withdrawal, before the return or after");
    Ok(())
}

impl KubernetesDemo {
    /// What the router counts of each node's announcements.
    fn updates(&self) -> Result<String> {
        let shown = self.router.show("show protocols all")?;
        let counts = shown
            .lines()
            .filter(|line| line.contains("Import updates") || line.contains("Import withdraws"));
        Ok(counts.map(str::trim).collect::<Vec<_>>().join("; "))
    }
}
