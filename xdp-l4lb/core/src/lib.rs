//! L4 load balancer decisions: Maglev, placement, slot transitions, health.
//!
//! A [`Planner`] is told what is wanted ([`Planner::on_change`], [`Planner::on_health`],
//! [`Planner::on_next_hop`]) and hands out ordered [`Step`]s; [`health::Checks`] turns probes into
//! verdicts for it. The shell's loop:
//!
//! ```text
//!  restore(read-back tables); on_change(everything); on_synced()
//!  loop:
//!    while steps = plan(now), not empty: carry them out in order
//!        a step fails: on_failed(now, it and the rest)
//!        ScanFlows:    start to read `flows`
//!    a scan is under way: on_flows(a chunk), carry out its step; at the end on_flows_end(now)
//!    wait for an event, or for next_deadline()
//! ```

mod hash;
mod placement;
mod planner;
mod pools;
mod slots;
mod steps;

pub mod desired;
pub mod health;
pub mod maglev;

pub use planner::{Fault, GRACE, Planner, Role, ServiceStatus, Settings};
pub use steps::{Capacity, Readback, SlotStore, Step, Tables, Way};
