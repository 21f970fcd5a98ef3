//! The kernel tables by name, kind and size, as this process expects them.

use bpf_user::{MapKind, MapSpec};
use xdp_l4lb_common::layout::{
    BackendRecord, BalancerKey, Bucket, Config, FlowKey, FlowState, Link, ServiceRecord, Slot,
    TokenBucket, Traffic, maps, sizes,
};
use xdp_l4lb_core::Capacity;

/// How large the tables are made; what is pinned already must have the same sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The tables that the planner fills.
    pub capacity: Capacity,
    /// Flows remembered at most.
    pub flows: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            capacity: Capacity::default(),
            flows: entries(sizes::FLOWS),
        }
    }
}

/// The balancer's tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Specs {
    pub(crate) vips: MapSpec,
    pub(crate) services: MapSpec,
    pub(crate) slots: MapSpec,
    pub(crate) touched: MapSpec,
    pub(crate) backends: MapSpec,
    pub(crate) links: MapSpec,
    pub(crate) config: MapSpec,
    pub(crate) flows: MapSpec,
    pub(crate) service_stats: MapSpec,
    pub(crate) backend_stats: MapSpec,
    pub(crate) drops: MapSpec,
    pub(crate) limits: MapSpec,
    pub(crate) devices: MapSpec,
}

/// The tables of the backend side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackendSpecs {
    pub(crate) balancers: MapSpec,
    pub(crate) owned: MapSpec,
    pub(crate) drops: MapSpec,
}

impl Specs {
    pub(crate) const fn new(sizes: &Sizes) -> Self {
        let Capacity {
            buckets,
            services,
            slots,
            backends,
        } = sizes.capacity;
        let per_cpu = MapKind::PerCpuArray;
        Self {
            vips: MapSpec::mapped::<Bucket>(maps::VIPS, buckets),
            services: MapSpec::mapped::<ServiceRecord>(maps::SERVICES, services),
            slots: MapSpec::mapped::<Slot>(maps::SLOTS, slots),
            touched: MapSpec::mapped::<u32>(maps::TOUCHED, slots),
            backends: MapSpec::mapped::<BackendRecord>(maps::BACKENDS, backends),
            links: MapSpec::mapped::<Link>(maps::LINKS, entries(sizes::LINKS)),
            config: MapSpec::mapped::<Config>(maps::CONFIG, 1),
            flows: MapSpec::new::<FlowKey, FlowState>(maps::FLOWS, MapKind::Hash, sizes.flows),
            service_stats: MapSpec::new::<u32, Traffic>(maps::SERVICE_STATS, per_cpu, services),
            backend_stats: MapSpec::new::<u32, Traffic>(maps::BACKEND_STATS, per_cpu, backends),
            drops: MapSpec::new::<u32, u64>(maps::DROPS, per_cpu, entries(sizes::DROPS)),
            limits: MapSpec::new::<u32, TokenBucket>(maps::LIMITS, per_cpu, 1),
            devices: MapSpec::new::<u32, Device>(
                maps::DEVICES,
                MapKind::DeviceHash,
                entries(sizes::DEVICES),
            ),
        }
    }

    pub(crate) const fn all(&self) -> [MapSpec; 13] {
        [
            self.vips,
            self.services,
            self.slots,
            self.touched,
            self.backends,
            self.links,
            self.config,
            self.flows,
            self.service_stats,
            self.backend_stats,
            self.drops,
            self.limits,
            self.devices,
        ]
    }
}

impl BackendSpecs {
    pub(crate) const fn new() -> Self {
        Self {
            balancers: MapSpec::new::<BalancerKey, u32>(
                maps::BALANCERS,
                MapKind::Trie,
                entries(sizes::BALANCERS),
            ),
            owned: MapSpec::new::<[u8; 16], u32>(maps::OWNED, MapKind::Hash, entries(sizes::OWNED)),
            drops: MapSpec::new::<u32, u64>(
                maps::DECAP_DROPS,
                MapKind::PerCpuArray,
                entries(sizes::DROPS),
            ),
        }
    }

    pub(crate) const fn all(&self) -> [MapSpec; 3] {
        [self.balancers, self.owned, self.drops]
    }
}

/// `struct bpf_devmap_val`: the interface, and a program to run there, of which we have none.
pub(crate) type Device = [u32; 2];

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked in the line before, and `try_from` is not const"
)]
const fn entries(size: usize) -> u32 {
    assert!(size <= u32::MAX as usize, "maps have at most 2^32 entries");
    size as u32
}
