//! L4 load balancer decisions: Maglev, placement, slot transitions, health.

mod hash;

pub mod desired;
pub mod maglev;
