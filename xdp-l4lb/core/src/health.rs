//! Decides from probes which backends are up.
//!
//! ```text
//!             first failure                    rise successes
//!   Unknown ----------------> Down  <------------------------.
//!      |  first success        |     fall failures           |
//!      '-----------> Up <------'  <-----> held, if more than half fail at once
//! ```
//!
//! A backend that was not checked yet takes no flows: a VIP that draws traffic to a host that never
//! answered is worse than one that appears a second later. One probe settles it, so a cold node waits
//! for one timeout at most. What a restarted agent finds serving counts as up instead.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use types::BackendAddr;

use crate::desired::{Check, CheckKind, Delta, Health, Service, ServiceKey};

/// First probes are spread over this, or over the interval if that is shorter.
const SPREAD: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A probe ended. A late one, of an attempt that is over, changes nothing.
    Probed {
        /// The service.
        service: ServiceKey,
        /// The backend.
        backend: BackendAddr,
        /// As in [`Action::Probe`].
        attempt: u64,
        /// Whether it succeeded.
        success: bool,
    },
    /// [`Checks::next_deadline`] is reached.
    DeadlineReached,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a probe and report [`Event::Probed`]; after `timeout` its result does not count.
    Probe {
        /// The service.
        service: ServiceKey,
        /// The backend.
        backend: BackendAddr,
        /// To be given back.
        attempt: u64,
        /// Where to connect to.
        target: SocketAddr,
        /// What to do there.
        kind: CheckKind,
        /// How long it may take.
        timeout: Duration,
    },
    /// Tell the planner.
    Verdict(ServiceKey, BackendAddr, Health),
    /// More than half of a service's backends fail at once: nothing is taken out.
    AlarmRaised(ServiceKey),
    /// They no longer do.
    AlarmCleared(ServiceKey),
}

/// Every check of every service.
#[derive(Debug, Default)]
pub struct Checks {
    services: BTreeMap<ServiceKey, Checked>,
    /// When something is due for whom.
    due: BTreeSet<(Duration, ServiceKey, BackendAddr)>,
    /// Attempts are numbered over all targets: one that was removed and came back has a new one.
    attempts: u64,
}

#[derive(Debug)]
struct Checked {
    check: Check,
    targets: BTreeMap<BackendAddr, Target>,
    alarmed: bool,
}

#[derive(Debug)]
struct Target {
    phase: Phase,
    standing: Standing,
    /// Results of one kind in a row.
    successes: u32,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting { until: Duration },
    Probing { attempt: u64, since: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Unknown,
    Known(Health),
}

impl Checks {
    /// Services changed. `random` spreads the first probes; `serves` says what was found serving.
    pub fn on_change(
        &mut self,
        now: Duration,
        delta: &Delta,
        random: u64,
        serves: impl Fn(&ServiceKey, &BackendAddr) -> bool,
    ) -> Vec<Action> {
        let mut out = Vec::new();
        for (key, service) in &delta.services {
            let checked = service
                .as_ref()
                .zip(service.as_ref().and_then(|service| service.check.as_ref()));
            match checked {
                Some((service, check)) => {
                    self.update(now, key, service, check, random, &serves);
                    self.weigh(key, &mut out);
                }
                None => self.remove(key, &mut out),
            }
        }
        out
    }

    /// Takes an event and gives what follows from it.
    pub fn on_event(&mut self, now: Duration, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Probed {
                service,
                backend,
                attempt,
                success,
            } => self.take_result(&service, &backend, attempt, success, &mut out),
            Event::DeadlineReached => {
                while let Some((at, _, _)) = self.due.first()
                    && *at <= now
                    && let Some((_, key, backend)) = self.due.pop_first()
                {
                    self.wake(now, &key, &backend, &mut out);
                }
            }
        }
        out
    }

    /// When to deliver [`Event::DeadlineReached`], if at all.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.due.first().map(|(at, _, _)| *at)
    }

    /// What is known of a backend, if it is checked and a probe has ended.
    #[must_use]
    pub fn health(&self, key: &ServiceKey, backend: &BackendAddr) -> Option<Health> {
        match self.services.get(key)?.targets.get(backend)?.standing {
            Standing::Known(health) => Some(health),
            Standing::Unknown => None,
        }
    }

    /// The services of which more than half of the backends fail.
    pub fn alarms(&self) -> impl Iterator<Item = &ServiceKey> {
        let services = self.services.iter();
        services.filter_map(|(key, checked)| checked.alarmed.then_some(key))
    }

    fn update(
        &mut self,
        now: Duration,
        key: &ServiceKey,
        service: &Service,
        check: &Check,
        random: u64,
        serves: &impl Fn(&ServiceKey, &BackendAddr) -> bool,
    ) {
        let checked = self.services.entry(key.clone()).or_insert_with(|| Checked {
            check: check.clone(),
            targets: BTreeMap::new(),
            alarmed: false,
        });
        // A new timeout or interval changes when everything is due.
        for (backend, target) in &checked.targets {
            self.due
                .remove(&(target.due(&checked.check), key.clone(), *backend));
        }
        checked.check = check.clone();
        checked
            .targets
            .retain(|backend, _| service.backends.contains_key(backend));
        for backend in service.backends.keys() {
            if checked.targets.contains_key(backend) {
                continue;
            }
            let standing = if serves(key, backend) {
                Standing::Known(Health::Up)
            } else {
                Standing::Unknown
            };
            let target = Target {
                phase: Phase::Waiting {
                    until: now + first_delay(random, backend, check),
                },
                standing,
                successes: 0,
                failures: 0,
            };
            checked.targets.insert(*backend, target);
        }
        for (backend, target) in &checked.targets {
            self.due.insert((target.due(check), key.clone(), *backend));
        }
    }

    fn remove(&mut self, key: &ServiceKey, out: &mut Vec<Action>) {
        let Some(checked) = self.services.remove(key) else {
            return;
        };
        for (backend, target) in &checked.targets {
            let at = target.due(&checked.check);
            self.due.remove(&(at, key.clone(), *backend));
        }
        if checked.alarmed {
            out.push(Action::AlarmCleared(key.clone()));
        }
    }

    /// A target's time has come: for its next probe, or for the end of the one under way.
    fn wake(
        &mut self,
        now: Duration,
        key: &ServiceKey,
        backend: &BackendAddr,
        out: &mut Vec<Action>,
    ) {
        let Some(checked) = self.services.get_mut(key) else {
            return;
        };
        let Some(target) = checked.targets.get_mut(backend) else {
            return;
        };
        match target.phase {
            Phase::Waiting { .. } => {
                self.attempts += 1;
                let attempt = self.attempts;
                target.phase = Phase::Probing {
                    attempt,
                    since: now,
                };
                let port = checked.check.port.unwrap_or(backend.port);
                out.push(Action::Probe {
                    service: key.clone(),
                    backend: *backend,
                    attempt,
                    target: SocketAddr::new(backend.addr, port),
                    kind: checked.check.kind.clone(),
                    timeout: checked.check.timeout,
                });
                let at = target.due(&checked.check);
                self.due.insert((at, key.clone(), *backend));
            }
            Phase::Probing { attempt, .. } => self.take_result(key, backend, attempt, false, out),
        }
    }

    fn take_result(
        &mut self,
        key: &ServiceKey,
        backend: &BackendAddr,
        attempt: u64,
        success: bool,
        out: &mut Vec<Action>,
    ) {
        let Some(checked) = self.services.get_mut(key) else {
            return;
        };
        let Some(target) = checked.targets.get_mut(backend) else {
            return;
        };
        let Phase::Probing { attempt: of, since } = target.phase else {
            return;
        };
        if of != attempt {
            return;
        }
        self.due
            .remove(&(target.due(&checked.check), key.clone(), *backend));
        let until = since + checked.check.interval.max(checked.check.timeout);
        target.phase = Phase::Waiting { until };
        self.due.insert((until, key.clone(), *backend));
        let verdict = target.count(&checked.check, success);
        if let Some(health) = verdict {
            out.push(Action::Verdict(key.clone(), *backend, health));
        }
        self.weigh(key, out);
    }

    /// Takes out what failed often enough, unless more than half of the service fails at once: then
    /// the fault is more likely on this side. A last single failure of each counts as failing, so
    /// the first to reach its threshold does not go before the others are seen to fail too.
    fn weigh(&mut self, key: &ServiceKey, out: &mut Vec<Action>) {
        let Some(checked) = self.services.get_mut(key) else {
            return;
        };
        let fall = u32::from(checked.check.fall.get());
        let all = checked.targets.len();
        let failing = |target: &&mut Target| {
            target.standing == Standing::Known(Health::Up) && target.failures > 0
        };
        let too_many = checked.targets.values_mut().filter(failing).count() * 2 > all;
        let mut held = false;
        for (backend, target) in &mut checked.targets {
            if target.standing == Standing::Known(Health::Up) && target.failures >= fall {
                if too_many {
                    held = true;
                } else {
                    target.standing = Standing::Known(Health::Down);
                    out.push(Action::Verdict(key.clone(), *backend, Health::Down));
                }
            }
        }
        if held != checked.alarmed {
            checked.alarmed = held;
            out.push(if held {
                Action::AlarmRaised(key.clone())
            } else {
                Action::AlarmCleared(key.clone())
            });
        }
    }
}

impl Target {
    fn due(&self, check: &Check) -> Duration {
        match self.phase {
            Phase::Waiting { until } => until,
            Phase::Probing { since, .. } => since + check.timeout,
        }
    }

    /// Counts a result. A verdict that takes an established backend out is not given here.
    fn count(&mut self, check: &Check, success: bool) -> Option<Health> {
        if success {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
        } else {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
        }
        let verdict = match (self.standing, success) {
            (Standing::Unknown, true) => Health::Up,
            (Standing::Unknown, false) => Health::Down,
            (Standing::Known(Health::Down), true)
                if self.successes >= u32::from(check.rise.get()) =>
            {
                Health::Up
            }
            // Not often enough; or what is known already; or for the service to weigh.
            (Standing::Known(Health::Down), true | false)
            | (Standing::Known(Health::Up), true | false) => return None,
        };
        self.standing = Standing::Known(verdict);
        Some(verdict)
    }
}

/// How long a backend waits for its first probe.
fn first_delay(random: u64, backend: &BackendAddr, check: &Check) -> Duration {
    let (place, _) = crate::hash::of_backend(random, backend);
    let window = SPREAD.min(check.interval).as_nanos();
    let delay = u128::from(place) * window / u128::from(u64::MAX);
    Duration::from_nanos(u64::try_from(delay).unwrap_or(0))
}

#[cfg(test)]
mod tests;
