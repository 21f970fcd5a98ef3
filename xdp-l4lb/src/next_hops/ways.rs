//! Works out ways from routes, interfaces and neighbours, and notices which ones changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::netlink::{Interface, Neighbour, Route};

/// A way to an address, in the kernel's own terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// The interface to send through.
    pub ifindex: u32,
    /// The interface's own address.
    pub source: [u8; 6],
    /// The station to send to. Zero for a router that does not answer: a packet that came from
    /// another router of that interface may go back to it.
    pub station: [u8; 6],
    /// The largest packet.
    pub mtu: u16,
    /// The station is a router.
    pub off_link: bool,
}

/// Why there is no way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Unresolved {
    /// The routes have not been asked yet.
    #[error("not looked up yet")]
    Pending,
    /// No route, or one that discards: a VIP has such a route.
    #[error("no route, or a blackhole")]
    NoRoute,
    /// Packets would loop.
    #[error("one of this node's own addresses")]
    Local,
    /// The interface has no carrier or is switched off.
    #[error("the interface is down")]
    InterfaceDown,
    /// Only Ethernet frames are built here.
    #[error("the interface is not Ethernet")]
    NotEthernet,
    /// Nobody answers for the address on its link.
    #[error("no neighbour answers")]
    NoNeighbour,
}

/// What the kernel said so far, and what was made of it.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    wanted: BTreeMap<IpAddr, Wanted>,
    interfaces: BTreeMap<u32, Interface>,
    neighbours: BTreeMap<(u32, IpAddr), [u8; 6]>,
    users: BTreeMap<(u32, IpAddr), BTreeSet<IpAddr>>,
    dirty: BTreeSet<IpAddr>,
}

#[derive(Debug, Default)]
struct Wanted {
    route: Lookup,
    said: Option<Result<Hop, Unresolved>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lookup {
    #[default]
    Pending,
    Done(Option<Route>),
}

impl Ways {
    /// Starts to follow the way to `addr`.
    pub(crate) fn want(&mut self, addr: IpAddr) {
        self.wanted.entry(addr).or_default();
        self.dirty.insert(addr);
    }

    /// Stops following it.
    pub(crate) fn forget(&mut self, addr: IpAddr) {
        self.set_lookup(addr, Lookup::Pending);
        self.wanted.remove(&addr);
        self.dirty.remove(&addr);
    }

    /// Every address whose way is followed.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.wanted.keys().copied()
    }

    /// Where the kernel sends packets for `addr` now.
    pub(crate) fn set_route(&mut self, addr: IpAddr, route: Option<Route>) {
        self.set_lookup(addr, Lookup::Done(route));
    }

    /// An interface came or changed.
    pub(crate) fn set_interface(&mut self, interface: Interface) {
        self.touch_interface(interface.index);
        self.interfaces.insert(interface.index, interface);
    }

    /// An interface went, and its neighbours with it.
    pub(crate) fn remove_interface(&mut self, index: u32) {
        self.touch_interface(index);
        self.interfaces.remove(&index);
        self.neighbours.retain(|(ifindex, _), _| *ifindex != index);
    }

    /// A neighbour came, changed or went.
    pub(crate) fn set_neighbour(&mut self, neighbour: &Neighbour) {
        let station = (neighbour.ifindex, neighbour.addr);
        match neighbour.mac {
            Some(mac) => self.neighbours.insert(station, mac),
            None => self.neighbours.remove(&station),
        };
        if let Some(users) = self.users.get(&station) {
            self.dirty.extend(users);
        }
    }

    /// Takes what is in `now` for everything that the kernel has: what is not there is gone.
    pub(crate) fn replace_all(&mut self, interfaces: Vec<Interface>, neighbours: &[Neighbour]) {
        self.interfaces = interfaces
            .into_iter()
            .map(|interface| (interface.index, interface))
            .collect();
        self.neighbours = neighbours
            .iter()
            .filter_map(|entry| Some(((entry.ifindex, entry.addr), entry.mac?)))
            .collect();
        self.dirty.extend(self.wanted.keys());
    }

    /// The stations that ways lead through.
    pub(crate) fn stations(&self) -> impl Iterator<Item = (u32, IpAddr)> + '_ {
        self.users.keys().copied()
    }

    /// Whether a station has answered, and is believed.
    pub(crate) fn knows(&self, station: &(u32, IpAddr)) -> bool {
        self.neighbours.contains_key(station)
    }

    /// The ways that changed since the last call.
    pub(crate) fn changes(&mut self) -> Vec<(IpAddr, Result<Hop, Unresolved>)> {
        let mut changes = Vec::new();
        for addr in std::mem::take(&mut self.dirty) {
            let found = self.way(addr);
            if let Some(wanted) = self.wanted.get_mut(&addr)
                && wanted.said != Some(found)
            {
                wanted.said = Some(found);
                changes.push((addr, found));
            }
        }
        changes
    }

    fn way(&self, addr: IpAddr) -> Result<Hop, Unresolved> {
        let route = match self.wanted.get(&addr).map(|wanted| wanted.route) {
            None | Some(Lookup::Pending) => return Err(Unresolved::Pending),
            Some(Lookup::Done(None)) => return Err(Unresolved::NoRoute),
            Some(Lookup::Done(Some(route))) => route,
        };
        if route.local {
            return Err(Unresolved::Local);
        }
        let interface = self
            .interfaces
            .get(&route.ifindex)
            .filter(|interface| interface.up)
            .ok_or(Unresolved::InterfaceDown)?;
        let source = interface.mac.ok_or(Unresolved::NotEthernet)?;
        let known = self.neighbours.get(&station(addr, &route)).copied();
        let off_link = route.gateway.is_some();
        let station = match known {
            Some(mac) => mac,
            None if off_link => [0; 6],
            None => return Err(Unresolved::NoNeighbour),
        };
        let mtu = route.mtu.unwrap_or(interface.mtu).min(interface.mtu);
        Ok(Hop {
            ifindex: route.ifindex,
            source,
            station,
            mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
            off_link,
        })
    }

    fn set_lookup(&mut self, addr: IpAddr, lookup: Lookup) {
        let Some(wanted) = self.wanted.get_mut(&addr) else {
            return;
        };
        let before = std::mem::replace(&mut wanted.route, lookup);
        if before == lookup {
            return;
        }
        self.dirty.insert(addr);
        if let Lookup::Done(Some(route)) = before {
            let station = station(addr, &route);
            if let Some(users) = self.users.get_mut(&station) {
                users.remove(&addr);
                if users.is_empty() {
                    self.users.remove(&station);
                }
            }
        }
        if let Lookup::Done(Some(route)) = lookup
            && !route.local
        {
            self.users
                .entry(station(addr, &route))
                .or_default()
                .insert(addr);
        }
    }

    fn touch_interface(&mut self, index: u32) {
        let users = self
            .users
            .iter()
            .filter(|((ifindex, _), _)| *ifindex == index);
        self.dirty.extend(users.flat_map(|(_, users)| users));
    }
}

/// Who has to answer on the link: the router, or the address itself.
fn station(addr: IpAddr, route: &Route) -> (u32, IpAddr) {
    (route.ifindex, route.gateway.unwrap_or(addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATION: [u8; 6] = [2, 0, 0, 0, 0, 9];

    #[test]
    fn a_way_needs_a_route_an_interface_and_a_neighbour() {
        let backend = addr("10.0.0.2");
        let mut ways = Ways::default();
        ways.want(backend);
        assert_eq!(ways.changes(), [(backend, Err(Unresolved::Pending))]);

        ways.set_route(backend, Some(route(3, None)));
        assert_eq!(ways.changes(), [(backend, Err(Unresolved::InterfaceDown))]);
        ways.set_interface(interface(3, true));
        assert_eq!(ways.changes(), [(backend, Err(Unresolved::NoNeighbour))]);
        ways.set_neighbour(&neighbour(3, backend, Some(STATION)));
        assert_eq!(ways.changes(), [(backend, Ok(hop(3, STATION, false)))]);

        ways.set_interface(interface(3, false));
        assert_eq!(ways.changes(), [(backend, Err(Unresolved::InterfaceDown))]);
        ways.remove_interface(3);
        assert_eq!(ways.changes(), []);
        ways.set_interface(interface(3, true));
        assert_eq!(
            ways.changes(),
            [(backend, Err(Unresolved::NoNeighbour))],
            "neighbours go with their interface"
        );
    }

    #[test]
    fn what_says_the_same_again_changes_nothing() {
        let backend = addr("10.0.0.2");
        let mut ways = Ways::default();
        ways.set_interface(interface(3, true));
        ways.want(backend);
        ways.set_route(backend, Some(route(3, None)));
        ways.set_neighbour(&neighbour(3, backend, Some(STATION)));
        assert_eq!(ways.changes().len(), 1);

        ways.want(backend);
        ways.set_route(backend, Some(route(3, None)));
        ways.set_interface(interface(3, true));
        ways.set_neighbour(&neighbour(3, backend, Some(STATION)));

        assert_eq!(ways.changes(), []);
    }

    #[test]
    fn a_silent_router_leaves_the_way_back_to_whichever_router_sent() {
        let backend = addr("10.9.0.2");
        let mut ways = Ways::default();
        ways.set_interface(interface(3, true));
        ways.want(backend);

        ways.set_route(backend, Some(route(3, Some("10.0.0.1"))));

        assert_eq!(ways.changes(), [(backend, Ok(hop(3, [0; 6], true)))]);
        assert!(ways.stations().eq([(3, addr("10.0.0.1"))]));
    }

    #[test]
    fn own_addresses_and_blackholes_are_no_way() {
        let backend = addr("10.0.0.2");
        let mut ways = Ways::default();
        ways.want(backend);

        ways.set_route(backend, None);
        assert_eq!(ways.changes(), [(backend, Err(Unresolved::NoRoute))]);
        let local = Route {
            local: true,
            ..route(1, None)
        };
        ways.set_route(backend, Some(local));
        assert_eq!(ways.changes(), [(backend, Err(Unresolved::Local))]);
        assert_eq!(ways.stations().count(), 0);
    }

    #[test]
    fn a_forgotten_address_leaves_nothing_behind() {
        let backend = addr("10.0.0.2");
        let mut ways = Ways::default();
        ways.want(backend);
        ways.set_route(backend, Some(route(3, None)));

        ways.forget(backend);

        assert_eq!(ways.changes(), []);
        assert_eq!(ways.stations().count() + ways.wanted().count(), 0);
    }

    #[test]
    fn the_smaller_of_path_and_interface_mtu_counts() {
        let backend = addr("10.0.0.2");
        for (path, expected) in [(None, 1500), (Some(1400), 1400), (Some(9000), 1500)] {
            let mut ways = Ways::default();
            ways.set_interface(interface(3, true));
            ways.set_neighbour(&neighbour(3, backend, Some(STATION)));
            ways.want(backend);
            let route = Route {
                mtu: path,
                ..route(3, None)
            };

            ways.set_route(backend, Some(route));

            let (_, found) = ways.changes()[0];
            assert_eq!(found.unwrap().mtu, expected);
        }
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn route(ifindex: u32, gateway: Option<&str>) -> Route {
        Route {
            ifindex,
            gateway: gateway.map(addr),
            mtu: None,
            local: false,
        }
    }

    fn interface(index: u32, up: bool) -> Interface {
        Interface {
            index,
            name: format!("eth{index}"),
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            up,
        }
    }

    fn neighbour(ifindex: u32, addr: IpAddr, mac: Option<[u8; 6]>) -> Neighbour {
        Neighbour { ifindex, addr, mac }
    }

    fn hop(ifindex: u32, station: [u8; 6], off_link: bool) -> Hop {
        Hop {
            ifindex,
            source: [2, 0, 0, 0, 0, 1],
            station,
            mtu: 1500,
            off_link,
        }
    }
}
