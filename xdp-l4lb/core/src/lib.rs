//! L4 load balancer decisions: Maglev, placement, slot transitions, health.

mod hash;
mod placement;
mod planner;
mod pools;
mod slots;
mod steps;

pub mod desired;
pub mod maglev;

pub use planner::{Fault, GRACE, Planner, Role, ServiceStatus, Settings};
pub use steps::{Capacity, Readback, SlotStore, Step, Tables, Way};
