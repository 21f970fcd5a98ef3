//! A cluster of the size that is promised: services from nothing to all addressed, an agent from
//! nothing to full tables, one endpoint's way into the kernel, and how much the API server is asked.

mod allocation;
mod bed;
mod census;
mod fill;
mod follow;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{Case, Report, Summary};
use crate::lab::Lab;
use bed::Bed;

/// Another number of services, for a quick look: the goals are for [`SERVICES`].
const SIZE: &str = "SLUICE_BENCH_SERVICES";

/// LoadBalancer services, a third of them with two endpoints.
const SERVICES: usize = 27_000;

/// How many endpoints change, one after another.
const CHANGES: usize = 200;

/// How long nothing may be written once all is as it should be.
const STEADY: Duration = Duration::from_secs(20);

/// Measures, prints and writes `bench/k8s.json`.
pub(super) fn run(lab: &Lab) -> Result<()> {
    let services = match std::env::var(SIZE) {
        Ok(size) => size.parse().with_context(|| format!("{SIZE}={size}"))?,
        Err(_) => SERVICES,
    };
    let mut report = Report::new("k8s");
    against_goal(
        &mut report,
        "allocate-100k",
        "ms",
        allocation::millis()?,
        1000.0,
    );
    let bed = Bed::start(lab)?;
    let began = Instant::now();
    let endpoints = fill::fill(&bed, services)?;
    println!(
        "\n{services} services and {endpoints} endpoints are made in {:.0?}",
        began.elapsed()
    );
    operator(&mut report, &bed, services)?;
    agent(&mut report, &bed, services)?;
    report.write()?;
    Ok(())
}

/// From the operator's start until every service is seen to have an address.
fn operator(report: &mut Report, bed: &Bed, services: usize) -> Result<()> {
    let before = census::writes(&bed.plane)?;
    let began = Instant::now();
    let operator = bed.start_operator()?;
    let addressed = bed.follower.all_addressed(services)?;
    let took = (addressed - began).as_secs_f64();
    let per_second = services as f64 / took;
    println!("all are addressed in {took:.1} s: {per_second:.0} services a second");
    let settled = census::settled(&bed.plane, STEADY)?;
    let status = settled.of_services - before.of_services;
    against_goal(report, "addressed", "s", took, services as f64 / 200.0);
    let each = status as f64 / services as f64;
    against_goal(report, "writes-a-service", "writes", each, 1.0);
    let others = settled.all - before.all - status;
    println!("{status} writes of services' statuses, {others} of anything else but leases");
    against_goal(
        report,
        "operator-memory",
        "MB",
        operator.peak_megabytes()?,
        200.0,
    );

    let settled = census::writes(&bed.plane)?;
    std::thread::sleep(STEADY);
    let again = census::writes(&bed.plane)?;
    let steady = (again.all - settled.all) as f64;
    against_goal(report, "steady-writes", "writes", steady, 1.0);
    Ok(())
}

/// From the agent's start until the kernel has every service, then single changes.
fn agent(report: &mut Report, bed: &Bed, services: usize) -> Result<()> {
    let vips = bed.vips(services)?;
    let began = Instant::now();
    let agent = bed.start_agent()?;
    let (tables, full) = bed.tables_hold(&vips)?;
    let took = (full - began).as_secs_f64();
    against_goal(report, "agent-cold-start", "s", took, 5.0);
    against_goal(report, "agent-memory", "MB", agent.peak_megabytes()?, 200.0);

    let mut rounds = Vec::new();
    let apart = (services / CHANGES).max(1);
    for (n, vip) in vips.iter().enumerate().step_by(apart).take(CHANGES) {
        rounds.push(bed.move_endpoints(&tables, n, vip)?);
    }
    rounds.sort_by(f64::total_cmp);
    let last = rounds.get(rounds.len() * 99 / 100).copied();
    let summary = Summary::of(rounds);
    ensure!(summary.min > 0.0, "a change was there before it was made");
    report.add(Case {
        case: "endpoint-to-kernel".to_owned(),
        unit: "ms",
        measured: summary,
        reference: "the goal".to_owned(),
        reference_median: 50.0,
    });
    against_goal(
        report,
        "endpoint-to-kernel-p99",
        "ms",
        last.unwrap_or_default(),
        50.0,
    );
    Ok(())
}

/// A figure that was measured once, beside what was promised.
fn against_goal(report: &mut Report, case: &str, unit: &'static str, measured: f64, goal: f64) {
    report.add(Case {
        case: case.to_owned(),
        unit,
        measured: Summary::of(vec![measured]),
        reference: "the goal".to_owned(),
        reference_median: goal,
    });
}
