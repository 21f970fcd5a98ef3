//! L4 load balancer decisions: Maglev, placement, slot transitions, health.

pub mod desired;
