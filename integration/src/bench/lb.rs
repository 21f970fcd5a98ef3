//! The balancer's plan: how long a Maglev table takes to build.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use anyhow::Result;
use types::BackendAddr;
use xdp_l4lb_core::maglev::{self, Candidate, Size};

use super::{Case, Report, Summary};

const ROUNDS: usize = 15;

pub(super) fn run() -> Result<()> {
    let mut report = Report::new("lb");
    for backends in [1, 100, 10_000] {
        report.add(maglev_build(backends));
    }
    report.write()?;
    Ok(())
}

/// Beside it, the least that filling a table can cost: one hash and one store a slot.
fn maglev_build(backends: u32) -> Case {
    let candidates: Vec<Candidate> = (0..backends)
        .map(|number| {
            let addr = IpAddr::from(Ipv4Addr::from(0x0a00_0001 + number));
            Candidate {
                backend: BackendAddr { addr, port: 80 },
                weight: 1,
            }
        })
        .collect();
    let size = Size::automatic(candidates.iter().map(|candidate| candidate.weight));
    let slots = maglev::build(0, size, &candidates).len();
    let built = rounds(|| maglev::build(black_box(0), size, &candidates).len());
    let floor = rounds(|| fill(slots, u64::from(backends)).len());
    Case {
        case: format!("maglev-{backends}-backends"),
        unit: "us",
        measured: built,
        reference: format!("hash and store {slots} slots"),
        reference_median: floor.median,
    }
}

fn fill(slots: usize, backends: u64) -> Vec<u64> {
    (0..slots as u64)
        .map(|slot| {
            let mut x = black_box(slot).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            x ^= x >> 32;
            x % backends
        })
        .collect()
}

/// Microseconds of each round.
fn rounds(mut work: impl FnMut() -> usize) -> Summary {
    let rounds = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            black_box(work());
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    Summary::of(rounds)
}
