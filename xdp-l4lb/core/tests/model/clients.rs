//! Clients: flows that open, send, fall silent, retransmit and close, and what each may suffer.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use types::{BackendAddr, Vip};
use xdp_l4lb_core::Readback;
use xdp_l4lb_core::desired::{Health, Service, ServiceKey};

use crate::changes::{BACKENDS, vips};
use crate::node::{Node, Told};
use crate::rng::Rng;

type Ends = (Ipv4Addr, u16, Vip);

/// One TCP connection, as its client has it.
pub(crate) struct Conn {
    isn: u32,
    backend: IpAddr,
    /// The node's stores when the SYN was sent; `None` once the handshake is over.
    opening: Option<u64>,
    /// Epoch of its last packet.
    last: u32,
    /// Whether it was opened on a slot that was settled, and the same, on every node.
    pub(crate) portable: bool,
    /// The node that it goes through.
    pub(crate) via: usize,
}

#[derive(Default)]
pub(crate) struct Clients {
    conns: BTreeMap<Ends, Conn>,
    /// Established flows that packets were checked for.
    pub(crate) checked: u64,
    /// Flows that broke as they were allowed to.
    pub(crate) broken: u64,
    pub(crate) opened: u64,
}

impl Clients {
    /// Something happens at one client.
    pub(crate) fn act(&mut self, rng: &mut Rng, nodes: &[Node], vips: &[Vip]) {
        let vip = *rng.pick(vips);
        let client = Ipv4Addr::new(10, 9, 0, u8::try_from(rng.below(8)).unwrap());
        let port = u16::try_from(1000 + rng.below(2)).unwrap();
        let ends = (client, port, vip);
        if rng.one_in(6) {
            self.forge(rng, nodes, ends);
            return;
        }
        match self.conns.get(&ends) {
            None => self.open(rng, nodes, ends),
            Some(_) if rng.one_in(12) => {
                self.conns.remove(&ends);
            }
            Some(conn) if conn.opening.is_some() => self.confirm(rng, nodes, ends),
            Some(_) => self.send(rng, nodes, ends),
        }
    }

    /// Whatever a node was told of may have ended flows.
    pub(crate) fn excuse(&mut self, nodes: &mut [Node]) {
        for node in nodes.iter_mut() {
            for vip in vips() {
                let gone = (0..BACKENDS)
                    .map(|number| backend(number).addr)
                    .filter(|addr| !is_kept(&node.told, node.now, &vip, *addr));
                node.lost.extend(gone.map(|addr| (vip, addr)));
            }
        }
        self.conns.retain(|ends, conn| {
            let kept = |node: &Node| !node.lost.contains(&(ends.2, conn.backend));
            if conn.portable {
                nodes.iter().all(kept)
            } else {
                kept(&nodes[conn.via])
            }
        });
    }

    fn open(&mut self, rng: &mut Rng, nodes: &[Node], ends: Ends) {
        let via = rng.below(nodes.len());
        let node = &nodes[via];
        let isn = u32::try_from(rng.next() >> 32).unwrap();
        let portable = nodes.len() > 1 && is_settled(nodes, ends);
        let Some(backend) = node.packet((ends.0, ends.1), &ends.2, true, isn) else {
            return;
        };
        if nodes
            .iter()
            .any(|node| node.lost.contains(&(ends.2, backend)))
        {
            // Its end is decided, but not yet in all the tables.
            return;
        }
        self.opened += 1;
        let conn = Conn {
            isn,
            backend,
            opening: Some(node.stored),
            last: Readback::epoch(&node.kernel),
            portable,
            via,
        };
        self.conns.insert(ends, conn);
    }

    /// The handshake goes on: a retransmitted SYN, or the ACK.
    fn confirm(&mut self, rng: &mut Rng, nodes: &[Node], ends: Ends) {
        let conn = self.conns.get_mut(&ends).unwrap();
        let node = &nodes[conn.via];
        let again = rng.one_in(4);
        let seq = if again {
            conn.isn
        } else {
            conn.isn.wrapping_add(1)
        };
        let hit = node.packet((ends.0, ends.1), &ends.2, again, seq);
        if hit == Some(conn.backend) {
            conn.last = Readback::epoch(&node.kernel);
            if !again {
                conn.opening = None;
            }
            return;
        }
        assert_ne!(
            conn.opening,
            Some(node.stored),
            "a handshake broke although nothing changed: {ends:?} to {} went to {hit:?}",
            conn.backend
        );
        self.conns.remove(&ends);
    }

    fn send(&mut self, rng: &mut Rng, nodes: &[Node], ends: Ends) {
        let idle = idle_of(&nodes[0].told, &ends.2);
        let conn = self.conns.get_mut(&ends).unwrap();
        // ECMP sends it another way now.
        let rerouted = nodes.len() > 1 && rng.one_in(8);
        let other = rng.below(nodes.len());
        // Only by way of nodes that announce the VIP.
        if rerouted && nodes[other].ready.contains(&ends.2) {
            conn.via = other;
        }
        let node = &nodes[conn.via];
        let epoch = Readback::epoch(&node.kernel);
        if nodes.len() == 1 && epoch - conn.last >= idle {
            // Silent for too long: nothing was promised.
            self.conns.remove(&ends);
            return;
        }
        let seq = conn
            .isn
            .wrapping_add(1 + u32::try_from(rng.below(5000)).unwrap());
        let hit = node.packet((ends.0, ends.1), &ends.2, false, seq);
        self.checked += 1;
        if hit == Some(conn.backend) {
            conn.last = epoch;
            return;
        }
        let promised = nodes.len() == 1 || conn.portable;
        assert!(
            !promised,
            "{ends:?} moved from {} to {hit:?}, slot {:?}, known as {:?}, epoch {epoch}",
            conn.backend,
            node.slot_of((ends.0, ends.1), &ends.2)
                .map(|(slot, _)| slot),
            node.slot_of((ends.0, ends.1), &ends.2)
                .and_then(|(_, key)| node.kernel.flows.borrow().get(&key).copied()),
        );
        self.broken += 1;
        self.conns.remove(&ends);
    }

    /// Somebody who sees no traffic sends SYNs in others' names. (Who guesses the ends of a flow that
    /// is remembered can make it forgotten; that needs the client's port.)
    fn forge(&mut self, rng: &mut Rng, nodes: &[Node], ends: Ends) {
        let node = rng.pick(nodes);
        let client = if rng.one_in(2) {
            (
                Ipv4Addr::from(0x0afe_0000 | u32::try_from(rng.below(256)).unwrap()),
                9,
            )
        } else {
            (ends.0, ends.1)
        };
        let known = node.slot_of(client, &ends.2);
        let remembered =
            known.is_some_and(|(_, key)| node.kernel.flows.borrow().contains_key(&key));
        let in_handshake = self
            .conns
            .get(&(client.0, client.1, ends.2))
            .is_some_and(|conn| conn.opening.is_some());
        if !remembered && !in_handshake {
            let isn = u32::try_from(rng.next() >> 32).unwrap();
            node.packet(client, &ends.2, true, isn);
        }
    }
}

/// Whether every node sends the flow to the same backend, and remembers none with the same ends.
fn is_settled(nodes: &[Node], ends: Ends) -> bool {
    let place = |node: &Node| {
        let (slot, key) = node.slot_of((ends.0, ends.1), &ends.2)?;
        let known = node.kernel.flows.borrow().contains_key(&key);
        let settled = slot.current() == slot.previous() && !known;
        settled.then(|| node.addr_of(slot.current()))
    };
    let first = place(&nodes[0]);
    first.is_some() && nodes.iter().all(|node| place(node) == first)
}

/// Whether a backend keeps the flows of a VIP, as far as a node knows.
fn is_kept(told: &Told, now: Duration, vip: &Vip, addr: IpAddr) -> bool {
    let Some((key, service)) = owner(told, vip) else {
        return false;
    };
    service
        .backends
        .keys()
        .filter(|backend| backend.addr == addr)
        .any(|backend| {
            let verdict = told.health.get(&(key.clone(), *backend));
            match verdict.filter(|_| service.check.is_some()) {
                Some((Health::Down, since)) => *since + service.unhealthy_grace > now,
                Some((Health::Up, _)) | None => true,
            }
        })
}

fn owner<'a>(told: &'a Told, vip: &Vip) -> Option<(&'a ServiceKey, &'a Service)> {
    told.services
        .iter()
        .find(|(_, service)| service.frontends.contains(vip))
}

fn idle_of(told: &Told, vip: &Vip) -> u32 {
    let idle = owner(told, vip).map_or(0, |(_, service)| service.idle.as_secs());
    u32::try_from(idle).unwrap()
}

/// A backend of the model.
pub(crate) fn backend(number: usize) -> BackendAddr {
    let last = u8::try_from(1 + number).unwrap();
    BackendAddr {
        addr: Ipv4Addr::new(10, 0, 0, last).into(),
        port: 8080,
    }
}
