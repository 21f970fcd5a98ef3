//! The operator's decisions: what the allocator gives, and what is written about it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use api::{Key, Kind, Object, Shown, Statement};
use lb_ipam::{Action, Allocator, Delta, PoolConditions, Satisfaction, Time};
use store::WriteError;
use types::ObjectName;

use crate::outbox::{Event, Outbox, Ticket, Write};
use crate::seen::Seen;
use crate::summary::Summary;
use crate::wish::{Author, Wish, of_action};

/// What changed, all of it about the same moment.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// The objects as the source shows them now; `None` for those that are gone.
    pub objects: BTreeMap<Key, Option<Object>>,
    /// What objects show that do not validate.
    pub shown: BTreeMap<Key, Shown>,
    /// What that means to the allocator.
    pub ipam: Delta,
    /// Conditions that are to be on objects, by type, or are not to be (`None`). A type that is not
    /// named stays as it was last said. Types of the allocator are not among them.
    pub statements: BTreeMap<Key, BTreeMap<String, Option<Statement>>>,
}

/// The state of affairs, for people and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether there is no pool, so that no service is touched.
    pub dormant: bool,
    /// The services that the allocator answers for, with what they have.
    pub services: BTreeMap<ObjectName, (Vec<IpAddr>, Satisfaction)>,
    /// The pools.
    pub pools: BTreeMap<ObjectName, PoolConditions>,
    /// The objects whose status could not be written when last tried, and why.
    pub faults: BTreeMap<Key, WriteError>,
}

#[derive(Debug)]
pub(crate) struct Duty {
    pub(crate) allocator: Allocator,
    /// When the duty's own time began.
    epoch: Time,
    pub(crate) outbox: Outbox,
}

impl Duty {
    /// At most `most` writes are under way at a time. Its own time, which begins at zero, is at `epoch`
    /// then.
    pub(crate) fn new(allocator: Allocator, most: usize, epoch: Time) -> Self {
        Self {
            allocator,
            epoch,
            outbox: Outbox::new(most),
        }
    }

    pub(crate) fn on_input(&mut self, now: Duration, input: Input) {
        for (key, object) in input.objects {
            let seen = object.as_ref().and_then(Seen::of);
            self.outbox.on_event(now, Event::Shown(key, seen));
        }
        for (key, shown) in input.shown {
            self.outbox
                .on_event(now, Event::Shown(key, Some(shown.into())));
        }
        self.allocate(now, input.ipam);
        for (key, conditions) in input.statements {
            let event = Event::Wished {
                author: Author::Desired,
                key,
                wish: Wish::about(conditions),
                once: false,
            };
            self.outbox.on_event(now, event);
        }
    }

    /// [`Duty::next_deadline`] has passed.
    pub(crate) fn on_deadline(&mut self, now: Duration) {
        self.outbox.on_event(now, Event::DeadlineReached);
        let due = self.allocator.next_deadline();
        if due.is_some_and(|due| due <= self.epoch + now) {
            self.allocate(now, Delta::default());
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let allocator = self.allocator.next_deadline();
        let allocator = allocator.map(|due| due.saturating_sub(self.epoch));
        self.outbox
            .next_deadline()
            .into_iter()
            .chain(allocator)
            .min()
    }

    fn allocate(&mut self, now: Duration, delta: Delta) {
        let was_dormant = self.allocator.is_dormant();
        for action in self.allocator.on_change(self.epoch + now, delta) {
            let once = matches!(action, Action::ClearService { .. });
            let (key, wish) = of_action(action);
            let event = Event::Wished {
                author: Author::Allocator,
                key,
                wish,
                once,
            };
            self.outbox.on_event(now, event);
        }
        if self.allocator.is_dormant() && !was_dormant {
            // Another program may be in charge of services from now on.
            let event = Event::Released(Author::Allocator, Kind::Service);
            self.outbox.on_event(now, event);
        }
    }

    pub(crate) fn writes(&mut self) -> Vec<Write> {
        self.outbox.writes()
    }

    /// Returns whether the failure, if it is one, is another than that of the write before.
    pub(crate) fn on_ended(
        &mut self,
        now: Duration,
        ticket: Ticket,
        result: Result<(), WriteError>,
    ) -> bool {
        let is_news = self.outbox.fault(&ticket.key) != result.as_ref().err();
        self.outbox.on_event(now, Event::Ended(ticket, result));
        is_news
    }

    pub(crate) fn summary(&self) -> Summary {
        let pools = self.allocator.pools();
        let faults = self.outbox.faults();
        Summary {
            dormant: self.allocator.is_dormant(),
            figures: self.allocator.figures(),
            pools: pools.map(|(name, told)| (name.clone(), told)).collect(),
            waiting: self.outbox.waiting(),
            faults: faults
                .map(|(key, error)| (key.clone(), error.clone()))
                .collect(),
            ..Summary::default()
        }
    }

    pub(crate) fn report(&self) -> Report {
        let services = self.allocator.allocations().map(|allocation| {
            let has = (allocation.addresses.to_vec(), allocation.satisfaction);
            (allocation.service.clone(), has)
        });
        let pools = self.allocator.pools();
        let faults = self.outbox.faults();
        Report {
            dormant: self.allocator.is_dormant(),
            services: services.collect(),
            pools: pools.map(|(name, told)| (name.clone(), told)).collect(),
            faults: faults
                .map(|(key, error)| (key.clone(), error.clone()))
                .collect(),
        }
    }
}
