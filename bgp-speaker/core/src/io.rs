//! What a speaker is told and what it wants done: the interface to the shell.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::desired::{ExportChange, Instance, InstanceName, PeerName, Secret};

/// Names a TCP connection for as long as the speaker lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionId {
    /// Asked for by [`Action::Connect`]; the speaker numbers these.
    Dialled(u64),
    /// Reported by [`Event::Incoming`]; the shell numbers these and never repeats one.
    Accepted(u64),
}

/// A peer of an instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey {
    /// The instance.
    pub instance: InstanceName,
    /// The peer within it.
    pub peer: PeerName,
}

/// What the speaker is told. Bytes from a peer go to `Speaker::on_bytes` instead.
#[derive(Clone, Debug)]
pub enum Event {
    /// The instance should be exactly this.
    Instance(Box<Instance>),
    /// The instance should not be.
    InstanceGone(InstanceName),
    /// What is exported changes, in this order.
    Exports(Vec<ExportChange>),
    /// Everything to be exported has been, and what carries its traffic is in place: End-of-RIB
    /// may be sent. Needed once; sessions before it hold End-of-RIB back.
    Ready,
    /// A dialled connection is established.
    Connected {
        /// Which.
        connection: ConnectionId,
        /// Both ends, and what else is on the interface.
        ends: Ends,
    },
    /// A peer has connected to an instance's port. The shell reads nothing from it before
    /// [`Action::Accept`].
    Incoming {
        /// Whose port.
        instance: InstanceName,
        /// What the shell calls the connection from now on.
        connection: ConnectionId,
        /// Both ends, and what else is on the interface.
        ends: Ends,
    },
    /// The addresses on a connection's interface have changed.
    NextHops {
        /// Which.
        connection: ConnectionId,
        /// What is there now.
        next_hops: NextHops,
    },
    /// A dial failed, or the connection ended or broke. Not told of what [`Action::Close`] ended.
    Disconnected {
        /// Which.
        connection: ConnectionId,
        /// The operating system's words; for people only.
        reason: Arc<str>,
    },
    /// [`Action::Listen`] worked or failed; it is asked for again after a while if it failed.
    Listening {
        /// Whose port.
        instance: InstanceName,
        /// The operating system's words if it failed.
        outcome: Result<(), Arc<str>>,
    },
    /// `Speaker::next_deadline` has come. What has arrived from peers is given first: a process
    /// that was held up must not take them for silent.
    DeadlineReached,
    /// The process ends. Sessions with graceful restart are left as they are, for the kernel to
    /// close without a NOTIFICATION; the others are closed with one.
    Stop,
}

/// Both ends of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// This end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// The interface's name, if the remote address is link-local.
    pub scope: Option<Arc<str>>,
    /// The addresses to use for routes of the other family.
    pub next_hops: NextHops,
}

/// Addresses of the interface that holds a connection's local address: next hops for the family
/// that the session itself is not of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHops {
    /// An IPv4 address, if the interface has one.
    pub v4: Option<Ipv4Addr>,
    /// A global IPv6 address, if the interface has one.
    pub v6: Option<Ipv6Addr>,
    /// Its link-local IPv6 address, if it has one.
    pub link_local: Option<Ipv6Addr>,
}

/// What the speaker wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Listen on the port, all addresses of both families; report [`Event::Listening`].
    Listen {
        /// For whom.
        instance: InstanceName,
        /// Where.
        port: u16,
    },
    /// Stop listening.
    StopListening {
        /// For whom.
        instance: InstanceName,
    },
    /// Set or remove (`None`) the TCP MD5 key that connections from a peer must use. Comes
    /// before [`Action::Listen`] too: the shell keeps keys and applies them to the listener.
    Key {
        /// Whose listener.
        instance: InstanceName,
        /// The peer's address.
        peer: IpAddr,
        /// The interface, if the address is link-local.
        scope: Option<Arc<str>>,
        /// The key.
        password: Option<Secret>,
    },
    /// Dial; report [`Event::Connected`] or [`Event::Disconnected`].
    Connect(Dial),
    /// The incoming connection is wanted: start reading from it.
    Accept {
        /// Which.
        connection: ConnectionId,
        /// Whose it is.
        peer: PeerKey,
        /// The TTL (hop limit) of packets sent.
        ttl: u8,
    },
    /// Queue these bytes: one or more whole messages. They may be sent before what `fill` gives,
    /// but never in the middle of it.
    Send {
        /// Where.
        connection: ConnectionId,
        /// Whole messages.
        bytes: Vec<u8>,
    },
    /// There is something to export: call `Speaker::fill` whenever the connection is writable and
    /// nothing is queued, until it says that nothing is left.
    Pull {
        /// Where.
        connection: ConnectionId,
    },
    /// Send what [`Action::Send`] has queued, then close; or stop dialling. Nothing more is
    /// reported of the connection. Also the refusal of an [`Event::Incoming`].
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Something people want to know, once per change.
    Notice {
        /// Whose.
        peer: PeerKey,
        /// What.
        notice: Notice,
    },
}

/// How to dial a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// What the connection is called from now on.
    pub connection: ConnectionId,
    /// Whose it is.
    pub peer: PeerKey,
    /// The peer's address and port.
    pub to: SocketAddr,
    /// The interface, if the address is link-local.
    pub scope: Option<Arc<str>>,
    /// The address to bind to, if it must be a certain one.
    pub from: Option<IpAddr>,
    /// The TTL (hop limit) of packets sent.
    pub ttl: u8,
    /// TCP MD5 key.
    pub password: Option<Secret>,
}

/// A session's news, for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The session is established.
    Up,
    /// The session is not established any more, or an attempt at it failed.
    Down {
        /// Whether it was established.
        established: bool,
        /// Why, in words.
        reason: Arc<str>,
    },
    /// A family is negotiated but cannot be advertised.
    NoNextHop(types::Family),
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.instance, self.peer)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dialled(number) => write!(f, "dialled-{number}"),
            Self::Accepted(number) => write!(f, "accepted-{number}"),
        }
    }
}
