//! One Service and its slices, as the balancer's services.
//!
//! Backends get packets as clients sent them, so a backend's port is the Service's. A family of
//! addresses is served by backends of that family, or by those of the other one if there are no slices
//! of that family: the outer header's family is the backend's own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU8;

use api::annotations::{HealthCheck, Probe, WhenEmpty};
use api::{AddressType, Endpoint, EndpointSlice, Service, ServicePort, TrafficPolicy};
use types::{BackendAddr, Family, Vip};
use xdp_l4lb_core::desired::{
    self as l4lb, Backend, BackendState, Check, CheckKind, PrimeSize, ServiceKey, TableSize,
};

use super::Drained;
use super::reach::{Place, Reach, Share};

/// The statuses that an HTTP check takes for success.
const SUCCESS: (u16, u16) = (200, 399);

/// What the balancer is told of one Service.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Placed {
    pub(crate) services: BTreeMap<ServiceKey, l4lb::Service>,
    /// What cannot be used as it is, for a person to read.
    pub(crate) remarks: Vec<String>,
}

/// The endpoints of one family.
struct Pool<'o> {
    slices: Vec<&'o EndpointSlice>,
    drained: &'o BTreeSet<Drained>,
    place: Option<&'o Place>,
    policy: TrafficPolicy,
}

type Backends = BTreeMap<BackendAddr, Backend>;

impl Placed {
    pub(crate) fn new(
        service: &Service,
        slices: &[&EndpointSlice],
        drained: &BTreeSet<Drained>,
        place: Option<&Place>,
    ) -> Self {
        let mut placed = Self::default();
        let [v4, v6] = Family::BOTH.map(|family| Pool {
            slices: of_family(slices, family),
            drained,
            place,
            policy: service.external_traffic_policy,
        });
        // With slices of one family only, all addresses share their backends and so their tables.
        let pools = match (v4.is_empty(), v6.is_empty()) {
            (false, false) => vec![(Some(Family::V4), "", v4), (Some(Family::V6), "/ipv6", v6)],
            (true, false) => vec![(None, "", v6)],
            (false, true) | (true, true) => vec![(None, "", v4)],
        };
        for (family, suffix, pool) in pools {
            let addresses: BTreeSet<IpAddr> = service
                .ingress_ips()
                .filter(|addr| family.is_none_or(|family| family == Family::of(*addr)))
                .collect();
            for port in &service.ports {
                let backends = pool.backends(port, &mut placed.remarks);
                placed.add(service, port, suffix, &addresses, backends);
            }
        }
        placed.remarks.sort_unstable();
        placed.remarks.dedup();
        placed
    }

    /// The addresses of all frontends.
    pub(crate) fn addresses(&self) -> BTreeSet<IpAddr> {
        let services = self.services.values();
        let vips = services.flat_map(|service| &service.frontends);
        vips.map(|vip| vip.addr).collect()
    }

    /// Adds the frontends of a port, to the service of an earlier port if that has the same backends.
    fn add(
        &mut self,
        service: &Service,
        port: &ServicePort,
        suffix: &str,
        addresses: &BTreeSet<IpAddr>,
        backends: Backends,
    ) {
        if addresses.is_empty() {
            return;
        }
        let frontends = addresses.iter().map(|addr| Vip {
            addr: *addr,
            port: port.port,
            protocol: port.protocol,
        });
        let mut placed = self.services.values_mut();
        let same = placed.find(|other| !backends.is_empty() && other.backends == backends);
        if let Some(other) = same {
            other.frontends.extend(frontends);
            return;
        }
        let key = ServiceKey {
            object: service.name().clone(),
            port: port_key(port, suffix).into(),
        };
        let settings = &service.settings;
        let placed = l4lb::Service {
            frontends: frontends.collect(),
            backends,
            idle: settings.idle_timeout.unwrap_or(l4lb::Service::DEFAULT_IDLE),
            when_empty: match settings.when_empty {
                Some(WhenEmpty::Withdraw) | None => l4lb::WhenEmpty::Withdraw,
                Some(WhenEmpty::Refuse) => l4lb::WhenEmpty::Refuse,
            },
            table_size: settings
                .maglev_table_size
                .map_or(TableSize::Auto, table_size),
            unhealthy_grace: settings.quarantine,
            check: settings.health_check.as_ref().map(check),
        };
        self.services.insert(key, placed);
    }
}

impl Pool<'_> {
    fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// The backends of one port. An address in several slices counts once, at its best.
    fn backends(&self, port: &ServicePort, remarks: &mut Vec<String>) -> Backends {
        let mut backends = Backends::new();
        let mut members: Vec<&EndpointSlice> = Vec::new();
        for slice in &self.slices {
            let mut ports = slice.ports.iter();
            let found = ports.find(|p| p.name == port.name && p.protocol == port.protocol);
            let Some(found) = found else { continue };
            members.push(slice);
            if let Some(other) = found.port.filter(|number| *number != port.port) {
                let (port, slice) = (port.port, &slice.meta.name);
                remarks.push(format!(
                    "endpoints of {slice} listen at port {other}, and get packets for port {port} as they are"
                ));
            }
        }
        let endpoints = members.iter().flat_map(|slice| &slice.endpoints);
        let reach = Reach::new(self.place, self.policy, &endpoints);
        for slice in &members {
            for endpoint in &slice.endpoints {
                let share = reach.share(endpoint);
                if let Some((addr, backend)) = self.backend(slice, endpoint, share, port.port) {
                    let best = backends.entry(addr).or_insert(backend);
                    best.state = best.state.min(backend.state);
                    best.weight = best.weight.max(backend.weight);
                }
            }
        }
        if members.is_empty() && !self.is_empty() {
            let (name, number, protocol) = (&port.name, port.port, port.protocol);
            remarks.push(format!(
                "no endpoints have a port \"{name}\" of {protocol}, so {number}/{protocol} has no backends"
            ));
        }
        backends
    }

    fn backend(
        &self,
        slice: &EndpointSlice,
        endpoint: &Endpoint,
        share: Share,
        port: u16,
    ) -> Option<(BackendAddr, Backend)> {
        let weight = match share {
            Share::New => slice.weight,
            Share::Old => 0,
            Share::Nothing => return None,
        };
        let (state, weight) = match (endpoint.terminating, endpoint.serving, endpoint.ready) {
            (false, _, true) => (BackendState::Active, weight),
            (true, true, _) => (BackendState::Draining, weight),
            // Its flows stay until it is removed; new ones it could not answer, not even as the last.
            (true, false, _) => (BackendState::Draining, 0),
            (false, _, false) => return None,
        };
        // The other addresses of an endpoint lead to the same place.
        let addr = *endpoint.addresses.first()?;
        let drained = [None, Some(port)].map(|port| Drained { addr, port });
        let is_drained = drained.iter().any(|drained| self.drained.contains(drained));
        let weight = if is_drained { 0 } else { weight };
        Some((BackendAddr { addr, port }, Backend { weight, state }))
    }
}

fn of_family<'o>(slices: &[&'o EndpointSlice], family: Family) -> Vec<&'o EndpointSlice> {
    let slices = slices.iter().copied();
    slices
        .filter(|slice| {
            slice.address_type == AddressType::Ip(family) && !slice.endpoints.is_empty()
        })
        .collect()
}

/// The port's name, or its number if it has none.
fn port_key(port: &ServicePort, suffix: &str) -> String {
    if port.name.is_empty() {
        format!("{}{suffix}", port.port)
    } else {
        format!("{}{suffix}", port.name)
    }
}

/// The sizes that `api` lets through are the planner's.
fn table_size(slots: u32) -> TableSize {
    PrimeSize::try_from(slots).map_or(TableSize::Auto, TableSize::Fixed)
}

fn check(check: &HealthCheck) -> Check {
    let count = |count| NonZeroU8::new(count).unwrap_or(NonZeroU8::MIN);
    Check {
        kind: match &check.probe {
            Probe::Tcp => CheckKind::Tcp,
            Probe::Http { path } => CheckKind::Http {
                path: path.as_str().into(),
                host: None,
                status: SUCCESS,
            },
        },
        port: check.port,
        interval: check.interval,
        timeout: check.timeout,
        rise: count(check.rise),
        fall: count(check.fall),
    }
}
