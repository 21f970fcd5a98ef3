//! The life of one slot: what each change of a service does to its word.
//!
//! ```text
//!               change             change, return
//!   {a,a}  ---------------->  {b,a,OPEN}  <----.     previous stays, whatever current becomes
//!     ^                            |   |       |
//!     |  collect: fields agree,    |   '-------'
//!     |  no entry left             v  settle: a is gone, or untouched for T
//!   {b,b}  <----------------  {b,b,OPEN}             entries may still name other backends
//! ```
//!
//! Invariant: a live flow that is not remembered belongs to `previous`.

use xdp_l4lb_common::layout::{FlowState, Slot};

/// Epochs after which an entry that never got past its SYN is dropped.
const UNCONFIRMED: u32 = 60;

/// A window is judged long only if it stays so when both ends are off by one epoch.
const ROUNDING: u32 = 2;

/// A slot's next word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) word: Slot,
    /// Whether the idle window starts again.
    pub(crate) restart: bool,
}

/// The word that sends new flows to `target` (0: nowhere) and keeps every flow whose backend is alive.
pub(crate) fn retarget(word: Slot, target: u32, live: impl Fn(u32) -> bool) -> Option<Next> {
    let next = if live(word.previous()) {
        let change = target != word.current();
        word.with_current(target)
            .with_open(word.is_open() || change)
    } else {
        // Gone: nothing that is not remembered is left to protect.
        word.with_current(target).with_previous(target)
    };
    (next != word).then(|| Next {
        word: next,
        restart: next.is_open() && next.current() != word.current(),
    })
}

/// The word of a new slot: new flows to `current`, flows that others opened to `previous`.
pub(crate) fn opened(current: u32, previous: u32) -> Slot {
    Slot::settled(previous)
        .with_current(current)
        .with_open(current != previous)
}

/// Previous takes current, if every flow that belonged to it has been silent for `idle` epochs.
pub(crate) fn settle(word: Slot, touched: u32, now: u32, idle: u32) -> Option<Slot> {
    let in_change = word.is_open() && word.current() != word.previous();
    // With nowhere to send new flows there is nothing that previous could take.
    let silent = age(touched, now) >= idle.saturating_add(ROUNDING);
    (in_change && word.current() != 0 && silent).then(|| word.with_previous(word.current()))
}

/// Whether the slot may close once a whole scan finds no entry for it.
pub(crate) fn closable(word: Slot) -> bool {
    word.is_open() && word.current() == word.previous()
}

/// Whether an entry says nothing that `previous` does not say, or is too old to matter.
pub(crate) fn forgettable(entry: &FlowState, is_previous: bool, now: u32, idle: u32) -> bool {
    let age = age(entry.seen, now);
    if entry.confirmed == 0 {
        age >= UNCONFIRMED
    } else {
        is_previous || age >= idle.saturating_add(ROUNDING)
    }
}

/// Epochs since `then`; one that lies ahead is not an old one.
fn age(then: u32, now: u32) -> u32 {
    let age = now.wrapping_sub(then);
    if age > u32::MAX / 2 { 0 } else { age }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u32 = 1;
    const B: u32 = 2;
    const C: u32 = 3;

    #[test]
    fn every_change_of_every_slot() {
        let all = |_: u32| true;
        let without_a = |id: u32| id != A && id != 0;
        let open = |current, previous| opened(current, previous).with_open(true);
        let go = |word, restart| Some(Next { word, restart });
        // Word, target, who is alive, next.
        type Case<'a> = (Slot, u32, &'a dyn Fn(u32) -> bool, Option<Next>);
        let table: &[Case<'_>] = &[
            (Slot::settled(A), A, &all, None),
            (Slot::settled(A), B, &all, go(open(B, A), true)),
            (Slot::settled(A), B, &without_a, go(Slot::settled(B), false)),
            (open(B, A), B, &all, None),
            (open(B, A), C, &all, go(open(C, A), true)),
            (open(B, A), A, &all, go(open(A, A), true)),
            (open(B, A), B, &without_a, go(open(B, B), false)),
            (open(B, A), C, &without_a, go(open(C, C), true)),
            (open(A, B), C, &without_a, go(open(C, B), true)),
            (open(A, A), A, &all, None),
            (open(A, A), C, &without_a, go(open(C, C), true)),
            (Slot::settled(A), 0, &all, go(open(0, A), true)),
            (Slot::settled(A), 0, &without_a, go(Slot::settled(0), false)),
            (Slot::settled(0), B, &without_a, go(Slot::settled(B), false)),
        ];

        for (word, target, live, next) in table {
            assert_eq!(
                retarget(*word, *target, live),
                *next,
                "{word:?} to {target}"
            );
        }
    }

    #[test]
    fn a_slot_settles_only_when_previous_was_silent_for_the_idle_time() {
        let word = opened(B, A);

        assert_eq!(settle(word, 100, 100 + 61, 60), None);
        assert_eq!(settle(word, 100, 100 + 62, 60), Some(word.with_previous(B)));
        assert_eq!(settle(Slot::settled(A), 0, 1000, 60), None);
        assert_eq!(settle(opened(A, A).with_open(true), 0, 1000, 60), None);
        assert_eq!(settle(opened(0, A), 0, 1000, 60), None);
        assert_eq!(settle(word, 5, 4, u32::MAX), None);
    }

    #[test]
    fn an_entry_is_kept_while_it_is_all_that_is_known_of_a_flow() {
        let entry = |seen, confirmed| FlowState {
            backend: A,
            isn: 0,
            seen,
            confirmed,
        };

        assert!(!forgettable(&entry(100, 1), false, 161, 60));
        assert!(forgettable(&entry(100, 1), false, 162, 60));
        assert!(forgettable(&entry(100, 1), true, 100, 60));
        assert!(!forgettable(&entry(100, 0), true, 159, 60));
        assert!(forgettable(&entry(100, 0), false, 160, 3600));
        assert!(!forgettable(&entry(101, 1), false, 100, 60));
    }
}
