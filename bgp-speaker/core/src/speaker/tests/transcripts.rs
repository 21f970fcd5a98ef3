//! Runs the transcripts in `tests/steps`: `>` goes in, `<` must come out, in this order.
//!
//! `at T > EVENT` moves the clock there, which must not skip a deadline; `within A B > deadline`
//! moves it to the next deadline, which must be that far away.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bgp_speaker_packet::{
    Attributes, Dialect, ErrorCode, Families, GracefulFamily, GracefulRestart, Message,
    MessageLimit, NextHop, Notification, Offer, PathAttributes, Peering, RouteRefresh,
    UpdateBuilder, split, write_keepalive,
};
use types::{Family, Prefix};

use super::remote::{asn, peer};
use crate::desired::{self, ExportChange, ExportId, Instance, Secret};
use crate::speaker::{Speaker, Start};
use crate::{Action, ConnectionId, Ends, Event, NextHops, Notice};

#[test]
fn every_transcript_goes_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/steps");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() > 5, "transcripts are missing");
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        Script::new(&text).run(&path.file_name().unwrap().to_string_lossy());
    }
}

struct Script<'t> {
    lines: Vec<(usize, &'t str)>,
    speaker: Speaker,
    instance: Instance,
    now: Duration,
    said: Vec<String>,
    ends: BTreeMap<ConnectionId, Ends>,
}

/// An event's words: a name, plain arguments, and `key=value` ones.
struct Words<'t> {
    plain: Vec<&'t str>,
    named: BTreeMap<&'t str, &'t str>,
}

impl<'t> Words<'t> {
    fn new(text: &'t str) -> Self {
        let (named, plain): (Vec<_>, Vec<_>) =
            text.split_whitespace().partition(|word| word.contains('='));
        Self {
            plain,
            named: named
                .into_iter()
                .filter_map(|word| word.split_once('='))
                .collect(),
        }
    }

    fn has(&self, word: &str) -> bool {
        self.plain.contains(&word)
    }

    fn number(&self, name: &str) -> Option<u32> {
        Some(self.named.get(name)?.parse().unwrap())
    }

    fn families(&self) -> Vec<Family> {
        match self.named.get("families") {
            Some(&"ipv4") => vec![Family::V4],
            Some(&"ipv6") => vec![Family::V6],
            Some(other) => panic!("families {other}"),
            None => Family::BOTH.to_vec(),
        }
    }
}

impl<'t> Script<'t> {
    fn new(text: &'t str) -> Self {
        let lines = text.lines().map(str::trim).enumerate();
        Self {
            lines: lines
                .map(|(at, line)| (at + 1, line))
                .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
                .collect(),
            speaker: Speaker::new(Start {
                seed: 1,
                forwarding_preserved: text.contains("# preserved"),
            }),
            instance: Instance {
                name: "main".into(),
                local_asn: asn(65001),
                router_id: "10.0.0.1"
                    .parse::<std::net::Ipv4Addr>()
                    .unwrap()
                    .try_into()
                    .unwrap(),
                local_port: None,
                peers: BTreeMap::new(),
            },
            now: Duration::ZERO,
            said: Vec::new(),
            ends: BTreeMap::new(),
        }
    }

    fn run(mut self, name: &str) {
        for (number, line) in std::mem::take(&mut self.lines) {
            let place = format!("{name}:{number}");
            if let Some(expected) = line.strip_prefix('<') {
                let said = if self.said.is_empty() {
                    "nothing".into()
                } else {
                    self.said.remove(0)
                };
                assert_eq!(said, expected.trim(), "{place}");
            } else {
                assert_eq!(self.said, [""; 0], "{place}: not expected");
                let (when, event) = line.split_once('>').unwrap();
                self.wait(when.trim(), &place);
                self.event(event.trim());
            }
        }
        assert_eq!(self.said, [""; 0], "{name}: not expected at the end");
    }

    fn wait(&mut self, when: &str, place: &str) {
        let deadline = self.speaker.next_deadline();
        match when.split_whitespace().collect::<Vec<_>>()[..] {
            [] => {}
            ["at", at] => {
                let at = duration(at);
                assert!(at >= self.now, "{place}: time goes back");
                assert!(
                    deadline.is_none_or(|it| it >= at),
                    "{place}: skips {deadline:?}"
                );
                self.now = at;
            }
            ["within", least, most] => {
                let deadline = deadline.unwrap_or_else(|| panic!("{place}: no deadline"));
                let pause = deadline - self.now;
                let bounds = duration(least)..=duration(most);
                assert!(bounds.contains(&pause), "{place}: it is {pause:?} away");
                self.now = deadline;
            }
            _ => panic!("{place}: {when}"),
        }
    }

    fn event(&mut self, text: &str) {
        let words = Words::new(text);
        let mut out = Vec::new();
        match words.plain[0] {
            "fill" => {
                let mut buffer = Vec::new();
                self.speaker.fill(connection(&words), &mut buffer, 1 << 20);
                return self.hear(connection(&words), &buffer);
            }
            "open" | "keepalive" | "update" | "notification" | "refresh" | "bytes" => {
                let bytes = talk(&words);
                let used = self
                    .speaker
                    .on_bytes(self.now, connection(&words), &bytes, &mut out);
                assert_eq!(used, bytes.len());
            }
            _ => {
                let event = self.told(&words);
                self.speaker.on_event(self.now, event, &mut out);
            }
        }
        for action in out {
            self.act(&action);
        }
    }

    fn told(&mut self, words: &Words<'_>) -> Event {
        match words.plain[0] {
            "peer" => {
                self.set_peer(words);
                Event::Instance(Box::new(self.instance.clone()))
            }
            "drop" => {
                self.instance.peers.remove(&words.plain[1].into());
                Event::Instance(Box::new(self.instance.clone()))
            }
            "port" => {
                self.instance.local_port = Some(words.plain[1].parse().unwrap());
                Event::Instance(Box::new(self.instance.clone()))
            }
            "gone" => Event::InstanceGone("main".into()),
            "connected" => Event::Connected {
                connection: connection(words),
                ends: self.set_ends(words, "10.0.0.2"),
            },
            "incoming" => Event::Incoming {
                instance: "main".into(),
                connection: connection(words),
                ends: self.set_ends(words, words.plain[2]),
            },
            "lost" => Event::Disconnected {
                connection: connection(words),
                reason: words.plain[2..].join(" ").into(),
            },
            "listening" => Event::Listening {
                instance: "main".into(),
                outcome: if words.has("ok") {
                    Ok(())
                } else {
                    Err("in use".into())
                },
            },
            "announce" => Event::Exports(vec![ExportChange::Announce {
                export: ExportId(1),
                prefix: words.plain[1].parse().unwrap(),
                attributes: desired::Attributes::default(),
            }]),
            "withdraw" => Event::Exports(vec![ExportChange::Withdraw {
                export: ExportId(1),
                prefix: words.plain[1].parse().unwrap(),
            }]),
            "deadline" => Event::DeadlineReached,
            "ready" => Event::Ready,
            "stop" => Event::Stop,
            other => panic!("no event {other}"),
        }
    }

    fn set_peer(&mut self, words: &Words<'_>) {
        let mut peer = peer(words.plain[2], words.number("asn").unwrap_or(65000), 1);
        if words.has("any-asn") {
            peer.asn = None;
        }
        peer.families = words
            .families()
            .into_iter()
            .map(|family| (family, Some(ExportId(1))))
            .collect();
        peer.passive = words.has("passive");
        peer.password = words
            .named
            .get("password")
            .map(|it| Secret::new(it.as_bytes()));
        peer.graceful_restart = words
            .number("restart")
            .map(|it| Duration::from_secs(it.into()));
        if let Some(hold) = words.number("hold") {
            peer.timers.hold = u16::try_from(hold).unwrap().try_into().unwrap();
        }
        self.instance.peers.insert(words.plain[1].into(), peer);
    }

    fn set_ends(&mut self, words: &Words<'_>, remote: &str) -> Ends {
        let addr = |text: &str| SocketAddr::new(text.parse::<IpAddr>().unwrap(), 179);
        let ends = Ends {
            local: addr(words.named.get("local").unwrap_or(&"10.0.0.1")),
            remote: addr(remote),
            scope: None,
            next_hops: NextHops::default(),
        };
        self.ends.insert(connection(words), ends.clone());
        ends
    }

    fn act(&mut self, action: &Action) {
        let said = match action {
            Action::Listen { port, .. } => format!("listen {port}"),
            Action::StopListening { .. } => "stop-listening".into(),
            Action::Key { peer, password, .. } => {
                format!(
                    "key {peer} {}",
                    if password.is_some() { "set" } else { "removed" }
                )
            }
            Action::Connect(dial) => {
                let key = dial.password.as_ref().map_or("", |_| " with-key");
                format!(
                    "connect {} {} ttl={}{key}",
                    dial.connection, dial.to, dial.ttl
                )
            }
            Action::Accept {
                connection,
                peer,
                ttl,
            } => {
                format!("accept {connection} {} ttl={ttl}", peer.peer)
            }
            Action::Send { connection, bytes } => return self.hear(*connection, bytes),
            Action::Pull { connection } => format!("pull {connection}"),
            Action::Close { connection } => format!("close {connection}"),
            Action::Notice { peer, notice } => match notice {
                Notice::Up => format!("up {}", peer.peer),
                Notice::Down {
                    established: true,
                    reason,
                } => {
                    format!("down {}: {reason}", peer.peer)
                }
                Notice::Down {
                    established: false,
                    reason,
                } => {
                    format!("failed {}: {reason}", peer.peer)
                }
                Notice::NoNextHop(family) => format!("no-next-hop {} {family}", peer.peer),
            },
        };
        self.said.push(said);
    }

    /// Messages as people read them.
    fn hear(&mut self, connection: ConnectionId, mut bytes: &[u8]) {
        while let Some((frame, rest)) = split(bytes, MessageLimit::Standard).unwrap() {
            bytes = rest;
            match Message::parse(frame).unwrap() {
                Message::Open(open) => {
                    self.said
                        .push(format!("send {connection} {}", opened(&open.offer())));
                }
                Message::Keepalive => self.said.push(format!("send {connection} keepalive")),
                Message::Notification(ours) => {
                    self.said
                        .push(format!("send {connection} notification {ours}"));
                }
                Message::RouteRefresh(_) => panic!("nobody asked for that"),
                Message::Update(update) => {
                    let mut canonical = Vec::new();
                    let reading = update.read(&dialect(), &mut canonical).unwrap();
                    for prefix in reading.gone() {
                        self.said.push(format!("withdraw {prefix}"));
                    }
                    for routes in reading.announced.into_iter().flatten() {
                        for prefix in routes.nlri {
                            self.said
                                .push(format!("update {prefix} via {}", routes.next_hop));
                        }
                    }
                    if let Some(family) = reading.end_of_rib {
                        self.said.push(format!("end-of-rib {family}"));
                    }
                }
            }
        }
    }
}

fn opened(offer: &Offer) -> String {
    let mut text = format!("open asn={} hold={}", offer.asn, offer.hold_time_secs);
    if let Some(restart) = &offer.graceful_restart {
        text += &format!(" restart={}", restart.restart_time_secs);
        if restart.restarted {
            text += " restarted";
        }
        if restart.families.iter().all(|family| family.forwarding_kept) {
            text += " kept";
        }
    }
    text
}

/// What a peer says.
fn talk(words: &Words<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match words.plain[0] {
        "open" => their_offer(words).write(&mut out),
        "keepalive" => write_keepalive(&mut out),
        "notification" => {
            let (code, subcode) = words.plain[2].split_once('/').unwrap();
            let (code, subcode) = (code.parse().unwrap(), subcode.parse().unwrap());
            Notification::from(ErrorCode::Other { code, subcode }).write(&mut out);
        }
        "refresh" => RouteRefresh::request(Family::V4).write(&mut out),
        "update" => {
            let mut canonical = Vec::new();
            PathAttributes {
                as_path: vec![asn(65000)],
                ..PathAttributes::default()
            }
            .write(&mut canonical);
            let attributes = Attributes::from_canonical(&canonical);
            let next_hop = NextHop::V4("10.0.0.2".parse().unwrap());
            let dialect = dialect();
            let mut update =
                UpdateBuilder::announce(&mut out, &dialect, Family::V4, attributes, &next_hop)
                    .unwrap();
            assert!(update.push(&words.plain[2].parse::<Prefix>().unwrap()));
            update.finish();
        }
        "bytes" => {
            let hex = words.plain[2];
            let octets = (0..hex.len()).step_by(2);
            out.extend(octets.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()));
        }
        other => panic!("a peer does not say {other}"),
    }
    out
}

fn their_offer(words: &Words<'_>) -> Offer {
    let id = words.named.get("id").unwrap_or(&"10.0.0.2");
    let id: std::net::Ipv4Addr = id.parse().unwrap();
    let hold = words.number("hold").unwrap_or(90);
    let mut offer = Offer::new(
        asn(words.number("asn").unwrap_or(65000)),
        id.try_into().unwrap(),
        u16::try_from(hold).unwrap(),
    );
    if !words.has("bare") {
        offer.families = words.families().into_iter().collect();
    }
    offer.four_octet_as = !words.has("bare");
    offer.extended_next_hop = words.has("rfc8950");
    offer.graceful_restart = words.has("graceful").then(|| GracefulRestart {
        restart_time_secs: 120,
        families: vec![GracefulFamily {
            family: Family::V4,
            forwarding_kept: true,
        }],
        ..GracefulRestart::default()
    });
    offer
}

fn dialect() -> Dialect {
    Dialect {
        peering: Peering::External,
        four_octet_as: true,
        families: Families::BOTH,
        extended_next_hop: true,
        limit: MessageLimit::Standard,
    }
}

fn connection(words: &Words<'_>) -> ConnectionId {
    let (kind, number) = words.plain[1].split_once('-').unwrap();
    let number = number.parse().unwrap();
    match kind {
        "dialled" => ConnectionId::Dialled(number),
        "accepted" => ConnectionId::Accepted(number),
        other => panic!("no connection {other}"),
    }
}

fn duration(text: &str) -> Duration {
    match text.strip_suffix("ms") {
        Some(number) => Duration::from_millis(number.parse().unwrap()),
        None => Duration::from_secs_f64(text.strip_suffix('s').unwrap().parse().unwrap()),
    }
}
