//! A million routes in and out: time and memory per route.
//!
//! `cargo run --release -p bgp-speaker-core --example million`

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bgp_speaker_core::desired::{Attributes, ExportChange, ExportId, Instance, Peer, PeerName};
use bgp_speaker_core::{Action, ConnectionId, Ends, Event, NextHops, Speaker, Start};
use bgp_speaker_packet::{
    Attributes as Canonical, Dialect, Families, MessageLimit, NextHop, Offer, PathAttributes,
    Peering, UpdateBuilder, write_keepalive,
};
use types::{Asn, Family, Prefix};

const ROUTES: u32 = 1_000_000;
/// Routes that share their attributes: about what a full table has.
const SHARED: usize = 6;
const PAGE: usize = 4096;
const NOW: Duration = Duration::from_secs(1);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut speaker = Speaker::new(Start {
        seed: 1,
        forwarding_preserved: false,
    });
    let names = ["first", "second", "third"];
    let mut actions = Vec::new();
    let instance = Box::new(instance(&names)?);
    speaker.on_event(NOW, Event::Instance(instance), &mut actions);
    let dialled: Vec<ConnectionId> = actions.iter().filter_map(dialled).collect();
    let [first, second, third] = *dialled.as_slice() else {
        return Err("three peers were configured".into());
    };
    for (connection, id) in dialled.iter().zip(2..) {
        establish(&mut speaker, *connection, id)?;
    }
    let prefixes: Vec<Prefix> = (0..ROUTES).map(prefix).collect();
    let (a, b) = (table(&prefixes, 65000)?, table(&prefixes, 64999)?);
    println!(
        "{:<46} {:>9} {:>9} {:>12}",
        "case (1,000,000 IPv4 routes)", "ms", "ns/route", "octets/route"
    );

    measure("in: UPDATEs to Adj-RIB-In, first peer", || {
        speaker.on_bytes(NOW, first, &a, &mut actions);
    })?;
    measure("in: the same prefixes from a second peer", || {
        speaker.on_bytes(NOW, second, &b, &mut actions);
    })?;
    measure("in: the first peer's UPDATEs again", || {
        speaker.on_bytes(NOW, first, &a, &mut actions);
    })?;
    out(&mut speaker, &prefixes, [first, second, third])?;
    measure("a session ends: its routes go in steps", || {
        let (connection, reason) = (first, "done".into());
        speaker.on_event(
            NOW,
            Event::Disconnected { connection, reason },
            &mut actions,
        );
        while speaker.work(10_000) {}
    })?;
    println!("{:?}", speaker.sizes());
    Ok(())
}

/// Exports all prefixes, and tells three peers.
fn out(
    speaker: &mut Speaker,
    prefixes: &[Prefix],
    peers: [ConnectionId; 3],
) -> Result<(), Failure> {
    let [first, second, third] = peers;
    let (mut actions, mut buffer) = (Vec::new(), Vec::with_capacity(1 << 17));
    measure("export: deltas to the table", || {
        for batch in prefixes.chunks(1000) {
            let changes = batch.iter().zip(0..).map(announce).collect();
            speaker.on_event(NOW, Event::Exports(changes), &mut actions);
        }
    })?;
    measure("out: one peer alone", || {
        while fill(speaker, first, &mut buffer) {}
    })?;
    measure("out: two peers side by side, the bytes shared", || {
        while fill(speaker, second, &mut buffer) | fill(speaker, third, &mut buffer) {}
    })?;
    measure("export: all changed, and told to three peers", || {
        for batch in prefixes.chunks(1000) {
            let changes = batch.iter().zip(7..).map(announce).collect();
            speaker.on_event(NOW, Event::Exports(changes), &mut actions);
            for peer in peers {
                while fill(speaker, peer, &mut buffer) {}
            }
        }
    })
}

fn measure(what: &str, run: impl FnOnce()) -> Result<(), Failure> {
    let (before, start) = (resident()?, Instant::now());
    run();
    let (took, after) = (start.elapsed(), resident()?);
    let per_route = f64::from(ROUTES);
    let grown = after.saturating_sub(before);
    println!(
        "{what:<46} {:>9.1} {:>9.1} {:>12.1}",
        took.as_secs_f64() * 1e3,
        took.as_secs_f64() * 1e9 / per_route,
        f64::from(u32::try_from(grown)?) / per_route
    );
    Ok(())
}

/// Octets of this process in memory.
fn resident() -> Result<usize, Failure> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm.split(' ').nth(1).ok_or("no resident size")?.parse()?;
    Ok(pages * PAGE)
}

fn fill(speaker: &mut Speaker, connection: ConnectionId, buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    speaker.fill(connection, buffer, 1 << 16)
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

/// /24s in a row, as many as there are, with gaps.
fn prefix(at: u32) -> Prefix {
    Prefix::containing(IpAddr::from(Ipv4Addr::from((at + (at >> 3)) << 8)), 24)
        .unwrap_or(Prefix::host(IpAddr::from(Ipv4Addr::UNSPECIFIED)))
}

/// A full table as UPDATEs of a peer.
fn table(prefixes: &[Prefix], asn: u32) -> Result<Vec<u8>, Failure> {
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
                return Err("six prefixes fit into a message".into());
            }
        }
        update.finish();
    }
    Ok(out)
}

fn instance(names: &[&str]) -> Result<Instance, Failure> {
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

fn establish(speaker: &mut Speaker, connection: ConnectionId, id: u32) -> Result<(), Failure> {
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
