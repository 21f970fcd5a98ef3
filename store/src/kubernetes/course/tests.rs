use proptest::prelude::*;

use super::*;

fn said() -> String {
    "said".to_owned()
}

/// A course that has everything up to there.
fn listed(version: &str) -> Course {
    let mut course = Course::new(2);
    course.on_listed(version);
    course
}

fn fail(course: &mut Course, failure: Failure) -> Duration {
    course.on_end(End::Failed(failure), u64::MAX)
}

fn watch(from: &str) -> Step {
    Step::Watch { from: from.into() }
}

#[test]
fn a_stream_becomes_a_watch_and_goes_on_where_it_was() {
    let mut course = Course::new(1);
    assert_eq!(course.next(), Step::Stream);

    assert!(course.on_object("7"));
    assert!(course.on_object("3"));
    assert_eq!(course.on_bookmark("5", false), Bookmark::Reached);
    assert_eq!(course.next(), Step::Stream);
    assert_eq!(course.on_bookmark("10", true), Bookmark::Synced);
    assert!(course.on_object("12"));

    assert_eq!(course.on_end(End::Complete, 0), Duration::ZERO);
    assert_eq!(course.next(), watch("12"));
    assert_eq!(course.on_bookmark("40", false), Bookmark::Reached);
    assert_eq!(course.next(), watch("40"));
}

#[test]
fn what_comes_late_is_no_news() {
    let mut course = listed("10");

    assert!(course.on_object("20"));
    assert!(!course.on_object("11"));
    assert!(course.on_object("20"));
    assert_eq!(course.next(), watch("20"));
}

#[test]
fn versions_that_are_no_numbers_are_only_repeated() {
    let mut course = listed("a");

    assert!(course.on_object("c"));
    assert!(course.on_object("b"));
    assert_eq!(course.next(), watch("b"));
    assert_eq!(course.on_bookmark("a", false), Bookmark::Reached);
}

#[test]
fn a_server_with_another_history_is_listed_anew() {
    let mut course = listed("100");

    assert_eq!(course.on_bookmark("50", false), Bookmark::Elsewhere);

    assert_eq!(course.next(), Step::Stream);
}

#[test]
fn a_forgotten_position_is_listed_anew_and_not_at_once() {
    let mut course = listed("10");

    let pause = course.on_end(End::Failed(Failure::Expired(said())), 123_456);

    assert_eq!(pause, Duration::from_micros(123_456));
    assert_eq!(course.next(), Step::Stream);
}

#[test]
fn a_server_without_streams_is_listed_in_pages() {
    let mut course = Course::new(1);

    assert_eq!(fail(&mut course, Failure::Invalid(said())), Duration::ZERO);
    assert_eq!(course.next(), Step::List { whole: false });
    course.on_listed("10");
    assert_eq!(course.on_end(End::Listed, 9), Duration::ZERO);
    assert_eq!(course.next(), watch("10"));

    // The position is forgotten, then a page of the list too.
    fail(&mut course, Failure::Expired(said()));
    assert_eq!(course.next(), Step::List { whole: false });
    fail(&mut course, Failure::Expired(said()));
    assert_eq!(course.next(), Step::List { whole: true });
    course.on_listed("20");
    fail(&mut course, Failure::Expired(said()));
    assert_eq!(course.next(), Step::List { whole: false });
}

#[test]
fn a_missing_kind_is_tried_in_every_version_and_then_calmly() {
    let mut course = Course::new(2);

    assert_eq!(fail(&mut course, Failure::Missing(said())), Duration::ZERO);
    assert_eq!(course.version(), 1);
    let pause = fail(&mut course, Failure::Missing(said()));
    assert_eq!(course.version(), 0);
    assert!(pause >= Duration::from_millis(500), "{pause:?}");

    for _ in 0..40 {
        let pause = fail(&mut course, Failure::Missing(said()));
        assert!(pause <= Duration::from_secs(60), "{pause:?}");
    }
    assert_eq!(course.next(), Step::Stream);
}

#[test]
fn a_throttled_client_waits_as_told_and_not_all_to_the_same_moment() {
    let throttled = || {
        End::Failed(Failure::Throttled {
            after: Some(Duration::from_secs(5)),
            said: said(),
        })
    };

    let one = listed("1").on_end(throttled(), 1);
    let other = listed("1").on_end(throttled(), 500_000);

    assert!(one > Duration::from_secs(5) && other > Duration::from_secs(5));
    assert_ne!(one, other);
}

#[test]
fn failures_lengthen_the_pause_until_something_arrives() {
    let every = [
        Failure::Unreachable(said()),
        Failure::Certificate(said()),
        Failure::Unauthorized(said()),
        Failure::Forbidden(said()),
        Failure::Conflict(said()),
        Failure::Invalid(said()),
        Failure::Server(said()),
    ];
    for failure in every {
        let mut course = listed("1");
        let first = course.on_end(End::Failed(failure.clone()), 0);
        for _ in 0..10 {
            course.on_end(End::Failed(failure.clone()), 0);
        }
        let later = course.on_end(End::Failed(failure.clone()), 0);
        course.on_object("2");
        let anew = course.on_end(End::Failed(failure.clone()), 0);

        assert!(later > first * 4, "{failure}: {first:?} {later:?}");
        assert_eq!(anew, first, "{failure}");
        assert_eq!(course.next(), watch("2"), "{failure}");
    }
}

#[test]
fn a_server_that_always_closes_at_once_is_not_asked_in_a_loop() {
    let mut course = listed("1");
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pauses.push(course.on_end(End::Early, u64::MAX - 1));
    }

    assert!(
        pauses
            .iter()
            .skip(1)
            .all(|&p| p >= Duration::from_millis(250))
    );
    assert!(pauses.last() > pauses.get(1), "{pauses:?}");
}

proptest! {
    /// Whatever arrives, what is news never goes back, and there is always something to do next.
    #[test]
    fn news_never_goes_back(steps in prop::collection::vec((0_u8..9, 0_u64..50), 0..80)) {
        let mut course = Course::new(2);
        let mut reached: Option<u64> = None;
        for (what, number) in steps {
            let version = number.to_string();
            match what {
                0 => {
                    course.on_listed(&version);
                    reached = Some(number);
                }
                1..=3 => {
                    let is_news = course.on_object(&version);
                    prop_assert_eq!(is_news, reached.is_none_or(|reached| number >= reached));
                    if is_news && reached.is_some() {
                        reached = Some(number);
                    }
                }
                4 => match course.on_bookmark(&version, true) {
                    Bookmark::Synced => {
                        prop_assert!(reached.is_none());
                        reached = Some(number);
                    }
                    Bookmark::Reached => reached = Some(number),
                    Bookmark::Elsewhere => {
                        prop_assert!(reached.is_some_and(|reached| number < reached));
                        reached = None;
                    }
                },
                5 => drop(course.on_end(End::Early, number)),
                6 => {
                    course.on_end(End::Failed(Failure::Expired(said())), number);
                    reached = None;
                }
                7 => drop(course.on_end(End::Failed(Failure::Server(said())), number)),
                _ => drop(course.on_end(End::Complete, number)),
            }
            match course.next() {
                Step::Watch { from } => prop_assert_eq!(Some(from), reached.map(|n| n.to_string())),
                Step::Stream | Step::List { .. } => prop_assert!(reached.is_none()),
            }
        }
    }
}
