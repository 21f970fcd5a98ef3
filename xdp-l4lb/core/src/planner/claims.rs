//! Who a frontend belongs to.

use std::net::IpAddr;

use types::{Protocol, Vip};

use super::Planner;
use super::state::Placed;
use crate::desired::{Delta, ServiceKey};

impl Planner {
    /// Takes over desired services. Frontends are released before any is claimed, so that one that
    /// moves between services of one delta never belongs to nobody.
    pub(super) fn claim_all(&mut self, delta: Delta) {
        let mut touched = Vec::new();
        for (key, service) in &delta.services {
            let old = self.services.get(key).map(|placed| &placed.frontends);
            let dropped: Vec<Vip> = old
                .into_iter()
                .flatten()
                .filter(|vip| service.as_ref().is_none_or(|s| !s.frontends.contains(vip)))
                .copied()
                .collect();
            for vip in dropped {
                self.release(key, &vip);
                touched.push(vip);
            }
        }
        for (key, service) in delta.services {
            let old = self.services.remove(&key);
            match service {
                Some(service) => {
                    let placed = Placed::new(&service, old);
                    for vip in &placed.frontends {
                        self.claim(&key, vip);
                    }
                    self.services.insert(key.clone(), placed);
                    self.dirty.insert(key);
                }
                None => self.disown(old),
            }
        }
        for vip in touched {
            if !self.claims.contains_key(&vip) {
                self.abandon(vip);
            }
        }
    }

    /// The service that a frontend belongs to: the first by name, whatever came first.
    pub(super) fn owner(&self, vip: &Vip) -> Option<&ServiceKey> {
        self.claims.get(vip)?.first()
    }

    pub(super) fn is_vip(&self, addr: IpAddr) -> bool {
        let lowest = Vip {
            addr,
            port: 0,
            protocol: Protocol::Tcp,
        };
        self.claims
            .range(lowest..)
            .next()
            .is_some_and(|(vip, _)| vip.addr == addr)
    }

    /// Whether an address may be a backend's has to be looked at again, by all that use it.
    pub(super) fn doubt(&mut self, addr: IpAddr) {
        self.dirty
            .extend(self.refused.remove(&addr).into_iter().flatten());
        let ids = self.held.reaches.get(&addr).map(|reach| &reach.ids);
        for id in ids.into_iter().flatten() {
            let table = self.held.holders.get(id).and_then(|holder| holder.table);
            let owner = table.and_then(|name| self.held.tables.get(&name)?.owner.clone());
            self.dirty.extend(owner);
        }
    }

    fn claim(&mut self, key: &ServiceKey, vip: &Vip) {
        if !self.is_vip(vip.addr) {
            self.doubt(vip.addr);
        }
        self.loose.remove(vip);
        let claims = self.claims.entry(*vip).or_default();
        if let Err(at) = claims.binary_search(key) {
            // Whoever had it so far has to let go.
            self.dirty
                .extend(claims.first().filter(|_| at == 0).cloned());
            claims.insert(at, key.clone());
        }
    }

    fn release(&mut self, key: &ServiceKey, vip: &Vip) {
        if let Some(claims) = self.claims.get_mut(vip) {
            claims.retain(|other| other != key);
            self.dirty.extend(claims.first().cloned());
            if claims.is_empty() {
                self.claims.remove(vip);
            }
        }
    }

    /// Nobody claims the frontend any more.
    fn abandon(&mut self, vip: Vip) {
        if !self.is_vip(vip.addr) {
            self.doubt(vip.addr);
        }
        // Until everything was told once, somebody else may still claim it.
        if self.synced && self.held.frontends.contains_key(&vip) {
            self.loose.insert(vip);
        }
    }

    /// The tables stay until their last frontend is removed, or somebody else takes them over.
    fn disown(&mut self, old: Option<Placed>) {
        for name in old.into_iter().flat_map(|placed| placed.tables) {
            if let Some(table) = self.held.tables.get_mut(&name) {
                table.owner = None;
                self.doomed
                    .extend(table.frontends.is_empty().then_some(name));
            }
        }
    }
}
