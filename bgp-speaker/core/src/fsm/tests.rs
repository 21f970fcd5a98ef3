//! Every pair of state and input.

use bgp_speaker_packet::{CeaseSubcode, ErrorCode, Families, UpdateSubcode};

use super::*;

const DIALLED: ConnectionId = ConnectionId::Dialled(1);
const ACCEPTED: ConnectionId = ConnectionId::Accepted(2);
const NEXT: ConnectionId = ConnectionId::Dialled(9);
const START: Duration = Duration::from_secs(1000);

/// Idle twice: stopped, and held back after an error.
const STATES: [&str; 7] = [
    "idle",
    "held",
    "connect",
    "active",
    "open_sent",
    "open_confirm",
    "established",
];

/// A row an input, a column a state: where it leads and what is done; `=` is no change.
/// `down!` is the end of an established session.
const TABLE: [(&str, [&str; 7]); 15] = [
    ("start", ["connect dial", "=", "=", "=", "=", "=", "="]),
    (
        "stop",
        [
            "idle",
            "idle",
            "idle close",
            "idle",
            "idle notify:6/2 close down",
            "idle notify:6/2 close down",
            "idle notify:6/2 close down!",
        ],
    ),
    (
        "restart",
        [
            "connect dial",
            "connect dial",
            "connect close dial",
            "connect dial",
            "held notify:6/6 close down",
            "held notify:6/6 close down",
            "held notify:6/6 close down!",
        ],
    ),
    (
        "superseded",
        [
            "idle",
            "idle",
            "idle close",
            "idle",
            "idle notify:6/7 close down",
            "idle notify:6/7 close down",
            "idle close down!",
        ],
    ),
    ("early", ["=", "=", "=", "=", "=", "=", "="]),
    (
        "late",
        [
            "=",
            "connect dial",
            "connect close dial",
            "connect dial",
            "held notify:4/0 close down",
            "held notify:4/0 close down",
            "held notify:4/0 close down!",
        ],
    ),
    (
        "connected",
        ["=", "=", "open_sent open", "=", "=", "=", "="],
    ),
    (
        "accepted",
        [
            "= close",
            "= close",
            "= close",
            "open_sent accept open",
            "= close",
            "= close",
            "= close",
        ],
    ),
    (
        "disconnected",
        [
            "=",
            "=",
            "active down",
            "=",
            "active down",
            "active down",
            "active down!",
        ],
    ),
    (
        "open",
        [
            "=",
            "=",
            "=",
            "=",
            "open_confirm keepalive",
            "held notify:5/2 close down",
            "held notify:5/3 close down!",
        ],
    ),
    (
        "keepalive",
        [
            "=",
            "=",
            "=",
            "=",
            "held notify:5/1 close down",
            "established up",
            "=",
        ],
    ),
    (
        "update",
        [
            "=",
            "=",
            "=",
            "=",
            "held notify:5/1 close down",
            "held notify:5/2 close down",
            "=",
        ],
    ),
    (
        "refresh",
        [
            "=",
            "=",
            "=",
            "=",
            "held notify:5/1 close down",
            "held notify:5/2 close down",
            "=",
        ],
    ),
    (
        "notification",
        [
            "=",
            "=",
            "=",
            "=",
            "held close down",
            "held close down",
            "held close down!",
        ],
    ),
    (
        "malformed",
        [
            "=",
            "=",
            "=",
            "=",
            "held notify:3/1 close down",
            "held notify:3/1 close down",
            "held notify:3/1 close down!",
        ],
    ),
];

#[test]
fn every_input_in_every_state_does_what_the_table_says() {
    for (input, row) in TABLE {
        for (state, expected) in STATES.into_iter().zip(row) {
            let mut fsm = machine_in(state);
            let mut out = Vec::new();
            let (at, what) = input_named(input);

            fsm.on_input(at, what, &mut out);

            let words: Vec<String> = out.iter().map(word).collect();
            let after = name(&fsm);
            let after = if after == state { "=" } else { after };
            let got = [vec![after.to_owned()], words].concat().join(" ");
            // A machine may also be said to stay by the name of its state.
            let expected = match expected.strip_prefix(state) {
                Some(rest) if rest.is_empty() || rest.starts_with(' ') => format!("={rest}"),
                Some(_) | None => expected.to_owned(),
            };
            assert_eq!(got, expected, "{input} in {state}");
        }
    }
}

#[test]
fn a_keepalive_is_sent_when_due_and_the_hold_timer_starts_again_with_what_comes() {
    let mut fsm = machine_in("established");
    let hold = fsm.next_deadline().unwrap();
    // The third of 90 s, less a quarter at most.
    assert_eq!(hold, START + Duration::from_millis(22_500));

    let mut out = Vec::new();
    fsm.on_input(context(hold), Input::Deadline, &mut out);
    assert_eq!(out, [Output::Keepalive(DIALLED)]);
    assert_eq!(
        fsm.next_deadline(),
        Some(hold + Duration::from_millis(22_500))
    );

    let late = START + Duration::from_secs(89);
    fsm.on_input(context(late), Input::Update, &mut out);
    fsm.on_input(
        context(late + Duration::from_secs(80)),
        Input::Deadline,
        &mut out,
    );
    assert!(fsm.established().is_some());
}

#[test]
fn a_hold_time_of_zero_has_no_timers() {
    let mut fsm = machine_in("open_sent");
    let mut session = session();
    session.hold = 0.try_into().unwrap();

    fsm.on_input(context(START), Input::Open(session), &mut Vec::new());
    fsm.on_input(context(START), Input::Keepalive, &mut Vec::new());

    assert!(fsm.established().is_some());
    assert_eq!(fsm.next_deadline(), None);
}

#[test]
fn pauses_grow_with_failures_and_a_stable_session_forgets_them() {
    let mut fsm = Fsm::new();
    let mut now = START;
    fsm.on_input(context(now), Input::Start, &mut Vec::new());
    let pauses = [1, 2, 4].map(|_| {
        fsm.on_input(
            context(now),
            Input::Disconnected("refused".into()),
            &mut Vec::new(),
        );
        let pause = fsm.next_deadline().unwrap() - now;
        now += pause;
        fsm.on_input(context(now), Input::Deadline, &mut Vec::new());
        pause.as_secs()
    });
    assert_eq!(pauses, [1, 2, 4]);

    for input in [Input::Connected, Input::Open(session()), Input::Keepalive] {
        fsm.on_input(context(now), input, &mut Vec::new());
    }
    now += Timing::STABLE;
    fsm.on_input(
        context(now),
        Input::Disconnected("reset".into()),
        &mut Vec::new(),
    );

    assert_eq!(fsm.next_deadline(), Some(now + Duration::from_secs(1)));
}

#[test]
fn a_passive_machine_never_dials() {
    let passive = Context {
        timing: Timing {
            passive: true,
            ..context(START).timing
        },
        ..context(START)
    };
    let (mut fsm, mut out) = (Fsm::new(), Vec::new());

    fsm.on_input(passive, Input::Start, &mut out);
    assert_eq!((name(&fsm), fsm.next_deadline()), ("active", None));
    fsm.on_input(passive, Input::Accepted(ACCEPTED), &mut out);
    fsm.on_input(passive, Input::Disconnected("reset".into()), &mut out);

    assert_eq!((name(&fsm), fsm.next_deadline()), ("active", None));
    assert!(!out.iter().any(|it| matches!(it, Output::Dial(_))));
}

fn machine_in(state: &str) -> Fsm {
    let mut fsm = Fsm::new();
    let steps: &[Input] = match state {
        "idle" => &[],
        "held" => &[
            Input::Start,
            Input::Connected,
            Input::Malformed(ErrorCode::HoldTimerExpired.into()),
        ],
        "connect" => &[Input::Start],
        "active" => &[Input::Start, Input::Disconnected("refused".into())],
        "open_sent" => &[Input::Start, Input::Connected],
        "open_confirm" => &[Input::Start, Input::Connected, Input::Open(session())],
        "established" => &[
            Input::Start,
            Input::Connected,
            Input::Open(session()),
            Input::Keepalive,
        ],
        other => panic!("no state {other}"),
    };
    for step in steps {
        let first = Context {
            next_connection: DIALLED,
            ..context(START)
        };
        fsm.on_input(first, step.clone(), &mut Vec::new());
    }
    assert_eq!(name(&fsm), state);
    fsm
}

fn input_named(name: &str) -> (Context, Input) {
    let cease = |subcode| ErrorCode::Cease(subcode).into();
    let input = match name {
        "start" => Input::Start,
        "stop" => Input::Stop(Some(cease(CeaseSubcode::AdministrativeShutdown))),
        "restart" => Input::Restart(
            cease(CeaseSubcode::ConfigurationChange),
            Duration::from_secs(1),
        ),
        "superseded" => Input::Superseded,
        "early" => Input::Deadline,
        "late" => {
            let late = START + Duration::from_secs(10_000);
            return (context(late), Input::Deadline);
        }
        "connected" => Input::Connected,
        "accepted" => Input::Accepted(ACCEPTED),
        "disconnected" => Input::Disconnected("reset".into()),
        "open" => Input::Open(session()),
        "keepalive" => Input::Keepalive,
        "update" => Input::Update,
        "refresh" => Input::Refresh,
        "notification" => Input::Notification(cease(CeaseSubcode::AdministrativeReset)),
        "malformed" => {
            let subcode = UpdateSubcode::MalformedAttributeList;
            Input::Malformed(ErrorCode::Update(subcode).into())
        }
        other => panic!("no input {other}"),
    };
    (context(START), input)
}

fn context(now: Duration) -> Context {
    Context {
        now,
        timing: Timing {
            passive: false,
            connect_retry: Duration::from_secs(120),
            random: 0,
        },
        next_connection: NEXT,
    }
}

fn session() -> Negotiated {
    Negotiated {
        peer_asn: 65000.try_into().unwrap(),
        peer_id: 2.try_into().unwrap(),
        internal: false,
        hold: 90.try_into().unwrap(),
        keepalive: Duration::from_secs(30),
        families: Families::BOTH,
        four_octet_as: true,
        extended_next_hop: true,
        graceful_restart: false,
    }
}

fn name(fsm: &Fsm) -> &'static str {
    match fsm.state() {
        State::Waiting(Waiting::Idle { until: None }) => "idle",
        State::Waiting(Waiting::Idle { until: Some(_) }) => "held",
        State::Waiting(Waiting::Connect { .. }) => "connect",
        State::Waiting(Waiting::Active { .. }) => "active",
        State::Talking(_, Phase::OpenSent { .. }) => "open_sent",
        State::Talking(_, Phase::OpenConfirm { .. }) => "open_confirm",
        State::Talking(_, Phase::Established { .. }) => "established",
    }
}

fn word(output: &Output) -> String {
    match output {
        Output::Dial(_) => "dial".into(),
        Output::Accept(_) => "accept".into(),
        Output::Close(_) => "close".into(),
        Output::Open(_) => "open".into(),
        Output::Keepalive(_) => "keepalive".into(),
        Output::Notify(_, notification) => {
            let mut bytes = Vec::new();
            notification.write(&mut bytes);
            format!("notify:{}/{}", bytes[19], bytes[20])
        }
        Output::Up(..) => "up".into(),
        Output::Down { established, .. } => if *established { "down!" } else { "down" }.into(),
    }
}
