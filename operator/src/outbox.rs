//! Decides which status to write and when to try again.
//!
//! ```text
//!            wish differs from what is seen
//!   Idle ------------------------------------> Writing
//!    ^                                            |
//!    |  seen anew, or the time is up              | ended, and nothing newer seen yet
//!    +------------------- Waiting <---------------+
//! ```
//!
//! An object has one write under way at most. Once it has ended the view that it was made on is out of
//! date, so the next one waits for the source to show a newer one: nothing is written twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::{Key, Kind, StatusPatch, Version};
use store::WriteError;

use crate::pause;
use crate::seen::Seen;
use crate::wish::{Author, Wish};

/// A source shows at once what was written. If it never does the object is looked at again.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The source shows an object, or that it is gone.
    Shown(Key, Option<Seen>),
    /// An author wants something said.
    Wished {
        author: Author,
        key: Key,
        wish: Wish,
        /// Not for good: once it is so, the author does not care any more.
        once: bool,
    },
    /// An author does not care any more about objects of a kind, once what it wished last is so.
    Released(Author, Kind),
    /// A write ended.
    Ended(Ticket, Result<(), WriteError>),
    /// [`Outbox::next_deadline`] has passed.
    DeadlineReached,
}

/// A status to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) ticket: Ticket,
    /// The version that the patch was made on.
    pub(crate) seen: Version,
    pub(crate) patch: StatusPatch,
}

/// Which write, of which object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) key: Key,
    number: u64,
}

/// What every object should say, and what is being done about it.
#[derive(Debug)]
pub(crate) struct Outbox {
    cells: BTreeMap<Key, Cell>,
    /// Idle objects that are to be compared.
    ready: BTreeSet<Key>,
    deadlines: BTreeSet<(Duration, Key)>,
    /// How many writes may be under way at a time.
    most: usize,
    under_way: usize,
    tickets: u64,
}

#[derive(Debug, Default)]
struct Cell {
    seen: Option<Seen>,
    wishes: BTreeMap<Author, Standing>,
    state: State,
    /// In a row.
    failures: u32,
    fault: Option<WriteError>,
}

#[derive(Debug, Default)]
struct Standing {
    wish: Wish,
    /// It ends once it is so.
    once: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    /// Compared whenever something changes.
    #[default]
    Idle,
    /// A write is under way.
    Writing { number: u64, on: Version },
    /// Not compared until then, or until a version is seen that is not this one.
    Waiting {
        until: Duration,
        outdated: Option<Version>,
    },
}

/// What happened to one object.
enum Turn {
    Shown,
    Wished,
    Written { on: Version },
    Failed { on: Version, error: WriteError },
    Due,
}

impl Outbox {
    /// At most `most` writes are under way at a time.
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
            Event::Shown(key, Some(seen)) => {
                self.cells.entry(key.clone()).or_default().seen = Some(seen);
                self.turn(now, &key, Turn::Shown);
            }
            Event::Shown(key, None) => self.forget(&key),
            Event::Wished {
                author,
                key,
                wish,
                once,
            } => {
                let cell = self.cells.entry(key.clone()).or_default();
                cell.wish(author, wish, once);
                self.turn(now, &key, Turn::Wished);
            }
            Event::Released(author, kind) => self.release(now, author, kind),
            Event::Ended(ticket, result) => self.end(now, &ticket, result),
            Event::DeadlineReached => self.wake(now),
        }
    }

    /// When to deliver [`Event::DeadlineReached`], if at all.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    /// The writes to start now, each of which must end in an [`Event::Ended`].
    pub(crate) fn writes(&mut self) -> Vec<Write> {
        let mut writes = Vec::new();
        while self.under_way < self.most {
            let Some(key) = self.ready.pop_first() else {
                break;
            };
            let Some(cell) = self.cells.get_mut(&key) else {
                continue;
            };
            let Some(patch) = cell.lack() else {
                continue;
            };
            let Some(seen) = cell.seen.as_ref().map(|seen| seen.version.clone()) else {
                continue;
            };
            self.tickets += 1;
            self.under_way += 1;
            cell.state = State::Writing {
                number: self.tickets,
                on: seen.clone(),
            };
            let number = self.tickets;
            writes.push(Write {
                ticket: Ticket { key, number },
                seen,
                patch,
            });
        }
        writes
    }

    /// How many objects are being written, or wait for a time to be.
    pub(crate) fn waiting(&self) -> usize {
        self.ready.len() + self.under_way + self.faults().count()
    }

    /// Objects whose last write failed, and why.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (&Key, &WriteError)> {
        self.cells
            .iter()
            .filter_map(|(key, cell)| Some((key, cell.fault.as_ref()?)))
    }

    /// Why the last write to an object failed, if it did.
    pub(crate) fn fault(&self, key: &Key) -> Option<&WriteError> {
        self.cells.get(key)?.fault.as_ref()
    }

    fn release(&mut self, now: Duration, author: Author, kind: Kind) {
        let mut released = Vec::new();
        for (key, cell) in self.cells.iter_mut().filter(|(key, _)| key.kind == kind) {
            if let Some(standing) = cell.wishes.get_mut(&author) {
                standing.once = true;
                released.push(key.clone());
            }
        }
        for key in released {
            self.turn(now, &key, Turn::Wished);
        }
    }

    fn forget(&mut self, key: &Key) {
        self.ready.remove(key);
        let state = self.cells.remove(key).map(|cell| cell.state);
        if let Some(State::Waiting { until, .. }) = state {
            self.deadlines.remove(&(until, key.clone()));
        }
    }

    fn end(&mut self, now: Duration, ticket: &Ticket, result: Result<(), WriteError>) {
        self.under_way -= 1;
        let Some(cell) = self.cells.get_mut(&ticket.key) else {
            return;
        };
        // A write to an earlier object of the same name says nothing about this one.
        let State::Writing { number, on } = &cell.state else {
            return;
        };
        if *number != ticket.number {
            return;
        }
        let on = on.clone();
        let turn = match result {
            Ok(()) => {
                cell.failures = 0;
                cell.fault = None;
                Turn::Written { on }
            }
            Err(error) => {
                cell.failures = cell.failures.saturating_add(1);
                cell.fault = Some(error.clone());
                Turn::Failed { on, error }
            }
        };
        self.turn(now, &ticket.key, turn);
    }

    fn wake(&mut self, now: Duration) {
        while let Some((until, key)) = self.deadlines.first().cloned() {
            if until > now {
                break;
            }
            self.turn(now, &key, Turn::Due);
        }
    }

    /// Moves an object to its next state, and keeps the indexes in step.
    fn turn(&mut self, now: Duration, key: &Key, turn: Turn) {
        let Some(cell) = self.cells.get_mut(key) else {
            return;
        };
        if let State::Waiting { until, .. } = &cell.state {
            self.deadlines.remove(&(*until, key.clone()));
        }
        cell.state = cell.next_state(now, turn);
        match &cell.state {
            State::Idle => drop(self.ready.insert(key.clone())),
            State::Writing { .. } => {}
            State::Waiting { until, .. } => drop(self.deadlines.insert((*until, key.clone()))),
        }
    }
}

impl Cell {
    fn next_state(&mut self, now: Duration, turn: Turn) -> State {
        match (std::mem::take(&mut self.state), turn) {
            (State::Idle, Turn::Shown | Turn::Wished) => State::Idle,
            // Neither a write nor a deadline is pending.
            (State::Idle, Turn::Written { .. } | Turn::Failed { .. } | Turn::Due) => State::Idle,

            // Looked at when the write has ended.
            (writing @ State::Writing { .. }, Turn::Shown | Turn::Wished) => writing,
            (State::Writing { .. }, Turn::Written { on }) => self.after(on, now + SHOWN_WITHIN),
            (State::Writing { .. }, Turn::Failed { on, error }) => match error {
                // A newer view says more, and may be here already.
                WriteError::Conflict | WriteError::Gone => {
                    self.after(on, now + pause::after(self.failures))
                }
                WriteError::Forbidden(_) | WriteError::Unavailable(_) => State::Waiting {
                    until: now + pause::after(self.failures),
                    outdated: None,
                },
            },
            // It has no deadline.
            (writing @ State::Writing { .. }, Turn::Due) => writing,

            (State::Waiting { until, outdated }, Turn::Shown) => match outdated {
                Some(version) => self.after(version, until),
                None => State::Waiting { until, outdated },
            },
            // A pause holds whatever is wished.
            (waiting @ State::Waiting { .. }, Turn::Wished) => waiting,
            (State::Waiting { .. }, Turn::Due) => State::Idle,
            // No write is under way.
            (waiting @ State::Waiting { .. }, Turn::Written { .. } | Turn::Failed { .. }) => {
                waiting
            }
        }
    }

    /// Idle if something newer than `version` is seen, else waiting for it.
    fn after(&self, version: Version, until: Duration) -> State {
        match &self.seen {
            Some(seen) if seen.version != version => State::Idle,
            Some(_) | None => State::Waiting {
                until,
                outdated: Some(version),
            },
        }
    }

    fn wish(&mut self, author: Author, wish: Wish, once: bool) {
        let standing = self.wishes.entry(author).or_default();
        if once {
            standing.wish = wish;
        } else {
            standing.wish.amend(wish);
        }
        standing.once = once;
    }

    /// What is wished and not so. Wishes that were to be granted once end if there is nothing.
    fn lack(&mut self) -> Option<StatusPatch> {
        let seen = self.seen.as_ref()?;
        let mut patch = StatusPatch::default();
        for standing in self.wishes.values() {
            standing.wish.compare(seen, &mut patch);
        }
        if !patch.is_empty() {
            return Some(patch);
        }
        self.wishes.retain(|_, standing| !standing.once);
        self.fault = None;
        self.failures = 0;
        None
    }
}

#[cfg(test)]
mod tests;
