//! Which addresses a service keeps, and which of its status are its own.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::desired::Time;
use crate::pools::Pools;
use crate::request::Request;
use crate::selector::Subject;
use crate::wants::Wants;

/// What becomes of an address that a service holds.
pub(super) enum Fate {
    Stays,
    /// No pool has it for the service any more.
    Leaves(Time),
    Lost,
    /// It never was the allocator's.
    Foreign,
}

/// How addresses are judged in one change.
pub(super) struct Judge<'j> {
    pub(super) pools: &'j Pools,
    pub(super) wants: Wants<'j>,
    pub(super) subject: Subject<'j>,
    pub(super) now: Time,
    /// When an address that no pool has from now on is lost.
    pub(super) due: Time,
    /// Whether everything is known. What a refused pool selects and holds is not.
    pub(super) may_judge: bool,
}

/// What is known of a service's addresses when its status is read.
pub(super) struct Claim<'c> {
    pub(super) held: &'c [IpAddr],
    pub(super) is_judged: bool,
    pub(super) foreign: &'c mut BTreeSet<IpAddr>,
    pub(super) former: &'c mut BTreeSet<IpAddr>,
}

impl Judge<'_> {
    /// What becomes of an address that the service holds; `since` is when it was to leave, if it was.
    pub(super) fn fate(
        &self,
        addr: IpAddr,
        since: Option<Time>,
        request: &Request,
        is_judged: bool,
    ) -> Fate {
        if !self.wants.accept(addr) {
            return Fate::Lost;
        }
        if !self.may_judge {
            return since.map_or(Fate::Stays, Fate::Leaves);
        }
        if self.pools.covers(addr, self.subject) {
            return Fate::Stays;
        }
        if !is_judged && self.is_foreign(addr, request) {
            return Fate::Foreign;
        }
        let until = since.unwrap_or(self.due);
        if until <= self.now {
            Fate::Lost
        } else {
            Fate::Leaves(until)
        }
    }

    /// Whether an address of the status is another program's, when it is seen first.
    fn is_foreign(&self, addr: IpAddr, request: &Request) -> bool {
        let shown = &request.shown;
        !self.pools.has(addr)
            && !shown.notices.leaving.contains_key(&addr)
            && (!shown.marked || shown.notices.foreign.contains(&addr))
    }

    /// The addresses of the status that are the service's own, with when it loses them. Notes those that
    /// are another program's.
    pub(super) fn keeps(&self, request: &Request, claim: Claim<'_>) -> Vec<(IpAddr, Option<Time>)> {
        let Claim {
            held,
            is_judged,
            foreign,
            former,
        } = claim;
        let shown = &request.shown.addresses;
        let missing = self.wants.missing(held);
        let is_in_place = |addr: &IpAddr| shown.contains(addr) && !self.pools.has(*addr);
        foreign.retain(is_in_place);
        former.retain(|addr| shown.contains(addr));
        let mut kept = Vec::new();
        for &addr in shown.iter().filter(|addr| !held.contains(addr)) {
            let is_wanted = missing.accept(addr);
            let is_new = !former.contains(&addr);
            if is_wanted && (!self.may_judge || self.pools.covers(addr, self.subject)) {
                kept.push((addr, None));
            } else if !self.may_judge || self.pools.has(addr) && is_judged {
                // The status is to be as it is said, and the address is not part of that.
                continue;
            } else if is_judged && !is_new {
                // The source has not seen yet that it was taken away.
                continue;
            } else if is_judged || self.is_foreign(addr, request) {
                foreign.insert(addr);
            } else if let Some(until) = self.leaves(addr, request).filter(|_| is_wanted) {
                kept.push((addr, Some(until)));
            } else {
                former.insert(addr);
            }
        }
        kept
    }

    /// Until when an address of the status, that no pool has for the service, is its own.
    fn leaves(&self, addr: IpAddr, request: &Request) -> Option<Time> {
        let said = request.shown.notices.leaving.get(&addr).copied();
        let until = said.or_else(|| request.shown.marked.then_some(self.due));
        until.filter(|until| *until > self.now)
    }
}
