//! Addresses that wait for their services: as the pools keep them.

use std::net::IpAddr;

use types::ObjectName;

use super::Pools;
use crate::desired::{Reservation, Time, after};
use crate::holders::Holder;

impl Pools {
    /// Lets a free address wait for a service that is gone, if a pool says so. Addresses that no longer
    /// wait, to make room, come back.
    pub(crate) fn reserve(&mut self, now: Time, addr: IpAddr, service: &ObjectName) -> Vec<IpAddr> {
        let reserving = self
            .states_at(addr)
            .find_map(|(name, state)| Some((name.clone(), state.pool.reserve?)));
        let Some((pool, time)) = reserving else {
            return Vec::new();
        };
        let reservation = Reservation {
            addr,
            service: service.clone(),
            until: after(now, time),
        };
        self.add_reservation(&pool, reservation)
    }

    /// Ends the reservations whose time is up. The addresses that were reserved come back.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<IpAddr> {
        let mut expired = Vec::new();
        while let Some(addr) = self.reservations.due(now) {
            self.unreserve(addr);
            expired.push(addr);
        }
        expired
    }

    /// Lets a service hold an address that its status shows, whomever it waits for.
    pub(crate) fn take_shown(&mut self, addr: IpAddr, holder: &Holder) -> bool {
        let waits_for = self.reservations.at(addr).map(|(service, _)| service);
        if waits_for.is_some_and(|service| *service != holder.rank.name) {
            self.unreserve(addr);
        }
        self.take(addr, holder)
    }

    /// Takes over the reservations that the status of a new pool shows.
    pub(super) fn restore(&mut self, now: Time, pool: &ObjectName, shown: Vec<Reservation>) {
        if !shown.is_empty() {
            self.reservations.touch(pool);
        }
        for reservation in shown {
            // Addresses that the pool does not hold, or that it need not keep, are dropped next.
            if reservation.until > now {
                self.add_reservation(pool, reservation);
            }
        }
    }

    /// Ends the reservations of a pool that it has no longer, or that it is not to have.
    pub(super) fn drop_reservations(&mut self, pool: &ObjectName) -> Vec<IpAddr> {
        let mut dropped = self.reservations.addresses_in(pool);
        if let Some(state) = self.by_name.get(pool)
            && state.pool.reserve.is_some()
        {
            dropped.retain(|addr| !state.holds(*addr));
        }
        for addr in &dropped {
            self.unreserve(*addr);
        }
        dropped
    }

    fn add_reservation(&mut self, pool: &ObjectName, reservation: Reservation) -> Vec<IpAddr> {
        let addr = reservation.addr;
        if !self.holders.reserve(addr, &reservation.service) {
            return Vec::new();
        }
        self.note(addr, true);
        let gone = self.reservations.add(pool, reservation);
        for addr in &gone {
            self.free_reserved(*addr);
        }
        gone
    }

    fn unreserve(&mut self, addr: IpAddr) {
        if self.reservations.remove(addr) {
            self.free_reserved(addr);
        }
    }

    fn free_reserved(&mut self, addr: IpAddr) {
        if self.holders.unreserve(addr) {
            self.note(addr, false);
        }
    }
}
