//! Asks the kernel about interfaces, routes and neighbours, and hears of their changes.

mod parse;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use netlink_packet_core::{ErrorMessage, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_sys::AsyncSocket;
use rtnetlink::MulticastGroup;
use tokio::task::JoinSet;

pub(crate) use parse::{Event, Interface, Neighbour, Route, address};
use parse::{event, interface, neighbour, query, route};

/// Room for notifications: past it the kernel drops some, which ends the stream.
const RECEIVE_BUFFER: u32 = 4 << 20;

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
