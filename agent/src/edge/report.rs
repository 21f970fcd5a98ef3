//! Writes how this node's sessions are into its CiliumBGPNodeConfig: when that differs, and not often.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::bgp::{InstanceStatus, NodeConfig, NodeStatus, PeerStatus, PeerTimers, RouteCount};
use api::{Key, Kind, Object, Statement, StatusPatch, Timestamp, Version};
use bgp_speaker::Speaker;
use bgp_speaker_core::SessionState;
use store::WriteError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::remote::Remote;
use super::views;

/// How often sessions are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The pause after a write, whatever happens.
const PAUSE: Duration = Duration::from_secs(2);

/// The pause before a write of numbers of routes alone, which change all the time while routes move.
const COUNTS_PAUSE: Duration = Duration::from_secs(10);

/// The longest pause after writes that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Two times of the same event, each calculated from a clock and an age, differ by no more.
const SAME_TIME_SECS: i64 = 5;

/// Conditions that are to be on the object, by type.
pub(super) type Conditions = BTreeMap<String, Option<Statement>>;

/// What the object is to say beside the sessions, and what it says.
#[derive(Clone, Debug, Default)]
pub(super) struct Subject {
    /// None while there is no such object.
    pub(super) config: Option<Arc<NodeConfig>>,
    /// What is to be said of it as a whole.
    pub(super) conditions: Conditions,
}

/// Owns the task that writes; dropping it ends that.
#[derive(Debug)]
pub(super) struct Reports {
    trouble: watch::Receiver<Option<WriteError>>,
    task: JoinHandle<()>,
}

/// When to write what.
#[derive(Debug, Default)]
struct Reporter {
    /// When the last write ended, and on which version it was.
    written: Option<(Instant, Version)>,
    /// Writes in a row that came to nothing: refused, or of what was written before, since a definition
    /// that lacks a field never shows it.
    vain: u32,
    /// What was written last.
    told: Option<NodeStatus>,
}

impl Reports {
    /// Begins to look and to write. Must be called in a tokio runtime.
    pub(super) fn start(
        remote: Remote,
        speaker: Speaker,
        subject: watch::Receiver<Subject>,
    ) -> Self {
        let (tell, trouble) = watch::channel(None);
        let task = tokio::spawn(async move {
            let mut reporter = Reporter::default();
            loop {
                tokio::time::sleep(LOOK).await;
                let Ok(peers) = speaker.peers().await else {
                    return;
                };
                let subject = subject.borrow().clone();
                let sessions = sessions(&peers, Timestamp::now());
                let Some((key, seen, patch)) =
                    reporter.consider(Instant::now(), &subject, sessions)
                else {
                    continue;
                };
                let result = remote.write(key, seen.clone(), patch.clone()).await;
                let trouble = reporter.on_written(Instant::now(), seen, patch, &result);
                if trouble != *tell.borrow() {
                    if let Some(error) = &trouble {
                        tracing::warn!(%error, "the state of sessions is not written");
                    }
                    tell.send_replace(trouble);
                }
            }
        });
        Self { trouble, task }
    }

    /// Why the last write failed, if it did for good.
    pub(super) fn trouble(&self) -> Option<WriteError> {
        self.trouble.borrow().clone()
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reporter {
    /// What to write now, if anything.
    fn consider(
        &self,
        now: Instant,
        subject: &Subject,
        mut sessions: NodeStatus,
    ) -> Option<(Key, Version, StatusPatch)> {
        let config = subject.config.as_ref()?;
        settle_times(&mut sessions, &config.status);
        let conditions = lacking(&subject.conditions, config);
        let pause = match difference(&config.status, &sessions) {
            Difference::Sessions => PAUSE,
            Difference::Counts => COUNTS_PAUSE,
            Difference::None if conditions.is_empty() => return None,
            Difference::None => PAUSE,
        };
        let is_new = self
            .told
            .as_ref()
            .is_some_and(|told| difference(told, &sessions) != Difference::None);
        let version = store::version_of(&Object::CiliumBGPNodeConfig(Arc::clone(config)));
        if let Some((at, on)) = &self.written {
            // What was written is yet to be seen, or the object has changed meanwhile.
            let unseen = *on == version && now.duration_since(*at) < COUNTS_PAUSE;
            let vain = if is_new { 0 } else { self.vain };
            if unseen || now.duration_since(*at) < doubled(pause, vain) {
                return None;
            }
        }
        let patch = StatusPatch {
            conditions,
            bgp: Some(sessions),
            ..StatusPatch::default()
        };
        let key = Key::new(Kind::CiliumBGPNodeConfig, config.meta.name.clone());
        Some((key, version, patch))
    }

    /// A write has ended; what of it a person should know.
    fn on_written(
        &mut self,
        now: Instant,
        seen: Version,
        patch: StatusPatch,
        result: &Result<(), WriteError>,
    ) -> Option<WriteError> {
        self.written = Some((now, seen));
        let is_same = match (&self.told, &patch.bgp) {
            (Some(told), Some(written)) => difference(told, written) == Difference::None,
            (None, _) | (_, None) => false,
        };
        self.vain = if is_same {
            self.vain.saturating_add(1)
        } else {
            0
        };
        self.told = patch.bgp;
        match result {
            Ok(()) => None,
            // A newer view says more, and comes by itself.
            Err(WriteError::Conflict | WriteError::Gone) => {
                self.vain = 0;
                None
            }
            Err(error @ (WriteError::Forbidden(_) | WriteError::Unavailable(_))) => {
                self.vain = self.vain.max(1);
                Some(error.clone())
            }
        }
    }
}

fn doubled(pause: Duration, times: u32) -> Duration {
    let doubled = pause.saturating_mul(2_u32.saturating_pow(times.min(16)));
    doubled.min(LONGEST_PAUSE)
}

/// How two statuses differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    None,
    /// In numbers of routes alone.
    Counts,
    Sessions,
}

/// Sessions that are not established go from one state to another all the time: that is no
/// difference.
fn difference(shown: &NodeStatus, found: &NodeStatus) -> Difference {
    let established = views::state_word(SessionState::Established);
    let comparable = |status: &NodeStatus, counts: bool| {
        let mut status = status.clone();
        for peer in status.instances.iter_mut().flat_map(|it| &mut it.peers) {
            peer.peering_state = peer.peering_state.take().filter(|word| word == established);
            if !counts {
                peer.route_count.clear();
            }
        }
        status
    };
    if comparable(shown, false) != comparable(found, false) {
        Difference::Sessions
    } else if comparable(shown, true) != comparable(found, true) {
        Difference::Counts
    } else {
        Difference::None
    }
}

/// Takes over times that are shown already, where the session is the same one.
fn settle_times(found: &mut NodeStatus, shown: &NodeStatus) {
    let known: BTreeMap<(&str, &str), Timestamp> = shown
        .instances
        .iter()
        .flat_map(|instance| instance.peers.iter().map(move |peer| (instance, peer)))
        .filter_map(|(instance, peer)| {
            let name = (instance.name.as_str(), peer.name.as_str());
            Some((name, peer.established_time?))
        })
        .collect();
    for instance in &mut found.instances {
        for peer in &mut instance.peers {
            let known = known.get(&(instance.name.as_str(), peer.name.as_str()));
            if let (Some(time), Some(known)) = (&mut peer.established_time, known)
                && (time.as_second() - known.as_second()).abs() <= SAME_TIME_SECS
            {
                *time = *known;
            }
        }
    }
}

/// The conditions that are to be and are not so.
fn lacking(wanted: &Conditions, config: &NodeConfig) -> Conditions {
    let differs = |kind: &String, statement: &Option<Statement>| {
        let held = config.conditions.iter().find(|held| held.kind == *kind);
        match (held, statement) {
            (Some(held), Some(wanted)) => {
                (held.status, &held.reason, &held.message)
                    != (wanted.status, &wanted.reason, &wanted.message)
            }
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        }
    };
    wanted
        .iter()
        .filter(|(kind, statement)| differs(kind, statement))
        .map(|(kind, statement)| (kind.clone(), statement.clone()))
        .collect()
}

/// How the sessions are, in the words of a CiliumBGPNodeConfig.
fn sessions(peers: &[bgp_speaker::PeerStatus], now: Timestamp) -> NodeStatus {
    let mut instances: BTreeMap<String, InstanceStatus> = BTreeMap::new();
    for peer in peers {
        let name = peer.instance.to_string();
        let instance = instances
            .entry(name.clone())
            .or_insert_with(|| InstanceStatus {
                name,
                local_asn: Some(peer.local_asn.get()),
                peers: Vec::new(),
            });
        instance.peers.push(session(peer, now));
    }
    NodeStatus {
        instances: instances.into_values().collect(),
    }
}

fn session(peer: &bgp_speaker::PeerStatus, now: Timestamp) -> PeerStatus {
    let established = peer.uptime.and_then(|uptime| {
        let since = now.checked_sub(uptime).ok()?;
        Timestamp::from_second(since.as_second()).ok()
    });
    let secs = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let timers = peer.hold_time.zip(peer.keepalive);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    // Route counts exist only for established sessions.
    let families = peer.families.iter().filter(|_| peer.uptime.is_some());
    PeerStatus {
        name: peer.name.to_string(),
        peer_address: peer.address.to_string(),
        peer_asn: peer.peer_asn.map(types::Asn::get),
        peering_state: Some(views::state_word(peer.state).to_owned()),
        established_time: established,
        timers: timers
            .filter(|_| peer.uptime.is_some())
            .map(|(hold, keepalive)| PeerTimers {
                hold_secs: secs(hold),
                keepalive_secs: secs(keepalive),
            }),
        route_count: families
            .map(|family| RouteCount {
                afi: family.family.to_string(),
                safi: "unicast".to_owned(),
                received: count(family.received),
                advertised: count(family.advertised),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use api::{Strictness, Truth};
    use bgp_speaker::FamilyStatus;
    use serde_json::{Value, json};
    use types::Family;

    use super::*;

    const NOW: &str = "2026-11-20T12:00:00Z";

    #[test]
    fn a_session_is_told_in_the_words_of_the_object() {
        let status = sessions(&[peer(Some(65), 2)], now());

        assert_eq!(
            serde_json::to_value(&status).unwrap(),
            json!({"bgpInstances": [{
                "name": "edge",
                "localASN": 65010,
                "peers": [{
                    "name": "tor",
                    "peerAddress": "fd00::1",
                    "peerASN": 65001,
                    "peeringState": "established",
                    "establishedTime": "2026-11-20T11:58:55Z",
                    "timers": {"appliedHoldTimeSeconds": 90, "appliedKeepaliveSeconds": 30},
                    "routeCount": [
                        {"afi": "ipv4", "safi": "unicast", "received": 1, "advertised": 2},
                    ],
                }],
            }]})
        );
    }

    #[test]
    fn what_is_shown_already_is_not_written_again_however_time_goes_by() {
        let reporter = Reporter::default();
        let status = sessions(&[peer(Some(65), 2)], now());
        let subject = subject(&status, "1");
        let later = Timestamp::from_second(now().as_second() + 3601).unwrap();

        let found = sessions(&[peer(Some(65 + 3600), 2)], later);

        assert_eq!(reporter.consider(Instant::now(), &subject, found), None);
    }

    #[test]
    fn a_session_that_tries_and_tries_is_written_once() {
        let reporter = Reporter::default();
        let down = |state| bgp_speaker::PeerStatus {
            state,
            ..peer(None, 0)
        };
        let shown = sessions(&[down(SessionState::Connect)], now());

        for state in [
            SessionState::Idle,
            SessionState::Active,
            SessionState::OpenSent,
        ] {
            let found = sessions(&[down(state)], now());
            let write = reporter.consider(Instant::now(), &subject(&shown, "1"), found);
            assert_eq!(write, None, "{state:?}");
        }
    }

    #[test]
    fn a_session_that_came_up_is_written_soon_and_numbers_of_routes_later() {
        let start = Instant::now();
        let mut reporter = Reporter::default();
        let down = sessions(&[peer(None, 0)], now());
        let up = sessions(&[peer(Some(0), 0)], now());
        let more = sessions(&[peer(Some(0), 7)], now());

        let (_, seen, patch) = reporter
            .consider(start, &subject(&down, "1"), up.clone())
            .unwrap();
        assert_eq!((&seen, &patch.bgp), (&Version::new("1"), &Some(up.clone())));
        reporter.on_written(start, seen, patch, &Ok(()));

        let of = |at, shown: &Subject, found: &NodeStatus| {
            reporter
                .consider(start + at, shown, found.clone())
                .is_some()
        };
        // The write is not seen yet.
        assert!(!of(PAUSE, &subject(&down, "1"), &up));
        assert!(!of(PAUSE / 2, &subject(&up, "2"), &down));
        assert!(of(PAUSE, &subject(&up, "2"), &down));
        assert!(!of(PAUSE, &subject(&up, "2"), &more));
        assert!(of(COUNTS_PAUSE, &subject(&up, "2"), &more));
    }

    #[test]
    fn writes_that_fail_are_tried_less_and_less_often_and_said() {
        let start = Instant::now();
        let mut reporter = Reporter::default();
        let down = subject(&sessions(&[peer(None, 0)], now()), "1");
        let up = || sessions(&[peer(Some(0), 0)], now());
        let forbidden = WriteError::Forbidden("may not patch".into());

        for _ in 0..20 {
            let error = Err(forbidden.clone());
            let said = reporter.on_written(start, Version::new("0"), written(up()), &error);
            assert_eq!(said, Some(forbidden.clone()));
        }

        let before = start + LONGEST_PAUSE - LOOK;
        assert_eq!(reporter.consider(before, &down, up()), None);
        assert!(
            reporter
                .consider(start + LONGEST_PAUSE, &down, up())
                .is_some()
        );
        let said = reporter.on_written(start, Version::new("1"), written(up()), &Ok(()));
        assert_eq!(said, None);
    }

    #[test]
    fn what_a_definition_does_not_show_is_not_written_again_and_again() {
        let start = Instant::now();
        let mut reporter = Reporter::default();
        let up = || sessions(&[peer(Some(0), 0)], now());
        let down = || sessions(&[peer(None, 0)], now());

        for version in 0..20 {
            let version = Version::new(version.to_string());
            reporter.on_written(start, version, written(up()), &Ok(()));
        }

        let at = |after, found| reporter.consider(start + after, &subject(&down(), "99"), found);
        assert_eq!(at(LONGEST_PAUSE - LOOK, up()), None);
        assert!(at(LONGEST_PAUSE, up()).is_some());
        let mut other = peer(Some(0), 0);
        other.peer_asn = Some("65002".parse().unwrap());
        assert!(at(PAUSE, sessions(&[other], now())).is_some());
    }

    #[test]
    fn without_an_object_nothing_is_written_and_conditions_are_only_where_they_differ() {
        let reporter = Reporter::default();
        let up = sessions(&[peer(Some(0), 0)], now());
        assert_eq!(
            reporter.consider(Instant::now(), &Subject::default(), up.clone()),
            None
        );

        let mut subject = subject(&up, "1");
        let error = Statement::new(Truth::True, "BGPReconcileError", "no password");
        subject
            .conditions
            .insert("cilium.io/BGPReconcileError".into(), Some(error));
        subject.conditions.insert("cilium.io/Other".into(), None);

        let (_, _, patch) = reporter.consider(Instant::now(), &subject, up).unwrap();
        assert_eq!(
            patch.conditions.keys().collect::<Vec<_>>(),
            ["cilium.io/BGPReconcileError"]
        );
    }

    fn written(sessions: NodeStatus) -> StatusPatch {
        StatusPatch {
            bgp: Some(sessions),
            ..StatusPatch::default()
        }
    }

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn subject(status: &NodeStatus, version: &str) -> Subject {
        let value: Value = json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumBGPNodeConfig",
            "metadata": {"name": "n1", "resourceVersion": version},
            "spec": {"bgpInstances": [{"name": "edge", "localASN": 65010}]},
            "status": status,
        });
        match Object::from_value(value, Strictness::Lenient) {
            Ok(Object::CiliumBGPNodeConfig(config)) => Subject {
                config: Some(config),
                conditions: Conditions::new(),
            },
            other => panic!("{other:?}"),
        }
    }

    fn peer(uptime: Option<u64>, advertised: usize) -> bgp_speaker::PeerStatus {
        let state = match uptime {
            Some(_) => SessionState::Established,
            None => SessionState::Active,
        };
        bgp_speaker::PeerStatus {
            instance: "edge".into(),
            name: "tor".into(),
            local_asn: "65010".parse().unwrap(),
            router_id: std::net::Ipv4Addr::new(10, 0, 0, 1).try_into().unwrap(),
            peer_asn: Some("65001".parse().unwrap()),
            address: "fd00::1".parse().unwrap(),
            port: 179,
            state,
            uptime: uptime.map(Duration::from_secs),
            hold_time: uptime.map(|_| Duration::from_secs(90)),
            keepalive: uptime.map(|_| Duration::from_secs(30)),
            families: vec![FamilyStatus {
                family: Family::V4,
                negotiated: true,
                received: 1,
                advertised,
                end_of_rib_received: true,
                end_of_rib_sent: true,
                unreachable: None,
            }],
            last_error: None,
            listen_error: None,
        }
    }
}
