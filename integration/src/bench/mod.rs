//! Measurements: every figure beside a floor or a peer that was measured in the same run.

mod balancer;
mod bgp;
mod cpu;
mod frames;
mod lb;
mod meter;
mod report;
mod routes;
mod sys;
mod xdp;

use anyhow::{Result, bail};

pub use meter::{Flow, Meter};
pub use report::{Case, Report, Summary};

/// The areas, in the order they run.
pub const AREAS: [&str; 3] = ["bgp", "lb", "xdp"];

/// Runs the benchmarks of one area, or of `all`.
///
/// # Errors
/// If there is no such area, or a program cannot be loaded.
pub fn run(area: &str) -> Result<()> {
    if area != "all" && !AREAS.contains(&area) {
        bail!(
            "there is no area \"{area}\": expected all or one of {}",
            AREAS.join(", ")
        );
    }
    let wanted = |name: &str| area == "all" || area == name;
    if wanted("bgp") {
        bgp::run()?;
    }
    if wanted("lb") {
        lb::run()?;
    }
    if wanted("xdp") {
        cpu::alone(xdp::run)?;
    }
    Ok(())
}
