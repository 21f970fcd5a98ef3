//! `sluice lb-ipam show` and `why`: what the objects of a place lead to.

use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use lb_ipam::{Allocator, Explanation, Verdict};
use serde::Serialize;
use types::ObjectName;

use super::explain::known;
use super::plan::assumptions;
use crate::args::{Args, ShowArgs, WhyArgs};
use crate::output::print;
use crate::table::Table;

/// A Service and its addresses.
#[derive(Serialize)]
struct Row {
    namespace: String,
    name: String,
    addresses: Vec<IpAddr>,
    satisfied: bool,
    reason: &'static str,
    message: String,
}

/// Why a Service has the addresses it has.
#[derive(Serialize)]
struct Why {
    service: String,
    addresses: Vec<IpAddr>,
    requested: Vec<IpAddr>,
    families: Vec<String>,
    satisfied: bool,
    reason: &'static str,
    message: String,
    notes: Vec<String>,
    pools: Vec<PoolSays>,
}

#[derive(Serialize)]
struct PoolSays {
    pool: String,
    says: Vec<String>,
}

pub(super) fn show(args: &Args, wanted: &ShowArgs) -> Result<bool> {
    let known = known(args, &wanted.place)?;
    let assumptions = assumptions(&wanted.assume, known.layout);
    let allocator = desired::plan::allocator(&known.objects, &assumptions);
    let rows = rows(&allocator);
    print(args.output, &rows, |rows, wide| render(rows, wide))?;
    Ok(true)
}

/// Whether it has all that it asks for.
pub(super) fn why(args: &Args, wanted: &WhyArgs) -> Result<bool> {
    let service = match wanted.service.split_once('/') {
        Some((namespace, name)) => ObjectName::new(namespace, name),
        None => {
            let namespace = args.cluster.namespace.as_deref();
            ObjectName::new(namespace.unwrap_or("default"), &wanted.service)
        }
    };
    let known = known(args, &wanted.place)?;
    let assumptions = assumptions(&wanted.assume, known.layout);
    let allocator = desired::plan::allocator(&known.objects, &assumptions);
    let explanation = allocator.why(&service).with_context(|| {
        format!(
            "{service} is not there, or its addresses are not given here: another type or another \
             loadBalancerClass"
        )
    })?;
    let why = of(&service, &explanation);
    print(args.output, &why, |why, _| render_why(why))?;
    Ok(why.satisfied)
}

fn rows(allocator: &Allocator) -> Vec<Row> {
    let allocations = allocator.allocations();
    allocations
        .map(|held| Row {
            namespace: held.service.namespace.to_string(),
            name: held.service.name.to_string(),
            addresses: held.addresses.to_vec(),
            satisfied: held.satisfaction.is_satisfied(),
            reason: held.satisfaction.reason(),
            message: held.satisfaction.message(),
        })
        .collect()
}

fn render(rows: &[Row], wide: bool) -> String {
    let mut table = Table::new(["Namespace", "Name", "Addresses", "Reason", "Message"]);
    for row in rows {
        let addresses = if row.addresses.is_empty() {
            "<none>".to_owned()
        } else {
            list(&row.addresses)
        };
        let message = if wide || !row.satisfied {
            row.message.clone()
        } else {
            String::new()
        };
        table.row([
            row.namespace.clone(),
            row.name.clone(),
            addresses,
            row.reason.to_owned(),
            message,
        ]);
    }
    table.render("No Service of type LoadBalancer, or no pool.")
}

fn of(service: &ObjectName, explanation: &Explanation) -> Why {
    let mut notes = Vec::new();
    if explanation.unavailable {
        notes.push("a family that it requires is not enabled".to_owned());
    }
    for (addr, others) in &explanation.sharing {
        notes.push(format!("shares {addr} with {}", list(others)));
    }
    for (addr, until) in &explanation.notices.leaving {
        let until = until.as_secs();
        notes.push(format!(
            "loses {addr} at {until} (seconds since 1970): no pool has it"
        ));
    }
    for addr in &explanation.notices.foreign {
        notes.push(format!("{addr} is from another program, and stays"));
    }
    let pools = explanation.pools.iter().map(|(pool, verdicts)| PoolSays {
        pool: pool.to_string(),
        says: verdicts.iter().map(words).collect(),
    });
    Why {
        service: service.to_string(),
        addresses: explanation.held.clone(),
        requested: explanation.requested.clone(),
        families: explanation
            .families
            .iter()
            .map(ToString::to_string)
            .collect(),
        satisfied: explanation.satisfaction.is_satisfied(),
        reason: explanation.satisfaction.reason(),
        message: explanation.satisfaction.message(),
        notes,
        pools: pools.collect(),
    }
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Gave(addr) => format!("has {addr} of the Service"),
        Verdict::NotSelected => "does not select the Service".to_owned(),
        Verdict::Disabled => "is disabled".to_owned(),
        Verdict::Conflicting(conflict) => conflict.to_string(),
        Verdict::NoFamily(family) => format!("has no {family} addresses"),
        Verdict::Full(family) => format!("has no free {family} address"),
        Verdict::QuotaUsedUp { limit } => format!("the namespace has its {limit} addresses"),
        Verdict::Lacks(addr) => format!("does not have {addr}"),
        Verdict::KeptBack(addr) => format!("keeps {addr} back: the first or last of a prefix"),
        Verdict::Taken { addr, by, why } => {
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            format!("{addr} is held by {}{why}", list(by))
        }
        Verdict::Reserved { addr, service, .. } => format!("{addr} waits for {service}"),
        Verdict::NotNeeded => "would give one; it is not needed".to_owned(),
        Verdict::WouldGive => "will give one".to_owned(),
    }
}

fn render_why(why: &Why) -> String {
    let mut text = String::new();
    let addresses = if why.addresses.is_empty() {
        "no address".to_owned()
    } else {
        list(&why.addresses)
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}: {addresses} ({})", why.service, why.reason);
    if !why.message.is_empty() {
        let _ = writeln!(text, "  {}", why.message);
    }
    if !why.requested.is_empty() {
        let _ = writeln!(text, "  asks for {}", list(&why.requested));
    } else if !why.families.is_empty() {
        let _ = writeln!(text, "  wants any of {}", list(&why.families));
    }
    for note in &why.notes {
        let _ = writeln!(text, "  {note}");
    }
    for pool in &why.pools {
        for says in &pool.says {
            let _ = writeln!(text, "  pool {}: {says}", pool.pool);
        }
    }
    text
}

fn list<T: ToString>(names: &[T]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}
