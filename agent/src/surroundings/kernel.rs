//! Asks the kernel about links, default routes and addresses, and hears of their changes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::{StreamExt as _, TryStreamExt as _};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, State};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{MulticastGroup, RouteMessageBuilder};
use tokio::task::JoinSet;

use super::{DefaultRoute, Link};

/// The kernel does not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// No socket.
    #[error("opening a netlink socket: {0}")]
    Open(std::io::Error),
    /// No answer.
    #[error("{0}: {1}")]
    Request(&'static str, rtnetlink::Error),
    /// Nothing is heard of changes any more.
    #[error("hearing of changes")]
    Closed,
}

/// Requests to the kernel and the changes it tells of. Dropping it ends its tasks.
pub(super) struct Kernel {
    handle: rtnetlink::Handle,
    changes: Notifications,
    _tasks: JoinSet<()>,
}

type Notifications = futures_channel::mpsc::UnboundedReceiver<(
    NetlinkMessage<RouteNetlinkMessage>,
    netlink_sys::SocketAddr,
)>;

impl Kernel {
    pub(super) fn open() -> Result<Self, Unanswered> {
        let (requests, handle, _) = rtnetlink::new_connection().map_err(Unanswered::Open)?;
        let (told, _, changes) = rtnetlink::new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ])
        .map_err(Unanswered::Open)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(requests);
        tasks.spawn(told);
        Ok(Self {
            handle,
            changes,
            _tasks: tasks,
        })
    }

    /// Waits until something may be different. Cancel safe.
    pub(super) async fn changed(&mut self) -> Result<(), Unanswered> {
        loop {
            let (message, _) = self.changes.next().await.ok_or(Unanswered::Closed)?;
            if is_news(&message.payload) {
                return Ok(());
            }
        }
    }

    /// Passes over changes that what is read next will show.
    pub(super) fn forget_changes(&mut self) {
        while self.changes.try_recv().is_ok() {}
    }

    pub(super) async fn links(&self) -> Result<Vec<Link>, Unanswered> {
        let links = self.handle.link().get().execute();
        let links: Vec<LinkMessage> = links
            .try_collect()
            .await
            .map_err(|error| Unanswered::Request("listing links", error))?;
        Ok(links.iter().filter_map(link).collect())
    }

    pub(super) async fn default_routes(&self) -> Result<Vec<DefaultRoute>, Unanswered> {
        let mut found = Vec::new();
        for query in [
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        ] {
            let mut routes = self.handle.route().get(query).execute();
            // A node may have many others, which are passed over as they come.
            while let Some(route) = routes
                .try_next()
                .await
                .map_err(|error| Unanswered::Request("listing routes", error))?
            {
                found.extend(default_routes(&route));
            }
        }
        Ok(found)
    }

    pub(super) async fn addresses(&self) -> Result<Vec<(u32, IpAddr)>, Unanswered> {
        let addresses = self.handle.address().get().execute();
        let addresses: Vec<AddressMessage> = addresses
            .try_collect()
            .await
            .map_err(|error| Unanswered::Request("listing addresses", error))?;
        let found = addresses
            .iter()
            .filter_map(|message| Some((message.header.index, address(message)?)));
        Ok(found.collect())
    }
}

/// Whether a notification is about what is looked at. Routes other than default ones are not.
fn is_news(payload: &NetlinkPayload<RouteNetlinkMessage>) -> bool {
    use RouteNetlinkMessage as Message;

    if let NetlinkPayload::InnerMessage(Message::NewRoute(route) | Message::DelRoute(route)) =
        payload
    {
        is_default(&route.header)
    } else {
        // Some were lost, or it is about links and addresses.
        true
    }
}

fn is_default(header: &RouteHeader) -> bool {
    header.destination_prefix_length == 0
        && header.kind == RouteType::Unicast
        && header.table == RouteHeader::RT_TABLE_MAIN
}

fn link(message: &LinkMessage) -> Option<Link> {
    let (mut name, mut down) = (None, false);
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(text) = attribute {
            name = Some(text.clone());
        } else if let LinkAttribute::OperState(state) = attribute {
            down = !matches!(state, State::Up | State::Unknown);
        }
    }
    Some(Link {
        index: message.header.index,
        name: name?,
        up: message.header.flags.contains(LinkFlags::Up) && !down,
    })
    .filter(|_| message.header.interface_family == AddressFamily::Unspec)
}

/// The default routes that a message has: several if it has several next hops.
fn default_routes(message: &RouteMessage) -> Vec<DefaultRoute> {
    if !is_default(&message.header) {
        return Vec::new();
    }
    let (mut metric, mut next_hops) = (0, Vec::new());
    next_hops.push(next_hop(&message.attributes, None));
    for attribute in &message.attributes {
        if let RouteAttribute::Priority(number) = attribute {
            metric = *number;
        } else if let RouteAttribute::MultiPath(hops) = attribute {
            let hops = hops.iter();
            next_hops.extend(hops.map(|hop| next_hop(&hop.attributes, Some(hop.interface_index))));
        }
    }
    let routes = next_hops.into_iter().flatten();
    routes
        .map(|(gateway, link)| DefaultRoute {
            gateway,
            link,
            metric,
        })
        .collect()
}

fn next_hop(attributes: &[RouteAttribute], link: Option<u32>) -> Option<(IpAddr, u32)> {
    let (mut gateway, mut link) = (None, link);
    for attribute in attributes {
        if let RouteAttribute::Oif(index) = attribute {
            link = Some(*index);
        } else if let RouteAttribute::Gateway(RouteAddress::Inet(addr))
        | RouteAttribute::Via(RouteVia::Inet(addr)) = attribute
        {
            gateway = Some(IpAddr::from(*addr));
        } else if let RouteAttribute::Gateway(RouteAddress::Inet6(addr))
        | RouteAttribute::Via(RouteVia::Inet6(addr)) = attribute
        {
            gateway = Some(IpAddr::from(*addr));
        }
    }
    Some((gateway?, link?))
}

/// The interface's own address: on a point-to-point link the other attribute is the peer's.
fn address(message: &AddressMessage) -> Option<IpAddr> {
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
