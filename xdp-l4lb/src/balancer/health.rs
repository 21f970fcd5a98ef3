//! Runs the checks: probes out, results in, verdicts to the planner.

use std::collections::BTreeMap;
use std::time::Duration;

use types::BackendAddr;
use xdp_l4lb_core::Planner;
use xdp_l4lb_core::desired::{Delta, ServiceKey};
use xdp_l4lb_core::health::{Action, Checks, Event};

use crate::probes::{Probe, ProbeError, ProbeResult, Prober, Sources};

/// Which probe a result is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    service: ServiceKey,
    backend: BackendAddr,
    number: u64,
}

/// The checks of all services, and the probes under way.
pub(super) struct Health {
    checks: Checks,
    prober: Prober<Attempt>,
    /// Spreads first probes, differently on every node.
    random: u64,
    failing: BTreeMap<(ServiceKey, BackendAddr), ProbeError>,
}

impl Health {
    pub(super) fn new(sources: Sources, random: u64) -> Self {
        Self {
            checks: Checks::default(),
            prober: Prober::new(sources),
            random,
            failing: BTreeMap::new(),
        }
    }

    /// Services changed; the planner has been told before.
    pub(super) fn on_change(&mut self, now: Duration, delta: &Delta, planner: &mut Planner) {
        self.failing
            .retain(|(key, backend), _| match delta.services.get(key) {
                Some(service) => service
                    .as_ref()
                    .is_some_and(|service| service.backends.contains_key(backend)),
                None => true,
            });
        let serves = |key: &ServiceKey, backend: &BackendAddr| planner.serves(key, backend);
        let actions = self.checks.on_change(now, delta, self.random, serves);
        self.perform(now, actions, planner);
    }

    /// A probe has ended.
    pub(super) fn on_result(
        &mut self,
        now: Duration,
        result: ProbeResult<Attempt>,
        planner: &mut Planner,
    ) {
        let Attempt {
            service,
            backend,
            number,
        } = result.id;
        let success = result.outcome.is_ok();
        let key = (service.clone(), backend);
        match result.outcome {
            Ok(()) => self.failing.remove(&key),
            Err(error) => self.failing.insert(key, error),
        };
        let event = Event::Probed {
            service,
            backend,
            attempt: number,
            success,
        };
        let actions = self.checks.on_event(now, event);
        self.perform(now, actions, planner);
    }

    /// Starts what is due.
    pub(super) fn work(&mut self, now: Duration, planner: &mut Planner) {
        if self.deadline().is_some_and(|at| at <= now) {
            let actions = self.checks.on_event(now, Event::DeadlineReached);
            self.perform(now, actions, planner);
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.checks.next_deadline()
    }

    /// The next result. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<ProbeResult<Attempt>> {
        self.prober.next().await
    }

    /// What the last probe of each backend that failed it met with.
    pub(super) const fn failing(&self) -> &BTreeMap<(ServiceKey, BackendAddr), ProbeError> {
        &self.failing
    }

    /// Services of which more than half of the backends fail, so that none is taken out.
    pub(super) fn alarms(&self) -> impl Iterator<Item = &ServiceKey> {
        self.checks.alarms()
    }

    fn perform(&mut self, now: Duration, actions: Vec<Action>, planner: &mut Planner) {
        for action in actions {
            match action {
                Action::Probe {
                    service,
                    backend,
                    attempt,
                    target,
                    kind,
                    timeout,
                } => self.prober.start(Probe {
                    id: Attempt {
                        service,
                        backend,
                        number: attempt,
                    },
                    to: target,
                    kind,
                    timeout,
                }),
                Action::Verdict(service, backend, health) => {
                    tracing::info!(%service, %backend, ?health, "backend checked");
                    planner.on_health(now, &service, &backend, health);
                }
                Action::AlarmRaised(service) => {
                    tracing::error!(%service, "more than half of the backends fail: kept as they are");
                }
                Action::AlarmCleared(service) => {
                    tracing::info!(%service, "less than half of the backends fail again");
                }
            }
        }
    }
}
