//! A blackhole route per VIP address: should the program be off the interface, packets for a VIP
//! meet nothing of this node's own, and none of them loops between here and a router.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteType,
};
use rtnetlink::{Handle, RouteMessageBuilder};

use crate::netlink::{NetlinkError, failed};

/// Marks the routes as ours, so that they are found again and nothing else is removed.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(236);

/// Any route to the same address is better: this is for when there is none.
const METRIC: u32 = 4_000_000;

/// Adds the routes that are missing for `wanted`, and removes all others if `exactly` those may stay.
///
/// # Errors
/// If the kernel refuses; what was done so far stays, and calling again goes on from there.
pub(crate) async fn set(
    handle: &Handle,
    wanted: &BTreeSet<IpAddr>,
    exactly: bool,
) -> Result<(), NetlinkError> {
    let present = list(handle).await?;
    for addr in wanted.difference(&present) {
        let added = handle.route().add(message(*addr)).execute().await;
        match added.map_err(|error| failed("adding a blackhole route", &error)) {
            Err(error) if error.errno() == Some(libc::EEXIST) => {}
            outcome => outcome?,
        }
    }
    for addr in present.difference(wanted).filter(|_| exactly) {
        let removed = handle.route().del(message(*addr)).execute().await;
        match removed.map_err(|error| failed("removing a blackhole route", &error)) {
            Err(error) if error.errno() == Some(libc::ESRCH) => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

/// The addresses that have such a route.
pub(crate) async fn list(handle: &Handle) -> Result<BTreeSet<IpAddr>, NetlinkError> {
    let mut found = BTreeSet::new();
    for any in [
        IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Ipv6Addr::UNSPECIFIED.into(),
    ] {
        let routes: Vec<RouteMessage> = handle
            .route()
            .get(dump(any))
            .execute()
            .try_collect()
            .await
            .map_err(|error| failed("listing routes", &error))?;
        found.extend(routes.iter().filter_map(ours));
    }
    Ok(found)
}

fn message(addr: IpAddr) -> RouteMessage {
    match addr {
        IpAddr::V4(addr) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(addr, 32)
            .kind(RouteType::BlackHole)
            .protocol(PROTOCOL)
            .priority(METRIC)
            .build(),
        IpAddr::V6(addr) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(addr, 128)
            .kind(RouteType::BlackHole)
            .protocol(PROTOCOL)
            .priority(METRIC)
            .build(),
    }
}

fn dump(family: IpAddr) -> RouteMessage {
    match family {
        IpAddr::V4(_) => RouteMessageBuilder::<Ipv4Addr>::new().build(),
        IpAddr::V6(_) => RouteMessageBuilder::<Ipv6Addr>::new().build(),
    }
}

fn ours(route: &RouteMessage) -> Option<IpAddr> {
    if route.header.protocol != PROTOCOL || route.header.kind != RouteType::BlackHole {
        return None;
    }
    route.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Destination(RouteAddress::Inet(addr)) = attribute {
            Some(IpAddr::from(*addr))
        } else if let RouteAttribute::Destination(RouteAddress::Inet6(addr)) = attribute {
            Some(IpAddr::from(*addr))
        } else {
            None
        }
    })
}
