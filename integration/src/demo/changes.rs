//! Step 4: a backend dies, another is drained, the agent is killed in the middle of it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Demo, PATIENCE, Say};
use crate::daemons::Agent;
use crate::traffic::{Server, Transfer, get_many};
use crate::until;

const TRANSFERS: u64 = 50;

/// Longer than the step takes.
const LASTING: Duration = Duration::from_secs(9);

pub(super) fn backends_change(demo: &mut Demo, say: &Say) -> Result<()> {
    say.step(
        4,
        "50 long transfers; a backend dies, another is drained, the agent is killed",
    );
    let transfers = demo.transfers(TRANSFERS, LASTING)?;
    say.checked(&format!(
        "{TRANSFERS} transfers are under way: {}",
        spread(&transfers)
    ));

    let killed = "backend3";
    demo.backend(killed)?.server = None;
    for edge in &demo.edges {
        health(edge, "10.3.0.23:80", "down")?;
        health(edge, "[fd00:3::23]:80", "down")?;
    }
    say.checked(&format!(
        "{killed} is dead, and its health checks have failed it out"
    ));
    let spread = open_connections(demo)?;
    ensure!(
        !spread.contains(killed),
        "{killed} still gets connections: {spread}"
    );

    for edge in &demo.edges {
        edge.sluice("service drain 10.3.0.22:80")?;
        edge.sluice("service drain [fd00:3::22]:80")?;
    }
    let spread = open_connections(demo)?;
    ensure!(
        spread.trim().starts_with("backend1") && !spread.contains(','),
        "drained: {spread}"
    );
    say.checked("backend2 is drained: new connections go to backend1 alone");

    demo.edge(0)?.kill()?;
    let backend = demo.backend(killed)?;
    backend.server = Some(Server::start(&backend.host, 80)?);
    open_connections(demo)?;
    demo.edge(0)?.start()?;
    for edge in &demo.edges {
        health(edge, "10.3.0.23:80", "up")?;
        health(edge, "[fd00:3::23]:80", "up")?;
    }
    let spread = open_connections(demo)?;
    ensure!(
        spread.contains(killed),
        "{killed} is back but gets no connections: {spread}"
    );
    ensure!(
        !spread.contains("backend2"),
        "the drain was forgotten: {spread}"
    );
    say.checked(&format!(
        "edge1's agent was killed and is back; {killed} is back: {spread}"
    ));

    undisturbed(transfers, Some(killed), say)?;
    for edge in &demo.edges {
        edge.sluice("service undrain 10.3.0.22:80")?;
        edge.sluice("service undrain [fd00:3::22]:80")?;
    }
    Ok(())
}

/// Ends every transfer; only those of a backend that was killed may have broken.
pub(super) fn undisturbed(transfers: Vec<Transfer>, killed: Option<&str>, say: &Say) -> Result<()> {
    let mut whole = 0;
    let mut broken = 0;
    for transfer in transfers {
        let backend = transfer.backend();
        match transfer.finish() {
            Ok(()) => whole += 1,
            Err(_) if backend.as_deref() == killed => broken += 1,
            Err(error) => return Err(error),
        }
    }
    let lost = match killed {
        Some(killed) => format!("; the {broken} others were {killed}'s"),
        None => String::new(),
    };
    say.checked(&format!(
        "{whole} transfers arrived whole, every byte compared{lost}"
    ));
    Ok(())
}

impl Demo {
    fn backend(&mut self, name: &str) -> Result<&mut super::Backend> {
        self.backends
            .iter_mut()
            .find(|backend| backend.host.name() == name)
            .with_context(|| format!("there is no {name}"))
    }
}

/// A few new connections to each address; who answered, as text.
fn open_connections(demo: &Demo) -> Result<String> {
    let mut total = std::collections::BTreeMap::<String, usize>::new();
    for to in demo.targets() {
        for (backend, count) in get_many(&demo.network.client, to, 40)? {
            *total.entry(backend).or_default() += count;
        }
    }
    Ok(total
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect::<Vec<_>>()
        .join(", "))
}

fn spread(transfers: &[Transfer]) -> String {
    let mut total = std::collections::BTreeMap::<String, usize>::new();
    for transfer in transfers {
        *total
            .entry(transfer.backend().unwrap_or_default())
            .or_default() += 1;
    }
    total
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Waits until an edge node's checks say this of a backend.
fn health(edge: &Agent, backend: &str, wanted: &str) -> Result<()> {
    until(
        &format!("{backend} is {wanted} on {}", edge.host().name()),
        PATIENCE,
        || {
            let services = edge.json("service list")?;
            let backends = services.pointer("/0/backends").and_then(Value::as_array);
            let found = backends
                .context("no backends")?
                .iter()
                .find(|found| {
                    found
                        .get("address")
                        .is_some_and(|address| address == backend)
                })
                .with_context(|| format!("{backend} is not listed"))?;
            let health = found
                .get("health")
                .and_then(Value::as_str)
                .unwrap_or_default();
            ensure!(health == wanted, "{backend} is {health}");
            Ok(())
        },
    )
}
