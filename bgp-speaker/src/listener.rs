//! The ports that instances listen on, and the keys of those who may connect.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use bgp_speaker_core::desired::{InstanceName, Secret};
use tokio::net::{TcpListener, TcpStream};
use types::Family;

use crate::{sockets, sys};

/// One instance's sockets, a family each; a host may have only one of them.
struct Listener {
    v4: Option<TcpListener>,
    v6: Option<TcpListener>,
}

#[derive(Default)]
pub(crate) struct Listeners {
    open: BTreeMap<InstanceName, Listener>,
    keys: BTreeMap<InstanceName, BTreeMap<IpAddr, Secret>>,
}

impl Listeners {
    /// Listens on a port of all addresses, keys in place before the first connection.
    pub(crate) fn listen(&mut self, instance: &InstanceName, port: u16) -> Result<(), Arc<str>> {
        let listener = Listener::open(port).map_err(|error| Arc::from(error.to_string()))?;
        for (&peer, key) in self.keys.get(instance).into_iter().flatten() {
            listener
                .set_key(peer, key.expose())
                .map_err(|error| Arc::from(format!("setting the password of {peer}: {error}")))?;
        }
        self.open.insert(instance.clone(), listener);
        Ok(())
    }

    pub(crate) fn stop(&mut self, instance: &InstanceName) {
        self.open.remove(instance);
    }

    /// Keeps a peer's key, or forgets it, and applies it to a listener that is open.
    pub(crate) fn set_key(
        &mut self,
        instance: &InstanceName,
        peer: IpAddr,
        key: Option<&Secret>,
    ) -> io::Result<()> {
        let keys = self.keys.entry(instance.clone()).or_default();
        let known = match key {
            Some(key) => keys.insert(peer, key.clone()),
            None => keys.remove(&peer),
        };
        if keys.is_empty() {
            self.keys.remove(instance);
        }
        match self.open.get(instance) {
            // The kernel fails to remove a key it does not have.
            Some(listener) if key.is_some() || known.is_some() => {
                listener.set_key(peer, key.map_or(&[], Secret::expose))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The next connection that somebody made.
    pub(crate) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<(InstanceName, TcpStream, SocketAddr)> {
        for (instance, listener) in &self.open {
            for socket in [&listener.v4, &listener.v6].into_iter().flatten() {
                // An error is of one connection that is gone already, or of a lack of
                // descriptors, which the next wake-up tries again.
                if let Poll::Ready(Ok((stream, from))) = socket.poll_accept(cx) {
                    return Poll::Ready((instance.clone(), stream, from));
                }
            }
        }
        Poll::Pending
    }
}

impl Listener {
    fn open(port: u16) -> io::Result<Self> {
        let [v4, v6] = Family::BOTH.map(|family| match sockets::listen(family, port) {
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(None),
            outcome => outcome.map(Some),
        });
        Ok(Self { v4: v4?, v6: v6? })
    }

    fn set_key(&self, peer: IpAddr, key: &[u8]) -> io::Result<()> {
        let socket = match Family::of(peer) {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        match socket {
            Some(socket) => sys::set_md5_key(socket.as_fd(), peer, key),
            None => Ok(()),
        }
    }
}
