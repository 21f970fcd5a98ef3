//! The allocator in numbers, for metrics.

use super::Allocator;
use crate::request::Service;

/// The allocator in numbers. Those of each pool are its [conditions](Allocator::pools).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Pools.
    pub pools: usize,
    /// Pools that give nothing because they overlap another one, or themselves.
    pub conflicting: usize,
    /// Services that the allocator answers for.
    pub matching: usize,
    /// Those of them that lack an address.
    pub unsatisfied: usize,
    /// Services that keep an address for a while that no pool has for them any more.
    pub leaving: usize,
    /// Addresses that wait for a service to return.
    pub reserved: usize,
}

impl Allocator {
    /// The allocator in numbers.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let services = self.services.values();
        let is_request = |service: &Service| matches!(service, Service::Request(_));
        let mut leaving: Vec<_> = self.leaving.iter().map(|(_, service, _)| service).collect();
        leaving.sort_unstable();
        leaving.dedup();
        let conflicting = self
            .pools
            .iter()
            .filter(|(_, pool)| pool.conflict.is_some());
        Figures {
            pools: self.pools.iter().count(),
            conflicting: conflicting.count(),
            matching: services.filter(|entry| is_request(&entry.service)).count(),
            unsatisfied: self.waiting.len(),
            leaving: leaving.len(),
            reserved: self.pools.reservations().len(),
        }
    }
}
