//! Pools of addresses, and the addresses that services hold.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The addresses that a service holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// The service's namespace.
    pub namespace: String,
    /// The service's name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A pool of addresses. Counts are decimal strings, since those of IPv6 outgrow a number of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Whether it is to give no more addresses.
    pub disabled: bool,
    /// Whether it gives none because a block overlaps another one.
    pub conflicting: bool,
    /// How many addresses it has.
    pub total: String,
    /// How many of them are free, whether or not it gives any at present.
    pub available: String,
    /// How many of them are given.
    pub used: String,
    /// What it conflicts with; empty if with nothing.
    pub message: String,
}

/// The allocator in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipam {
    /// Services that it answers for.
    pub services: usize,
    /// Those that do not have all the addresses they ask for.
    pub unsatisfied: usize,
}
