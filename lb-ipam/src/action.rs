//! What the allocator wants written.

use std::fmt;
use std::net::IpAddr;

use types::ObjectName;

use crate::count::Count;
use crate::desired::{Range, Reservation};
use crate::request::Notices;
use crate::sharing::Incompatibility;

/// Something to be written to a status. Each one replaces what an earlier one of its kind said about
/// the same object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// These are all the addresses of a service's `status.loadBalancer.ingress`.
    SetIngress {
        /// The service.
        service: ObjectName,
        /// In the order to be shown.
        addresses: Vec<IpAddr>,
    },
    /// The service's condition `cilium.io/IPAMRequestSatisfied`.
    SetServiceCondition {
        /// The service.
        service: ObjectName,
        /// What to say.
        satisfaction: Satisfaction,
    },
    /// What else is to be said of a service's addresses. It must come back as the service's
    /// [`Notices`], or a restart starts over.
    SetNotices {
        /// The service.
        service: ObjectName,
        /// What to say; empty if nothing is.
        notices: Notices,
    },
    /// The service is not the allocator's any more: conditions and notices go, and these addresses.
    ClearService {
        /// The service.
        service: ObjectName,
        /// Those the allocator gave. Others may be of the service's new owner, and stay.
        addresses: Vec<IpAddr>,
    },
    /// A pool's conditions.
    SetPoolConditions {
        /// The pool.
        pool: ObjectName,
        /// What to say.
        conditions: PoolConditions,
    },
    /// The addresses of a pool that wait for their services. They must come back as the pool's
    /// reservations, or a restart forgets them.
    SetReservations {
        /// The pool.
        pool: ObjectName,
        /// By address.
        reservations: Vec<Reservation>,
    },
}

/// Whether a service has all the addresses it wants, and the first reason why not, as it was when that
/// was tried last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Satisfaction {
    /// It has them all.
    Satisfied,
    /// No pool that gives addresses selects it, in one of its families.
    NoPool,
    /// No pool that gives addresses has the one requested.
    NoPoolWith(IpAddr),
    /// All pools that select it are full.
    OutOfAddresses,
    /// A pool that selects it has addresses left, and none for its namespace.
    QuotaUsedUp,
    /// The pools with the requested address do not select it.
    SelectorMismatch(IpAddr),
    /// The requested address is another service's, or is one that its block keeps back.
    AlreadyAllocated(IpAddr),
    /// The requested address is that of a service which would share it with others.
    Incompatible(IpAddr, Incompatibility),
}

/// The counts are decimal strings in the status, since they outgrow any number of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConditions {
    /// `cilium.io/PoolConflict`.
    pub conflict: Option<Conflict>,
    /// `cilium.io/IPsTotal`: always available and used together.
    pub total: Count,
    /// `cilium.io/IPsAvailable`: free, whether or not the pool gives any at present.
    pub available: Count,
    /// `cilium.io/IPsUsed`: given, or waiting for a service to return.
    pub used: Count,
}

/// Why a pool may give no addresses. Displayed as the condition's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// A block of the pool itself.
    pub own: Range,
    /// The block that it overlaps.
    pub other: Range,
    /// Whose that is: an older pool, or the pool itself.
    pub pool: ObjectName,
}

impl Satisfaction {
    /// The condition's status.
    #[must_use]
    pub const fn is_satisfied(self) -> bool {
        matches!(self, Self::Satisfied)
    }

    /// The condition's reason.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Satisfied => "satisfied",
            Self::NoPool | Self::NoPoolWith(_) => "no_pool",
            Self::OutOfAddresses => "out_of_ips",
            Self::SelectorMismatch(_) => "pool_selector_mismatch",
            Self::QuotaUsedUp => "quota_used_up",
            Self::AlreadyAllocated(_) => "already_allocated",
            Self::Incompatible(..) => "already_allocated_incompatible_service",
        }
    }

    /// The condition's message.
    #[must_use]
    pub fn message(self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Satisfaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Satisfied => Ok(()),
            Self::NoPool => f.write_str(
                "There are no enabled CiliumLoadBalancerIPPools that match this service",
            ),
            Self::NoPoolWith(addr) => write!(f, "No pool exists with a CIDR containing '{addr}'"),
            Self::OutOfAddresses => f.write_str(
                "All enabled CiliumLoadBalancerIPPools that match this service ran out of \
                 allocatable IPs",
            ),
            Self::SelectorMismatch(addr) => write!(
                f,
                "The pool with the CIDR containing '{addr}', doesn't select this service"
            ),
            Self::QuotaUsedUp => f.write_str(
                "The quota of this service's namespace is used up in the \
                 CiliumLoadBalancerIPPools that match this service",
            ),
            Self::AlreadyAllocated(addr) => {
                write!(f, "The IP '{addr}' is already allocated to another service")
            }
            Self::Incompatible(addr, why) => write!(
                f,
                "The IP '{addr}' is already allocated to an incompatible service. Reason: {why}"
            ),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Pool conflicts since range '{}' overlaps range '{}' from IP Pool '{}'",
            self.own, self.other, self.pool
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_messages_are_those_that_clients_know() {
        let addr = "192.0.2.1".parse().unwrap();
        let said = |satisfaction: Satisfaction| (satisfaction.reason(), satisfaction.message());

        assert_eq!(said(Satisfaction::Satisfied), ("satisfied", String::new()));
        assert_eq!(
            said(Satisfaction::NoPool),
            (
                "no_pool",
                "There are no enabled CiliumLoadBalancerIPPools that match this service".into()
            )
        );
        assert_eq!(
            said(Satisfaction::NoPoolWith(addr)),
            (
                "no_pool",
                "No pool exists with a CIDR containing '192.0.2.1'".into()
            )
        );
        assert_eq!(
            said(Satisfaction::OutOfAddresses),
            (
                "out_of_ips",
                "All enabled CiliumLoadBalancerIPPools that match this service ran out of allocatable IPs"
                    .into()
            )
        );
        assert_eq!(
            said(Satisfaction::SelectorMismatch(addr)),
            (
                "pool_selector_mismatch",
                "The pool with the CIDR containing '192.0.2.1', doesn't select this service".into()
            )
        );
        assert_eq!(
            said(Satisfaction::AlreadyAllocated(addr)),
            (
                "already_allocated",
                "The IP '192.0.2.1' is already allocated to another service".into()
            )
        );
        assert_eq!(
            said(Satisfaction::Incompatible(addr, Incompatibility::Listener)),
            (
                "already_allocated_incompatible_service",
                "The IP '192.0.2.1' is already allocated to an incompatible service. Reason: \
                 same port and protocol"
                    .into()
            )
        );
    }

    #[test]
    fn a_conflict_names_both_ranges_and_the_other_pool() {
        let range = |start: &str, stop: &str| {
            Range::new(start.parse().unwrap(), stop.parse().unwrap()).unwrap()
        };
        let conflict = Conflict {
            own: range("10.0.0.0", "10.0.0.255"),
            other: range("10.0.0.128", "10.0.1.0"),
            pool: ObjectName::of_cluster("blue"),
        };

        assert_eq!(
            conflict.to_string(),
            "Pool conflicts since range '10.0.0.0 - 10.0.0.255' overlaps range \
             '10.0.0.128 - 10.0.1.0' from IP Pool 'blue'"
        );
    }
}
