//! Netlink's messages in the words used here.

use std::net::IpAddr;

use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::RouteMessageBuilder;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// `None` unless it is Ethernet.
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) mtu: u32,
    /// Administratively up, and with a carrier.
    pub(crate) up: bool,
}

/// The station behind an address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub(crate) ifindex: u32,
    pub(crate) addr: IpAddr,
    /// `None` while the kernel does not know, or no longer believes it.
    pub(crate) mac: Option<[u8; 6]>,
}

/// Where the kernel would send a packet for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) ifindex: u32,
    pub(crate) gateway: Option<IpAddr>,
    /// Set where the route says other than the interface.
    pub(crate) mtu: Option<u32>,
    /// The address is one of this node's own.
    pub(crate) local: bool,
}

/// A change in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Interface(Interface),
    InterfaceGone {
        index: u32,
        name: String,
    },
    Neighbour(Neighbour),
    /// Routes changed.
    Routes,
    /// This node's addresses changed, and routes with them.
    Addresses,
}

pub(super) fn event(message: &RouteNetlinkMessage) -> Option<Event> {
    use RouteNetlinkMessage as Message;

    if let Message::NewLink(link) = message {
        interface(link).map(Event::Interface)
    } else if let Message::DelLink(link) = message {
        interface(link).map(|Interface { index, name, .. }| Event::InterfaceGone { index, name })
    } else if let Message::NewNeighbour(entry) = message {
        neighbour(entry).map(Event::Neighbour)
    } else if let Message::DelNeighbour(entry) = message {
        neighbour(entry).map(|entry| Event::Neighbour(Neighbour { mac: None, ..entry }))
    } else if let Message::NewRoute(_) | Message::DelRoute(_) = message {
        Some(Event::Routes)
    } else if let Message::NewAddress(_) | Message::DelAddress(_) = message {
        Some(Event::Addresses)
    } else {
        None
    }
}

/// `None` for a notification of another family, such as a bridge's about its port.
pub(super) fn interface(link: &LinkMessage) -> Option<Interface> {
    if link.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let (mut name, mut mac, mut mtu) = (None, None, 0);
    for attribute in &link.attributes {
        if let LinkAttribute::IfName(text) = attribute {
            name = Some(text.clone());
        } else if let LinkAttribute::Address(bytes) = attribute {
            mac = <[u8; 6]>::try_from(bytes.as_slice()).ok();
        } else if let LinkAttribute::Mtu(bytes) = attribute {
            mtu = *bytes;
        }
    }
    let flags = link.header.flags;
    Some(Interface {
        index: link.header.index,
        name: name?,
        mac: mac.filter(|_| link.header.link_layer_type == LinkLayerType::Ether),
        mtu,
        up: flags.contains(LinkFlags::Up) && flags.contains(LinkFlags::LowerUp),
    })
}

pub(super) fn neighbour(entry: &NeighbourMessage) -> Option<Neighbour> {
    let (mut addr, mut mac) = (None, None);
    for attribute in &entry.attributes {
        if let NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) = attribute {
            addr = Some(IpAddr::from(*v4));
        } else if let NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) = attribute {
            addr = Some(IpAddr::from(*v6));
        } else if let NeighbourAttribute::LinkLayerAddress(bytes) = attribute {
            mac = <[u8; 6]>::try_from(bytes.as_slice()).ok();
        }
    }
    Some(Neighbour {
        ifindex: entry.header.ifindex,
        addr: addr?,
        mac: mac.filter(|_| is_usable(entry.header.state)),
    })
}

/// Whether the kernel would send to the station it has for a neighbour in this state.
fn is_usable(state: NeighbourState) -> bool {
    use NeighbourState as State;

    // The last three were right a while ago, and are checked when they are next used.
    matches!(
        state,
        State::Reachable
            | State::Permanent
            | State::Noarp
            | State::Stale
            | State::Delay
            | State::Probe
    )
}

/// The interface's own address: on a point-to-point link the other attribute is the peer's.
pub(crate) fn address(message: &AddressMessage) -> Option<IpAddr> {
    let mut addr = None;
    for attribute in &message.attributes {
        if let AddressAttribute::Local(local) = attribute {
            return Some(*local);
        } else if let AddressAttribute::Address(other) = attribute {
            addr = Some(*other);
        }
    }
    addr
}

pub(super) fn query(addr: IpAddr) -> RouteMessage {
    use std::net::{Ipv4Addr, Ipv6Addr};

    match addr {
        IpAddr::V4(addr) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(addr, 32)
            .build(),
        IpAddr::V6(addr) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(addr, 128)
            .build(),
    }
}

pub(super) fn route(message: &RouteMessage) -> Option<Route> {
    let local = message.header.kind == RouteType::Local;
    if !local && message.header.kind != RouteType::Unicast {
        return None;
    }
    let (mut ifindex, mut gateway, mut mtu) = (None, None, None);
    for attribute in &message.attributes {
        if let RouteAttribute::Oif(index) = attribute {
            ifindex = Some(*index);
        } else if let RouteAttribute::Gateway(RouteAddress::Inet(addr))
        | RouteAttribute::Via(RouteVia::Inet(addr)) = attribute
        {
            gateway = Some(IpAddr::from(*addr));
        } else if let RouteAttribute::Gateway(RouteAddress::Inet6(addr))
        | RouteAttribute::Via(RouteVia::Inet6(addr)) = attribute
        {
            gateway = Some(IpAddr::from(*addr));
        } else if let RouteAttribute::Metrics(metrics) = attribute {
            mtu = metrics.iter().find_map(path_mtu);
        }
    }
    Some(Route {
        ifindex: ifindex?,
        gateway,
        mtu,
        local,
    })
}

fn path_mtu(metric: &RouteMetric) -> Option<u32> {
    if let RouteMetric::Mtu(mtu) = metric {
        Some(*mtu).filter(|mtu| *mtu != 0)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_used_until_the_kernel_gives_up_on_it() {
        use NeighbourState as State;

        for state in [
            State::Reachable,
            State::Stale,
            State::Delay,
            State::Probe,
            State::Permanent,
            State::Noarp,
        ] {
            assert!(is_usable(state), "{state}");
        }
        for state in [
            State::None,
            State::Incomplete,
            State::Failed,
            State::Other(3),
        ] {
            assert!(!is_usable(state), "{state}");
        }
    }

    #[test]
    fn only_unicast_routes_lead_to_a_backend() {
        let mut message = query("192.0.2.1".parse().unwrap());
        message.attributes.push(RouteAttribute::Oif(7));
        for (kind, local) in [
            (RouteType::Unicast, Some(false)),
            (RouteType::Local, Some(true)),
            (RouteType::BlackHole, None),
            (RouteType::Unreachable, None),
            (RouteType::Multicast, None),
        ] {
            message.header.kind = kind;

            assert_eq!(route(&message).map(|route| route.local), local, "{kind:?}");
        }
    }

    #[test]
    fn a_gateway_of_the_other_family_is_a_gateway() {
        let router: std::net::Ipv6Addr = "fe80::1".parse().unwrap();
        let mut message = query("192.0.2.1".parse().unwrap());
        message.attributes.push(RouteAttribute::Oif(7));
        message
            .attributes
            .push(RouteAttribute::Via(RouteVia::Inet6(router)));
        message
            .attributes
            .push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(1400)]));

        let route = route(&message).unwrap();

        assert_eq!(route.gateway, Some(router.into()));
        assert_eq!(route.mtu, Some(1400));
    }
}
