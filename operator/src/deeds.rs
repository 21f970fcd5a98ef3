//! Decides which whole object to write or delete, and when to try again.
//!
//! ```text
//!   wished ---> Ready ---> Doing ---> done, and forgotten
//!                 ^          |
//!                 |          | failed, or wished otherwise meanwhile
//!                 +-- Waiting
//! ```
//!
//! Whoever wishes sees the objects too, and wishes again when one is not as it was wished.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::Key;
use serde_json::Value;
use store::WriteError;

use crate::pause;

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// An object is to be as the manifest says, or not to be.
    Wished(Key, Option<Value>),
    /// A deed ended.
    Ended(Ticket, Result<(), WriteError>),
    /// [`Deeds::next_deadline`] has passed.
    DeadlineReached,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Deed {
    pub(crate) ticket: Ticket,
    /// The manifest to apply; none if the object is to be deleted.
    pub(crate) manifest: Option<Value>,
}

/// Which deed, of which object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) key: Key,
    number: u64,
}

/// The objects that are not yet as they should be.
#[derive(Debug)]
pub(crate) struct Deeds {
    cells: BTreeMap<Key, Cell>,
    ready: BTreeSet<Key>,
    deadlines: BTreeSet<(Duration, Key)>,
    most: usize,
    under_way: usize,
    tickets: u64,
}

#[derive(Debug)]
struct Cell {
    manifest: Option<Value>,
    state: State,
    /// In a row.
    failures: u32,
    fault: Option<WriteError>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Ready,
    /// `outdated` if something else was wished since it began.
    Doing {
        number: u64,
        outdated: bool,
    },
    /// Until its deadline.
    Waiting,
}

impl Deeds {
    /// At most that many are done at a time.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            cells: BTreeMap::new(),
            ready: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            most,
            under_way: 0,
            tickets: 0,
        }
    }

    pub(crate) fn on_event(&mut self, now: Duration, event: Event) {
        match event {
            Event::Wished(key, manifest) => self.wish(key, manifest),
            Event::Ended(ticket, result) => self.end(now, ticket, result),
            Event::DeadlineReached => self.wake(now),
        }
    }

    /// When to deliver [`Event::DeadlineReached`], if at all.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    /// What to begin now; each must end in an [`Event::Ended`].
    pub(crate) fn begin(&mut self) -> Vec<Deed> {
        let mut deeds = Vec::new();
        while self.under_way < self.most {
            let Some(key) = self.ready.pop_first() else {
                break;
            };
            let Some(cell) = self.cells.get_mut(&key) else {
                continue;
            };
            self.tickets += 1;
            self.under_way += 1;
            let number = self.tickets;
            cell.state = State::Doing {
                number,
                outdated: false,
            };
            deeds.push(Deed {
                ticket: Ticket { key, number },
                manifest: cell.manifest.clone(),
            });
        }
        deeds
    }

    /// How many objects are not yet as they should be.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Objects whose last deed failed, and why.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (&Key, &WriteError)> {
        self.cells
            .iter()
            .filter_map(|(key, cell)| Some((key, cell.fault.as_ref()?)))
    }

    /// Why the last deed on an object failed, if it did.
    pub(crate) fn fault(&self, key: &Key) -> Option<&WriteError> {
        self.cells.get(key)?.fault.as_ref()
    }

    fn wish(&mut self, key: Key, manifest: Option<Value>) {
        let Some(cell) = self.cells.get_mut(&key) else {
            let cell = Cell {
                manifest,
                state: State::Ready,
                failures: 0,
                fault: None,
            };
            self.ready.insert(key.clone());
            self.cells.insert(key, cell);
            return;
        };
        cell.manifest = manifest;
        // A pause holds whatever is wished, and what is ready is ready.
        if let State::Doing { outdated, .. } = &mut cell.state {
            *outdated = true;
        }
    }

    fn end(&mut self, now: Duration, ticket: Ticket, result: Result<(), WriteError>) {
        self.under_way -= 1;
        let Ticket { key, number } = ticket;
        let Some(cell) = self.cells.get_mut(&key) else {
            return;
        };
        let State::Doing {
            number: own,
            outdated,
        } = cell.state
        else {
            return;
        };
        if own != number {
            return;
        }
        match result {
            Ok(()) if outdated => {
                cell.state = State::Ready;
                cell.failures = 0;
                cell.fault = None;
                self.ready.insert(key);
            }
            Ok(()) => drop(self.cells.remove(&key)),
            Err(error) => {
                cell.failures = cell.failures.saturating_add(1);
                let until = now + pause::after(cell.failures);
                cell.state = State::Waiting;
                cell.fault = Some(error);
                self.deadlines.insert((until, key));
            }
        }
    }

    fn wake(&mut self, now: Duration) {
        while let Some((until, key)) = self.deadlines.first().cloned() {
            if until > now {
                break;
            }
            self.deadlines.pop_first();
            if let Some(cell) = self.cells.get_mut(&key) {
                cell.state = State::Ready;
                self.ready.insert(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use api::Kind;
    use proptest::prelude::*;
    use serde_json::json;
    use types::ObjectName;

    use super::*;

    #[test]
    fn what_is_wished_is_done_once() {
        let mut deeds = Deeds::new(8);
        deeds.on_event(at(0), wish("a", 1));

        let begun = deeds.begin();
        let again = deeds.begin();
        deeds.on_event(at(1), Event::Ended(begun[0].ticket.clone(), Ok(())));

        assert_eq!(begun[0].manifest, Some(json!(1)));
        assert_eq!(again, []);
        assert_eq!(
            (deeds.len(), deeds.begin(), deeds.next_deadline()),
            (0, vec![], None)
        );
    }

    #[test]
    fn what_is_wished_otherwise_meanwhile_is_done_after_that() {
        let mut deeds = Deeds::new(8);
        deeds.on_event(at(0), wish("a", 1));
        let begun = deeds.begin();

        deeds.on_event(at(1), Event::Wished(key("a"), None));
        assert_eq!(deeds.begin(), []);
        deeds.on_event(at(2), Event::Ended(begun[0].ticket.clone(), Ok(())));

        assert_eq!(deeds.begin()[0].manifest, None);
    }

    #[test]
    fn a_failure_is_tried_again_after_pauses_that_grow() {
        let mut deeds = Deeds::new(8);
        deeds.on_event(at(0), wish("a", 1));
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let begun = deeds.begin();
            let failed = Err(WriteError::Unavailable("no".into()));
            deeds.on_event(now, Event::Ended(begun[0].ticket.clone(), failed));
            assert_eq!(deeds.begin(), []);
            let next = deeds.next_deadline().expect("it tries again");
            pauses.push((next - now).as_millis());
            now = next;
            deeds.on_event(now, Event::DeadlineReached);
        }

        assert_eq!(pauses, [250, 500, 1000, 2000]);
        assert!(deeds.fault(&key("a")).is_some());
        assert_eq!(deeds.faults().count(), 1);
    }

    proptest! {
        #[test]
        fn in_the_end_everything_is_as_it_was_wished_last(
            steps in prop::collection::vec((0..4_u8, 0..3_u8, prop::option::of(0..5_u8)), 1..60),
        ) {
            let mut deeds = Deeds::new(2);
            let mut wished = BTreeMap::new();
            let mut is = BTreeMap::new();
            let mut doing: Vec<Deed> = Vec::new();
            let mut now = at(0);
            for (what, name, value) in steps {
                now += Duration::from_millis(100);
                let key = key(&name.to_string());
                match what {
                    0 | 1 => {
                        wished.insert(key.clone(), value);
                        let manifest = value.map(|value| json!(value));
                        deeds.on_event(now, Event::Wished(key, manifest));
                    }
                    2 => finish(&mut deeds, now, &mut doing, &mut is, value.is_none()),
                    _ => deeds.on_event(now, Event::DeadlineReached),
                }
                doing.extend(deeds.begin());
                prop_assert!(doing.len() <= 2);
                let keys: BTreeSet<_> = doing.iter().map(|deed| &deed.ticket.key).collect();
                prop_assert_eq!(keys.len(), doing.len(), "two deeds on one object at a time");
            }
            while deeds.len() > 0 {
                now = deeds.next_deadline().unwrap_or(now).max(now);
                deeds.on_event(now, Event::DeadlineReached);
                doing.extend(deeds.begin());
                finish(&mut deeds, now, &mut doing, &mut is, false);
            }
            let wished: BTreeMap<Key, Option<Value>> = wished
                .into_iter()
                .map(|(key, value)| (key, value.map(|value| json!(value))))
                .collect();
            prop_assert_eq!(is, wished);
        }
    }

    fn finish(
        deeds: &mut Deeds,
        now: Duration,
        doing: &mut Vec<Deed>,
        is: &mut BTreeMap<Key, Option<Value>>,
        fails: bool,
    ) {
        let Some(deed) = doing.pop() else {
            return;
        };
        let result = if fails {
            Err(WriteError::Unavailable("no".into()))
        } else {
            is.insert(deed.ticket.key.clone(), deed.manifest);
            Ok(())
        };
        deeds.on_event(now, Event::Ended(deed.ticket, result));
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn key(name: &str) -> Key {
        Key::new(Kind::CiliumBGPNodeConfig, ObjectName::of_cluster(name))
    }

    fn wish(name: &str, value: u8) -> Event {
        Event::Wished(key(name), Some(json!(value)))
    }
}
