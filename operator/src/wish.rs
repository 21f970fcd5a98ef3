//! What a status should say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::condition::{pool, service};
use api::{Ingress, Key, Kind, Statement, StatusPatch, Truth};
use lb_ipam::{Action, PoolConditions, Satisfaction};

use crate::seen::Seen;

/// Who wishes. Authors do not share a type of condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Author {
    /// The address allocator.
    Allocator,
    /// Whoever derives the desired state from the objects.
    Desired,
}

/// What one author wants an object's status to say. What it does not name is not its business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) ingress: Option<IngressWish>,
    /// By type; `None` if there should be no such condition.
    pub(crate) conditions: BTreeMap<String, Option<Statement>>,
}

/// What a Service's ingress should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IngressWish {
    /// These addresses in this order, and no others.
    These(Vec<IpAddr>),
    /// Anything but these.
    Without(BTreeSet<IpAddr>),
}

impl Wish {
    pub(crate) fn about(conditions: BTreeMap<String, Option<Statement>>) -> Self {
        Self {
            ingress: None,
            conditions,
        }
    }

    /// Replaces what the later wish names.
    pub(crate) fn amend(&mut self, later: Self) {
        if later.ingress.is_some() {
            self.ingress = later.ingress;
        }
        self.conditions.extend(later.conditions);
    }

    /// Adds to `patch` what is wished and not so.
    pub(crate) fn compare(&self, seen: &Seen, patch: &mut StatusPatch) {
        match &self.ingress {
            None => {}
            Some(IngressWish::These(addresses)) => {
                if !addresses.iter().copied().eq(shown_addresses(seen)) {
                    patch.ingress = Some(addresses.clone());
                }
            }
            Some(IngressWish::Without(addresses)) => {
                let (unwanted, rest): (Vec<IpAddr>, Vec<IpAddr>) =
                    shown_addresses(seen).partition(|addr| addresses.contains(addr));
                if !unwanted.is_empty() {
                    patch.ingress = Some(rest);
                }
            }
        }
        for (kind, statement) in &self.conditions {
            let shown = seen.conditions.get(kind).map(content);
            if shown != statement.as_ref().map(content) {
                patch.conditions.insert(kind.clone(), statement.clone());
            }
        }
    }
}

/// What an action of the allocator is a wish about.
pub(crate) fn of_action(action: Action) -> (Key, Wish) {
    match action {
        Action::SetIngress { service, addresses } => {
            let wish = Wish {
                ingress: Some(IngressWish::These(addresses)),
                ..Wish::default()
            };
            (Key::new(Kind::Service, service), wish)
        }
        Action::SetServiceCondition {
            service,
            satisfaction,
        } => {
            let condition = Some(satisfaction_statement(satisfaction));
            let conditions = [(service::IPAM_SATISFIED.to_owned(), condition)];
            let wish = Wish::about(conditions.into());
            (Key::new(Kind::Service, service), wish)
        }
        Action::ClearService { service, addresses } => {
            let wish = Wish {
                ingress: Some(IngressWish::Without(addresses.into_iter().collect())),
                conditions: [(service::IPAM_SATISFIED.to_owned(), None)].into(),
            };
            (Key::new(Kind::Service, service), wish)
        }
        Action::SetPoolConditions { pool, conditions } => {
            let key = Key::new(Kind::CiliumLoadBalancerIPPool, pool);
            (key, Wish::about(pool_statements(&conditions)))
        }
    }
}

fn satisfaction_statement(satisfaction: Satisfaction) -> Statement {
    let status = if satisfaction.is_satisfied() {
        Truth::True
    } else {
        Truth::False
    };
    Statement::new(status, satisfaction.reason(), satisfaction.message())
}

fn pool_statements(conditions: &PoolConditions) -> BTreeMap<String, Option<Statement>> {
    let conflict = match &conditions.conflict {
        Some(conflict) => Statement::new(Truth::True, pool::REASON_OVERLAP, conflict.to_string()),
        None => Statement::new(Truth::False, pool::REASON_RESOLVED, ""),
    };
    let counts = [
        (pool::IPS_TOTAL, conditions.total),
        (pool::IPS_AVAILABLE, conditions.available),
        (pool::IPS_USED, conditions.used),
    ];
    let counts = counts.map(|(kind, count)| {
        let statement = Statement::new(Truth::Unknown, pool::REASON_COUNT, count.to_string());
        (kind, statement)
    });
    std::iter::once((pool::CONFLICT, conflict))
        .chain(counts)
        .map(|(kind, statement)| (kind.to_owned(), Some(statement)))
        .collect()
}

/// What must be so. A new generation of the object alone is not worth a write.
fn content(statement: &Statement) -> (Truth, &str, &str) {
    (statement.status, &statement.reason, &statement.message)
}

fn shown_addresses(seen: &Seen) -> impl Iterator<Item = IpAddr> {
    seen.ingress.iter().filter_map(|ingress| match ingress {
        Ingress::Ip(addr) => Some(*addr),
        Ingress::Hostname(_) => None,
    })
}
