//! The chart, the manifests rendered from it and `sluice install`, on a real control plane; systemd's
//! units.

mod chart;
mod manifests;
mod pods;
mod programs;
mod roles;
mod round_trip;
mod tools;
mod units;
