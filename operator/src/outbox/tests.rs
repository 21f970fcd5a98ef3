use std::collections::BTreeMap;

use api::{Ingress, Statement, Truth};
use proptest::prelude::*;
use types::ObjectName;

use super::*;
use crate::wish::IngressWish;

const T0: Duration = Duration::ZERO;

/// Writes under way at a time.
const MOST: usize = 128;

#[test]
fn nothing_is_written_where_the_status_says_it_already() {
    let mut outbox = Outbox::new(MOST);

    outbox.on_event(T0, wished(true));
    assert_eq!(outbox.writes(), []);
    outbox.on_event(T0, shown(1, Some(true)));

    assert_eq!(outbox.writes(), []);
    assert_eq!(outbox.next_deadline(), None);
}

#[test]
fn a_new_generation_alone_is_not_written() {
    let mut outbox = Outbox::new(MOST);
    let mut seen = seen(1, Some(true));
    for condition in seen.conditions.values_mut() {
        condition.observed_generation = Some(7);
    }

    outbox.on_event(T0, Event::Shown(key(), Some(seen)));
    outbox.on_event(T0, wished(true));

    assert_eq!(outbox.writes(), []);
}

#[test]
fn a_difference_is_written_once_however_often_the_old_state_is_shown() {
    let mut outbox = Outbox::new(MOST);
    outbox.on_event(T0, shown(1, None));
    outbox.on_event(T0, wished(true));
    let ticket = the_write(&mut outbox, 1, true);

    outbox.on_event(T0, shown(1, None));
    assert_eq!(outbox.writes(), []);
    outbox.on_event(T0, Event::Ended(ticket, Ok(())));
    outbox.on_event(T0, shown(1, None));
    assert_eq!(outbox.writes(), []);
    outbox.on_event(T0, shown(2, Some(true)));

    assert_eq!(outbox.writes(), []);
    assert_eq!(outbox.next_deadline(), None);
}

#[test]
fn what_another_writer_changed_is_put_right() {
    let mut outbox = settled();

    outbox.on_event(T0, shown(3, Some(false)));

    the_write(&mut outbox, 3, true);
}

#[test]
fn a_wish_that_changes_during_a_write_follows_it() {
    let mut outbox = Outbox::new(MOST);
    outbox.on_event(T0, shown(1, None));
    outbox.on_event(T0, wished(true));
    let ticket = the_write(&mut outbox, 1, true);

    outbox.on_event(T0, wished(false));
    outbox.on_event(T0, Event::Ended(ticket, Ok(())));
    assert_eq!(outbox.writes(), []);
    outbox.on_event(T0, shown(2, Some(true)));

    the_write(&mut outbox, 2, false);
}

#[test]
fn a_failure_is_tried_again_after_250_ms_and_then_ever_later_up_to_5_minutes() {
    let mut outbox = Outbox::new(MOST);
    outbox.on_event(T0, shown(1, None));
    outbox.on_event(T0, wished(true));
    let mut now = T0;
    let mut pauses = Vec::new();

    for _ in 0..13 {
        let ticket = the_write(&mut outbox, 1, true);
        let away = WriteError::Unavailable("away".into());
        outbox.on_event(now, Event::Ended(ticket, Err(away)));
        // Neither a wish nor a new version ends a pause: neither of them mends the store.
        outbox.on_event(now, wished(true));
        outbox.on_event(now, shown(1, None));
        assert_eq!(outbox.writes(), []);
        let due = outbox.next_deadline().unwrap();
        outbox.on_event(due - Duration::from_millis(1), Event::DeadlineReached);
        assert_eq!(outbox.writes(), []);
        pauses.push((due - now).as_millis());
        now = due;
        outbox.on_event(now, Event::DeadlineReached);
    }

    assert_eq!(
        pauses,
        [
            250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000,
            300_000
        ]
    );
    let ticket = the_write(&mut outbox, 1, true);
    assert_eq!(outbox.faults().count(), 1);
    outbox.on_event(now, Event::Ended(ticket, Ok(())));
    assert_eq!(outbox.faults().count(), 0);
}

#[test]
fn a_conflict_is_tried_again_as_soon_as_the_newer_object_is_seen() {
    let mut outbox = Outbox::new(MOST);
    outbox.on_event(T0, shown(1, None));
    outbox.on_event(T0, wished(true));

    // Seen after the write failed.
    let ticket = the_write(&mut outbox, 1, true);
    outbox.on_event(T0, Event::Ended(ticket, Err(WriteError::Conflict)));
    assert_eq!(outbox.writes(), []);
    outbox.on_event(T0, shown(2, None));
    // Seen before.
    let ticket = the_write(&mut outbox, 2, true);
    outbox.on_event(T0, shown(3, None));
    outbox.on_event(T0, Event::Ended(ticket, Err(WriteError::Conflict)));

    the_write(&mut outbox, 3, true);
    assert_eq!(outbox.next_deadline(), None);
}

#[test]
fn an_object_that_comes_back_starts_anew() {
    let mut outbox = Outbox::new(MOST);
    outbox.on_event(T0, shown(1, None));
    outbox.on_event(T0, wished(true));
    let old = the_write(&mut outbox, 1, true);

    outbox.on_event(T0, Event::Shown(key(), None));
    outbox.on_event(T0, shown(7, None));
    assert_eq!(
        outbox.writes(),
        [],
        "the wish was for the object that is gone"
    );
    outbox.on_event(T0, wished(true));
    let new = the_write(&mut outbox, 7, true);
    outbox.on_event(T0, Event::Ended(old, Err(WriteError::Gone)));

    assert_eq!(outbox.faults().count(), 0);
    outbox.on_event(T0, Event::Ended(new, Ok(())));
    assert_eq!(outbox.writes(), []);
}

#[test]
fn a_wish_for_once_ends_when_it_is_so() {
    let mut outbox = settled();
    let without = Wish {
        ingress: Some(IngressWish::Without([addr(1)].into())),
        conditions: [(CONDITION.into(), None)].into(),
    };

    outbox.on_event(
        T0,
        Event::Wished {
            author: Author::Allocator,
            key: key(),
            wish: without,
            once: true,
        },
    );
    let mut writes = outbox.writes();
    let write = writes.pop().unwrap();
    assert_eq!(write.patch.conditions[CONDITION], None);
    assert_eq!(write.patch.ingress, None);
    outbox.on_event(T0, Event::Ended(write.ticket, Ok(())));
    outbox.on_event(T0, shown(3, None));
    assert_eq!(outbox.writes(), []);

    outbox.on_event(T0, shown(4, Some(true)));
    assert_eq!(outbox.writes(), [], "it is another's business now");
}

#[test]
fn a_released_object_is_written_a_last_time_and_then_left_alone() {
    let mut outbox = Outbox::new(MOST);
    outbox.on_event(T0, shown(1, None));
    outbox.on_event(T0, wished(true));

    outbox.on_event(T0, Event::Released(Author::Allocator, Kind::Service));
    let ticket = the_write(&mut outbox, 1, true);
    outbox.on_event(T0, Event::Ended(ticket, Ok(())));
    outbox.on_event(T0, shown(2, Some(true)));
    assert_eq!(outbox.writes(), []);
    outbox.on_event(T0, shown(3, None));

    assert_eq!(outbox.writes(), []);
}

#[test]
fn two_authors_of_one_object_share_a_write() {
    let mut outbox = Outbox::new(MOST);
    outbox.on_event(T0, shown(1, None));
    outbox.on_event(T0, wished(true));
    let other = Statement::new(Truth::False, "Other", "");

    outbox.on_event(
        T0,
        Event::Wished {
            author: Author::Desired,
            key: key(),
            wish: Wish::about([("other".to_owned(), Some(other))].into()),
            once: false,
        },
    );

    let writes = outbox.writes();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].patch.conditions.len(), 2);
}

#[test]
fn no_more_writes_are_under_way_than_a_source_is_asked_to_bear() {
    let mut outbox = Outbox::new(MOST);
    for n in 0..300 {
        let key = Key::new(Kind::Service, ObjectName::new("shop", &n.to_string()));
        let seen = seen(1, None);
        outbox.on_event(T0, Event::Shown(key.clone(), Some(seen)));
        outbox.on_event(
            T0,
            Event::Wished {
                author: Author::Allocator,
                key,
                wish: wish(true),
                once: false,
            },
        );
    }

    let writes = outbox.writes();
    assert_eq!(writes.len(), MOST);
    assert_eq!(outbox.writes(), []);
    for write in writes.into_iter().take(3) {
        outbox.on_event(T0, Event::Ended(write.ticket, Ok(())));
    }

    assert_eq!(outbox.writes().len(), 3);
}

#[test]
fn every_state_takes_every_turn() {
    let on = || Version::new("1");
    let waiting = |millis, outdated: Option<Version>| State::Waiting {
        until: Duration::from_millis(millis),
        outdated,
    };
    let idle = || State::Idle;
    let writing = || State::Writing {
        number: 1,
        on: on(),
    };
    let for_newer = || waiting(9, Some(on()));
    let paused = || waiting(9, None);
    // What the source shows, the state, and the next state for each turn of `turns`.
    let table = [
        (
            "1",
            idle(),
            [idle(), idle(), idle(), idle(), idle(), idle()],
        ),
        (
            "2",
            idle(),
            [idle(), idle(), idle(), idle(), idle(), idle()],
        ),
        (
            "1",
            writing(),
            [
                writing(),
                writing(),
                waiting(60_000, Some(on())),
                waiting(250, Some(on())),
                waiting(250, None),
                writing(),
            ],
        ),
        (
            "2",
            writing(),
            [
                writing(),
                writing(),
                idle(),
                idle(),
                waiting(250, None),
                writing(),
            ],
        ),
        (
            "1",
            for_newer(),
            [
                for_newer(),
                for_newer(),
                for_newer(),
                for_newer(),
                for_newer(),
                idle(),
            ],
        ),
        (
            "2",
            for_newer(),
            [
                idle(),
                for_newer(),
                for_newer(),
                for_newer(),
                for_newer(),
                idle(),
            ],
        ),
        (
            "1",
            paused(),
            [paused(), paused(), paused(), paused(), paused(), idle()],
        ),
        (
            "2",
            paused(),
            [paused(), paused(), paused(), paused(), paused(), idle()],
        ),
    ];
    for (version, state, nexts) in table {
        let turns = [
            Turn::Shown,
            Turn::Wished,
            Turn::Written { on: on() },
            Turn::Failed {
                on: on(),
                error: WriteError::Conflict,
            },
            Turn::Failed {
                on: on(),
                error: WriteError::Forbidden("no".into()),
            },
            Turn::Due,
        ];
        for (place, (turn, next)) in turns.into_iter().zip(nexts).enumerate() {
            let mut cell = Cell {
                seen: Some(Seen {
                    version: Version::new(version),
                    ..seen(1, None)
                }),
                state: state.clone(),
                failures: 1,
                ..Cell::default()
            };

            assert_eq!(
                cell.next_state(T0, turn),
                next,
                "{state:?} seeing {version}, turn {place}"
            );
        }
    }
}

proptest! {
    /// A store with one object, which lags, fails and is written to by others.
    #[test]
    fn whatever_happens_the_status_ends_as_wished(steps in prop::collection::vec(step(), 0..60)) {
        let mut outbox = Outbox::new(MOST);
        let mut store = Store { version: 1, says: None };
        let mut now = T0;
        let mut wishes = None;
        let mut under_way: Option<Write> = None;
        outbox.on_event(now, shown(1, None));

        for step in steps {
            now += Duration::from_millis(100);
            match step {
                Step::Wish(says) => {
                    wishes = Some(says);
                    outbox.on_event(now, wished(says));
                }
                Step::Show => outbox.on_event(now, shown(store.version, store.says)),
                Step::Interfere(says) => store.set(says),
                Step::End(fails) => if let Some(write) = under_way.take() {
                    let result = store.write(&write, fails);
                    outbox.on_event(now, Event::Ended(write.ticket, result));
                }
                Step::Tick => outbox.on_event(now, Event::DeadlineReached),
            }
            for write in outbox.writes() {
                prop_assert!(under_way.replace(write).is_none(), "two writes at a time");
            }
        }

        // The store is well again, and shows what it has.
        for _ in 0..4 {
            if let Some(write) = under_way.take() {
                let result = store.write(&write, false);
                outbox.on_event(now, Event::Ended(write.ticket, result));
            }
            outbox.on_event(now, shown(store.version, store.says));
            now += pause::after(u32::MAX);
            outbox.on_event(now, Event::DeadlineReached);
            under_way = outbox.writes().pop();
        }
        prop_assert_eq!(&under_way, &None);
        prop_assert_eq!(outbox.next_deadline(), None);
        if wishes.is_some() {
            prop_assert_eq!(store.says, wishes);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wish(bool),
    Show,
    Interfere(Option<bool>),
    End(bool),
    Tick,
}

struct Store {
    version: u32,
    says: Option<bool>,
}

impl Store {
    fn set(&mut self, says: Option<bool>) {
        self.version += 1;
        self.says = says;
    }

    fn write(&mut self, write: &Write, fails: bool) -> Result<(), WriteError> {
        if fails {
            return Err(WriteError::Unavailable("away".into()));
        }
        if write.seen.as_str() != self.version.to_string() {
            return Err(WriteError::Conflict);
        }
        let statement = write.patch.conditions[CONDITION].as_ref().unwrap();
        self.set(Some(statement.status == Truth::True));
        Ok(())
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<bool>().prop_map(Step::Wish),
        Just(Step::Show),
        any::<Option<bool>>().prop_map(Step::Interfere),
        any::<bool>().prop_map(Step::End),
        Just(Step::Tick),
    ]
}

const CONDITION: &str = "cilium.io/IPAMRequestSatisfied";

fn key() -> Key {
    Key::new(Kind::Service, ObjectName::new("shop", "web"))
}

fn addr(last: u8) -> std::net::IpAddr {
    [192, 0, 2, last].into()
}

fn statement(says: bool) -> Statement {
    Statement::new(if says { Truth::True } else { Truth::False }, "reason", "")
}

fn wish(says: bool) -> Wish {
    Wish::about([(CONDITION.to_owned(), Some(statement(says)))].into())
}

fn wished(says: bool) -> Event {
    Event::Wished {
        author: Author::Allocator,
        key: key(),
        wish: wish(says),
        once: false,
    }
}

fn seen(version: u32, says: Option<bool>) -> Seen {
    let conditions: BTreeMap<String, Statement> = says
        .map(|says| (CONDITION.to_owned(), statement(says)))
        .into_iter()
        .collect();
    Seen {
        version: Version::new(version.to_string()),
        ingress: vec![Ingress::Ip(addr(9))],
        conditions,
    }
}

fn shown(version: u32, says: Option<bool>) -> Event {
    Event::Shown(key(), Some(seen(version, says)))
}

/// An outbox whose only wish is granted.
fn settled() -> Outbox {
    let mut outbox = Outbox::new(MOST);
    outbox.on_event(T0, wished(true));
    outbox.on_event(T0, shown(2, Some(true)));
    assert_eq!(outbox.writes(), []);
    outbox
}

/// The only write that is to be made, which says `says` on what `version` showed.
fn the_write(outbox: &mut Outbox, version: u32, says: bool) -> Ticket {
    let writes = outbox.writes();
    assert_eq!(writes.len(), 1);
    let write = writes.into_iter().next().unwrap();
    assert_eq!(write.seen.as_str(), version.to_string());
    assert_eq!(write.patch.conditions[CONDITION], Some(statement(says)));
    write.ticket
}
