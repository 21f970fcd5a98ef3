//! Which addresses this host has beside a connection's own, and when they change.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bgp_speaker_core::{Ends, NextHops};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nameindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrStorage, bind,
    recv, socket,
};
use tokio::io::unix::AsyncFd;

use crate::sys;

/// RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR of linux/rtnetlink.h.
const ADDRESS_GROUPS: u32 = 0x10 | 0x100;

/// Tells that some address came or went.
pub(crate) struct AddressWatch(AsyncFd<OwnedFd>);

/// One address and the interface it is on.
struct Placed {
    interface: String,
    addr: IpAddr,
}

impl AddressWatch {
    pub(crate) fn open() -> io::Result<Self> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, ADDRESS_GROUPS))?;
        Ok(Self(sys::watch(fd)?))
    }

    /// Ready when something has changed since the last time it was.
    pub(crate) fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Ok(mut guard) = ready!(self.0.poll_read_ready(cx)) else {
            return Poll::Pending;
        };
        // What changed is read from the interfaces; a queue that overflowed says as much.
        let mut message = [0; 4096];
        let mut next = || recv(self.0.as_raw_fd(), &mut message, MsgFlags::empty());
        while matches!(next(), Ok(_) | Err(nix::Error::ENOBUFS)) {}
        guard.clear_ready();
        Poll::Ready(())
    }
}

/// Both ends of a connection, as the core wants them.
pub(crate) fn ends(local: SocketAddr, remote: SocketAddr) -> Ends {
    let (local, remote) = (canonical(local), canonical(remote));
    Ends {
        local,
        remote,
        scope: scope(remote),
        next_hops: next_hops(local.ip()),
    }
}

/// The addresses of the interface that has `local`.
pub(crate) fn next_hops(local: IpAddr) -> NextHops {
    beside(local, &placed())
}

fn beside(local: IpAddr, all: &[Placed]) -> NextHops {
    let Some(home) = all.iter().find(|it| it.addr == local) else {
        return NextHops::default();
    };
    let mut found = NextHops::default();
    for it in all.iter().filter(|it| it.interface == home.interface) {
        match it.addr {
            IpAddr::V4(addr) if !addr.is_loopback() => {
                found.v4.get_or_insert(addr);
            }
            IpAddr::V6(addr) if addr.is_unicast_link_local() => {
                found.link_local.get_or_insert(addr);
            }
            IpAddr::V6(addr) if is_global(addr) => {
                found.v6.get_or_insert(addr);
            }
            IpAddr::V4(_) | IpAddr::V6(_) => (),
        }
    }
    found
}

fn is_global(addr: Ipv6Addr) -> bool {
    !addr.is_loopback() && !addr.is_unspecified() && !addr.is_multicast()
}

fn placed() -> Vec<Placed> {
    let Ok(interfaces) = getifaddrs() else {
        return Vec::new();
    };
    let all = interfaces.filter_map(|it| {
        let addr = address(it.address.as_ref()?)?;
        Some(Placed {
            interface: it.interface_name,
            addr,
        })
    });
    all.collect()
}

fn address(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), addr.port()),
        IpAddr::V6(_) => addr,
    }
}

/// The name of a link-local address's interface.
fn scope(addr: SocketAddr) -> Option<Arc<str>> {
    let SocketAddr::V6(v6) = addr else {
        return None;
    };
    if !v6.ip().is_unicast_link_local() {
        return None;
    }
    let interfaces = if_nameindex().ok()?;
    let found = interfaces.iter().find(|it| it.index() == v6.scope_id())?;
    Some(found.name().to_string_lossy().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_hops_come_from_the_interface_of_the_connection() {
        let all = [
            ("eth0", "10.0.0.1"),
            ("eth0", "10.0.0.2"),
            ("eth0", "fe80::1"),
            ("eth0", "2001:db8::1"),
            ("eth1", "10.0.1.1"),
            ("eth1", "fe80::2"),
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("lo", "192.0.2.1"),
        ]
        .map(|(interface, addr)| Placed {
            interface: interface.to_owned(),
            addr: addr.parse().unwrap(),
        });
        let at = |addr: &str| beside(addr.parse().unwrap(), &all);

        let eth0 = NextHops {
            v4: Some("10.0.0.1".parse().unwrap()),
            v6: Some("2001:db8::1".parse().unwrap()),
            link_local: Some("fe80::1".parse().unwrap()),
        };
        assert_eq!(at("2001:db8::1"), eth0);
        assert_eq!(at("fe80::1"), eth0);
        assert_eq!(at("10.0.1.1").v6, None);
        assert_eq!(at("192.0.2.1").v4, Some("192.0.2.1".parse().unwrap()));
        assert_eq!(at("192.0.2.1").v6, None);
        assert_eq!(at("203.0.113.1"), NextHops::default());
    }
}
