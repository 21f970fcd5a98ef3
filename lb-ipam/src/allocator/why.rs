//! Why a service has the addresses it has, pool by pool; and what would be if something were different.

use std::net::IpAddr;

use types::{Family, ObjectName};

use super::Allocator;
use crate::action::{Action, Conflict, Satisfaction};
use crate::desired::{Delta, Inputs, Time};
use crate::holders::{Holder, Occupied};
use crate::pool::PoolState;
use crate::request::{Notices, Request, Service};
use crate::selector::Subject;
use crate::sharing::Incompatibility;
use crate::wants::Wants;

/// Why a service has the addresses it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The addresses it asks for; if there are none, any of the families will do.
    pub requested: Vec<IpAddr>,
    /// The families it wants addresses of, in its order.
    pub families: Vec<Family>,
    /// A family that it requires is not enabled.
    pub unavailable: bool,
    /// What it has.
    pub held: Vec<IpAddr>,
    /// What its condition says.
    pub satisfaction: Satisfaction,
    /// What else is said of its addresses.
    pub notices: Notices,
    /// With whom it shares, by address.
    pub sharing: Vec<(IpAddr, Vec<ObjectName>)>,
    /// What each pool has to do with that, in the order in which pools are tried.
    pub pools: Vec<(ObjectName, Vec<Verdict>)>,
}

/// What a pool has to do with a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has this address of the service's.
    Gave(IpAddr),
    /// Its selector does not match the service.
    NotSelected,
    /// It is disabled.
    Disabled,
    /// It overlaps another pool, or itself.
    Conflicting(Conflict),
    /// It has no block of the family.
    NoFamily(Family),
    /// It has no free address of the family.
    Full(Family),
    /// The service's namespace has as many of its addresses as it may.
    QuotaUsedUp {
        /// How many that is.
        limit: u64,
    },
    /// It does not have the address that is requested.
    Lacks(IpAddr),
    /// It has the address that is requested, and keeps it back: the first or last of a prefix.
    KeptBack(IpAddr),
    /// It has the address that is requested, which others hold.
    Taken {
        /// The address.
        addr: IpAddr,
        /// Who.
        by: Vec<ObjectName>,
        /// Why it is not shared, where both sides would share.
        why: Option<Incompatibility>,
    },
    /// It has the address that is requested, which waits for another service.
    Reserved {
        /// The address.
        addr: IpAddr,
        /// The service.
        service: ObjectName,
        /// When it waits no longer.
        until: Time,
    },
    /// It has an address, and nothing was left to be asked of it.
    NotNeeded,
    /// It has an address, which will be given when everything is known.
    WouldGive,
}

impl Allocator {
    /// Why a service has the addresses it has; `None` if it is not the allocator's.
    #[must_use]
    pub fn why(&self, service: &ObjectName) -> Option<Explanation> {
        let entry = self.services.get(service)?;
        let Service::Request(request) = &entry.service else {
            return None;
        };
        let wants = Wants::new(request, &self.enabled);
        let (families, unavailable) = match &wants {
            Wants::These(_) => (Vec::new(), false),
            Wants::Any {
                families,
                unavailable,
            } => (families.clone(), *unavailable),
        };
        let others = |addr: &IpAddr| {
            let names = self.holders_of(*addr, service);
            (!names.is_empty()).then_some((*addr, names))
        };
        let mut pools: Vec<_> = self.pools.iter().collect();
        pools.sort_by_key(|(name, state)| (std::cmp::Reverse(state.pool.priority), *name));
        let case = Case {
            allocator: self,
            request,
            holder: entry.service.holder(service),
            families: &families,
            held: &entry.held,
        };
        Some(Explanation {
            requested: request.requested.clone(),
            held: entry.held.clone(),
            satisfaction: entry.satisfaction,
            notices: entry.notices.clone(),
            sharing: entry.held.iter().filter_map(others).collect(),
            pools: pools
                .into_iter()
                .map(|(name, state)| (name.clone(), case.verdicts(service, state)))
                .collect(),
            families,
            unavailable,
        })
    }

    /// What a change would lead to: an allocator to ask, and what it would write. This one stays as it is.
    #[must_use]
    pub fn simulate(&self, now: Time, delta: Delta) -> (Self, Vec<Action>) {
        let mut other = self.clone();
        let actions = other.on_change(now, delta);
        (other, actions)
    }

    fn holders_of(&self, addr: IpAddr, but: &ObjectName) -> Vec<ObjectName> {
        let holders = self.pools.holders().at(addr).iter();
        let names = holders.map(|holder| &holder.rank.name);
        names.filter(|name| *name != but).cloned().collect()
    }
}

/// One service before all pools.
struct Case<'c> {
    allocator: &'c Allocator,
    request: &'c Request,
    holder: Holder,
    families: &'c [Family],
    held: &'c [IpAddr],
}

impl Case<'_> {
    fn verdicts(&self, service: &ObjectName, state: &PoolState) -> Vec<Verdict> {
        let held = self.held.iter().copied();
        let mut verdicts: Vec<Verdict> = held
            .filter(|addr| state.holds(*addr))
            .map(Verdict::Gave)
            .collect();
        let subject = Subject::new(service, self.request);
        if !state.pool.selector.matches(subject) {
            verdicts.push(Verdict::NotSelected);
        } else if state.pool.disabled {
            verdicts.push(Verdict::Disabled);
        } else if let Some(conflict) = &state.conflict {
            verdicts.push(Verdict::Conflicting(conflict.clone()));
        } else if self.request.requested.is_empty() {
            self.of_families(state, &mut verdicts);
        } else {
            let requested = self.request.requested.iter();
            let missing = requested.filter(|addr| !self.held.contains(addr));
            verdicts.extend(missing.map(|addr| self.of_address(*addr, state)));
        }
        if verdicts.is_empty() {
            verdicts.push(Verdict::NotNeeded);
        }
        verdicts
    }

    fn of_families(&self, state: &PoolState, verdicts: &mut Vec<Verdict>) {
        for &family in self.families {
            let is_held = self.held.iter().any(|addr| Family::of(*addr) == family);
            let is_given = |addr: &IpAddr| Family::of(*addr) == family && state.holds(*addr);
            if !state.has_family(family) {
                verdicts.push(Verdict::NoFamily(family));
            } else if self.held.iter().any(is_given) {
                // That is said already.
            } else if !state.has_free(family) {
                verdicts.push(Verdict::Full(family));
            } else if let Some(limit) = self.used_up(state) {
                verdicts.push(Verdict::QuotaUsedUp { limit });
            } else if !is_held {
                verdicts.push(self.could_give());
            }
        }
    }

    fn of_address(&self, addr: IpAddr, state: &PoolState) -> Verdict {
        let holders = self.allocator.pools.holders();
        let reservation = self.allocator.pools.reservations().at(addr);
        let taken = |why| Verdict::Taken {
            addr,
            by: self.allocator.holders_of(addr, &self.holder.rank.name),
            why,
        };
        if !state.holds(addr) {
            return Verdict::Lacks(addr);
        }
        match (holders.may_take(addr, &self.holder), reservation) {
            (Ok(()), _) if !state.may_give(addr) => Verdict::KeptBack(addr),
            (Ok(()), _) => match self.used_up(state) {
                Some(limit) => Verdict::QuotaUsedUp { limit },
                None => self.could_give(),
            },
            (Err(Occupied::Reserved), Some((service, until))) => Verdict::Reserved {
                addr,
                service: service.clone(),
                until,
            },
            (Err(Occupied::Incompatible(why)), _) => taken(Some(why)),
            (Err(Occupied::Taken | Occupied::Reserved), _) => taken(None),
        }
    }

    fn could_give(&self) -> Verdict {
        if self.allocator.inputs == Inputs::Incomplete {
            Verdict::WouldGive
        } else {
            Verdict::NotNeeded
        }
    }

    fn used_up(&self, state: &PoolState) -> Option<u64> {
        let namespace = &self.holder.rank.name.namespace;
        let limit = state.pool.quotas.of(namespace);
        limit.filter(|_| state.is_used_up(namespace))
    }
}
