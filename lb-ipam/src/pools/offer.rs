//! What a service may have of the pools.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use types::{Family, ObjectName};

use super::{Place, Pools};
use crate::holders::{Holder, Occupied};
use crate::pool::PoolState;
use crate::selector::Subject;
use crate::sharing::Incompatibility;
use crate::waiting::Need;

/// Why a requested address cannot be had. Of several pools the last of these counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    NoPool,
    Mismatch,
    Taken,
    /// The quota of the service's namespace.
    UsedUp(Need),
    Incompatible(Incompatibility),
}

/// What came of asking for any address of a family.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Address(IpAddr),
    /// No pool that selects the service has an address for it. These would help.
    None {
        /// Full pools, and quotas that are used up.
        needs: Vec<Need>,
    },
}

impl Pools {
    /// Whether the service may be given this very address.
    pub(crate) fn check(
        &self,
        addr: IpAddr,
        subject: Subject<'_>,
        holder: &Holder,
    ) -> Result<(), Refusal> {
        let mut refusal = Refusal::NoPool;
        for (name, state) in self.states_at(addr).filter(|(_, state)| state.gives()) {
            match self.check_with(name, state, addr, subject, holder) {
                Ok(()) => return Ok(()),
                Err(other) => refusal = refusal.max(other),
            }
        }
        Err(refusal)
    }

    fn check_with(
        &self,
        name: &ObjectName,
        state: &PoolState,
        addr: IpAddr,
        subject: Subject<'_>,
        holder: &Holder,
    ) -> Result<(), Refusal> {
        if !state.pool.selector.matches(subject) {
            return Err(Refusal::Mismatch);
        }
        if !state.may_give(addr) {
            return Err(Refusal::Taken);
        }
        match self.holders.may_take(addr, holder) {
            Ok(()) => {}
            Err(Occupied::Taken | Occupied::Reserved) => return Err(Refusal::Taken),
            Err(Occupied::Incompatible(why)) => return Err(Refusal::Incompatible(why)),
        }
        let namespace = &holder.rank.name.namespace;
        if state.is_used_up(namespace) && !self.holders.has_namespace(addr, namespace) {
            return Err(Refusal::UsedUp(quota(name, namespace)));
        }
        Ok(())
    }

    /// An address of the family for the service: one that waits for it, else one that it may share, else
    /// the first free one of the pools in their order.
    pub(crate) fn offer(&self, family: Family, subject: Subject<'_>, holder: &Holder) -> Offer {
        let mut own = self
            .reservations
            .of(&holder.rank.name)
            .filter(|addr| Family::of(*addr) == family);
        let mut shared = self.holders.shareable(family, holder);
        let known = own
            .find(|addr| self.check(*addr, subject, holder).is_ok())
            .or_else(|| shared.find(|addr| self.check(*addr, subject, holder).is_ok()));
        if let Some(addr) = known {
            return Offer::Address(addr);
        }
        let namespace = &holder.rank.name.namespace;
        let mut needs = Vec::new();
        for (_, name) in self.candidates(subject) {
            let Some(state) = self.by_name.get(name) else {
                continue;
            };
            if !state.gives() || !state.has_family(family) || !state.pool.selector.matches(subject)
            {
                continue;
            }
            match state.first_free(family, &self.holders) {
                None => needs.push(Need::Pool(name.clone(), family)),
                Some(_) if state.is_used_up(namespace) => needs.push(quota(name, namespace)),
                Some(addr) => return Offer::Address(addr),
            }
        }
        Offer::None { needs }
    }

    /// The pools that may select the service, in their order.
    pub(crate) fn candidates(&self, subject: Subject<'_>) -> BTreeSet<&Place> {
        let anchored = subject
            .labels()
            .filter_map(|(key, value)| self.anchored.get(key)?.get(value))
            .flatten();
        self.unanchored.iter().chain(anchored).collect()
    }
}

fn quota(pool: &ObjectName, namespace: &Arc<str>) -> Need {
    Need::Quota(pool.clone(), Arc::clone(namespace))
}
