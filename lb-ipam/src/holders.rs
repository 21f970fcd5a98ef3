//! Who holds which address, whatever pool it is from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use types::{Family, ObjectName};

use crate::sharing::{Incompatibility, Listener, Sharing};
use crate::span::{Runs, Span};

/// The order in which services have their turn: the oldest first, then by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) created: u64,
    pub(crate) name: ObjectName,
}

/// A service as it holds an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) rank: Rank,
    pub(crate) sharing: Option<Arc<Sharing>>,
}

/// Why an address cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occupied {
    /// By a service that would not share, or it is the one asking that would not.
    Taken,
    /// By one that shares with others.
    Incompatible(Incompatibility),
    /// It waits for a service to return.
    Reserved,
}

/// What became of an address that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    /// Nobody had used it.
    First,
    /// It was in use, or waited for this service.
    Joined,
}

/// What became of an address that a service gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nobody holds it.
    Free,
    /// Others do.
    Shared,
}

/// The addresses in use. Only here is it decided who may hold one together with whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holders {
    by_address: BTreeMap<IpAddr, Use>,
    runs: Runs,
    sharers: BTreeMap<Arc<str>, Sharers>,
}

#[derive(Clone, Debug)]
enum Use {
    /// By rank; never empty.
    Held(Vec<Holder>),
    Reserved(ObjectName),
}

/// The addresses of services with one key.
#[derive(Clone, Debug, Default)]
struct Sharers {
    /// How many of them hold it.
    addresses: BTreeMap<IpAddr, usize>,
    by_listener: BTreeMap<Listener, BTreeSet<IpAddr>>,
}

impl Holder {
    fn meet(&self, other: &Self) -> Result<(), Occupied> {
        let Some(own) = &self.sharing else {
            return Err(Occupied::Taken);
        };
        let Some(theirs) = &other.sharing else {
            return Err(Occupied::Incompatible(Incompatibility::Key));
        };
        let [here, there] = [self, other].map(|holder| &*holder.rank.name.namespace);
        own.meet(here, theirs, there)
            .map_err(Occupied::Incompatible)
    }
}

impl Holders {
    /// Whether the service may hold an address, alone or with those that do.
    pub(crate) fn may_take(&self, addr: IpAddr, holder: &Holder) -> Result<(), Occupied> {
        match self.by_address.get(&addr) {
            None => Ok(()),
            Some(Use::Reserved(name)) if *name == holder.rank.name => Ok(()),
            Some(Use::Reserved(_)) => Err(Occupied::Reserved),
            Some(Use::Held(others)) => others.iter().try_for_each(|other| holder.meet(other)),
        }
    }

    /// Lets a service hold an address, if it may.
    pub(crate) fn take(&mut self, addr: IpAddr, holder: &Holder) -> Result<Took, Occupied> {
        self.may_take(addr, holder)?;
        let took = match self.by_address.get_mut(&addr) {
            Some(Use::Held(others)) => {
                let at = others.partition_point(|other| other.rank < holder.rank);
                others.insert(at, holder.clone());
                Took::Joined
            }
            Some(reserved @ Use::Reserved(_)) => {
                *reserved = Use::Held(vec![holder.clone()]);
                Took::Joined
            }
            None => {
                self.by_address
                    .insert(addr, Use::Held(vec![holder.clone()]));
                self.runs.insert(addr);
                Took::First
            }
        };
        if let Some(sharing) = &holder.sharing {
            let sharers = self.sharers.entry(Arc::clone(&sharing.key)).or_default();
            sharers.add(addr, sharing);
        }
        Ok(took)
    }

    /// Notes that a service does not hold an address any more; `None` if it did not.
    pub(crate) fn release(&mut self, addr: IpAddr, service: &ObjectName) -> Option<Left> {
        let Some(Use::Held(holders)) = self.by_address.get_mut(&addr) else {
            return None;
        };
        let at = holders
            .iter()
            .position(|holder| holder.rank.name == *service)?;
        let holder = holders.remove(at);
        let is_free = holders.is_empty();
        if let Some(sharing) = &holder.sharing {
            self.part(addr, sharing);
        }
        if is_free {
            self.by_address.remove(&addr);
            self.runs.remove(addr);
            return Some(Left::Free);
        }
        Some(Left::Shared)
    }

    /// Keeps a free address for a service. `false` if it is not free.
    pub(crate) fn reserve(&mut self, addr: IpAddr, service: &ObjectName) -> bool {
        let free = self.is_free(addr);
        if free {
            self.by_address.insert(addr, Use::Reserved(service.clone()));
            self.runs.insert(addr);
        }
        free
    }

    /// Keeps an address no longer. `false` if it was not kept.
    pub(crate) fn unreserve(&mut self, addr: IpAddr) -> bool {
        let kept = matches!(self.by_address.get(&addr), Some(Use::Reserved(_)));
        if kept {
            self.by_address.remove(&addr);
            self.runs.remove(addr);
        }
        kept
    }

    /// Puts what a service is now in the place of what it was when it took the address. It must be
    /// compatible with the others.
    pub(crate) fn update(&mut self, addr: IpAddr, holder: &Holder) {
        if self.release(addr, &holder.rank.name).is_some() {
            // What is compatible may take what it has just released.
            let _ = self.take(addr, holder);
        }
    }

    pub(crate) fn is_free(&self, addr: IpAddr) -> bool {
        !self.by_address.contains_key(&addr)
    }

    /// The first address of `span` that nobody holds.
    pub(crate) fn first_free(&self, span: Span) -> Option<IpAddr> {
        self.runs.first_gap(span)
    }

    /// The services that hold an address, by rank.
    pub(crate) fn at(&self, addr: IpAddr) -> &[Holder] {
        match self.by_address.get(&addr) {
            Some(Use::Held(holders)) => holders,
            Some(Use::Reserved(_)) | None => &[],
        }
    }

    /// Of the others that hold an address, those that would not share it with `holder`.
    pub(crate) fn rivals(&self, addr: IpAddr, holder: &Holder) -> Vec<Rank> {
        self.at(addr)
            .iter()
            .filter(|other| other.rank.name != holder.rank.name && holder.meet(other).is_err())
            .map(|other| other.rank.clone())
            .collect()
    }

    /// Whether a service of the namespace holds the address.
    pub(crate) fn has_namespace(&self, addr: IpAddr, namespace: &str) -> bool {
        let mut holders = self.at(addr).iter();
        holders.any(|holder| *holder.rank.name.namespace == *namespace)
    }

    /// The addresses of the family that services with the same key hold, and that `holder` may too.
    pub(crate) fn shareable<'h>(
        &'h self,
        family: Family,
        holder: &'h Holder,
    ) -> impl Iterator<Item = IpAddr> + 'h {
        let sharing = holder.sharing.as_deref();
        let sharers = sharing.and_then(|sharing| self.sharers.get(&sharing.key));
        let open = sharing.zip(sharers);
        open.into_iter()
            .flat_map(|(sharing, sharers)| sharers.open_to(sharing))
            .filter(move |addr| Family::of(*addr) == family)
            .filter(|addr| self.may_take(*addr, holder).is_ok())
    }

    /// The addresses in use in `span`; those that are reserved have no holders.
    pub(crate) fn within(&self, span: Span) -> impl Iterator<Item = (IpAddr, &[Holder])> {
        self.by_address
            .range(span.addresses())
            .map(|(addr, used)| match used {
                Use::Held(holders) => (*addr, holders.as_slice()),
                Use::Reserved(_) => (*addr, &[][..]),
            })
    }

    fn part(&mut self, addr: IpAddr, sharing: &Sharing) {
        if let Some(sharers) = self.sharers.get_mut(&sharing.key) {
            sharers.remove(addr, sharing);
            if sharers.addresses.is_empty() {
                self.sharers.remove(&sharing.key);
            }
        }
    }
}

impl Sharers {
    fn add(&mut self, addr: IpAddr, sharing: &Sharing) {
        *self.addresses.entry(addr).or_default() += 1;
        for listener in &sharing.listeners {
            let used = self.by_listener.entry(*listener).or_default();
            used.insert(addr);
        }
    }

    fn remove(&mut self, addr: IpAddr, sharing: &Sharing) {
        if let Some(count) = self.addresses.get_mut(&addr) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&addr);
            }
        }
        for listener in &sharing.listeners {
            if let Some(used) = self.by_listener.get_mut(listener) {
                used.remove(&addr);
                if used.is_empty() {
                    self.by_listener.remove(listener);
                }
            }
        }
    }

    /// The addresses where nobody listens as `sharing` does.
    fn open_to(&self, sharing: &Sharing) -> impl Iterator<Item = IpAddr> {
        let used: Vec<&BTreeSet<IpAddr>> = sharing
            .listeners
            .iter()
            .filter_map(|listener| self.by_listener.get(listener))
            .collect();
        // Where many services with one key have the same port, nothing is searched in vain.
        let none = used.iter().any(|used| used.len() == self.addresses.len());
        let addresses = self
            .addresses
            .keys()
            .take(if none { 0 } else { usize::MAX });
        addresses
            .copied()
            .filter(move |addr| !used.iter().any(|used| used.contains(addr)))
    }
}
