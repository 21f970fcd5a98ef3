//! One service: what it holds and what was said about it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use types::ObjectName;

use crate::action::{Action, Satisfaction};
use crate::request::{Notices, Request, Service, Shown};

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) service: Service,
    /// In the order of its status.
    pub(crate) held: Vec<IpAddr>,
    /// Which of those it is to lose, and which others are not the allocator's.
    pub(crate) notices: Notices,
    /// Addresses of no pool that it has lost. Until the source has seen it they are shown still.
    pub(crate) former: BTreeSet<IpAddr>,
    /// What pools select by was edited: an address that is lost by that is lost at once.
    pub(crate) is_edited: bool,
    /// Whether it is known which addresses of its status are the allocator's.
    pub(crate) is_judged: bool,
    /// What is to be said about a request.
    pub(crate) satisfaction: Satisfaction,
    /// What was last said.
    pub(crate) told: Option<Told>,
}

#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) held: Vec<IpAddr>,
    pub(crate) satisfaction: Satisfaction,
    pub(crate) notices: Notices,
}

impl Entry {
    pub(crate) fn new(service: Service) -> Self {
        Self {
            service,
            held: Vec::new(),
            notices: Notices::default(),
            former: BTreeSet::new(),
            is_edited: false,
            is_judged: false,
            satisfaction: Satisfaction::NoPool,
            told: None,
        }
    }

    /// Takes over what a source says now. Whether the service must be looked at; it need not if it has
    /// all it wants and still wants the same, as when the source shows what was written.
    pub(crate) fn replace(&mut self, service: Service) -> bool {
        let is_content = match (&self.service, &service) {
            (Service::Request(old), Service::Request(new)) => {
                self.is_edited |= old.labels != new.labels;
                self.told
                    .as_ref()
                    .is_some_and(|told| told.satisfaction.is_satisfied())
                    && wants_the_same(old, new)
                    && self.explains(&new.shown)
            }
            (Service::Foreign(_) | Service::Unreadable { .. }, _)
            | (_, Service::Foreign(_) | Service::Unreadable { .. }) => false,
        };
        self.service = service;
        !is_content
    }

    /// Whether nobody else has changed the addresses since.
    fn explains(&self, shown: &Shown) -> bool {
        let is_known = |addr: &IpAddr| {
            self.held.contains(addr)
                || self.notices.foreign.contains(addr)
                || self.former.contains(addr)
        };
        let is_shown = |addr: &IpAddr| shown.addresses.contains(addr);
        shown.addresses.iter().all(is_known)
            && self.notices.foreign.iter().all(is_shown)
            && self.former.iter().all(is_shown)
    }

    /// Says what is new about a request.
    pub(crate) fn speak(&mut self, name: &ObjectName, actions: &mut Vec<Action>) {
        let Service::Request(request) = &self.service else {
            return;
        };
        let told = self.told.as_ref();
        let foreign = &self.notices.foreign;
        if told.is_none_or(|told| told.held != self.held || told.notices.foreign != *foreign) {
            actions.push(Action::SetIngress {
                service: name.clone(),
                addresses: self.held.iter().chain(foreign).copied().collect(),
            });
        }
        if told.is_none_or(|told| told.satisfaction != self.satisfaction) {
            actions.push(Action::SetServiceCondition {
                service: name.clone(),
                satisfaction: self.satisfaction,
            });
        }
        let said = told.map_or(&request.shown.notices, |told| &told.notices);
        if *said != self.notices {
            actions.push(Action::SetNotices {
                service: name.clone(),
                notices: self.notices.clone(),
            });
        }
        self.told = Some(Told {
            held: self.held.clone(),
            satisfaction: self.satisfaction,
            notices: self.notices.clone(),
        });
    }
}

fn wants_the_same(old: &Request, new: &Request) -> bool {
    old.created == new.created
        && old.labels == new.labels
        && old.families == new.families
        && old.requested == new.requested
        && old.sharing == new.sharing
}
