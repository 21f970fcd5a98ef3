//! Decides when this operator holds the lease, and until when it may write.

use std::time::Duration;

use api::{Timestamp, Version};
use store::{LeaseRecord, WriteError};

use super::terms::Terms;

mod reign;
#[cfg(test)]
mod tests;

use reign::Reign;

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The answer to [`Action::Read`].
    Read(Result<Option<(LeaseRecord, Version)>, WriteError>),
    /// The answer to [`Action::Write`].
    Written(Result<Version, WriteError>),
    /// This operator is to end, and writes nothing more.
    Retired {
        /// Whether the outcome of everything it has written is known.
        certain: bool,
    },
    /// [`Election::next_deadline`] has passed.
    DeadlineReached,
}

/// What is to be done. Each request is answered by one event, and there is one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Read the lease.
    Read,
    /// Write the lease if it still is as it was at `seen`.
    Write {
        record: LeaseRecord,
        seen: Option<Version>,
    },
    /// This operator leads, and may start writes until then.
    Lead { until: Duration },
    /// It does not lead any more.
    Yield(Reason),
}

/// Why a term has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Another has it.
    Taken(String),
    /// Somebody has removed it.
    Removed,
    /// The last renewal is too long ago.
    NotRenewed,
    /// This operator ends.
    Retired,
}

/// Now, by two clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// What is decided by: never set, and counting while suspended.
    pub(crate) clock: Duration,
    /// What people read in the lease.
    pub(crate) wall: Timestamp,
}

/// One operator's part in the election.
#[derive(Debug)]
pub(crate) struct Election {
    identity: String,
    terms: Terms,
    jitter: Jitter,
    /// What an earlier term wrote last may still arrive until then; none once it is known that
    /// nothing can.
    rest_until: Option<Duration>,
    state: State,
}

#[derive(Debug)]
enum State {
    Standby {
        sight: Option<Sight>,
        step: Step,
    },
    Leading(Reign),
    /// The lease is being given back.
    Releasing,
    Ended,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Until then.
    Pausing(Duration),
    /// Since then.
    Reading(Duration),
    /// The lease was asked for. A retired operator gives it back.
    Taking { claim: Claim, retired: bool },
    /// A request of the ended term is under way; its answer says nothing.
    Forgetting,
}

/// What a request for the lease says.
#[derive(Clone, Copy, Debug)]
struct Claim {
    asked: Duration,
    acquired: Timestamp,
    transitions: u32,
}

/// The lease in another's hands, as seen from here.
#[derive(Clone, Debug)]
struct Sight {
    /// None if it was there once and is not any more.
    version: Option<Version>,
    /// When it was first seen like that.
    since: Duration,
    duration: Duration,
    holder: String,
}

/// Spreads operators that would otherwise act at the same time.
#[derive(Debug)]
struct Jitter(u64);

impl Election {
    /// A standby that looks at the lease at once. No other may have the same `identity`.
    pub(crate) fn new(identity: String, terms: Terms, seed: u64) -> Self {
        let state = State::Standby {
            sight: None,
            step: Step::Pausing(Duration::ZERO),
        };
        Self {
            identity,
            terms,
            jitter: Jitter(seed),
            rest_until: None,
            state,
        }
    }

    pub(crate) fn on_event(&mut self, now: Now, event: Event) -> Vec<Action> {
        // Whatever has happened, a term that is over comes first: the event may be late.
        let mut actions = self.expire(now.clock);
        self.state = match (std::mem::replace(&mut self.state, State::Ended), event) {
            (State::Standby { sight, step }, event) => {
                self.standby(now, sight, step, event, &mut actions)
            }
            (State::Leading(reign), event) => self.lead(now, reign, event, &mut actions),
            (State::Releasing, Event::Written(_)) => State::Ended,
            // Nothing else was asked for, and it ends already.
            (State::Releasing, Event::Read(_) | Event::Retired { .. } | Event::DeadlineReached) => {
                State::Releasing
            }
            // It has no part in the election any more.
            (
                State::Ended,
                Event::Read(_) | Event::Written(_) | Event::Retired { .. } | Event::DeadlineReached,
            ) => State::Ended,
        };
        actions
    }

    /// When to deliver [`Event::DeadlineReached`], if at all.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Standby {
                step: Step::Pausing(until),
                ..
            } => Some(*until),
            State::Leading(reign) => Some(reign.next_deadline(&self.terms)),
            State::Standby {
                step: Step::Reading(_) | Step::Taking { .. } | Step::Forgetting,
                ..
            }
            | State::Releasing
            | State::Ended => None,
        }
    }

    /// Who holds the lease, as far as it is known.
    pub(crate) fn holder(&self) -> Option<&str> {
        match &self.state {
            State::Standby { sight, .. } => {
                let sight = sight.as_ref().filter(|sight| sight.version.is_some())?;
                Some(&sight.holder)
            }
            State::Leading(_) => Some(&self.identity),
            State::Releasing | State::Ended => None,
        }
    }

    /// Of everything that this operator wrote in its terms it is known whether it was done.
    pub(crate) fn absolve(&mut self) {
        self.rest_until = None;
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    fn standby(
        &mut self,
        now: Now,
        sight: Option<Sight>,
        step: Step,
        event: Event,
        actions: &mut Vec<Action>,
    ) -> State {
        match (step, event) {
            (Step::Pausing(until), Event::DeadlineReached) if until <= now.clock => {
                let sight = self.doubt(now, until, sight);
                read_again(now, sight, actions)
            }
            (Step::Reading(asked), Event::Read(Ok(found))) => {
                let sight = self.doubt(now, asked, sight);
                match found {
                    Some((record, version)) => self.look(now, sight, &record, version, actions),
                    None => self.miss(now, sight, actions),
                }
            }
            (Step::Reading(_), Event::Read(Err(_)))
            | (Step::Taking { retired: false, .. }, Event::Written(Err(_))) => {
                let sight = self.restart(now, sight);
                let step = Step::Pausing(self.next_look(now));
                State::Standby { sight, step }
            }
            (Step::Taking { claim, retired }, Event::Written(Ok(version))) => {
                self.accede(now, claim, version, retired, actions)
            }
            (Step::Taking { claim, .. }, Event::Retired { .. }) => {
                let retired = true;
                let step = Step::Taking { claim, retired };
                State::Standby { sight, step }
            }
            (Step::Taking { retired: true, .. }, Event::Written(Err(_)))
            | (Step::Pausing(_) | Step::Reading(_) | Step::Forgetting, Event::Retired { .. }) => {
                State::Ended
            }
            (Step::Forgetting, Event::Read(_) | Event::Written(_)) => {
                read_again(now, sight, actions)
            }
            // None was set, or it is not due.
            (step, Event::DeadlineReached) => State::Standby { sight, step },
            // Nothing of the kind was asked for.
            (step @ (Step::Pausing(_) | Step::Taking { .. }), Event::Read(_))
            | (step @ (Step::Pausing(_) | Step::Reading(_)), Event::Written(_)) => {
                State::Standby { sight, step }
            }
        }
    }

    /// An answer that took long says that others' requests did, too; and who was frozen itself does
    /// not know what happened meanwhile.
    fn doubt(&mut self, now: Now, due: Duration, sight: Option<Sight>) -> Option<Sight> {
        if now.clock - due > self.terms.margin() {
            self.restart(now, sight)
        } else {
            sight
        }
    }

    /// Where the lease is kept there was something wrong. What a leader sent before that may be done
    /// only now, so the time that the lease was not renewed for begins anew.
    fn restart(&mut self, now: Now, sight: Option<Sight>) -> Option<Sight> {
        let lease = self.terms.lease();
        self.rest_until = self.rest_until.map(|_| now.clock + lease);
        let since = now.clock;
        sight.map(|sight| Sight { since, ..sight })
    }

    /// A standby sees the lease.
    fn look(
        &mut self,
        now: Now,
        sight: Option<Sight>,
        record: &LeaseRecord,
        version: Version,
        actions: &mut Vec<Action>,
    ) -> State {
        let known = sight.filter(|sight| sight.version.as_ref() == Some(&version));
        let sight = known.unwrap_or_else(|| Sight {
            version: Some(version.clone()),
            since: now.clock,
            duration: record.duration,
            holder: record.holder.clone(),
        });
        let is_own = record.holder == self.identity;
        let is_free = is_own || record.holder.is_empty();
        let from = if is_free { Duration::ZERO } else { sight.end() };
        let from = from.max(self.rest_until.unwrap_or_default());
        if now.clock < from {
            return self.wait(now, sight, from);
        }
        let changed = u32::from(!is_own);
        let claim = Claim {
            asked: now.clock,
            acquired: if is_own { record.acquired } else { now.wall },
            transitions: record.transitions.saturating_add(changed),
        };
        self.take(now, Some(sight), claim, Some(version), actions)
    }

    /// A standby sees no lease. One that was there may have been removed under its holder.
    fn miss(&mut self, now: Now, sight: Option<Sight>, actions: &mut Vec<Action>) -> State {
        let lost = sight.map(|sight| match sight.version {
            Some(_) => Sight {
                version: None,
                since: now.clock,
                ..sight
            },
            None => sight,
        });
        let from = lost.as_ref().map_or(Duration::ZERO, Sight::end);
        let from = from.max(self.rest_until.unwrap_or_default());
        match lost {
            Some(sight) if now.clock < from => self.wait(now, sight, from),
            Some(_) | None => {
                let claim = Claim {
                    asked: now.clock,
                    acquired: now.wall,
                    transitions: 0,
                };
                self.take(now, None, claim, None, actions)
            }
        }
    }

    fn take(
        &self,
        now: Now,
        sight: Option<Sight>,
        claim: Claim,
        seen: Option<Version>,
        actions: &mut Vec<Action>,
    ) -> State {
        let record = self.record(now, claim.acquired, claim.transitions);
        actions.push(Action::Write { record, seen });
        let retired = false;
        State::Standby {
            sight,
            step: Step::Taking { claim, retired },
        }
    }

    /// The lease may be taken at `from`, which comes before the next look if that is later.
    fn wait(&mut self, now: Now, sight: Sight, from: Duration) -> State {
        let free = from + self.jitter.up_to(self.terms.retry() / 4);
        let until = self.next_look(now).min(free);
        State::Standby {
            sight: Some(sight),
            step: Step::Pausing(until),
        }
    }

    fn next_look(&mut self, now: Now) -> Duration {
        let retry = self.terms.retry();
        now.clock + retry + self.jitter.up_to(retry / 4)
    }

    fn record(&self, now: Now, acquired: Timestamp, transitions: u32) -> LeaseRecord {
        LeaseRecord {
            holder: self.identity.clone(),
            duration: self.terms.lease(),
            acquired,
            renewed: now.wall,
            transitions,
        }
    }
}

fn read_again(now: Now, sight: Option<Sight>, actions: &mut Vec<Action>) -> State {
    actions.push(Action::Read);
    let step = Step::Reading(now.clock);
    State::Standby { sight, step }
}

impl Sight {
    /// When nobody can hold the lease any more.
    fn end(&self) -> Duration {
        self.since + self.duration
    }
}

impl Jitter {
    /// From nothing to `most`; the numbers are those of SplitMix64.
    fn up_to(&mut self, most: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let share = u32::try_from(mixed >> 48).unwrap_or(0);
        most * share / 0x1_0000
    }
}
