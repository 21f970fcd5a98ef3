//! Finds the way to each backend: the interface, the station on it, the largest packet.
//!
//! The kernel's routes and neighbours decide; this follows their changes.

mod links;
mod ways;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

pub(crate) use links::LinkSlots;
pub use links::NoLinkLeft;
pub use ways::Hop;
pub use ways::Unresolved;
use ways::Ways;

use crate::clock::now;
use crate::netlink::{Event, Netlink, NetlinkError};

/// Routes asked for in one go, so that many backends do not hold up everything else.
const BATCH: usize = 256;

/// Known ways are not asked for again sooner than this after all were, ...
const PAUSE: Duration = Duration::from_millis(5);

/// ... nor sooner than this many times what that took: routes may change all the time.
const REST: u32 = 4;

/// Follows the ways to the addresses it was asked for.
#[derive(Debug, Default)]
pub(crate) struct NextHops {
    ways: Ways,
    /// Stations that the kernel was asked to keep known.
    kept: BTreeSet<(u32, IpAddr)>,
    /// Addresses whose routes have not been asked for.
    fresh: BTreeSet<IpAddr>,
    /// Addresses whose routes may have changed.
    stale: BTreeSet<IpAddr>,
    /// When the round over the stale ones under way began.
    began: Option<Duration>,
    /// When the next one may begin.
    next_round: Duration,
}

impl NextHops {
    /// Starts to follow the way to `addr`.
    pub(crate) fn resolve(&mut self, addr: IpAddr) {
        self.ways.want(addr);
        self.fresh.insert(addr);
    }

    /// Stops following it.
    pub(crate) fn forget(&mut self, addr: IpAddr) {
        self.ways.forget(addr);
        self.fresh.remove(&addr);
        self.stale.remove(&addr);
    }

    /// Takes note of a change in the kernel.
    pub(crate) fn on_event(&mut self, event: &Event) {
        match event {
            Event::Interface(interface) => {
                self.ways.set_interface(interface.clone());
                // IPv4 routes go with their interface's carrier without a word.
                self.ask_all();
            }
            Event::InterfaceGone { index, .. } => {
                self.ways.remove_interface(*index);
                self.kept.retain(|(ifindex, _)| ifindex != index);
                self.ask_all();
            }
            Event::Neighbour(neighbour) => self.ways.set_neighbour(neighbour),
            Event::Routes | Event::Addresses => self.ask_all(),
        }
    }

    /// Reads everything again, after a start or when changes were lost.
    pub(crate) async fn reload(&mut self, netlink: &Netlink) -> Result<(), NetlinkError> {
        let interfaces = netlink.interfaces().await?;
        let neighbours = netlink.neighbours().await?;
        self.ways.replace_all(interfaces, &neighbours);
        self.kept.clear();
        self.ask_all();
        Ok(())
    }

    /// Asks for some of the routes that are due, and for the stations they lead to.
    pub(crate) async fn ask(&mut self, netlink: &Netlink) -> Result<(), NetlinkError> {
        for _ in 0..BATCH {
            let Some(addr) = self.take_due() else {
                break;
            };
            match netlink.route_to(addr).await {
                Ok(route) => self.ways.set_route(addr, route),
                Err(error) => {
                    self.stale.insert(addr);
                    self.next_round = now() + PAUSE * 100;
                    return Err(error);
                }
            }
        }
        if self.stale.is_empty()
            && let Some(began) = self.began.take()
        {
            let end = now();
            self.next_round = end + PAUSE.max((end.saturating_sub(began)) * REST);
        }
        self.keep_stations(netlink).await
    }

    /// When to ask, if there is anything to ask for.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        if !self.fresh.is_empty() {
            return Some(Duration::ZERO);
        }
        (!self.stale.is_empty()).then_some(self.next_round)
    }

    /// Asks again for the stations that did not answer.
    pub(crate) fn retry(&mut self) {
        self.kept.retain(|station| self.ways.knows(station));
    }

    /// The ways that changed since the last call.
    pub(crate) fn changes(&mut self) -> Vec<(IpAddr, Result<Hop, Unresolved>)> {
        self.ways.changes()
    }

    fn ask_all(&mut self) {
        self.stale.extend(self.ways.wanted());
    }

    fn take_due(&mut self) -> Option<IpAddr> {
        if let Some(addr) = self.fresh.pop_first() {
            return Some(addr);
        }
        let now = now();
        if self.next_round > now {
            return None;
        }
        self.began.get_or_insert(now);
        self.stale.pop_first()
    }

    async fn keep_stations(&mut self, netlink: &Netlink) -> Result<(), NetlinkError> {
        let wanted: BTreeSet<_> = self.ways.stations().collect();
        for &(ifindex, addr) in wanted.difference(&self.kept) {
            // An interface that is down refuses; its return brings us here again.
            if let Err(error) = netlink.keep_neighbour(ifindex, addr).await {
                tracing::debug!(ifindex, %addr, %error, "neighbour not asked for");
            }
        }
        for &(ifindex, addr) in self.kept.difference(&wanted) {
            if let Err(error) = netlink.release_neighbour(ifindex, addr).await {
                tracing::debug!(ifindex, %addr, %error, "neighbour not released");
            }
        }
        self.kept = wanted;
        Ok(())
    }
}
