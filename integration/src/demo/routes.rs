//! Steps 2, 3 and 7: sessions, routes, requests, and how it reads.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use types::Prefix;

use super::{Demo, PATIENCE, Say};
use crate::lab::Host;
use crate::traffic::get_many;
use crate::until;

/// Requests to each address.
const REQUESTS: usize = 1000;

pub(super) fn sessions_and_routes(demo: &Demo, say: &Say) -> Result<()> {
    say.step(
        2,
        "four sessions; each router has both edge nodes as next hops",
    );
    established(demo)?;
    say.checked("4 of 4 sessions are established");
    next_hops(demo, 2)?;
    say.checked("each router has the /32 and the /128 with two next hops");
    let [v4, v6] = demo.vips.map(Prefix::host);
    let shown = demo.network.tor1.show(&format!("show route {v4}"))?;
    say.shown(&format!("birdc show route {v4}        (tor1)"), &shown);
    let shown = demo.network.tor2.show(&format!("show ipv6 route {v6}"))?;
    say.shown(
        &format!("vtysh -c 'show ipv6 route {v6}'        (tor2)"),
        &shown,
    );
    Ok(())
}

/// Waits until every session of both edge nodes is established.
pub(super) fn established(demo: &Demo) -> Result<()> {
    until("every session is established", PATIENCE, || {
        for edge in &demo.edges {
            let peers = edge.json("bgp peers")?;
            let peers = peers.as_array().context("bgp peers is no list")?;
            let up = peers.iter().filter(|peer| {
                peer.get("state")
                    .is_some_and(|state| state == "established")
            });
            let up = up.count();
            ensure!(
                up == 2,
                "{}: {up} of {} sessions",
                edge.host().name(),
                peers.len()
            );
        }
        Ok(())
    })
}

/// Waits until both routers forward both addresses to `count` next hops.
pub(super) fn next_hops(demo: &Demo, count: usize) -> Result<()> {
    until(
        &format!("each router has {count} next hops"),
        PATIENCE,
        || {
            for tor in [demo.network.tor1.host(), demo.network.tor2.host()] {
                for vip in demo.vips {
                    let found = kernel_next_hops(tor, Prefix::host(vip))?;
                    ensure!(
                        found == count,
                        "{} has {found} next hops to {vip}",
                        tor.name()
                    );
                }
            }
            Ok(())
        },
    )
}

fn kernel_next_hops(tor: &Host, prefix: Prefix) -> Result<usize> {
    let family = if prefix.addr().is_ipv4() { "-4" } else { "-6" };
    let routes = tor.ip(&format!("{family} route show {prefix}"))?;
    Ok(routes
        .split_whitespace()
        .filter(|word| *word == "via")
        .count())
}

pub(super) fn requests(demo: &Demo, say: &Say) -> Result<()> {
    say.step(3, "1,000 HTTP requests to each address");
    for to in demo.targets() {
        let spread = get_many(&demo.network.client, to, REQUESTS)?;
        let text: Vec<String> = spread
            .iter()
            .map(|(name, n)| format!("{name} {n}"))
            .collect();
        let total: usize = spread.values().sum();
        ensure!(
            total == REQUESTS,
            "{total} of {REQUESTS} requests to {to} succeeded"
        );
        ensure!(spread.len() == 3, "not every backend answered: {spread:?}");
        for (backend, count) in &spread {
            within_promise(*count, spread.len())
                .with_context(|| format!("{backend} answered {count} requests to {to}"))?;
        }
        say.checked(&format!(
            "{REQUESTS} of {REQUESTS} from {to}: {}",
            text.join(", ")
        ));
    }
    Ok(())
}

/// Tables are within 1.6 % with equal weights; ports are drawn at random, so five standard
/// deviations of a binomial distribution are added.
fn within_promise(count: usize, backends: usize) -> Result<()> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a thousand is exact in a double"
    )]
    let (count, total, share) = (count as f64, REQUESTS as f64, 1.0 / backends as f64);
    let expected = total * share;
    let room = expected * 0.016 + 5.0 * (total * share * (1.0 - share)).sqrt();
    ensure!(
        (count - expected).abs() <= room,
        "not within {expected:.0} ± {room:.0}"
    );
    Ok(())
}

pub(super) fn look(demo: &Demo, say: &Say) -> Result<()> {
    say.step(7, "as a person would read it");
    let edge = demo.edges.first().context("no edge")?;
    for command in ["status", "bgp peers", "lb list"] {
        say.shown(&format!("sluice {command}"), &edge.sluice(command)?);
    }
    let status: Value = edge.json("status")?;
    ensure!(
        status.get("ready") == Some(&Value::Bool(true)),
        "not ready: {status}"
    );
    say.checked("everything is in place");
    Ok(())
}
