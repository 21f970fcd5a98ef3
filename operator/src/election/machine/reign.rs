//! A term of office: from the lease that was granted to its end.

use std::time::Duration;

use api::{Timestamp, Version};
use store::{LeaseRecord, WriteError};

use super::{Action, Claim, Election, Event, Now, Reason, Sight, State, Step, Terms, read_again};

/// A term of office.
#[derive(Debug)]
pub(super) struct Reign {
    version: Version,
    /// When the last renewal that was granted had been asked for.
    confirmed: Duration,
    acquired: Timestamp,
    transitions: u32,
    duty: Duty,
    retired: Option<Retired>,
}

#[derive(Clone, Copy, Debug)]
enum Duty {
    /// Until then.
    Pausing(Duration),
    /// Since then.
    Renewing(Duration),
    /// Somebody has written the lease: who?
    Reading,
}

/// The operator ends.
#[derive(Clone, Copy, Debug)]
struct Retired {
    /// The outcome of everything it wrote is known, so another may begin at once.
    certain: bool,
}

impl Reign {
    pub(super) fn next_deadline(&self, terms: &Terms) -> Duration {
        let end = self.end(terms);
        match self.duty {
            Duty::Pausing(until) => until.min(end),
            Duty::Renewing(_) | Duty::Reading => end,
        }
    }

    /// When the last write may start.
    fn end(&self, terms: &Terms) -> Duration {
        self.confirmed + terms.renew()
    }
}

impl Election {
    /// Ends a term whose last renewal is too long ago.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<Action> {
        let State::Leading(reign) = &self.state else {
            return Vec::new();
        };
        if now < reign.end(&self.terms) {
            return Vec::new();
        }
        let step = match reign.duty {
            Duty::Pausing(_) => Step::Pausing(now),
            Duty::Renewing(_) | Duty::Reading => Step::Forgetting,
        };
        let state = match reign.retired {
            None => State::Standby { sight: None, step },
            Some(_) => State::Ended,
        };
        self.rest_until = Some(reign.confirmed + self.terms.lease());
        self.state = state;
        vec![Action::Yield(Reason::NotRenewed)]
    }

    /// The lease was granted.
    pub(super) fn accede(
        &mut self,
        now: Now,
        claim: Claim,
        version: Version,
        retired: bool,
        actions: &mut Vec<Action>,
    ) -> State {
        let reign = Reign {
            version,
            confirmed: claim.asked,
            acquired: claim.acquired,
            transitions: claim.transitions,
            duty: Duty::Pausing(claim.asked + self.terms.retry()),
            // It has written nothing.
            retired: retired.then_some(Retired { certain: true }),
        };
        if reign.retired.is_none() && now.clock < reign.end(&self.terms) {
            let until = reign.end(&self.terms);
            actions.push(Action::Lead { until });
            return State::Leading(reign);
        }
        if reign.retired.is_none() {
            // The answer was under way for too long. The lease shows this operator as its holder.
            return read_again(now, None, actions);
        }
        self.release(now, &reign, actions)
    }

    pub(super) fn lead(
        &mut self,
        now: Now,
        reign: Reign,
        event: Event,
        actions: &mut Vec<Action>,
    ) -> State {
        match (reign.duty, event) {
            (Duty::Pausing(until), Event::DeadlineReached) if until <= now.clock => {
                self.renew(now, reign, actions)
            }
            (Duty::Renewing(asked), Event::Written(Ok(version))) => {
                let reign = Reign {
                    version,
                    confirmed: asked,
                    ..reign
                };
                self.confirm(now, reign, asked, actions)
            }
            (Duty::Renewing(_), Event::Written(Err(WriteError::Conflict | WriteError::Gone))) => {
                actions.push(Action::Read);
                let duty = Duty::Reading;
                State::Leading(Reign { duty, ..reign })
            }
            (
                Duty::Renewing(_),
                Event::Written(Err(WriteError::Forbidden(_) | WriteError::Unavailable(_))),
            )
            | (Duty::Reading, Event::Read(Err(_))) => self.rest(now, reign, actions),
            (Duty::Reading, Event::Read(Ok(found))) => self.check(now, &reign, found, actions),
            (Duty::Pausing(_), Event::Retired { certain }) => {
                let retired = Some(Retired { certain });
                self.settle(now, Reign { retired, ..reign }, actions)
            }
            // Looked at when the request has ended.
            (Duty::Renewing(_) | Duty::Reading, Event::Retired { certain }) => {
                let retired = Some(Retired { certain });
                State::Leading(Reign { retired, ..reign })
            }
            // It is not due; the end of the term was looked at before.
            (_, Event::DeadlineReached) => State::Leading(reign),
            // Nothing of the kind was asked for.
            (Duty::Pausing(_) | Duty::Renewing(_), Event::Read(_))
            | (Duty::Pausing(_) | Duty::Reading, Event::Written(_)) => State::Leading(reign),
        }
    }

    fn renew(&self, now: Now, reign: Reign, actions: &mut Vec<Action>) -> State {
        actions.push(Action::Write {
            record: self.record(now, reign.acquired, reign.transitions),
            seen: Some(reign.version.clone()),
        });
        let duty = Duty::Renewing(now.clock);
        State::Leading(Reign { duty, ..reign })
    }

    /// The renewal that was asked for then was granted.
    fn confirm(
        &mut self,
        now: Now,
        reign: Reign,
        asked: Duration,
        actions: &mut Vec<Action>,
    ) -> State {
        let until = reign.end(&self.terms);
        actions.push(Action::Lead { until });
        let duty = Duty::Pausing(asked + self.terms.retry());
        self.settle(now, Reign { duty, ..reign }, actions)
    }

    /// Tries again soon: a term has time for several attempts.
    fn rest(&mut self, now: Now, reign: Reign, actions: &mut Vec<Action>) -> State {
        let pause = self.terms.retry() / 2;
        let duty = Duty::Pausing(now.clock + pause + self.jitter.up_to(pause / 4));
        self.settle(now, Reign { duty, ..reign }, actions)
    }

    /// Somebody has written the lease since. It was this operator if an answer had been lost.
    fn check(
        &mut self,
        now: Now,
        reign: &Reign,
        found: Option<(LeaseRecord, Version)>,
        actions: &mut Vec<Action>,
    ) -> State {
        match found {
            Some((record, version)) if record.holder == self.identity => {
                self.renew(now, Reign { version, ..*reign }, actions)
            }
            Some((record, version)) => {
                actions.push(Action::Yield(Reason::Taken(record.holder.clone())));
                let sight = Sight {
                    version: Some(version),
                    since: now.clock,
                    duration: record.duration,
                    holder: record.holder,
                };
                self.dethrone(now, reign, Some(sight))
            }
            None => {
                actions.push(Action::Yield(Reason::Removed));
                self.dethrone(now, reign, None)
            }
        }
    }

    fn dethrone(&mut self, now: Now, reign: &Reign, sight: Option<Sight>) -> State {
        let step = Step::Pausing(self.next_look(now));
        self.rest_until = Some(reign.confirmed + self.terms.lease());
        match reign.retired {
            None => State::Standby { sight, step },
            Some(_) => State::Ended,
        }
    }

    /// Goes on, or ends if it is to. No request is under way.
    fn settle(&mut self, now: Now, reign: Reign, actions: &mut Vec<Action>) -> State {
        match reign.retired {
            None => State::Leading(reign),
            Some(Retired { certain }) => {
                actions.push(Action::Yield(Reason::Retired));
                if certain {
                    self.release(now, &reign, actions)
                } else {
                    // What it wrote last may still arrive: nobody begins before the lease has run out.
                    State::Ended
                }
            }
        }
    }

    fn release(&self, now: Now, reign: &Reign, actions: &mut Vec<Action>) -> State {
        let record = LeaseRecord {
            holder: String::new(),
            ..self.record(now, reign.acquired, reign.transitions)
        };
        let seen = Some(reign.version.clone());
        actions.push(Action::Write { record, seen });
        State::Releasing
    }
}

#[cfg(test)]
impl Reign {
    pub(super) fn name(&self) -> &'static str {
        match self.duty {
            Duty::Pausing(_) => "leading",
            Duty::Renewing(_) => "renewing",
            Duty::Reading => "checking",
        }
    }

    pub(super) fn renew_at(&mut self, at: Duration) {
        self.duty = Duty::Pausing(at);
    }
}
