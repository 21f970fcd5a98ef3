//! What the planner remembers of services, tables and backend ids. Slots themselves are read back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use types::{BackendAddr, Vip};

use crate::desired::{BackendState, Health, Service, ServiceKey, TableSize, WhenEmpty};
use crate::steps::Way;

/// Names a slot table for as long as the planner runs.
pub(super) type TableId = u32;

/// A service as it was last asked for, and where it lies.
#[derive(Debug)]
pub(super) struct Placed {
    /// Sorted. Some may belong to another service that claims them too.
    pub(super) frontends: Vec<Vip>,
    /// Sorted by backend.
    pub(super) wishes: Vec<Wish>,
    pub(super) idle: Duration,
    pub(super) when_empty: WhenEmpty,
    pub(super) table_size: TableSize,
    pub(super) unhealthy_grace: Duration,
    pub(super) checked: bool,
    /// One, unless frontends with flows of their own came from another service.
    pub(super) tables: Vec<TableId>,
}

/// A backend as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) backend: BackendAddr,
    pub(super) weight: u16,
    pub(super) state: BackendState,
    pub(super) standing: Standing,
}

/// What is known of a backend's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not checked yet: takes no flows, unless a restarted agent finds that it did.
    Unknown,
    /// Answers, or is not checked.
    Up,
    /// Fails its checks; keeps its flows until then.
    Quarantined { until: Duration },
    /// Fails its checks.
    Down,
}

/// A frontend whose record and entry are in the kernel.
#[derive(Debug)]
pub(super) struct Frontend {
    pub(super) record: u32,
    pub(super) flags: u8,
    pub(super) table: Option<TableId>,
    pub(super) ready: bool,
}

/// The address-only entry that all frontends of an address share.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) record: u32,
    pub(super) frontends: u32,
}

/// A region of the slot pool, with the backends that its slots and entries may name.
#[derive(Debug)]
pub(super) struct Table {
    /// `None` after a restart until somebody claims it.
    pub(super) owner: Option<ServiceKey>,
    pub(super) base: u32,
    pub(super) log2: u8,
    /// Sorted; empty only while the table is being made.
    pub(super) frontends: Vec<Vip>,
    /// Sorted by backend.
    pub(super) members: Vec<Member>,
}

/// One membership of a backend in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) backend: BackendAddr,
    pub(super) id: u32,
    /// Found as some slot's current by a restarted agent.
    pub(super) was_current: bool,
}

/// An id that is in use, or was until nothing names it any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) backend: BackendAddr,
    /// `None`: only entries may name it.
    pub(super) table: Option<TableId>,
}

/// An address of backends: how to get there, and for which ids.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) way: Option<Way>,
    pub(super) ids: BTreeSet<u32>,
}

/// What waits until no packet in flight can have seen the old state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deferred {
    /// No table names it.
    FreeRegion { base: u32, log2: u8 },
    /// An entry was copied to another place.
    ClearVip {
        table: xdp_l4lb_common::layout::VipTable,
        place: crate::placement::Place,
    },
    /// The other half of the buckets can be written again.
    AllowRebuild,
    /// No entry of `vips` names the record.
    CondemnRecord(u32),
    /// An address-only record, which no flow can name.
    FreeRecord(u32),
    /// No slot names the id, and it is not live.
    CondemnId(u32),
    /// No slot of its table names the id, but it is live for entries that do.
    LingerId(u32),
    /// Nothing names the id.
    FreeId(u32),
}

/// Ids and records that are reused only once a whole scan of the flows has not met them.
#[derive(Debug, Default)]
pub(super) struct Graveyard {
    pub(super) records: BTreeSet<u32>,
    pub(super) ids: BTreeSet<u32>,
    pub(super) lingering: BTreeSet<u32>,
}

/// Everything that names something in the kernel's tables.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) frontends: BTreeMap<Vip, Frontend>,
    pub(super) addresses: BTreeMap<IpAddr, Address>,
    pub(super) tables: BTreeMap<TableId, Table>,
    /// Only ever asked for one id, on the scan's path.
    pub(super) holders: HashMap<u32, Holder>,
    /// As `holders`, for records of frontends.
    pub(super) records: HashMap<u32, Vip>,
    pub(super) reaches: BTreeMap<IpAddr, Reach>,
    pub(super) next_table: TableId,
}

impl Placed {
    pub(super) fn new(service: &Service, old: Option<Self>) -> Self {
        let (known, tables) = old.map_or_else(Default::default, |old| (old.wishes, old.tables));
        let checked = service.check.is_some();
        let standing = |backend: &BackendAddr| {
            let known = known
                .binary_search_by_key(backend, |wish| wish.backend)
                .ok()
                .and_then(|at| known.get(at));
            match known {
                _ if !checked => Standing::Up,
                Some(wish) => wish.standing,
                None => Standing::Unknown,
            }
        };
        Self {
            frontends: service.frontends.iter().copied().collect(),
            wishes: service
                .backends
                .iter()
                .map(|(backend, wanted)| Wish {
                    backend: *backend,
                    weight: wanted.weight,
                    state: wanted.state,
                    standing: standing(backend),
                })
                .collect(),
            idle: service.idle,
            when_empty: service.when_empty,
            table_size: service.table_size,
            unhealthy_grace: service.unhealthy_grace,
            checked,
            tables,
        }
    }

    /// Takes a check's verdict. Gives the quarantine's end if one begins; `None` if nothing changed.
    pub(super) fn judge(
        &mut self,
        now: Duration,
        backend: &BackendAddr,
        health: Health,
    ) -> Option<Option<Duration>> {
        let grace = self.unhealthy_grace;
        let at = self
            .wishes
            .binary_search_by_key(backend, |wish| wish.backend)
            .ok()?;
        let wish = self.wishes.get_mut(at).filter(|_| self.checked)?;
        let (standing, until) = match (health, wish.standing) {
            (Health::Up, Standing::Up)
            | (Health::Down, Standing::Quarantined { .. } | Standing::Down) => return None,
            (Health::Up, _) => (Standing::Up, None),
            (Health::Down, Standing::Up | Standing::Unknown) if grace > Duration::ZERO => {
                let until = now + grace;
                (Standing::Quarantined { until }, Some(until))
            }
            (Health::Down, Standing::Up | Standing::Unknown) => (Standing::Down, None),
        };
        wish.standing = standing;
        Some(until)
    }

    /// Ends the quarantines that are over.
    pub(super) fn expire(&mut self, now: Duration) {
        for wish in &mut self.wishes {
            if matches!(wish.standing, Standing::Quarantined { until } if until <= now) {
                wish.standing = Standing::Down;
            }
        }
    }

    pub(super) fn wish(&self, backend: &BackendAddr) -> Option<&Wish> {
        let at = self
            .wishes
            .binary_search_by_key(backend, |wish| wish.backend)
            .ok()?;
        self.wishes.get(at)
    }

    /// The idle time in epochs of one second.
    pub(super) fn idle_epochs(&self) -> u32 {
        u32::try_from(self.idle.as_secs()).unwrap_or(u32::MAX)
    }
}

impl Table {
    pub(super) fn slots(&self) -> std::ops::Range<u32> {
        self.base..self.base + (1 << self.log2)
    }

    pub(super) fn member(&self, backend: &BackendAddr) -> Option<&Member> {
        let at = self
            .members
            .binary_search_by_key(backend, |member| member.backend)
            .ok()?;
        self.members.get(at)
    }

    pub(super) fn add_member(&mut self, member: Member) {
        let at = self
            .members
            .partition_point(|other| other.backend < member.backend);
        self.members.insert(at, member);
    }
}

impl Inventory {
    pub(super) fn add_table(&mut self, table: Table) -> TableId {
        let name = self.next_table;
        self.next_table += 1;
        self.tables.insert(name, table);
        name
    }

    /// Whether a packet for this backend would find its way.
    pub(super) fn reachable(&self, backend: &BackendAddr) -> bool {
        self.reaches
            .get(&backend.addr)
            .is_some_and(|reach| reach.way.is_some())
    }
}
