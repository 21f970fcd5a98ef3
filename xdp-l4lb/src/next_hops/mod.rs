//! Finds the way to each backend: the interface, the station on it, the largest packet.
//!
//! The kernel's routes and neighbours decide; this follows their changes.

mod links;
mod ways;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub(crate) use links::LinkSlots;
pub use links::NoLinkLeft;
pub(crate) use ways::Hop;
pub use ways::Unresolved;
use ways::Ways;

use crate::netlink::{Event, Netlink, NetlinkError};

/// Routes asked for in one go, so that a full table does not hold up everything else.
const BATCH: usize = 256;

/// Follows the ways to the addresses it was asked for.
#[derive(Debug, Default)]
pub(crate) struct NextHops {
    ways: Ways,
    /// Stations that the kernel was asked to keep known.
    kept: BTreeSet<(u32, IpAddr)>,
    /// Addresses whose routes have to be asked for.
    unasked: BTreeSet<IpAddr>,
}

impl NextHops {
    /// Starts to follow the way to `addr`.
    pub(crate) fn resolve(&mut self, addr: IpAddr) {
        self.ways.want(addr);
        self.unasked.insert(addr);
    }

    /// Stops following it.
    pub(crate) fn forget(&mut self, addr: IpAddr) {
        self.ways.forget(addr);
        self.unasked.remove(&addr);
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
            Event::Routes => self.ask_all(),
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

    /// Asks for some of the routes that may have changed, and for the stations they lead to.
    pub(crate) async fn ask(&mut self, netlink: &Netlink) -> Result<(), NetlinkError> {
        for _ in 0..BATCH {
            let Some(addr) = self.unasked.pop_first() else {
                break;
            };
            match netlink.route_to(addr).await {
                Ok(route) => self.ways.set_route(addr, route),
                Err(error) => {
                    self.unasked.insert(addr);
                    return Err(error);
                }
            }
        }
        self.keep_stations(netlink).await
    }

    /// Whether there are routes to be asked for.
    pub(crate) fn has_unasked(&self) -> bool {
        !self.unasked.is_empty()
    }

    /// Asks again for stations that do not answer, where the kernel does not do it by itself.
    pub(crate) fn retry(&mut self) {
        self.kept.clear();
    }

    /// The ways that changed since the last call.
    pub(crate) fn changes(&mut self) -> Vec<(IpAddr, Result<Hop, Unresolved>)> {
        self.ways.changes()
    }

    fn ask_all(&mut self) {
        self.unasked.extend(self.ways.wanted());
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
