//! What the planner says about itself, for people.

use std::fmt;

use types::{BackendAddr, Vip};
use xdp_l4lb_common::layout::SlotTable;

use super::Planner;
use super::members::Refusal;
use super::state::{Placed, Standing};
use crate::desired::{BackendState, ServiceKey};

/// One service as it is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceStatus {
    /// Each frontend that the service has, and whether it may be announced.
    pub frontends: Vec<(Vip, bool)>,
    /// Each backend, and what it does.
    pub backends: Vec<(BackendAddr, Role)>,
    /// Where the slots are. More than one if frontends came from another service.
    pub tables: Vec<SlotTable>,
    /// What keeps the service from being all that was asked for.
    pub faults: Vec<Fault>,
}

/// What a backend does for a service, as Cilium names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Takes new flows.
    Active,
    /// Not checked yet: takes no flows.
    Pending,
    /// Keeps its flows until it is gone.
    Terminating,
    /// Fails its checks, and keeps its flows for a while.
    Quarantined,
    /// Has no weight: keeps its flows.
    Maintenance,
    /// Fails its checks, or cannot be used.
    Gone,
}

/// Why a service is not all that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A loop: the backend's address is a VIP's.
    BackendIsVip(BackendAddr),
    /// A loop: the backend's address is the node's own.
    BackendIsLocal(BackendAddr),
    /// The backend's address is no host's.
    BackendNotUnicast(BackendAddr),
    /// Another service has the frontend.
    FrontendTaken(Vip, ServiceKey),
    /// A table of the kernel is full, or an insertion is waiting.
    NoRoom,
    /// The way to none of the backends is known.
    Unreachable,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BackendIsVip(backend) => write!(f, "backend {backend} is itself a VIP"),
            Self::BackendIsLocal(backend) => write!(f, "backend {backend} is this node"),
            Self::BackendNotUnicast(backend) => {
                write!(f, "backend {backend} is not a host's address")
            }
            Self::FrontendTaken(vip, owner) => write!(f, "{vip} belongs to service {owner}"),
            Self::NoRoom => f.write_str("the kernel's tables have no room"),
            Self::Unreachable => f.write_str("the way to none of the backends is known"),
        }
    }
}

impl Planner {
    /// One service as it is planned.
    #[must_use]
    pub fn status(&self, key: &ServiceKey) -> Option<ServiceStatus> {
        let placed = self.services.get(key)?;
        let ready = |vip: &Vip| {
            let frontend = self.held.frontends.get(vip);
            frontend.is_some_and(|frontend| frontend.ready)
        };
        Some(ServiceStatus {
            frontends: self
                .won(key, placed)
                .map(|vip| (*vip, ready(vip)))
                .collect(),
            backends: self.backends(placed),
            tables: placed
                .tables
                .iter()
                .filter_map(|name| self.held.tables.get(name))
                .map(|table| SlotTable::new(table.base, table.log2))
                .collect(),
            faults: self.faults(key, placed),
        })
    }

    /// Every service there is.
    pub fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.services.keys()
    }

    /// The VIPs that may be announced, in order.
    pub fn ready(&self) -> impl Iterator<Item = &Vip> {
        let frontends = self.held.frontends.iter();
        frontends.filter_map(|(vip, frontend)| frontend.ready.then_some(vip))
    }

    /// The backend that an id stands for.
    #[must_use]
    pub fn backend(&self, id: u32) -> Option<BackendAddr> {
        Some(self.held.holders.get(&id)?.backend)
    }

    /// The frontend that a service index stands for.
    #[must_use]
    pub fn frontend(&self, record: u32) -> Option<Vip> {
        self.held.records.get(&record).copied()
    }

    fn backends(&self, placed: &Placed) -> Vec<(BackendAddr, Role)> {
        let roles = self.roles(placed, None);
        placed
            .wishes
            .iter()
            .map(|wish| {
                let serves = roles
                    .current
                    .iter()
                    .any(|candidate| candidate.backend == wish.backend);
                let role = match (wish.standing, wish.state) {
                    _ if !roles.keeps(&wish.backend) => Role::Gone,
                    _ if serves => Role::Active,
                    (Standing::Quarantined { .. }, _) => Role::Quarantined,
                    (_, BackendState::Draining) => Role::Terminating,
                    _ if wish.weight == 0 => Role::Maintenance,
                    _ => Role::Pending,
                };
                (wish.backend, role)
            })
            .collect()
    }

    fn faults(&self, key: &ServiceKey, placed: &Placed) -> Vec<Fault> {
        let refused = placed.wishes.iter().filter_map(|wish| {
            let backend = wish.backend;
            Some(match self.refusal(backend.addr)? {
                Refusal::Vip => Fault::BackendIsVip(backend),
                Refusal::Local => Fault::BackendIsLocal(backend),
                Refusal::NotUnicast => Fault::BackendNotUnicast(backend),
            })
        });
        let taken = placed.frontends.iter().filter_map(|vip| {
            let owner = self.owner(vip).filter(|owner| *owner != key)?;
            Some(Fault::FrontendTaken(*vip, owner.clone()))
        });
        let mut faults: Vec<Fault> = refused.chain(taken).collect();
        if self.starved.contains(key) {
            faults.push(Fault::NoRoom);
        }
        let current = self.roles(placed, None).current;
        let reaches = |backend: &BackendAddr| self.held.reachable(backend);
        if !current.is_empty() && !current.iter().any(|candidate| reaches(&candidate.backend)) {
            faults.push(Fault::Unreachable);
        }
        faults
    }
}
