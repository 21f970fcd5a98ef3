//! Services and their endpoints, as the balancer sees them.

mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use types::{NodeName, ObjectName, Vip};
use xdp_l4lb_core::desired as l4lb;

use crate::ipam;
use crate::objects::Objects;

pub(crate) use service::Placed;

/// A backend that an operator took out of service, until undrained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drained {
    /// Its address.
    pub addr: IpAddr,
    /// The port that is drained; none means every port.
    pub port: Option<u16>,
}

/// The index over services and slices.
#[derive(Debug, Default)]
pub(crate) struct Balancer {
    /// The slices of each service, whether that exists or not.
    slices: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    /// What the balancer was told.
    placed: BTreeMap<ObjectName, Placed>,
    /// Which services have frontends at an address.
    at: BTreeMap<IpAddr, BTreeSet<ObjectName>>,
    ready: BTreeSet<Vip>,
    drained: BTreeSet<Drained>,
    dirty: BTreeSet<ObjectName>,
}

impl Balancer {
    pub(crate) fn touch(&mut self, service: &ObjectName) {
        self.dirty.insert(service.clone());
    }

    /// A slice belongs to `new` now, and not to `old`.
    pub(crate) fn on_slice(
        &mut self,
        slice: &ObjectName,
        old: Option<&ObjectName>,
        new: Option<&ObjectName>,
    ) {
        if let Some(service) = old {
            self.touch(service);
            if let Some(slices) = self.slices.get_mut(service) {
                slices.remove(slice);
                if slices.is_empty() {
                    self.slices.remove(service);
                }
            }
        }
        if let Some(service) = new {
            self.touch(service);
            let slices = self.slices.entry(service.clone()).or_default();
            slices.insert(slice.clone());
        }
    }

    /// Frontends that became ready to be announced, or stopped being. The services concerned.
    pub(crate) fn on_ready(
        &mut self,
        vips: impl IntoIterator<Item = (Vip, bool)>,
    ) -> BTreeSet<ObjectName> {
        let mut concerned = BTreeSet::new();
        for (vip, ready) in vips {
            let changed = if ready {
                self.ready.insert(vip)
            } else {
                self.ready.remove(&vip)
            };
            if changed {
                let services = self.at.get(&vip.addr);
                concerned.extend(services.into_iter().flatten().cloned());
            }
        }
        concerned
    }

    /// Exactly these backends are drained.
    pub(crate) fn on_drained(&mut self, drained: BTreeSet<Drained>) {
        let changed: BTreeSet<IpAddr> = self
            .drained
            .symmetric_difference(&drained)
            .map(|drained| drained.addr)
            .collect();
        self.drained = drained;
        let concerned = self.placed.iter().filter(|(_, placed)| {
            let services = placed.services.values();
            let mut backends = services.flat_map(|service| service.backends.keys());
            backends.any(|backend| changed.contains(&backend.addr))
        });
        self.dirty.extend(concerned.map(|(name, _)| name.clone()));
    }

    /// Works through what was touched. The services of which anything changed.
    pub(crate) fn settle(
        &mut self,
        objects: &Objects,
        delta: &mut l4lb::Delta,
    ) -> BTreeSet<ObjectName> {
        let dirty = std::mem::take(&mut self.dirty);
        for name in &dirty {
            let new = self.place(objects, name);
            let old = self.placed.remove(name).unwrap_or_default();
            self.move_frontends(name, &old, &new);
            for key in old.services.keys() {
                if !new.services.contains_key(key) {
                    delta.services.insert(key.clone(), None);
                }
            }
            for (key, service) in &new.services {
                if old.services.get(key) != Some(service) {
                    delta.services.insert(key.clone(), Some(service.clone()));
                }
            }
            if new != Placed::default() {
                self.placed.insert(name.clone(), new);
            }
        }
        dirty
    }

    /// What cannot be used of the service's endpoints as they are.
    pub(crate) fn remarks(&self, service: &ObjectName) -> &[String] {
        self.placed
            .get(service)
            .map_or(&[], |placed| &placed.remarks)
    }

    /// Whether an address of the service may be announced: one of its frontends there is in place.
    pub(crate) fn is_ready(&self, service: &ObjectName, addr: IpAddr) -> bool {
        let placed = self.placed.get(service);
        let services = placed
            .into_iter()
            .flat_map(|placed| placed.services.values());
        services
            .flat_map(|service| &service.frontends)
            .any(|vip| vip.addr == addr && self.ready.contains(vip))
    }

    /// Whether an active backend of the service is on the node.
    pub(crate) fn is_local(
        &self,
        objects: &Objects,
        service: &ObjectName,
        node: &NodeName,
    ) -> bool {
        let slices = self.slices_of(objects, service);
        let mut endpoints = slices.flat_map(|slice| &slice.endpoints);
        endpoints.any(|endpoint| {
            endpoint.ready && !endpoint.terminating && endpoint.node.as_ref() == Some(node)
        })
    }

    fn place(&self, objects: &Objects, name: &ObjectName) -> Placed {
        match objects.services.get(name) {
            Some(service) if ipam::is_ours(service) => {
                let slices: Vec<_> = self.slices_of(objects, name).collect();
                Placed::new(service, &slices, &self.drained)
            }
            Some(_) | None => Placed::default(),
        }
    }

    fn slices_of<'o>(
        &'o self,
        objects: &'o Objects,
        service: &ObjectName,
    ) -> impl Iterator<Item = &'o api::EndpointSlice> {
        let names = self.slices.get(service).into_iter().flatten();
        names.filter_map(|name| objects.slices.get(name).map(AsRef::as_ref))
    }

    fn move_frontends(&mut self, name: &ObjectName, old: &Placed, new: &Placed) {
        for addr in old.addresses() {
            if let Some(services) = self.at.get_mut(&addr) {
                services.remove(name);
                if services.is_empty() {
                    self.at.remove(&addr);
                }
            }
        }
        for addr in new.addresses() {
            self.at.entry(addr).or_default().insert(name.clone());
        }
    }
}
