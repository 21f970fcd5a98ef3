//! What a status should say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::Timestamp;
use api::condition::{pool, service};
use api::ipam;
use api::{Ingress, Key, Kind, Statement, StatusPatch, Truth};
use lb_ipam::{Action, Notices, PoolConditions, Reservation, Satisfaction, Time};

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
            Some(IngressWish::These(addresses))
                if addresses.iter().copied().eq(shown_addresses(seen)) => {}
            Some(IngressWish::These(addresses)) => patch.ingress = Some(addresses.clone()),
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
        Action::SetNotices { service, notices } => {
            let wish = Wish::about(notice_statements(&notices));
            (Key::new(Kind::Service, service), wish)
        }
        Action::ClearService { service, addresses } => {
            let kinds = [service::IPAM_SATISFIED, ipam::LEAVING, ipam::FOREIGN];
            let wish = Wish {
                ingress: Some(IngressWish::Without(addresses.into_iter().collect())),
                conditions: kinds.map(|kind| (kind.to_owned(), None)).into(),
            };
            (Key::new(Kind::Service, service), wish)
        }
        Action::SetPoolConditions { pool, conditions } => {
            let key = Key::new(Kind::CiliumLoadBalancerIPPool, pool);
            (key, Wish::about(pool_statements(&conditions)))
        }
        Action::SetReservations { pool, reservations } => {
            let key = Key::new(Kind::CiliumLoadBalancerIPPool, pool);
            let said = reservations_statement(&reservations);
            (
                key,
                Wish::about([(ipam::RESERVATIONS.to_owned(), said)].into()),
            )
        }
    }
}

fn notice_statements(notices: &Notices) -> BTreeMap<String, Option<Statement>> {
    let leaving = notices.leaving.iter();
    let leaving = leaving.map(|(addr, until)| (*addr, timestamp(*until)));
    let leaving: BTreeMap<IpAddr, Timestamp> = leaving.collect();
    let leaves = (!leaving.is_empty())
        .then(|| Statement::new(Truth::True, ipam::REASON_LEAVING, ipam::leaving(&leaving)));
    let foreign = (!notices.foreign.is_empty()).then(|| {
        let message = ipam::foreign(&notices.foreign);
        Statement::new(Truth::True, ipam::REASON_FOREIGN, message)
    });
    [(ipam::LEAVING, leaves), (ipam::FOREIGN, foreign)]
        .map(|(kind, statement)| (kind.to_owned(), statement))
        .into()
}

fn reservations_statement(reservations: &[Reservation]) -> Option<Statement> {
    let kept = reservations.iter().map(|kept| {
        let (addr, service) = (kept.addr, kept.service.clone());
        (addr, service, timestamp(kept.until))
    });
    let kept: Vec<_> = kept.collect();
    (!kept.is_empty()).then(|| {
        let message = ipam::reservations(&kept);
        Statement::new(Truth::True, ipam::REASON_RESERVATIONS, message)
    })
}

/// Times past what a timestamp holds are for ever.
fn timestamp(time: Time) -> Timestamp {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_to_outlive_an_operator_is_read_as_it_was_written() {
        let addr: IpAddr = "10.0.0.1".parse().unwrap();
        let web = types::ObjectName::new("shop", "web");
        let until = Duration::from_secs(1_800_000_000);
        let notices = Notices {
            leaving: [(addr, until)].into(),
            foreign: [addr].into(),
        };
        let kept = Reservation {
            addr,
            service: web.clone(),
            until,
        };

        let (_, wish) = of_action(Action::SetNotices {
            service: web.clone(),
            notices: notices.clone(),
        });
        let (_, of_pool) = of_action(Action::SetReservations {
            pool: types::ObjectName::of_cluster("blue"),
            reservations: vec![kept],
        });

        let shown = conditions(&wish);
        let at = timestamp(until);
        assert_eq!(ipam::read_leaving(&shown), [(addr, at)].into());
        assert_eq!(ipam::read_foreign(&shown), notices.foreign);
        assert_eq!(
            ipam::read_reservations(&conditions(&of_pool)),
            [(addr, web, at)]
        );
        assert_eq!(at.as_second(), 1_800_000_000);
    }

    #[test]
    fn nothing_to_say_is_no_condition() {
        let (_, wish) = of_action(Action::SetNotices {
            service: types::ObjectName::new("shop", "web"),
            notices: Notices::default(),
        });

        assert!(wish.conditions.values().all(Option::is_none));
        assert_eq!(wish.conditions.len(), 2);
    }

    fn conditions(wish: &Wish) -> Vec<api::Condition> {
        let said = wish.conditions.iter();
        said.filter_map(|(kind, statement)| {
            let statement = statement.as_ref()?;
            Some(api::Condition {
                kind: kind.clone(),
                status: statement.status,
                reason: statement.reason.clone(),
                message: statement.message.clone(),
                observed_generation: None,
                last_transition_time: None,
            })
        })
        .collect()
    }
}
