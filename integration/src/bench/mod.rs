//! Measurements: every figure beside a floor or a peer that was measured in the same run.

mod agent;
mod balancer;
mod bgp;
mod cpu;
mod frames;
mod k8s;
mod lb;
mod meter;
mod peer;
mod report;
mod routes;
mod sys;
mod xdp;

use anyhow::{Result, bail};

use crate::lab::Lab;

pub use meter::{Flow, Meter};
pub use report::{Case, Report, Summary};

/// The areas, in the order they run.
pub const AREAS: [&str; 5] = ["agent", "bgp", "k8s", "lb", "xdp"];

/// Runs the benchmarks of one area, or of `all`, in a lab of their own.
///
/// # Errors
/// If there is no such area, or a program cannot be loaded.
pub fn run(lab: &Lab, area: &str) -> Result<()> {
    if area != "all" && !AREAS.contains(&area) {
        bail!(
            "there is no area \"{area}\": expected all or one of {}",
            AREAS.join(", ")
        );
    }
    let wanted = |name: &str| area == "all" || area == name;
    if wanted("agent") {
        agent::run(lab)?;
    }
    if wanted("bgp") {
        bgp::run()?;
    }
    if wanted("k8s") {
        k8s::run(lab)?;
    }
    if wanted("lb") {
        lb::run()?;
    }
    if wanted("xdp") {
        cpu::alone(xdp::run)?;
    }
    Ok(())
}
