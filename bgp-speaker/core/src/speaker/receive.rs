//! What a peer sends: bytes to messages, messages to inputs and routes.

use std::time::Duration;

use bgp_speaker_packet::{Frame, Message, MessageLimit, RefreshKind, RouteRefresh, Update, split};

use super::Speaker;
use crate::fsm::Input;
use crate::io::{Action, ConnectionId};

impl Speaker {
    /// Reads what a peer has sent, and says how many bytes were used: give the rest again, with
    /// what comes after it. A connection that is over uses all.
    pub fn on_bytes(
        &mut self,
        now: Duration,
        connection: ConnectionId,
        bytes: &[u8],
        out: &mut Vec<Action>,
    ) -> usize {
        let mut rest = bytes;
        while self.connections.contains_key(&connection) {
            match split(rest, MessageLimit::Standard) {
                Ok(Some((frame, after))) => {
                    rest = after;
                    self.on_frame(now, connection, frame, out);
                }
                Ok(None) => return bytes.len() - rest.len(),
                Err(error) => {
                    self.input_from(now, connection, Input::Malformed(error.into()), out);
                }
            }
        }
        bytes.len()
    }

    fn on_frame(
        &mut self,
        now: Duration,
        connection: ConnectionId,
        frame: Frame<'_>,
        out: &mut Vec<Action>,
    ) {
        let input = match Message::parse(frame) {
            Ok(Message::Open(open)) => return self.opened(now, connection, &open.offer(), out),
            Ok(Message::Update(update)) => self.on_update(connection, &update),
            Ok(Message::Keepalive) => Input::Keepalive,
            Ok(Message::Notification(theirs)) => Input::Notification(theirs.into_owned()),
            Ok(Message::RouteRefresh(refresh)) => {
                self.input_from(now, connection, Input::Refresh, out);
                return self.on_refresh(connection, refresh, out);
            }
            Err(error) => Input::Malformed(error.into()),
        };
        self.input_from(now, connection, input, out);
    }

    /// Takes up an UPDATE's routes, if the session is established.
    fn on_update(&mut self, connection: ConnectionId, update: &Update<'_>) -> Input {
        let known = self.connections.get(&connection);
        let peer = known.and_then(|known| self.peers.get_mut(&known.peer));
        let session = peer
            .and_then(|peer| peer.session.as_mut())
            .filter(|session| session.connection == connection);
        let Some(session) = session else {
            return Input::Update;
        };
        match update.read(&session.dialect, &mut self.canonical) {
            Ok(reading) => {
                if let Some(family) = reading.end_of_rib {
                    session.end_of_rib.insert(family);
                }
                self.rib.receive(connection, &reading, &self.canonical);
                Input::Update
            }
            Err(error) => Input::Malformed(error.into()),
        }
    }

    fn on_refresh(
        &mut self,
        connection: ConnectionId,
        refresh: RouteRefresh,
        out: &mut Vec<Action>,
    ) {
        let known = self.connections.get(&connection);
        let (Some(known), Some(family), RefreshKind::Request) =
            (known, refresh.family.family(), refresh.kind)
        else {
            return;
        };
        let key = known.peer.clone();
        self.rib.refresh(connection, family);
        self.pull(&key, out);
    }
}
