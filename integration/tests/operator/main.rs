//! Operators of a real control plane, with the chart's own account and roles, in one binary.

mod bgp;
mod field;
mod ipam;
mod leaders;
mod notices;
mod trouble;
mod watchman;
