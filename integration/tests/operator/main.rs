//! Operators of a real control plane, with the chart's own account and roles, in one binary.

mod bgp;
mod definitions;
mod field;
mod fleet;
mod ipam;
mod leaders;
mod notices;
mod trouble;
mod watchman;
