//! Step 8: the API server is away, and nothing happens.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::changes::nothing_lost;
use super::{KubernetesDemo, PATIENCE, Say};
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
    demo.agents_say_it_is_away()?;
    demo.cluster.control.start_api()?;
    let back = Instant::now();
    demo.cluster.ready()?;
    demo.agents_see_everything()?;
    let seen = back.elapsed().as_secs();
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
    say.checked(&format!(
        "the agents said so, and see every object again after {seen} s"
    ));
    Ok(())
}

impl KubernetesDemo {
    fn agents_say_it_is_away(&self) -> Result<()> {
        for agent in &self.agents {
            let status = agent.status()?;
            let faults = status
                .source
                .map(|source| source.faults)
                .unwrap_or_default();
            ensure!(status.ready, "{} is not ready", agent.host().name());
            ensure!(
                !faults.is_empty(),
                "{} sees nothing wrong",
                agent.host().name()
            );
        }
        Ok(())
    }

    fn agents_see_everything(&self) -> Result<()> {
        until("the agents see everything again", PATIENCE, || {
            for agent in &self.agents {
                let faults = agent.status()?.source.map(|source| source.faults);
                ensure!(faults.as_ref().is_some_and(Vec::is_empty), "{faults:?}");
            }
            Ok(())
        })
    }

    /// What the router counts of each node's announcements.
    fn updates(&self) -> Result<String> {
        let shown = self.router.show("show protocols all")?;
        let counts = shown
            .lines()
            .filter(|line| line.contains("Import updates") || line.contains("Import withdraws"));
        Ok(counts.map(str::trim).collect::<Vec<_>>().join("; "))
    }
}
