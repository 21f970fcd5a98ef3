use std::net::Ipv4Addr;
use std::num::NonZeroU8;

use proptest::prelude::*;
use types::ObjectName;

use super::*;
use crate::desired::Backend;

const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);

#[test]
fn one_probe_settles_what_was_never_checked() {
    let mut lab = Lab::new(2, 3, 3, false);

    assert_eq!(lab.round(&[true, false]), ["up 0", "down 1"]);
}

#[test]
fn a_backend_falls_and_rises_by_its_thresholds() {
    let mut lab = Lab::new(3, 3, 2, true);

    assert_eq!(lab.round(&[false, true, true]), NOTHING);
    assert_eq!(lab.round(&[false, true, true]), NOTHING);
    assert_eq!(lab.round(&[false, true, true]), ["down 0"]);
    assert_eq!(lab.round(&[true, true, true]), NOTHING);
    assert_eq!(lab.round(&[true, true, true]), ["up 0"]);
}

#[test]
fn one_success_in_between_starts_the_count_again() {
    let mut lab = Lab::new(3, 2, 1, true);

    for success in [false, true, false, true, false] {
        assert_eq!(lab.round(&[success, true, true]), NOTHING);
    }
}

#[test]
fn more_than_half_failing_at_once_raises_an_alarm_and_takes_nobody_out() {
    let mut lab = Lab::new(4, 2, 1, true);

    assert_eq!(lab.round(&[false, false, false, true]), NOTHING);
    assert_eq!(lab.round(&[false, false, false, true]), ["alarm"]);
    assert_eq!(lab.checks.alarms().count(), 1);
    assert_eq!(lab.round(&[false, false, false, false]), NOTHING);
    // Half of them are no longer a majority: those that still fail are really down.
    assert_eq!(
        lab.round(&[true, false, false, true]),
        ["clear", "down 1", "down 2"]
    );
}

#[test]
fn half_failing_is_not_more_than_half() {
    let mut lab = Lab::new(2, 2, 1, true);

    assert_eq!(lab.round(&[false, true]), NOTHING);
    assert_eq!(lab.round(&[false, true]), ["down 0"]);
    assert_eq!(lab.round(&[false, false]), NOTHING);
    assert_eq!(lab.round(&[false, false]), ["down 1"]);
}

#[test]
fn a_service_that_was_never_up_does_not_wait_for_a_majority() {
    let mut lab = Lab::new(3, 3, 3, false);

    assert_eq!(
        lab.round(&[false, false, true]),
        ["down 0", "down 1", "up 2"]
    );
}

#[test]
fn silence_is_a_failure_once_the_timeout_is_over_and_late_answers_do_not_count() {
    let mut lab = Lab::new(1, 1, 1, false);
    let probes = lab.deadline();

    lab.now += TIMEOUT;
    let verdicts = lab.checks.on_event(lab.now, Event::DeadlineReached);
    let late = lab.checks.on_event(lab.now, result(&probes[0], true));

    assert_eq!(words(&verdicts), ["down 0"]);
    assert_eq!(late, []);
}

#[test]
fn what_is_not_desired_is_not_probed() {
    let mut lab = Lab::new(2, 1, 1, true);
    let probes = lab.deadline();

    lab.change(Some(service(1, 1, 1)));
    let gone = lab.checks.on_event(lab.now, result(&probes[1], false));
    assert_eq!(gone, []);
    lab.change(None);

    assert_eq!(lab.checks.next_deadline(), None);
}

#[test]
fn first_probes_are_spread_over_the_first_second() {
    let mut lab = Lab::new(0, 1, 1, false);
    lab.change(Some(service(200, 1, 1)));

    let mut at: Vec<Duration> = lab.checks.due.iter().map(|(at, _, _)| *at).collect();
    at.dedup();

    assert!(at.len() > 190);
    assert!(at.iter().all(|at| *at <= lab.now + SPREAD));
}

proptest! {
    #[test]
    fn a_verdict_always_changes_something_and_deadlines_never_pass(
        events in prop::collection::vec((0u8..4, any::<prop::sample::Index>(), any::<bool>()), 0..300)
    ) {
        let mut lab = Lab::new(4, 2, 2, false);
        let mut known: BTreeMap<BackendAddr, Health> = BTreeMap::new();
        let mut probes = Vec::new();
        let mut alarmed = false;

        for (kind, which, success) in events {
            let actions = match kind {
                0 => {
                    lab.now += Duration::from_millis(700);
                    lab.checks.on_event(lab.now, Event::DeadlineReached)
                }
                1 => lab.change(Some(service(which.index(5), 2, 2))),
                _ if !probes.is_empty() => {
                    let probe = probes.swap_remove(which.index(probes.len()));
                    lab.checks.on_event(lab.now, result(&probe, success))
                }
                _ => Vec::new(),
            };
            for action in actions {
                match action {
                    Action::Verdict(_, backend, health) => {
                        prop_assert_ne!(known.insert(backend, health), Some(health));
                    }
                    Action::AlarmRaised(_) => {
                        prop_assert!(!alarmed);
                        alarmed = true;
                    }
                    Action::AlarmCleared(_) => {
                        prop_assert!(alarmed);
                        alarmed = false;
                    }
                    Action::Probe { .. } => probes.push(action),
                }
            }
            let targets = &lab.checks.services[&key()].targets;
            known.retain(|backend, _| targets.contains_key(backend));
            prop_assert_eq!(lab.checks.due.len(), targets.len());
        }
    }
}

const NOTHING: [&str; 0] = [];

struct Lab {
    checks: Checks,
    now: Duration,
    serving: bool,
}

impl Lab {
    fn new(backends: usize, fall: u8, rise: u8, serving: bool) -> Self {
        let mut lab = Self {
            checks: Checks::default(),
            now: Duration::from_secs(100),
            serving,
        };
        lab.change(Some(service(backends, fall, rise)));
        lab
    }

    fn change(&mut self, service: Option<Service>) -> Vec<Action> {
        let delta = Delta {
            services: BTreeMap::from([(key(), service)]),
        };
        let serving = self.serving;
        self.checks.on_change(self.now, &delta, 9, |_, _| serving)
    }

    /// Goes to where every target is due, and gives the probes by backend.
    fn deadline(&mut self) -> Vec<Action> {
        self.now += INTERVAL;
        let mut probes = self.checks.on_event(self.now, Event::DeadlineReached);
        probes.sort_by_key(number);
        probes
    }

    /// One probe of every backend, with these results.
    fn round(&mut self, results: &[bool]) -> Vec<String> {
        let probes = self.deadline();
        assert_eq!(probes.len(), results.len());
        let ended = probes.iter().zip(results);
        ended
            .flat_map(|(probe, success)| {
                let actions = self.checks.on_event(self.now, result(probe, *success));
                words(&actions)
            })
            .collect()
    }
}

fn result(probe: &Action, success: bool) -> Event {
    let Action::Probe {
        service,
        backend,
        attempt,
        ..
    } = probe
    else {
        panic!("not a probe: {probe:?}");
    };
    Event::Probed {
        service: service.clone(),
        backend: *backend,
        attempt: *attempt,
        success,
    }
}

fn words(actions: &[Action]) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::Verdict(_, _, Health::Up) => format!("up {}", number(action)),
        Action::Verdict(_, _, Health::Down) => format!("down {}", number(action)),
        Action::AlarmRaised(_) => "alarm".into(),
        Action::AlarmCleared(_) => "clear".into(),
        Action::Probe { .. } => format!("probe {}", number(action)),
    };
    let mut words: Vec<String> = actions.iter().map(word).collect();
    words.sort();
    words
}

fn number(action: &Action) -> u32 {
    match action {
        Action::Probe { backend, .. } | Action::Verdict(_, backend, _) => match backend.addr {
            std::net::IpAddr::V4(addr) => addr.to_bits() & 0xff,
            std::net::IpAddr::V6(_) => panic!("the lab's backends are IPv4"),
        },
        Action::AlarmRaised(_) | Action::AlarmCleared(_) => 0,
    }
}

fn key() -> ServiceKey {
    ServiceKey {
        object: ObjectName::new("shop", "web"),
        port: "http".into(),
    }
}

fn service(backends: usize, fall: u8, rise: u8) -> Service {
    let backends = (0..backends).map(|at| {
        let last = u8::try_from(at).unwrap();
        let backend = BackendAddr {
            addr: Ipv4Addr::new(10, 0, 0, last).into(),
            port: 80,
        };
        (backend, Backend::default())
    });
    Service {
        backends: backends.collect(),
        check: Some(Check {
            kind: CheckKind::Tcp,
            port: None,
            interval: INTERVAL,
            timeout: TIMEOUT,
            rise: NonZeroU8::new(rise).unwrap(),
            fall: NonZeroU8::new(fall).unwrap(),
        }),
        ..Service::default()
    }
}
