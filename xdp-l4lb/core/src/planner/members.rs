//! Which backends take new flows, which keep the flows they have, and the ids of both.

use std::net::IpAddr;

use types::BackendAddr;
use xdp_l4lb_common::layout::{
    BACKEND_LIVE, BACKEND_OFF_LINK, BackendMode, BackendRecord, ENCAP_IP, NextHop, mapped,
};

use super::Planner;
use super::state::{Deferred, Holder, Member, Placed, Standing, Table, TableId, Wish};
use crate::desired::{BackendState, TableSize};
use crate::maglev::{Candidate, Size};
use crate::steps::{Step, Way};

/// Before the way to a backend is known, that is why packets are dropped, not their size.
const ANY_MTU: u16 = u16::MAX;

/// What each backend of a service does.
#[derive(Debug, Default)]
pub(super) struct Roles {
    /// These take new flows.
    pub(super) current: Vec<Candidate>,
    /// On a cold node, flows that others opened belong to these.
    pub(super) previous: Vec<Candidate>,
    /// These keep their flows. Sorted.
    pub(super) kept: Vec<BackendAddr>,
    /// An active backend's first check is not over.
    pub(super) undecided: bool,
    /// The table's size, by all backends with a weight, so that failing and draining do not change it.
    pub(super) size: Option<Size>,
}

/// Why a backend cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Vip,
    Local,
    NotUnicast,
}

impl Roles {
    pub(super) fn new(
        placed: &Placed,
        table: Option<&Table>,
        is_refused: impl Fn(IpAddr) -> bool,
    ) -> Self {
        let mut roles = Self::default();
        let mut draining = Vec::new();
        let usable = placed
            .wishes
            .iter()
            .filter(|wish| !is_refused(wish.backend.addr));
        for wish in usable.clone() {
            roles.add(wish, table, &mut draining);
        }
        roles.previous = roles.current.iter().chain(&draining).copied().collect();
        roles.previous.sort_unstable();
        if roles.current.is_empty() {
            roles.current = draining;
        }
        roles.size = Some(match placed.table_size {
            TableSize::Auto => Size::automatic(usable.map(|wish| wish.weight)),
            TableSize::Fixed(prime) => Size::Prime(prime),
        });
        roles
    }

    fn add(&mut self, wish: &Wish, table: Option<&Table>, draining: &mut Vec<Candidate>) {
        let member = table.and_then(|table| table.member(&wish.backend));
        let candidate = Candidate {
            backend: wish.backend,
            weight: wish.weight,
        };
        let serves = match wish.standing {
            Standing::Up => true,
            // What the agent before this one found good stays so until a check says otherwise.
            Standing::Unknown => member.is_some_and(|member| member.was_current),
            Standing::Quarantined { .. } | Standing::Down => false,
        };
        match wish.state {
            BackendState::Active if serves && wish.weight > 0 => self.current.push(candidate),
            BackendState::Active => self.undecided |= wish.standing == Standing::Unknown,
            // One that nobody has checked yet is better than none.
            BackendState::Draining
                if wish.weight > 0 && (serves || wish.standing == Standing::Unknown) =>
            {
                draining.push(candidate);
            }
            BackendState::Draining => {}
        }
        if wish.standing != Standing::Down {
            self.kept.push(wish.backend);
        }
    }

    pub(super) fn keeps(&self, backend: &BackendAddr) -> bool {
        self.kept.binary_search(backend).is_ok()
    }
}

impl Planner {
    pub(super) fn refusal(&self, addr: IpAddr) -> Option<Refusal> {
        if addr.is_unspecified() || addr.is_multicast() || addr.is_loopback() {
            Some(Refusal::NotUnicast)
        } else if self.local.contains(&addr) {
            Some(Refusal::Local)
        } else if self.is_vip(addr) {
            Some(Refusal::Vip)
        } else {
            None
        }
    }

    /// Makes a backend a member: an id and a record that no slot names yet.
    pub(super) fn enlist(&mut self, backend: BackendAddr, out: &mut Vec<Step>) -> Option<Member> {
        let id = self.pools.ids.take()?;
        let reach = self.held.reaches.entry(backend.addr).or_default();
        if reach.ids.is_empty() {
            out.push(Step::Resolve(backend.addr));
        }
        reach.ids.insert(id);
        let record = BackendRecord {
            addr: mapped(backend.addr),
            mode: mode_of(reach.way).word(),
            port: backend.port.to_be_bytes(),
            pad: [0; 2],
            next_hop: reach.way.map_or(0, |way| way.next_hop.word()),
            reserved: [0; 4],
        };
        out.push(Step::WriteBackend { id, record });
        let table = None;
        self.held.holders.insert(id, Holder { backend, table });
        Some(Member {
            backend,
            id,
            was_current: false,
        })
    }

    /// Ends a membership. No slot names the id any more.
    pub(super) fn discharge(&mut self, table: TableId, member: &Member, out: &mut Vec<Step>) {
        if self.collector.is_aliased(table) {
            if let Some(holder) = self.held.holders.get_mut(&member.id) {
                holder.table = None;
            }
            self.later.push(Deferred::LingerId(member.id));
        } else {
            self.end_id(member.id, out);
        }
    }

    /// Tells the kernel that flows of an id may move.
    pub(super) fn end_id(&mut self, id: u32, out: &mut Vec<Step>) {
        let Some(holder) = self.held.holders.remove(&id) else {
            return;
        };
        let addr = holder.backend.addr;
        let mode = BackendMode::new(0, ENCAP_IP, 0);
        out.push(Step::StoreBackendMode { id, mode });
        self.later.push(Deferred::CondemnId(id));
        if let Some(reach) = self.held.reaches.get_mut(&addr) {
            reach.ids.remove(&id);
            if reach.ids.is_empty() {
                self.held.reaches.remove(&addr);
                out.push(Step::Forget(addr));
            }
        }
    }

    pub(super) fn free_id(&mut self, id: u32, out: &mut Vec<Step>) {
        let record = BackendRecord {
            addr: [0; 16],
            mode: 0,
            port: [0; 2],
            pad: [0; 2],
            next_hop: NextHop::NONE.word(),
            reserved: [0; 4],
        };
        out.push(Step::WriteBackend { id, record });
        self.pools.ids.give_back(id);
    }

    pub(super) fn set_table(&mut self, id: u32, name: TableId) {
        if let Some(holder) = self.held.holders.get_mut(&id) {
            holder.table = Some(name);
        }
    }
}

/// Flags and MTU of a live backend.
pub(super) fn mode_of(way: Option<Way>) -> BackendMode {
    let flags = match way {
        Some(way) if way.off_link => BACKEND_LIVE | BACKEND_OFF_LINK,
        Some(_) | None => BACKEND_LIVE,
    };
    BackendMode::new(flags, ENCAP_IP, way.map_or(ANY_MTU, |way| way.mtu))
}
