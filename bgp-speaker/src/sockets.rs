//! Makes sockets with the options that BGP wants.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;
use std::time::Duration;

use bgp_speaker_core::Dial;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use types::Family;

use crate::sys;

/// DSCP CS6, network control: the first to pass a full link.
const NETWORK_CONTROL: u32 = 0xc0;
/// How many connections wait to be accepted.
const BACKLOG: i32 = 64;
/// How long the kernel keeps trying to deliver the last words of a connection that was closed.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Starts to dial. The result is connected once it is writable and has no error.
pub(crate) fn dial(dial: &Dial) -> io::Result<TcpStream> {
    let to = scoped(dial.to, dial.scope.as_deref())?;
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    set_options(&socket, family(to.ip()), dial.ttl)?;
    if let Some(from) = dial.from {
        let from = scoped(SocketAddr::new(from, 0), dial.scope.as_deref())?;
        socket.bind(&from.into())?;
    }
    if let Some(password) = &dial.password {
        sys::set_md5_key(socket.as_fd(), to.ip(), password.expose())?;
    }
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        Ok(()) | Err(_) => TcpStream::from_std(socket.into()),
    }
}

/// Listens on all addresses of one family.
pub(crate) fn listen(family: Family, port: u16) -> io::Result<TcpListener> {
    let (domain, any) = match family {
        Family::V4 => (Domain::IPV4, IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
        Family::V6 => (Domain::IPV6, IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)),
    };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A port whose last connections are in TIME_WAIT can be taken again.
    socket.set_reuse_address(true)?;
    if family == Family::V6 {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SocketAddr::new(any, port).into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Sets what an accepted connection does not inherit.
pub(crate) fn set_accepted(stream: &TcpStream, remote: IpAddr, ttl: u8) -> io::Result<()> {
    set_options(&SockRef::from(stream), family(remote), ttl)
}

/// Lets the kernel give up soon on a connection that is over.
pub(crate) fn give_up_soon(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_user_timeout(Some(LAST_WORDS))
}

fn set_options(socket: &Socket, family: Family, ttl: u8) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    match family {
        Family::V4 => {
            socket.set_ttl_v4(ttl.into())?;
            socket.set_tos_v4(NETWORK_CONTROL)
        }
        Family::V6 => {
            socket.set_unicast_hops_v6(ttl.into())?;
            socket.set_tclass_v6(NETWORK_CONTROL)
        }
    }
}

/// The address with its interface, where it is link-local.
fn scoped(addr: SocketAddr, scope: Option<&str>) -> io::Result<SocketAddr> {
    match (addr, scope) {
        (SocketAddr::V6(v6), Some(scope)) if v6.ip().is_unicast_link_local() => {
            let index = if_nametoindex(scope)?;
            Ok(SocketAddrV6::new(*v6.ip(), v6.port(), 0, index).into())
        }
        (SocketAddr::V4(_) | SocketAddr::V6(_), _) => Ok(addr),
    }
}

fn family(addr: IpAddr) -> Family {
    Family::of(addr)
}
