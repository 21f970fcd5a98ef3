//! Services and their endpoints, as the balancer sees them.

mod reach;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use types::{ObjectName, Vip};
use xdp_l4lb_core::desired as l4lb;

use crate::endpoints::Endpoints;
use crate::ipam;
use crate::objects::Objects;

pub(crate) use reach::Place;
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
    /// Where this node is, if Services may say how far connections go.
    place: Option<Place>,
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

    /// This node is there now; every service is looked at again if that is new.
    pub(crate) fn on_place(&mut self, place: Place) {
        if self.place.as_ref() != Some(&place) {
            self.place = Some(place);
            self.dirty.extend(self.placed.keys().cloned());
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
        endpoints: &Endpoints,
        delta: &mut l4lb::Delta,
    ) -> BTreeSet<ObjectName> {
        let dirty = std::mem::take(&mut self.dirty);
        for name in &dirty {
            let new = self.placed(objects, endpoints, name);
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

    fn placed(&self, objects: &Objects, endpoints: &Endpoints, name: &ObjectName) -> Placed {
        match objects.services.get(name) {
            Some(service) if ipam::is_ours(service) => {
                let slices: Vec<_> = endpoints.slices_of(objects, name).collect();
                Placed::new(service, &slices, &self.drained, self.place.as_ref())
            }
            Some(_) | None => Placed::default(),
        }
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
