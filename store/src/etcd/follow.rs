//! Decides how etcd is followed: what to ask next, and after which pause.
//!
//! ```text
//!          list                     watch
//!   Lost ────────▶ Ready(place) ───────────▶ Watching(place)
//!     ▲                ▲  check                    │ the watch ends
//!     └────────────────┴──────── Resuming(place) ◀─┘
//! ```

use std::time::Duration;

/// The pause after a first failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A watch that lived as long as this was a good one.
const GOOD_WATCH: Duration = Duration::from_secs(10);

/// What to ask next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything, at one revision.
    List,
    /// Which etcd it is, and its revision.
    Check,
    /// What happens from this revision on.
    Watch { from: i64 },
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Everything was listed, at that revision.
    Listed(At),
    /// The check's answer.
    Checked(At),
    /// The watch has begun, at a member that was there by then.
    Began(At),
    /// The watch told of something that happened at that revision; more of the same may follow.
    Saw { revision: i64 },
    /// The watch has told everything up to that revision.
    Progressed { revision: i64 },
    /// What was asked for is not kept any more.
    Compacted,
    /// There was no answer, or the watch has ended.
    Failed,
}

/// A moment of one etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    /// Which etcd.
    pub(super) cluster: u64,
    /// Its revision then.
    pub(super) revision: i64,
}

/// Where in etcd's history we are.
#[derive(Debug, Default)]
pub(super) struct Follower {
    state: State,
    /// In a row.
    failures: u32,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Nothing is known that could be gone on from.
    #[default]
    Lost,
    /// The watch is to begin.
    Ready(Place),
    /// The watch runs.
    Watching { place: Place, since: Duration },
    /// The watch has ended: is etcd still the one that it was?
    Resuming(Place),
}

#[derive(Clone, Copy, Debug)]
struct Place {
    cluster: u64,
    /// The first revision that may have something new.
    next: i64,
}

impl Follower {
    pub(super) fn step(&self) -> Step {
        match self.state {
            State::Lost => Step::List,
            State::Ready(place) | State::Watching { place, .. } => Step::Watch { from: place.next },
            State::Resuming(_) => Step::Check,
        }
    }

    /// How long to wait before the next step. `random` is between zero and one: members of a fleet
    /// must not come back all at once.
    pub(super) fn pause(&self, random: f64) -> Option<Duration> {
        let doublings = self.failures.checked_sub(1)?.min(16);
        let pause = LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(doublings));
        Some(pause.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0))
    }

    pub(super) fn on_event(&mut self, now: Duration, event: Event) {
        self.count(now, event);
        self.state = match (self.state, event) {
            (State::Lost, Event::Listed(at)) => State::Ready(Place {
                cluster: at.cluster,
                next: at.revision.saturating_add(1),
            }),
            (State::Resuming(place), Event::Checked(at)) if place.may_go_on(at) => {
                State::Ready(place)
            }
            // Another etcd, or one that was put back to what it was.
            (State::Resuming(_), Event::Checked(_)) => State::Lost,
            (State::Ready(place), Event::Began(at)) if place.may_go_on(at) => {
                State::Watching { place, since: now }
            }
            // A member that is behind, or another etcd: it would wait for what never comes.
            (State::Ready(place), Event::Began(_)) => State::Resuming(place),
            // What follows may be of the same revision still, so that is asked for again.
            (State::Watching { place, since }, Event::Saw { revision }) => State::Watching {
                place: place.at_least(revision),
                since,
            },
            (State::Watching { place, since }, Event::Progressed { revision }) => State::Watching {
                place: place.at_least(revision.saturating_add(1)),
                since,
            },
            (_, Event::Compacted) | (State::Lost, Event::Failed) => State::Lost,
            (
                State::Ready(place) | State::Watching { place, .. } | State::Resuming(place),
                Event::Failed,
            ) => State::Resuming(place),
            // Answers to what was not asked.
            (
                state,
                Event::Listed(_)
                | Event::Checked(_)
                | Event::Began(_)
                | Event::Saw { .. }
                | Event::Progressed { .. },
            ) => state,
        };
    }

    /// A watch that only begins and ends again is no success.
    fn count(&mut self, now: Duration, event: Event) {
        match event {
            Event::Saw { .. } | Event::Progressed { .. } => self.failures = 0,
            Event::Failed | Event::Compacted => {
                if let State::Watching { since, .. } = self.state
                    && now.saturating_sub(since) >= GOOD_WATCH
                {
                    self.failures = 0;
                }
                self.failures = self.failures.saturating_add(1);
            }
            Event::Began(at) => {
                if let State::Ready(place) = self.state
                    && !place.may_go_on(at)
                {
                    self.failures = self.failures.saturating_add(1);
                }
            }
            // Lists and checks may go well with watches that do not.
            Event::Listed(_) | Event::Checked(_) => {}
        }
    }
}

impl Place {
    fn at_least(self, next: i64) -> Self {
        Self {
            next: self.next.max(next),
            ..self
        }
    }

    fn may_go_on(self, at: At) -> bool {
        at.cluster == self.cluster && at.revision.saturating_add(1) >= self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn it_lists_and_watches_from_the_next_revision() {
        let mut follower = Follower::default();
        assert_eq!(follower.step(), Step::List);

        follower.on_event(NOW, Event::Listed(at(1, 40)));

        assert_eq!(follower.step(), Step::Watch { from: 41 });
        assert_eq!(follower.pause(0.5), None);
    }

    #[test]
    fn a_watch_that_ends_is_checked_and_goes_on_where_it_was() {
        let mut follower = watching();
        follower.on_event(NOW, Event::Saw { revision: 45 });

        follower.on_event(NOW, Event::Failed);
        assert_eq!(follower.step(), Step::Check);
        follower.on_event(NOW, Event::Checked(at(1, 50)));

        // More of revision 45 may have been under way.
        assert_eq!(follower.step(), Step::Watch { from: 45 });
    }

    #[test]
    fn a_watch_that_told_nothing_goes_on_from_its_progress() {
        let mut follower = watching();
        follower.on_event(NOW, Event::Progressed { revision: 900 });
        follower.on_event(NOW, Event::Progressed { revision: 80 });

        follower.on_event(NOW, Event::Failed);
        follower.on_event(NOW, Event::Checked(at(1, 900)));

        assert_eq!(follower.step(), Step::Watch { from: 901 });
    }

    #[test]
    fn another_etcd_or_an_older_one_is_listed_anew() {
        for found in [at(2, 50), at(1, 39)] {
            let mut follower = watching();
            follower.on_event(NOW, Event::Failed);
            follower.on_event(NOW, Event::Checked(found));
            assert_eq!(follower.step(), Step::List, "{found:?}");
        }
    }

    #[test]
    fn a_watch_at_a_member_that_knows_less_is_not_trusted() {
        for found in [at(2, 50), at(1, 39)] {
            let mut follower = Follower::default();
            follower.on_event(NOW, Event::Listed(at(1, 40)));

            follower.on_event(NOW, Event::Began(found));

            assert_eq!(follower.step(), Step::Check, "{found:?}");
            assert!(follower.pause(0.0).is_some());
        }
    }

    #[test]
    fn what_is_compacted_is_listed_anew_from_anywhere() {
        for mut follower in [Follower::default(), watching(), resuming()] {
            follower.on_event(NOW, Event::Compacted);
            assert_eq!(follower.step(), Step::List);
            assert!(follower.pause(0.0).is_some());
        }
    }

    #[test]
    fn no_answer_changes_nothing_but_the_pause() {
        let mut lost = Follower::default();
        let mut resuming = resuming();

        lost.on_event(NOW, Event::Failed);
        resuming.on_event(NOW, Event::Failed);

        assert_eq!(lost.step(), Step::List);
        assert_eq!(resuming.step(), Step::Check);
    }

    #[test]
    fn answers_to_what_was_not_asked_change_nothing() {
        let strays = [
            Event::Listed(at(9, 9)),
            Event::Checked(at(9, 9)),
            Event::Saw { revision: 9 },
            Event::Progressed { revision: 9 },
            Event::Began(at(9, 9)),
        ];
        for (make, asked) in [(Follower::default as fn() -> Follower, 0), (resuming, 1)] {
            for (n, stray) in strays.into_iter().enumerate().filter(|(n, _)| *n != asked) {
                let mut follower = make();
                let before = follower.step();
                follower.on_event(NOW, stray);
                assert_eq!(follower.step(), before, "{n}");
            }
        }
    }

    #[test]
    fn pauses_grow_to_a_limit_and_differ_between_members() {
        let mut follower = resuming();
        for _ in 0..40 {
            follower.on_event(NOW, Event::Failed);
        }

        assert_eq!(follower.pause(1.0), Some(LONGEST_PAUSE));
        assert_eq!(follower.pause(0.0), Some(LONGEST_PAUSE / 2));
    }

    #[test]
    fn a_watch_that_keeps_ending_at_once_is_slowed_down_and_a_good_one_forgives() {
        let mut follower = watching();
        for _ in 0..5 {
            follower.on_event(NOW, Event::Failed);
            follower.on_event(NOW, Event::Checked(at(1, 41)));
            follower.on_event(NOW, Event::Began(at(1, 41)));
        }
        assert_eq!(follower.pause(1.0), Some(FIRST_PAUSE * 16));

        follower.on_event(NOW + GOOD_WATCH, Event::Failed);
        assert_eq!(follower.pause(1.0), Some(FIRST_PAUSE));
    }

    fn watching() -> Follower {
        let mut follower = Follower::default();
        follower.on_event(NOW, Event::Listed(at(1, 40)));
        follower.on_event(NOW, Event::Began(at(1, 40)));
        follower
    }

    fn resuming() -> Follower {
        let mut follower = watching();
        follower.on_event(NOW, Event::Failed);
        follower
    }

    fn at(cluster: u64, revision: i64) -> At {
        At { cluster, revision }
    }
}
