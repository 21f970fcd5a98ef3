//! Every event in every state, and elections among operators that the world treats badly.

mod simulation;

use super::*;

const LEASE: Duration = Duration::from_secs(15);

#[test]
fn every_event_in_every_state() {
    let rows = table().into_iter().map(|(name, make)| {
        let cells = events().map(|(_, event)| {
            let mut election = make();
            let before = name_of(&election);
            let actions = election.on_event(at(3), event);
            let after = name_of(&election);
            let mut cell: Vec<String> = actions.iter().map(show).collect();
            if before != after {
                cell.push(after.to_owned());
            }
            if cell.is_empty() {
                "-".to_owned()
            } else {
                cell.join(",")
            }
        });
        let cells: Vec<String> = cells.into_iter().collect();
        format!("{name}: {}", cells.join(" "))
    });

    let names: Vec<&str> = events().iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names.join(" "),
        "deadline free other own none unread granted conflict gone forbidden unavailable retired uncertain"
    );
    let rows: Vec<String> = rows.collect();
    assert_eq!(
        rows.join("\n"),
        "\
pausing: read,reading - - - - - - - - - - ended ended
reading: - take,taking pausing take,taking take,taking pausing - - - - - ended ended
taking: - - - - - - lead,leading pausing pausing pausing pausing quitting quitting
quitting: - - - - - - give,releasing ended ended ended ended - -
forgetting: - read,reading read,reading read,reading read,reading read,reading read,reading read,reading \
read,reading read,reading read,reading ended ended
leading: take,renewing - - - - - - - - - - yield,give,releasing yield,ended
renewing: - - - - - - lead,leading read,checking read,checking leading leading - -
checking: - yield,pausing yield,pausing take,renewing yield,pausing leading - - - - - - -
releasing: - - - - - - ended ended ended ended ended - -
ended: - - - - - - - - - - - - -"
    );
}

#[test]
fn a_lease_is_taken_only_after_it_was_seen_unchanged_for_its_whole_duration() {
    let mut election = standby();
    // The holder's clock is a day ahead of this one, or behind: it does not matter.
    let mut record = held_by("other");
    record.renewed = "2031-01-01T00:00:00Z".parse().expect("a time");
    read(&mut election, 0, Some((record.clone(), version("1"))));

    let too_early = read(&mut election, 14, Some((record.clone(), version("1"))));
    let renewed = read(&mut election, 15, Some((record.clone(), version("2"))));
    let still = read(&mut election, 29, Some((record.clone(), version("2"))));
    let taken = read(&mut election, 30, Some((record, version("2"))));

    assert_eq!([too_early, renewed, still], [vec![], vec![], vec![]]);
    let [Action::Write { record, seen }] = taken.as_slice() else {
        panic!("{taken:?}");
    };
    assert_eq!(*seen, Some(version("2")));
    assert_eq!((record.holder.as_str(), record.transitions), ("own", 8));
}

#[test]
fn an_outage_restarts_the_wait_for_a_lease() {
    // What its holder sent before the outage may be done only now.
    let mut election = standby();
    read(&mut election, 0, Some((held_by("other"), version("1"))));
    fail(&mut election, 30);

    let early = read(&mut election, 44, Some((held_by("other"), version("1"))));
    let late = read(&mut election, 45, Some((held_by("other"), version("1"))));

    assert_eq!(early, []);
    assert!(
        matches!(late.as_slice(), [Action::Write { .. }]),
        "{late:?}"
    );
}

#[test]
fn an_answer_that_took_long_restarts_the_wait_too() {
    let mut election = standby();
    read(&mut election, 0, Some((held_by("other"), version("1"))));
    set_reading(&mut election, 13);

    let found = Event::Read(Ok(Some((held_by("other"), version("1")))));
    let slow = election.on_event(at(16), found);

    assert_eq!(slow, []);
}

#[test]
fn an_operator_that_was_frozen_itself_waits_anew() {
    let mut election = standby();
    read(&mut election, 0, Some((held_by("other"), version("1"))));

    election.on_event(at(60), Event::DeadlineReached);
    let found = Event::Read(Ok(Some((held_by("other"), version("1")))));
    let taken = election.on_event(at(60), found);

    assert_eq!(taken, []);
}

#[test]
fn an_operator_that_left_nothing_uncertain_leads_again_at_once() {
    let mut election = renewing();
    election.on_event(at(12), Event::DeadlineReached);
    election.absolve();
    election.on_event(at(12), Event::Written(Err(WriteError::Conflict)));
    fail(&mut election, 13);

    let again = read(&mut election, 14, Some((held_by("own"), version("2"))));

    assert!(
        matches!(again.as_slice(), [Action::Write { .. }]),
        "{again:?}"
    );
}

#[test]
fn a_standby_looks_again_as_soon_as_the_lease_runs_out() {
    let mut election = standby();
    read(&mut election, 0, Some((held_by("other"), version("1"))));
    read(&mut election, 14, Some((held_by("other"), version("1"))));

    let next = election.next_deadline().expect("it looks again");

    assert!((at(15).clock..at(16).clock).contains(&next), "{next:?}");
}

#[test]
fn a_lease_that_somebody_removed_is_waited_for_like_one_that_is_held() {
    let mut election = standby();
    read(&mut election, 0, Some((held_by("other"), version("1"))));

    let removed = read(&mut election, 1, None);
    let early = read(&mut election, 15, None);
    let late = read(&mut election, 16, None);

    assert_eq!([removed, early], [vec![], vec![]]);
    assert!(matches!(
        late.as_slice(),
        [Action::Write { seen: None, .. }]
    ));
}

#[test]
fn a_leader_counts_from_when_it_asked() {
    let mut election = taking();

    let actions = election.on_event(at(7), Event::Written(Ok(version("1"))));

    // Asked at 2 s, answered at 7 s.
    let until = at(12).clock;
    assert_eq!(actions, [Action::Lead { until }]);
}

#[test]
fn a_grant_that_comes_too_late_is_asked_for_again() {
    let mut election = taking();

    let actions = election.on_event(at(12), Event::Written(Ok(version("1"))));

    assert_eq!(actions, [Action::Read]);
    assert_eq!(name_of(&election), "reading");
}

#[test]
fn a_frozen_leader_yields_before_anything_else() {
    let mut election = renewing();

    // The renewal was granted, and the answer is looked at a minute later.
    let actions = election.on_event(at(60), Event::Written(Ok(version("9"))));

    let expected = [Action::Yield(Reason::NotRenewed), Action::Read];
    assert_eq!(actions, expected);
}

#[test]
fn a_leader_renews_after_an_answer_was_lost() {
    let mut election = renewing();
    election.on_event(
        at(3),
        Event::Written(Err(WriteError::Unavailable("no".into()))),
    );
    let again = election.next_deadline().expect("it tries again");
    assert!(again < at(5).clock);

    let tried = election.on_event(
        Now {
            clock: again,
            ..at(0)
        },
        Event::DeadlineReached,
    );
    assert!(matches!(tried.as_slice(), [Action::Write { .. }]));
    // The first renewal had arrived.
    election.on_event(at(5), Event::Written(Err(WriteError::Conflict)));
    let seen = election.on_event(at(5), Event::Read(Ok(Some((held_by("own"), version("8"))))));

    let [Action::Write { record, seen }] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    assert_eq!((record.holder.as_str(), seen), ("own", &Some(version("8"))));
}

#[test]
fn a_term_ends_when_renewals_fail_for_too_long() {
    let mut election = leading();
    let mut now = at(2).clock;
    let end = loop {
        let next = election.next_deadline().expect("a leader always has one");
        now = now.max(next);
        let now = Now {
            clock: now,
            ..at(0)
        };
        let actions = election.on_event(now, Event::DeadlineReached);
        match actions.as_slice() {
            [Action::Write { .. }] => {
                let failed = Err(WriteError::Unavailable("down".into()));
                assert_eq!(election.on_event(now, Event::Written(failed)), []);
            }
            [Action::Yield(reason), ..] => break (now.clock, reason.clone()),
            other => panic!("{other:?}"),
        }
    };

    // Asked for at 2 s, and ten seconds more.
    assert_eq!(end, (at(12).clock, Reason::NotRenewed));
}

#[test]
fn an_operator_waits_for_its_own_last_writes_before_it_leads_again() {
    let mut election = renewing();
    // Confirmed at 2 s; the renewal's answer is lost.
    election.on_event(at(12), Event::DeadlineReached);
    election.on_event(at(12), Event::Written(Ok(version("2"))));

    let early = read(&mut election, 16, Some((held_by("own"), version("2"))));
    let late = read(&mut election, 17, Some((held_by("own"), version("2"))));

    assert_eq!(early, []);
    assert!(
        matches!(late.as_slice(), [Action::Write { .. }]),
        "{late:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_pauses_and_another_seed_others() {
    let pauses = |seed| {
        let mut jitter = Jitter(seed);
        [(); 4].map(|()| jitter.up_to(LEASE))
    };

    assert_eq!(pauses(1), pauses(1));
    assert_ne!(pauses(1), pauses(2));
    assert!(pauses(3).iter().all(|pause| *pause < LEASE));
}

type Make = fn() -> Election;

fn table() -> Vec<(&'static str, Make)> {
    vec![
        ("pausing", standby),
        ("reading", reading),
        ("taking", taking),
        ("quitting", || {
            after(taking(), Event::Retired { certain: true })
        }),
        ("forgetting", || {
            // A frozen leader: at the table's time its term is long over.
            let mut election = renewing_since(Duration::ZERO);
            election.on_event(at(0), Event::DeadlineReached);
            election
        }),
        ("leading", leading),
        ("renewing", renewing),
        ("checking", || {
            after(renewing(), Event::Written(Err(WriteError::Conflict)))
        }),
        ("releasing", || {
            after(leading(), Event::Retired { certain: true })
        }),
        ("ended", || {
            after(standby(), Event::Retired { certain: true })
        }),
    ]
}

fn events() -> [(&'static str, Event); 13] {
    let found = |holder: &str| Event::Read(Ok(Some((held_by(holder), version("5")))));
    let failed = |error| Event::Written(Err(error));
    [
        ("deadline", Event::DeadlineReached),
        ("free", found("")),
        ("other", found("other")),
        ("own", found("own")),
        ("none", Event::Read(Ok(None))),
        (
            "unread",
            Event::Read(Err(WriteError::Unavailable("no".into()))),
        ),
        ("granted", Event::Written(Ok(version("6")))),
        ("conflict", failed(WriteError::Conflict)),
        ("gone", failed(WriteError::Gone)),
        ("forbidden", failed(WriteError::Forbidden("no".into()))),
        ("unavailable", failed(WriteError::Unavailable("no".into()))),
        ("retired", Event::Retired { certain: true }),
        ("uncertain", Event::Retired { certain: false }),
    ]
}

fn show(action: &Action) -> String {
    let word = match action {
        Action::Read => "read",
        Action::Write { record, .. } if record.holder.is_empty() => "give",
        Action::Write { .. } => "take",
        Action::Lead { .. } => "lead",
        Action::Yield(_) => "yield",
    };
    word.to_owned()
}

fn name_of(election: &Election) -> &'static str {
    match &election.state {
        State::Standby { step, .. } => match step {
            Step::Pausing(_) => "pausing",
            Step::Reading(_) => "reading",
            Step::Taking { retired: false, .. } => "taking",
            Step::Taking { retired: true, .. } => "quitting",
            Step::Forgetting => "forgetting",
        },
        State::Leading(reign) => reign.name(),
        State::Releasing => "releasing",
        State::Ended => "ended",
    }
}

/// Seconds after an hour of running, so that terms can have begun earlier.
fn at(seconds: u64) -> Now {
    Now {
        clock: Duration::from_secs(3600 + seconds),
        wall: "2026-11-20T12:00:00Z".parse().expect("a time"),
    }
}

fn version(version: &str) -> Version {
    Version::new(version)
}

fn held_by(holder: &str) -> LeaseRecord {
    LeaseRecord {
        holder: holder.to_owned(),
        duration: LEASE,
        acquired: at(0).wall,
        renewed: at(0).wall,
        transitions: 7,
    }
}

fn after(mut election: Election, event: Event) -> Election {
    election.on_event(at(2), event);
    election
}

fn standby() -> Election {
    Election::new("own".to_owned(), Terms::default(), 1)
}

fn reading() -> Election {
    after(standby(), Event::DeadlineReached)
}

/// Asked for at 2 s.
fn taking() -> Election {
    after(reading(), Event::Read(Ok(None)))
}

/// Confirmed at 2 s, and a renewal is due at the table's 3 s.
fn leading() -> Election {
    let mut election = after(taking(), Event::Written(Ok(version("1"))));
    let State::Leading(reign) = &mut election.state else {
        panic!("{election:?}");
    };
    reign.renew_at(at(3).clock);
    election
}

fn renewing() -> Election {
    let mut election = leading();
    election.on_event(at(3), Event::DeadlineReached);
    election
}

/// Its term began that long after the machine started.
fn renewing_since(start: Duration) -> Election {
    let mut election = standby();
    let now = |clock| Now { clock, ..at(0) };
    election.on_event(now(start), Event::DeadlineReached);
    election.on_event(now(start), Event::Read(Ok(None)));
    election.on_event(now(start), Event::Written(Ok(version("1"))));
    election.on_event(now(start + Duration::from_secs(2)), Event::DeadlineReached);
    election
}

fn read(
    election: &mut Election,
    seconds: u64,
    found: Option<(LeaseRecord, Version)>,
) -> Vec<Action> {
    set_reading(election, seconds);
    election.on_event(at(seconds), Event::Read(Ok(found)))
}

fn fail(election: &mut Election, seconds: u64) {
    set_reading(election, seconds);
    let failed = Event::Read(Err(WriteError::Unavailable("no".into())));
    election.on_event(at(seconds), failed);
}

fn set_reading(election: &mut Election, seconds: u64) {
    let State::Standby { step, .. } = &mut election.state else {
        panic!("{election:?}");
    };
    *step = Step::Reading(at(seconds).clock);
}
