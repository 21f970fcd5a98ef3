//! A speaker with two established sessions, and a full table as UPDATEs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bgp_speaker_core::desired::{Attributes, ExportChange, ExportId, Instance, Peer, PeerName};
use bgp_speaker_core::{Action, ConnectionId, Ends, Event, NextHops, Speaker, Start};
use bgp_speaker_packet::{
    Attributes as Canonical, Dialect, Families, MessageLimit, NextHop, Offer, PathAttributes,
    Peering, UpdateBuilder, write_keepalive,
};
use types::{Asn, Family, Prefix};

/// Routes that share their attributes: about what a full table has.
const SHARED: usize = 6;

/// When everything happens: no timer is due.
const NOW: Duration = Duration::from_secs(1);

/// How much is written at a time: about what a socket takes.
const WRITTEN: usize = 1 << 16;

/// A speaker without sockets.
pub(super) struct Sessions {
    speaker: Speaker,
    peers: [ConnectionId; 2],
    actions: Vec<Action>,
}

impl Sessions {
    /// Two peers, both families, nothing received.
    pub(super) fn establish() -> Result<Self> {
        let mut speaker = Speaker::new(Start {
            seed: 1,
            forwarding_preserved: false,
        });
        let mut actions = Vec::new();
        let instance = Box::new(instance(&["first", "second"])?);
        speaker.on_event(NOW, Event::Instance(instance), &mut actions);
        let dialled: Vec<ConnectionId> = actions.iter().filter_map(dialled).collect();
        let [first, second] = *dialled.as_slice() else {
            bail!("two peers were configured, {} dialled", dialled.len());
        };
        establish(&mut speaker, first, 2)?;
        establish(&mut speaker, second, 3)?;
        Ok(Self {
            speaker,
            peers: [first, second],
            actions,
        })
    }

    /// The first peer, or the second, sends this.
    pub(super) fn receive(&mut self, peer: usize, bytes: &[u8]) -> Result<()> {
        let connection = *self.peers.get(peer).context("no such peer")?;
        let used = self
            .speaker
            .on_bytes(NOW, connection, bytes, &mut self.actions);
        if used != bytes.len() {
            bail!("{used} of {} octets were taken", bytes.len());
        }
        Ok(())
    }

    /// Exports these, a thousand at a time.
    pub(super) fn export(&mut self, prefixes: &[Prefix]) {
        for batch in prefixes.chunks(1000) {
            let changes = batch.iter().zip(0..).map(announce).collect();
            self.speaker
                .on_event(NOW, Event::Exports(changes), &mut self.actions);
        }
    }

    /// Writes the next messages for the first peer; false if there are none.
    pub(super) fn send(&mut self, buffer: &mut Vec<u8>) -> bool {
        let [first, _] = self.peers;
        buffer.clear();
        self.speaker.fill(first, buffer, WRITTEN);
        !buffer.is_empty()
    }

    /// How many different prefixes are known.
    pub(super) fn prefixes(&self) -> usize {
        self.speaker.sizes().prefixes
    }
}

fn announce((prefix, at): (&Prefix, u32)) -> ExportChange {
    ExportChange::Announce {
        export: ExportId(1),
        prefix: *prefix,
        attributes: Attributes {
            communities: [at % 8].into(),
            ..Attributes::default()
        },
    }
}

/// /24s in a row, with gaps.
pub(super) fn prefix(at: u32) -> Prefix {
    Prefix::containing(IpAddr::from(Ipv4Addr::from((at + (at >> 3)) << 8)), 24)
        .unwrap_or(Prefix::host(IpAddr::from(Ipv4Addr::UNSPECIFIED)))
}

/// A full table as UPDATEs of a peer.
pub(super) fn table(prefixes: &[Prefix], asn: u32) -> Result<Vec<u8>> {
    let dialect = Dialect {
        peering: Peering::External,
        four_octet_as: true,
        families: Families::BOTH,
        extended_next_hop: false,
        limit: MessageLimit::Standard,
    };
    let next_hop = NextHop::V4(Ipv4Addr::new(10, 0, 0, 2));
    let (mut out, mut canonical) = (Vec::new(), Vec::new());
    for (batch, number) in prefixes.chunks(SHARED).zip(1u32..) {
        let path = [asn, 3356, 1299 + number % 50, 100_000 + number];
        canonical.clear();
        PathAttributes {
            as_path: path
                .into_iter()
                .map(Asn::try_from)
                .collect::<Result<_, _>>()?,
            med: Some(number % 3),
            communities: (0..6)
                .map(|at| (asn << 16) | ((number + at) % 500))
                .collect(),
            ..PathAttributes::default()
        }
        .write(&mut canonical);
        let attributes = Canonical::from_canonical(&canonical);
        let mut update =
            UpdateBuilder::announce(&mut out, &dialect, Family::V4, attributes, &next_hop)?;
        for prefix in batch {
            if !update.push(prefix) {
                bail!("{SHARED} prefixes do not fit into a message");
            }
        }
        update.finish();
    }
    Ok(out)
}

fn instance(names: &[&str]) -> Result<Instance> {
    let peers = names.iter().zip(2..).map(|(name, host)| {
        let mut peer = Peer::new(IpAddr::from([10, 0, 0, host]));
        peer.families = BTreeMap::from([(Family::V4, Some(ExportId(1)))]);
        (PeerName::from(*name), peer)
    });
    Ok(Instance {
        name: "main".into(),
        local_asn: 65001.try_into()?,
        router_id: Ipv4Addr::new(10, 0, 0, 1).try_into()?,
        local_port: None,
        peers: peers.collect(),
    })
}

fn dialled(action: &Action) -> Option<ConnectionId> {
    match action {
        Action::Connect(dial) => Some(dial.connection),
        Action::Listen { .. }
        | Action::StopListening { .. }
        | Action::Key { .. }
        | Action::Accept { .. }
        | Action::Send { .. }
        | Action::Pull { .. }
        | Action::Close { .. }
        | Action::Notice { .. } => None,
    }
}

fn establish(speaker: &mut Speaker, connection: ConnectionId, id: u32) -> Result<()> {
    let ends = Ends {
        local: (Ipv4Addr::new(10, 0, 0, 1), 40000).into(),
        remote: (Ipv4Addr::new(10, 0, 0, 2), 179).into(),
        scope: None,
        next_hops: NextHops::default(),
    };
    let mut out = Vec::new();
    speaker.on_event(NOW, Event::Connected { connection, ends }, &mut out);
    let mut offer = Offer::new(65000.try_into()?, id.try_into()?, 90);
    offer.families = Families::BOTH;
    let mut greeting = Vec::new();
    offer.write(&mut greeting);
    write_keepalive(&mut greeting);
    speaker.on_bytes(NOW, connection, &greeting, &mut out);
    Ok(())
}
