//! Elections among three operators over one lease, in a world that delays, loses, freezes and
//! disagrees about the time. What is checked is what two leaders would break: a write of one term never
//! lands after a later term has begun.

use proptest::prelude::*;

use super::*;

const OPERATORS: usize = 3;
/// How long the world is bad, and how long it is good after that.
const BAD_MILLIS: u64 = 120_000;
const GOOD_MILLIS: u64 = 90_000;
const STEP_MILLIS: u64 = 50;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_write_lands_in_anothers_term_and_somebody_leads_in_the_end(seed: u64) {
        let mut world = World::new(seed);

        while world.now < BAD_MILLIS {
            world.step(true);
        }
        while world.now < BAD_MILLIS + GOOD_MILLIS {
            world.step(false);
        }

        let leaders = world.operators.iter().filter(|operator| operator.may_write(world.now));
        prop_assert_eq!(leaders.count(), 1);
        prop_assert!(world.landed > 0, "nobody ever wrote");
    }
}

struct World {
    now: u64,
    chance: Chance,
    lease: Option<(LeaseRecord, u64)>,
    versions: u64,
    operators: Vec<Operator>,
    /// Requests that were given up and are still on their way.
    strays: Vec<Request>,
    /// Where the lease and the objects are kept does nothing until then.
    frozen_until: u64,
    /// Terms that have begun.
    terms: u64,
    landed: u64,
}

struct Operator {
    election: Election,
    born: u64,
    /// Its clock: off by this, and fast by that many in a thousand.
    offset: u64,
    drift: i64,
    wall: i64,
    frozen_until: u64,
    request: Option<Request>,
    leading: Option<(u64, Duration)>,
    retired: bool,
    /// When each lands, and of which term it is.
    writes: Vec<(u64, u64)>,
}

/// A request about the lease on its way.
struct Request {
    action: Action,
    /// When it reaches the lease, if ever.
    arrives: Option<u64>,
    /// When its answer is back, or given up.
    ends: u64,
    answer: Option<Event>,
    /// The answer is lost.
    unanswered: bool,
}

struct Chance(u64);

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let operators = (0..OPERATORS).map(|_| Operator::born(0, &mut chance));
        let operators = operators.collect();
        Self {
            now: 0,
            chance,
            lease: None,
            versions: 0,
            operators,
            strays: Vec::new(),
            frozen_until: 0,
            terms: 0,
            landed: 0,
        }
    }

    fn step(&mut self, bad: bool) {
        self.now += STEP_MILLIS;
        if bad && self.frozen_until <= self.now && self.chance.below(1_000) == 0 {
            self.frozen_until = self.now + self.chance.below(30_000);
        }
        self.serve_strays();
        for index in 0..OPERATORS {
            self.land(index);
            self.serve(index);
            if bad {
                self.harm(index);
            }
            if self.operators[index].frozen_until > self.now {
                continue;
            }
            self.turn(index, bad);
        }
    }

    /// Writes that reach their objects now.
    fn land(&mut self, index: usize) {
        let now = self.now;
        let writes = std::mem::take(&mut self.operators[index].writes);
        let (due, later): (Vec<_>, Vec<_>) = writes.into_iter().partition(|(at, _)| *at <= now);
        self.operators[index].writes = later;
        if now < self.frozen_until {
            // Done some time after it goes on.
            let backlog = due.into_iter();
            let delayed =
                backlog.map(|(_, term)| (self.frozen_until + self.chance.below(1_000), term));
            self.operators[index].writes.extend(delayed);
            return;
        }
        for (at, term) in due {
            assert_eq!(term, self.terms, "a write of term {term} landed at {at} ms");
            self.landed += 1;
        }
    }

    /// The lease's side of a request, which works also while the operator is frozen.
    fn serve(&mut self, index: usize) {
        let Some(request) = self.operators[index].request.take() else {
            return;
        };
        let request = self.served(request);
        self.operators[index].request = Some(request);
    }

    fn serve_strays(&mut self) {
        for stray in std::mem::take(&mut self.strays) {
            let stray = self.served(stray);
            if stray.answer.is_none() {
                self.strays.push(stray);
            }
        }
    }

    fn served(&mut self, mut request: Request) -> Request {
        let is_frozen = self.now < self.frozen_until;
        if is_frozen || request.answer.is_some() || request.arrives.is_none_or(|at| at > self.now) {
            return request;
        }
        request.answer = Some(match &request.action {
            Action::Read => {
                let found = self.lease.clone();
                let found = found.map(|(record, number)| (record, name(number)));
                Event::Read(Ok(found))
            }
            Action::Write { record, seen } => {
                let is = self.lease.as_ref().map(|(_, number)| name(*number));
                if is == *seen {
                    self.versions += 1;
                    self.lease = Some((record.clone(), self.versions));
                    Event::Written(Ok(name(self.versions)))
                } else {
                    Event::Written(Err(WriteError::Conflict))
                }
            }
            Action::Lead { .. } | Action::Yield(_) => unreachable!("not a request"),
        });
        request
    }

    fn harm(&mut self, index: usize) {
        match self.chance.below(2_000) {
            0 => self.operators[index].frozen_until = self.now + self.chance.below(40_000),
            1 => {
                // Killed: what it had sent is on its way all the same, and another one starts.
                let born = Operator::born(self.now, &mut self.chance);
                let dead = std::mem::replace(&mut self.operators[index], born);
                self.operators[index].writes = dead.writes;
            }
            2 => {
                let operator = &self.operators[index];
                let certain = operator.writes.is_empty();
                if operator.frozen_until <= self.now {
                    self.operators[index].retired = true;
                    self.operators[index].leading = None;
                    self.feed(index, Event::Retired { certain }, true);
                }
            }
            _ => {}
        }
    }

    fn turn(&mut self, index: usize, bad: bool) {
        let now = self.now;
        let ended = self.operators[index]
            .request
            .take_if(|request| request.ends <= now);
        if let Some(mut request) = ended {
            let lost = WriteError::Unavailable("lost".to_owned());
            let lost = match request.action {
                Action::Read => Event::Read(Err(lost)),
                Action::Write { .. } | Action::Lead { .. } | Action::Yield(_) => {
                    Event::Written(Err(lost))
                }
            };
            let is_served = request.answer.is_some();
            let answer = request.answer.take().filter(|_| !request.unanswered);
            if !is_served && request.arrives.is_some() {
                self.strays.push(request);
            }
            self.feed(index, answer.unwrap_or(lost), bad);
        }
        let operator = &self.operators[index];
        let clock = operator.clock(now);
        if operator
            .election
            .next_deadline()
            .is_some_and(|at| at <= clock)
        {
            self.feed(index, Event::DeadlineReached, bad);
        }
        if self.operators[index].election.has_ended() && self.operators[index].writes.is_empty() {
            self.operators[index] = Operator::born(now, &mut self.chance);
        }
        self.write(index);
    }

    /// A leader writes as long as its permit allows.
    fn write(&mut self, index: usize) {
        let operator = &mut self.operators[index];
        let (true, Some((term, _))) = (operator.may_write(self.now), operator.leading) else {
            return;
        };
        if self.chance.below(4) != 0 {
            return;
        }
        // The limit is counted by a clock that may be slow.
        let limit = millis(Terms::default().write_limit()) * 102 / 100;
        operator
            .writes
            .push((self.now + self.chance.below(limit), term));
    }

    fn feed(&mut self, index: usize, event: Event, bad: bool) {
        let operator = &mut self.operators[index];
        let now = Now {
            clock: operator.clock(self.now),
            wall: Timestamp::from_second(operator.wall).expect("a time"),
        };
        for action in operator.election.on_event(now, event) {
            match action {
                // It has stopped writing already.
                Action::Lead { .. } if operator.retired => {}
                Action::Lead { until } => {
                    if let Some((_, held)) = &mut operator.leading {
                        *held = until;
                    } else {
                        self.terms += 1;
                        operator.leading = Some((self.terms, until));
                    }
                }
                Action::Yield(_) => {
                    operator.leading = None;
                    if operator.writes.is_empty() {
                        operator.election.absolve();
                    }
                }
                Action::Read | Action::Write { .. } => {
                    assert!(operator.request.is_none(), "two requests at a time");
                    operator.request = Some(Request::new(action, self.now, bad, &mut self.chance));
                }
            }
        }
    }
}

impl Operator {
    fn born(now: u64, chance: &mut Chance) -> Self {
        let seed = chance.next();
        Self {
            election: Election::new(format!("operator-{seed:x}"), Terms::default(), seed),
            born: now,
            offset: chance.below(1 << 40),
            drift: i64::try_from(chance.below(41)).expect("it is small") - 20,
            wall: i64::try_from(chance.below(1 << 31)).expect("it is small"),
            frozen_until: now,
            request: None,
            leading: None,
            retired: false,
            writes: Vec::new(),
        }
    }

    fn clock(&self, now: u64) -> Duration {
        let age = i64::try_from(now - self.born).expect("no run is that long");
        let age = age + age * self.drift / 1000;
        Duration::from_millis(self.offset + u64::try_from(age).expect("time goes on"))
    }

    fn may_write(&self, now: u64) -> bool {
        let within = |(_, until): (u64, Duration)| self.clock(now) < until;
        self.leading.is_some_and(within)
    }
}

impl Request {
    fn new(action: Action, now: u64, bad: bool, chance: &mut Chance) -> Self {
        let limit = millis(Terms::default().request_limit());
        let fast = now + 1 + chance.below(100);
        let slow = now + chance.below(limit);
        // In a bad world it may be slow, come after it was given up, or be lost, or its answer is.
        let (arrives, answered) = match chance.below(if bad { 12 } else { 1 }) {
            0..=5 => (Some(fast), Some(fast + chance.below(100))),
            6 | 7 => (Some(slow), Some(slow + chance.below(limit))),
            8 | 9 => (Some(fast), None),
            10 => (Some(now + chance.below(6 * limit)), None),
            _ => (None, None),
        };
        Self {
            action,
            arrives,
            ends: answered.unwrap_or(u64::MAX).min(now + limit),
            answer: None,
            unanswered: answered.is_none_or(|at| at > now + limit),
        }
    }
}

impl Chance {
    fn next(&mut self) -> u64 {
        let mut jitter = Jitter(self.0);
        let mut draw = || u64::from(jitter.up_to(Duration::from_nanos(1 << 16)).subsec_nanos());
        let (share, low) = (draw(), draw());
        self.0 = jitter.0;
        share << 16 | low
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() << 16 | self.next() & 0xffff) % limit
    }
}

fn name(number: u64) -> Version {
    Version::new(number.to_string())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("no time here is that long")
}
