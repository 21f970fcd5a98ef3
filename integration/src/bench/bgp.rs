//! A million routes: in, kept and out, by the speaker's core without sockets.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use types::Prefix;

use super::routes::{Sessions, prefix, table};
use super::{Case, Report, Summary};

const ROUTES: u32 = 1_000_000;

/// Rounds; the memory is that of the first, before the allocator has anything to give again.
const ROUNDS: usize = 5;

const PAGE: usize = 4096;

/// Nanoseconds a route of one round.
struct Round {
    read: f64,
    again: f64,
    second: f64,
    export: f64,
    sent: f64,
    inserted: f64,
    written: f64,
}

/// Octets a route.
struct Memory {
    first: f64,
    second: f64,
    plain: f64,
}

pub(super) fn run() -> Result<()> {
    let prefixes: Vec<Prefix> = (0..ROUTES).map(prefix).collect();
    let tables = [table(&prefixes, 65000)?, table(&prefixes, 64999)?];
    let mut rounds = Vec::new();
    let (first, memory) = round(&prefixes, &tables)?;
    rounds.push(first);
    for _ in 1..ROUNDS {
        rounds.push(round(&prefixes, &tables)?.0);
    }
    let mut report = Report::new("bgp");
    times(&mut report, &rounds);
    for (case, octets) in [
        ("memory-first-peer", memory.first),
        ("memory-second-peer", memory.second),
    ] {
        report.add(Case {
            case: case.to_owned(),
            unit: "octets",
            measured: Summary::of(vec![octets]),
            reference: "a BTreeMap of the same prefixes".to_owned(),
            reference_median: memory.plain,
        });
    }
    report.write()?;
    Ok(())
}

fn times(report: &mut Report, rounds: &[Round]) {
    let summary = |of: fn(&Round) -> f64| Summary::of(rounds.iter().map(of).collect());
    let inserted = (
        "inserting them into a BTreeMap",
        summary(|round| round.inserted),
    );
    let written = (
        "writing the prefixes one after another",
        summary(|round| round.written),
    );
    for (case, measured, (reference, floor)) in [
        ("in-1m-routes", summary(|round| round.read), inserted),
        ("in-1m-routes-again", summary(|round| round.again), inserted),
        ("in-1m-second-peer", summary(|round| round.second), inserted),
        ("export-1m-routes", summary(|round| round.export), inserted),
        ("out-1m-routes", summary(|round| round.sent), written),
    ] {
        report.add(Case {
            case: case.to_owned(),
            unit: "ns",
            measured,
            reference: reference.to_owned(),
            reference_median: floor.median,
        });
    }
}

fn round(prefixes: &[Prefix], [first, second]: &[Vec<u8>; 2]) -> Result<(Round, Memory)> {
    let mut sessions = Sessions::establish()?;
    let empty = resident()?;
    let read = nanos(|| sessions.receive(0, first))?;
    let one = resident()?;
    let again = nanos(|| sessions.receive(0, first))?;
    let before_second = resident()?;
    let second = nanos(|| sessions.receive(1, second))?;
    let two = resident()?;
    let known = sessions.prefixes();
    ensure!(known == prefixes.len(), "{known} prefixes are known");
    let (plain, inserted) = insert(prefixes)?;
    let export = nanos(|| {
        sessions.export(prefixes);
        Ok(())
    })?;
    let (mut octets, mut buffer) = (0, Vec::with_capacity(1 << 17));
    let sent = nanos(|| {
        while sessions.send(&mut buffer) {
            octets += buffer.len();
        }
        Ok(())
    })?;
    ensure!(
        octets > 4 * prefixes.len(),
        "only {octets} octets were sent"
    );
    let written = nanos(|| write_plainly(prefixes, &mut buffer))?;
    let round = Round {
        read,
        again,
        second,
        export,
        sent,
        inserted,
        written,
    };
    let memory = Memory {
        first: per_route(one.saturating_sub(empty)),
        second: per_route(two.saturating_sub(before_second)),
        plain,
    };
    Ok((round, memory))
}

/// What the plainest table costs: octets and nanoseconds a route.
fn insert(prefixes: &[Prefix]) -> Result<(f64, f64)> {
    let mut plain = BTreeMap::new();
    let before = resident()?;
    let inserted = nanos(|| {
        plain.extend(prefixes.iter().copied().zip(0_u32..));
        Ok(())
    })?;
    let octets = per_route(resident()?.saturating_sub(before));
    ensure!(plain.len() == prefixes.len(), "prefixes repeat");
    Ok((octets, inserted))
}

/// The least that telling them can cost: lengths and octets, and no message around them.
fn write_plainly(prefixes: &[Prefix], buffer: &mut Vec<u8>) -> Result<()> {
    for batch in prefixes.chunks(1000) {
        buffer.clear();
        for prefix in batch {
            let IpAddr::V4(addr) = prefix.addr() else {
                bail!("{prefix} is not IPv4");
            };
            buffer.push(prefix.len());
            buffer.extend(addr.octets().iter().take(usize::from(prefix.len() / 8)));
        }
        black_box(&buffer);
    }
    Ok(())
}

/// How long a call takes, in nanoseconds a route.
fn nanos(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64() * 1e9 / f64::from(ROUTES))
}

#[expect(clippy::cast_precision_loss, reason = "gigabytes fit a double")]
fn per_route(octets: usize) -> f64 {
    octets as f64 / f64::from(ROUTES)
}

/// Octets of this process in memory.
fn resident() -> Result<usize> {
    let statm = fs::read_to_string("/proc/self/statm").context("reading this program's size")?;
    let pages = statm.split(' ').nth(1).context("no resident size")?;
    Ok(pages.parse::<usize>()? * PAGE)
}
