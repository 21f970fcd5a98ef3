//! Turns what is desired into the least disturbance that makes it so.

use std::time::Duration;

use bgp_speaker_packet::{CeaseSubcode, ErrorCode, Notification};

use super::peer::{PeerState, Role};
use super::{InstanceState, Speaker, listen};
use crate::desired::{Instance, InstanceName, Peer, PeerName, Secret};
use crate::fsm::Input;
use crate::io::{Action, PeerKey};

/// The pause after timers have changed: the peer must notice.
const RESET_PAUSE: Duration = Duration::from_secs(5);
/// The pause after any other setting has changed.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What a change of a peer's settings costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    /// Nothing on the wire, or UPDATEs.
    Nothing,
    /// A new session.
    Restart,
    /// A new session, with a word to the peer's operator.
    Reset,
    /// Another neighbour altogether.
    Replacement,
}

impl Speaker {
    pub(super) fn configure(&mut self, now: Duration, desired: Instance, out: &mut Vec<Action>) {
        let name = desired.name.clone();
        let same = |state: &InstanceState| {
            let old = &state.desired;
            (old.local_asn, old.router_id, old.local_port)
                == (desired.local_asn, desired.router_id, desired.local_port)
        };
        match self.instances.get(&name) {
            Some(state) if !same(state) => {
                self.end_instance(now, &name, CeaseSubcode::ConfigurationChange, out);
                self.add_instance(now, desired, out);
            }
            Some(_) => self.change_peers(now, desired, out),
            None => self.add_instance(now, desired, out),
        }
    }

    pub(super) fn remove_instance(
        &mut self,
        now: Duration,
        name: &InstanceName,
        out: &mut Vec<Action>,
    ) {
        self.end_instance(now, name, CeaseSubcode::PeerDeconfigured, out);
    }

    fn add_instance(&mut self, now: Duration, desired: Instance, out: &mut Vec<Action>) {
        let peers = desired.peers.clone();
        let listen = listen(&desired);
        let state = InstanceState {
            desired,
            listen_at: None,
            listen_error: None,
        };
        let name = state.desired.name.clone();
        self.instances.insert(name.clone(), state);
        for (peer, desired) in peers {
            self.add_peer(now, &key(&name, &peer), desired, out);
        }
        // Keys first, so that no connection is accepted without.
        out.extend(listen);
    }

    fn end_instance(
        &mut self,
        now: Duration,
        name: &InstanceName,
        subcode: CeaseSubcode,
        out: &mut Vec<Action>,
    ) {
        let Some(state) = self.instances.get(name) else {
            return;
        };
        let peers: Vec<PeerName> = state.desired.peers.keys().cloned().collect();
        let listened = state.desired.local_port.is_some();
        for peer in peers {
            self.end_peer(now, &key(name, &peer), subcode, out);
        }
        if listened {
            let instance = name.clone();
            out.push(Action::StopListening { instance });
        }
        self.instances.remove(name);
    }

    fn change_peers(&mut self, now: Duration, desired: Instance, out: &mut Vec<Action>) {
        let name = desired.name.clone();
        let new = desired.peers.clone();
        let Some(state) = self.instances.get_mut(&name) else {
            return;
        };
        let old = std::mem::replace(&mut state.desired, desired).peers;
        for peer in old.keys().filter(|peer| !new.contains_key(*peer)) {
            self.end_peer(now, &key(&name, peer), CeaseSubcode::PeerDeconfigured, out);
        }
        for (peer, desired) in new {
            let key = key(&name, &peer);
            match old.get(&peer) {
                Some(before) => self.change_peer(now, &key, before, desired, out),
                None => self.add_peer(now, &key, desired, out),
            }
        }
    }

    fn add_peer(&mut self, now: Duration, key: &PeerKey, desired: Peer, out: &mut Vec<Action>) {
        if desired.password.is_some() {
            self.set_key(key, &desired, desired.password.clone(), out);
        }
        self.peers.insert(key.clone(), PeerState::new(now, desired));
        if !self.stopping {
            self.input(now, key, Role::Main, Input::Start, out);
        }
    }

    fn end_peer(
        &mut self,
        now: Duration,
        key: &PeerKey,
        subcode: CeaseSubcode,
        out: &mut Vec<Action>,
    ) {
        let cease = ErrorCode::Cease(subcode).into();
        self.input_both(now, key, &Input::Stop(Some(cease)), out);
        if let Some(peer) = self.peers.remove(key)
            && peer.desired.password.is_some()
        {
            self.set_key(key, &peer.desired, None, out);
        }
    }

    fn change_peer(
        &mut self,
        now: Duration,
        key: &PeerKey,
        before: &Peer,
        desired: Peer,
        out: &mut Vec<Action>,
    ) {
        let cost = cost(before, &desired);
        if cost == Cost::Replacement {
            self.end_peer(now, key, CeaseSubcode::PeerDeconfigured, out);
            self.add_peer(now, key, desired, out);
            return;
        }
        if before.password != desired.password {
            self.set_key(key, &desired, desired.password.clone(), out);
        }
        if let Some(peer) = self.peers.get_mut(key) {
            peer.desired = desired;
        }
        let (notification, pause) = match cost {
            Cost::Nothing | Cost::Replacement => return self.retarget(key, out),
            Cost::Restart => (
                ErrorCode::Cease(CeaseSubcode::ConfigurationChange).into(),
                RESTART_PAUSE,
            ),
            Cost::Reset => (
                Notification::with_text(
                    ErrorCode::ADMINISTRATIVE_RESET,
                    "Peer configuration changed",
                ),
                RESET_PAUSE,
            ),
        };
        if !self.stopping {
            self.input_both(now, key, &Input::Restart(notification, pause), out);
        }
    }

    /// Tells the listener, if there is one, which key a peer uses.
    fn set_key(&self, key: &PeerKey, peer: &Peer, password: Option<Secret>, out: &mut Vec<Action>) {
        let instance = self.instances.get(&key.instance);
        if instance.is_some_and(|state| state.desired.local_port.is_some()) {
            out.push(Action::Key {
                instance: key.instance.clone(),
                peer: peer.address,
                scope: peer.scope.clone(),
                password,
            });
        }
    }
}

/// What it takes to get from one peer's settings to another's. Each field is named, so that a
/// new one is not forgotten.
fn cost(before: &Peer, after: &Peer) -> Cost {
    let Peer {
        address,
        scope,
        port,
        asn,
        local_address,
        timers,
        ebgp_multihop,
        password,
        graceful_restart,
        families,
        passive,
    } = after;
    let when = |changed: bool, cost| if changed { cost } else { Cost::Nothing };
    let neighbour = (address, scope, asn) != (&before.address, &before.scope, &before.asn);
    let kept = (timers.hold, timers.keepalive) == (before.timers.hold, before.timers.keepalive);
    let transport = (port, local_address, ebgp_multihop, password, passive)
        != (
            &before.port,
            &before.local_address,
            &before.ebgp_multihop,
            &before.password,
            &before.passive,
        );
    let offer =
        *graceful_restart != before.graceful_restart || !families.keys().eq(before.families.keys());
    when(neighbour, Cost::Replacement)
        .max(when(!kept, Cost::Reset))
        .max(when(transport || offer, Cost::Restart))
}

fn key(instance: &InstanceName, peer: &PeerName) -> PeerKey {
    PeerKey {
        instance: instance.clone(),
        peer: peer.clone(),
    }
}

#[cfg(test)]
mod tests {
    use types::Family;

    use super::*;
    use crate::desired::ExportId;

    #[test]
    fn each_setting_costs_what_it_must_and_no_more() {
        type Change = fn(&mut Peer);
        let cases: [(&str, Change, Cost); 12] = [
            (
                "address",
                |it| it.address = "10.0.0.9".parse().unwrap(),
                Cost::Replacement,
            ),
            (
                "scope",
                |it| it.scope = Some("eth0".into()),
                Cost::Replacement,
            ),
            (
                "asn",
                |it| it.asn = Some(1.try_into().unwrap()),
                Cost::Replacement,
            ),
            (
                "hold",
                |it| it.timers.hold = 9.try_into().unwrap(),
                Cost::Reset,
            ),
            ("keepalive", |it| it.timers.keepalive /= 2, Cost::Reset),
            (
                "connect retry",
                |it| it.timers.connect_retry /= 2,
                Cost::Nothing,
            ),
            ("port", |it| it.port = 1179, Cost::Restart),
            ("multihop", |it| it.ebgp_multihop = 9, Cost::Restart),
            (
                "password",
                |it| it.password = Some(Secret::new(b"x")),
                Cost::Restart,
            ),
            (
                "graceful",
                |it| it.graceful_restart = Some(RESET_PAUSE),
                Cost::Restart,
            ),
            (
                "families",
                |it| it.families = [(Family::V6, None)].into(),
                Cost::Restart,
            ),
            (
                "export",
                |it| it.families = [(Family::V4, Some(ExportId(1)))].into(),
                Cost::Nothing,
            ),
        ];
        for (name, change, expected) in cases {
            let mut before = Peer::new("10.0.0.1".parse().unwrap());
            before.families.insert(Family::V4, None);
            let mut after = before.clone();
            change(&mut after);

            assert_eq!(cost(&before, &after), expected, "{name}");
        }
    }
}
