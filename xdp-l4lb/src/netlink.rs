//! What the kernel says about interfaces, routes and neighbours, in the words used here.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use netlink_packet_core::{ErrorMessage, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage,
    NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::AsyncSocket;
use rtnetlink::{MulticastGroup, RouteMessageBuilder};
use tokio::task::JoinSet;

/// Room for notifications: past it the kernel drops some, which ends the stream.
const RECEIVE_BUFFER: u32 = 4 << 20;

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
    /// Routes or addresses changed.
    Routes,
}

/// A netlink request failed.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct NetlinkError {
    doing: &'static str,
    source: io::Error,
}

/// Requests to the kernel and the changes it tells of. Dropping it ends its tasks.
pub(crate) struct Netlink {
    pub(crate) handle: rtnetlink::Handle,
    events: Notifications,
    _tasks: JoinSet<()>,
}

type Notifications = futures_channel::mpsc::UnboundedReceiver<(
    NetlinkMessage<RouteNetlinkMessage>,
    netlink_sys::SocketAddr,
)>;

impl Netlink {
    /// Opens sockets in this thread's network namespace. Needs a tokio runtime.
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        let failed = |source| NetlinkError {
            doing: "opening a netlink socket",
            source,
        };
        let (requests, handle, _) = rtnetlink::new_connection().map_err(failed)?;
        // The channel behind it is unbounded, but a task fills it from a socket whose buffer is
        // not: what a reader lags behind is at most what this process has not been scheduled for.
        let (mut changes, _, events) = rtnetlink::new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ])
        .map_err(failed)?;
        let socket = changes.socket_mut().socket_mut();
        if let Err(error) = socket.set_rx_buf_sz(RECEIVE_BUFFER) {
            tracing::debug!(%error, "netlink keeps its default receive buffer");
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(requests);
        tasks.spawn(changes);
        Ok(Self {
            handle,
            events,
            _tasks: tasks,
        })
    }

    /// The next change; `None` when some were lost, so that everything has to be read again.
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            let (message, _) = self.events.next().await?;
            if let NetlinkPayload::InnerMessage(message) = &message.payload {
                if let Some(event) = event(message) {
                    return Some(event);
                }
            } else if let NetlinkPayload::Overrun(_) = message.payload {
                return None;
            }
        }
    }

    /// Every interface.
    pub(crate) async fn interfaces(&self) -> Result<Vec<Interface>, NetlinkError> {
        let links: Vec<LinkMessage> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| failed("listing interfaces", &error))?;
        Ok(links.iter().filter_map(interface).collect())
    }

    /// This node's own addresses.
    pub(crate) async fn addresses(&self) -> Result<BTreeSet<IpAddr>, NetlinkError> {
        let all: Vec<AddressMessage> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| failed("listing addresses", &error))?;
        Ok(all.iter().filter_map(address).collect())
    }

    /// Every neighbour that the kernel knows of.
    pub(crate) async fn neighbours(&self) -> Result<Vec<Neighbour>, NetlinkError> {
        let entries: Vec<NeighbourMessage> = self
            .handle
            .neighbours()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| failed("listing neighbours", &error))?;
        Ok(entries.iter().filter_map(neighbour).collect())
    }

    /// Where the kernel would send a packet for `addr`; `None` if nowhere.
    pub(crate) async fn route_to(&self, addr: IpAddr) -> Result<Option<Route>, NetlinkError> {
        let mut replies = Box::pin(self.handle.route().get(query(addr)).execute());
        match replies.next().await {
            Some(Ok(message)) => Ok(route(&message)),
            None => Ok(None),
            Some(Err(error)) if is_no_route(&error) => Ok(None),
            Some(Err(error)) => Err(failed("asking for a route", &error)),
        }
    }

    /// Asks the kernel to find out who has `addr`, and to keep knowing it.
    pub(crate) async fn keep_neighbour(
        &self,
        ifindex: u32,
        addr: IpAddr,
    ) -> Result<(), NetlinkError> {
        match self.ask_neighbour(ifindex, addr, true).await {
            // A kernel before 5.16 has no managed neighbours: ask once, the caller repeats it.
            Err(_) => self
                .ask_neighbour(ifindex, addr, false)
                .await
                .map_err(|error| failed("asking for a neighbour", &error)),
            Ok(()) => Ok(()),
        }
    }

    /// Leaves the upkeep of a neighbour to its users again.
    pub(crate) async fn release_neighbour(
        &self,
        ifindex: u32,
        addr: IpAddr,
    ) -> Result<(), NetlinkError> {
        self.ask_neighbour(ifindex, addr, false)
            .await
            .map_err(|error| failed("releasing a neighbour", &error))
    }

    async fn ask_neighbour(
        &self,
        ifindex: u32,
        addr: IpAddr,
        managed: bool,
    ) -> Result<(), rtnetlink::Error> {
        let mut request = self
            .handle
            .neighbours()
            .add(ifindex, addr)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace();
        if managed {
            let message = request.message_mut();
            message.header.flags = NeighbourFlags::empty();
            message
                .attributes
                .push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
        }
        request.execute().await
    }
}

/// How long to wait before sockets that failed are opened again.
pub(crate) const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// A request failed, in words and with the kernel's own code.
pub(crate) fn failed(doing: &'static str, error: &rtnetlink::Error) -> NetlinkError {
    let source = match kernel_error(error) {
        Some(error) => error,
        None => io::Error::other(error.to_string()),
    };
    NetlinkError { doing, source }
}

impl NetlinkError {
    /// What the kernel answered.
    pub(crate) fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

fn kernel_error(error: &rtnetlink::Error) -> Option<io::Error> {
    if let rtnetlink::Error::NetlinkError(answer) = error {
        Some(ErrorMessage::to_io(answer))
    } else {
        None
    }
}

/// EINVAL and EACCES are how the kernel reports a blackhole or a prohibition.
fn is_no_route(error: &rtnetlink::Error) -> bool {
    matches!(
        kernel_error(error).and_then(|error| error.raw_os_error()),
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EINVAL | libc::EACCES)
    )
}

fn event(message: &RouteNetlinkMessage) -> Option<Event> {
    use RouteNetlinkMessage as Message;

    if let Message::NewLink(link) = message {
        interface(link).map(Event::Interface)
    } else if let Message::DelLink(link) = message {
        interface(link).map(|Interface { index, name, .. }| Event::InterfaceGone { index, name })
    } else if let Message::NewNeighbour(entry) = message {
        neighbour(entry).map(Event::Neighbour)
    } else if let Message::DelNeighbour(entry) = message {
        neighbour(entry).map(|entry| Event::Neighbour(Neighbour { mac: None, ..entry }))
    } else if let Message::NewRoute(_)
    | Message::DelRoute(_)
    | Message::NewAddress(_)
    | Message::DelAddress(_) = message
    {
        Some(Event::Routes)
    } else {
        None
    }
}

/// `None` for a notification of another family, such as a bridge's about its port.
fn interface(link: &LinkMessage) -> Option<Interface> {
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

fn neighbour(entry: &NeighbourMessage) -> Option<Neighbour> {
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

fn query(addr: IpAddr) -> RouteMessage {
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

fn route(message: &RouteMessage) -> Option<Route> {
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
