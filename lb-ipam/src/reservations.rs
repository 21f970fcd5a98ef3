//! Addresses that wait for their services to return.
//!
//! What a pool's reservations come to as text is bounded, since they are kept in its status: the ones
//! that would end first make room.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use types::ObjectName;

use crate::desired::{Reservation, Time};

/// What a pool's reservations may come to, in bytes: a condition's message has 32 KiB.
const MAX_WEIGHT: usize = 30_000;
/// What is written around the names and the address.
const PUNCTUATION: usize = 40;

#[derive(Clone, Debug, Default)]
pub(crate) struct Reservations {
    by_address: BTreeMap<IpAddr, Reserved>,
    by_pool: BTreeMap<ObjectName, Kept>,
    by_service: BTreeMap<ObjectName, BTreeSet<IpAddr>>,
    by_time: BTreeSet<(Time, IpAddr)>,
    /// Pools of which there may be something new to say.
    touched: BTreeSet<ObjectName>,
}

#[derive(Clone, Debug)]
struct Reserved {
    service: ObjectName,
    until: Time,
    pool: ObjectName,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    by_time: BTreeSet<(Time, IpAddr)>,
    weight: usize,
}

impl Reservations {
    /// Adds one for an address that has none. Those that must go to make room come back.
    pub(crate) fn add(&mut self, pool: &ObjectName, reservation: Reservation) -> Vec<IpAddr> {
        let Reservation {
            addr,
            service,
            until,
        } = reservation;
        let kept = self.by_pool.entry(pool.clone()).or_default();
        kept.weight += weight(addr, &service);
        kept.by_time.insert((until, addr));
        self.by_time.insert((until, addr));
        let of_service = self.by_service.entry(service.clone()).or_default();
        of_service.insert(addr);
        self.touched.insert(pool.clone());
        let pool = pool.clone();
        let reserved = Reserved {
            service,
            until,
            pool: pool.clone(),
        };
        self.by_address.insert(addr, reserved);
        let mut gone = Vec::new();
        while let Some(addr) = self.surplus(&pool) {
            self.remove(addr);
            gone.push(addr);
        }
        gone
    }

    /// The reservation of an address is over. `false` if there was none.
    pub(crate) fn remove(&mut self, addr: IpAddr) -> bool {
        let Some(reserved) = self.by_address.remove(&addr) else {
            return false;
        };
        let Reserved {
            service,
            until,
            pool,
        } = reserved;
        self.by_time.remove(&(until, addr));
        if let Some(kept) = self.by_pool.get_mut(&pool) {
            kept.weight -= weight(addr, &service);
            kept.by_time.remove(&(until, addr));
            if kept.by_time.is_empty() {
                self.by_pool.remove(&pool);
            }
        }
        if let Some(addresses) = self.by_service.get_mut(&service) {
            addresses.remove(&addr);
            if addresses.is_empty() {
                self.by_service.remove(&service);
            }
        }
        self.touched.insert(pool);
        true
    }

    /// The addresses that wait for a service.
    pub(crate) fn of(&self, service: &ObjectName) -> impl Iterator<Item = IpAddr> {
        self.by_service.get(service).into_iter().flatten().copied()
    }

    /// Whom an address waits for, and until when.
    pub(crate) fn at(&self, addr: IpAddr) -> Option<(&ObjectName, Time)> {
        let reserved = self.by_address.get(&addr)?;
        Some((&reserved.service, reserved.until))
    }

    /// The addresses of a pool.
    pub(crate) fn addresses_in(&self, pool: &ObjectName) -> Vec<IpAddr> {
        let kept = self.by_pool.get(pool);
        let by_time = kept.into_iter().flat_map(|kept| &kept.by_time);
        by_time.map(|(_, addr)| *addr).collect()
    }

    /// A pool's reservations by address.
    pub(crate) fn in_pool(&self, pool: &ObjectName) -> Vec<Reservation> {
        let mut addresses = self.addresses_in(pool);
        addresses.sort_unstable();
        let reservation = |addr: IpAddr| {
            let (service, until) = self.at(addr)?;
            let service = service.clone();
            Some(Reservation {
                addr,
                service,
                until,
            })
        };
        addresses.into_iter().filter_map(reservation).collect()
    }

    /// The first whose time is up.
    pub(crate) fn due(&self, now: Time) -> Option<IpAddr> {
        let (until, addr) = self.by_time.first()?;
        (*until <= now).then_some(*addr)
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.by_time.first().map(|(until, _)| *until)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_address.len()
    }

    /// There may be something new to say of a pool.
    pub(crate) fn touch(&mut self, pool: &ObjectName) {
        self.touched.insert(pool.clone());
    }

    /// Pools whose reservations changed since this was asked last.
    pub(crate) fn take_touched(&mut self) -> BTreeSet<ObjectName> {
        std::mem::take(&mut self.touched)
    }

    fn surplus(&self, pool: &ObjectName) -> Option<IpAddr> {
        let kept = self.by_pool.get(pool)?;
        let (_, addr) = kept.by_time.first()?;
        (kept.weight > MAX_WEIGHT).then_some(*addr)
    }
}

fn weight(addr: IpAddr, service: &ObjectName) -> usize {
    addr.to_string().len() + service.namespace.len() + service.name.len() + PUNCTUATION
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_reservations_make_room() {
        let mut reservations = Reservations::default();
        let pool = ObjectName::of_cluster("pool");
        let mut gone = Vec::new();

        for n in 0..1000_u16 {
            let [high, low] = n.to_be_bytes();
            let reservation = Reservation {
                addr: Ipv4Addr::new(10, 0, high, low).into(),
                service: ObjectName::new("shop", "web"),
                until: Duration::from_secs(u64::from(n)),
            };
            gone.extend(reservations.add(&pool, reservation));
        }

        let kept = reservations.in_pool(&pool);
        let weights = kept.iter().map(|kept| weight(kept.addr, &kept.service));
        assert!(weights.sum::<usize>() <= MAX_WEIGHT);
        assert_eq!(kept.len() + gone.len(), 1000);
        assert_eq!(gone.first(), Some(&Ipv4Addr::new(10, 0, 0, 0).into()));
        assert_eq!(kept.last().unwrap().addr, Ipv4Addr::new(10, 0, 3, 231));
    }

    #[test]
    fn nothing_is_left_of_a_reservation_that_is_over() {
        let mut reservations = Reservations::default();
        let pool = ObjectName::of_cluster("pool");
        let addr = Ipv4Addr::new(10, 0, 0, 1).into();
        let reservation = Reservation {
            addr,
            service: ObjectName::new("shop", "web"),
            until: Duration::from_secs(9),
        };
        reservations.add(&pool, reservation);

        assert_eq!(reservations.due(Duration::from_secs(8)), None);
        assert_eq!(reservations.due(Duration::from_secs(9)), Some(addr));
        assert!(reservations.remove(addr));
        assert!(!reservations.remove(addr));

        assert_eq!(reservations.next_deadline(), None);
        assert!(reservations.by_pool.is_empty() && reservations.by_service.is_empty());
    }
}
