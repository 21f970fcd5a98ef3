//! One service: what it holds and what was said about it.

use std::net::IpAddr;

use types::ObjectName;

use crate::action::{Action, Satisfaction};
use crate::desired::Service;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) service: Service,
    /// In the order of its status.
    pub(crate) held: Vec<IpAddr>,
    /// What is to be said about a request.
    pub(crate) satisfaction: Satisfaction,
    /// What was last said.
    pub(crate) told: Option<Told>,
}

#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) satisfaction: Satisfaction,
}

impl Entry {
    pub(crate) fn new(service: Service) -> Self {
        Self {
            service,
            held: Vec::new(),
            satisfaction: Satisfaction::NoPool,
            told: None,
        }
    }

    /// Whether the service has all it wants and still wants the same, as when the source shows what was
    /// written.
    pub(crate) fn is_content_with(&self, service: &Service) -> bool {
        let told = self.told.as_ref();
        let (Service::Request(old), Service::Request(new)) = (&self.service, service) else {
            return false;
        };
        told.is_some_and(|told| told.satisfaction.is_satisfied())
            && old.labels == new.labels
            && old.families == new.families
            && old.requested == new.requested
    }

    /// Says what is new about a request.
    pub(crate) fn speak(&mut self, name: &ObjectName, actions: &mut Vec<Action>) {
        let told = self.told.as_ref();
        if told.is_none_or(|told| told.addresses != self.held) {
            actions.push(Action::SetIngress {
                service: name.clone(),
                addresses: self.held.clone(),
            });
        }
        if told.is_none_or(|told| told.satisfaction != self.satisfaction) {
            actions.push(Action::SetServiceCondition {
                service: name.clone(),
                satisfaction: self.satisfaction,
            });
        }
        self.told = Some(Told {
            addresses: self.held.clone(),
            satisfaction: self.satisfaction,
        });
    }
}
