//! The steps in which a change is settled.

use std::collections::BTreeSet;
use std::net::IpAddr;

use types::ObjectName;

use super::Allocator;
use super::judge::{Claim, Fate, Judge};
use crate::action::{Action, Satisfaction};
use crate::desired::{Inputs, Time, after};
use crate::holders::Rank;
use crate::pools::{Offer, Refusal};
use crate::request::Service;
use crate::selector::Subject;
use crate::waiting::{Need, next_after};
use crate::wants::{Shortage, Wants};

impl Allocator {
    pub(super) fn settle(&mut self, now: Time) -> Vec<Action> {
        let dirty = std::mem::take(&mut self.dirty);
        let ranked = dirty.iter().filter_map(|name| self.rank(name));
        let mut dirty: BTreeSet<Rank> = ranked.collect();
        for rank in &dirty {
            self.release_what_is_lost(now, &rank.name);
        }
        let mut losers = BTreeSet::new();
        for rank in &dirty {
            self.part(&rank.name, &mut losers);
        }
        dirty.append(&mut losers);
        for rank in &dirty {
            self.keep_what_is_shown(now, &rank.name);
        }
        let touched = self.serve_in_turn(dirty);
        let mut actions = Vec::new();
        for rank in &touched {
            self.speak_of(&rank.name, &mut actions);
        }
        actions.append(&mut self.pools.news());
        actions
    }

    fn rank(&self, name: &ObjectName) -> Option<Rank> {
        let entry = self.services.get(name)?;
        Some(entry.service.holder(name).rank)
    }

    /// Step 1.
    fn release_what_is_lost(&mut self, now: Time, name: &ObjectName) {
        let Some(entry) = self.services.get_mut(name) else {
            return;
        };
        let mut lost: Vec<IpAddr> = Vec::new();
        for (addr, until) in &entry.notices.leaving {
            self.leaving.remove(&(*until, name.clone(), *addr));
        }
        match &entry.service {
            Service::Request(request) => {
                let due = if entry.is_edited {
                    now
                } else {
                    after(now, self.grace)
                };
                let judge = Judge {
                    pools: &self.pools,
                    wants: Wants::new(request, &self.enabled),
                    subject: Subject::new(name, request),
                    now,
                    due,
                    may_judge: self.inputs == Inputs::Complete,
                };
                let old = std::mem::take(&mut entry.notices.leaving);
                for addr in std::mem::take(&mut entry.held) {
                    let since = old.get(&addr).copied().filter(|_| !entry.is_edited);
                    match judge.fate(addr, since, request, entry.is_judged) {
                        Fate::Stays => entry.held.push(addr),
                        Fate::Leaves(until) => {
                            entry.held.push(addr);
                            entry.notices.leaving.insert(addr, until);
                        }
                        Fate::Lost => {
                            entry.former.insert(addr);
                            lost.push(addr);
                        }
                        Fate::Foreign => {
                            entry.notices.foreign.insert(addr);
                            lost.push(addr);
                        }
                    }
                }
                entry.is_edited = false;
            }
            // They stay listed, since the action will name them.
            Service::Foreign(_) => lost.clone_from(&entry.held),
            Service::Unreadable { .. } => {}
        }
        let leaving = entry.notices.leaving.iter();
        self.leaving
            .extend(leaving.map(|(addr, until)| (*until, name.clone(), *addr)));
        for addr in lost {
            self.pools.release(addr, name);
            self.freed.push(addr);
        }
    }

    /// Step 2. What is new about a service may be against those with which it shares.
    fn part(&mut self, name: &ObjectName, losers: &mut BTreeSet<Rank>) {
        let Some(entry) = self.services.get_mut(name) else {
            return;
        };
        if !matches!(entry.service, Service::Request(_)) {
            return;
        }
        let holder = entry.service.holder(name);
        let is_news = |addr: &IpAddr| {
            let holders = self.pools.holders().at(*addr);
            let as_held = holders.iter().find(|held| held.rank.name == *name);
            as_held.is_some_and(|held| *held != holder)
        };
        if !entry.held.iter().any(is_news) {
            return;
        }
        let mut losses: Vec<(Rank, IpAddr)> = Vec::new();
        for addr in &entry.held {
            let rivals = self.pools.holders().rivals(*addr, &holder);
            if rivals.iter().any(|rival| *rival < holder.rank) {
                losses.push((holder.rank.clone(), *addr));
            } else {
                losses.extend(rivals.into_iter().map(|rival| (rival, *addr)));
            }
            self.freed.push(*addr);
        }
        for (loser, addr) in losses {
            if let Some(entry) = self.services.get_mut(&loser.name) {
                entry.held.retain(|held| *held != addr);
                entry.former.insert(addr);
                if let Some(until) = entry.notices.leaving.remove(&addr) {
                    self.leaving.remove(&(until, loser.name.clone(), addr));
                }
            }
            self.pools.release(addr, &loser.name);
            losers.insert(loser);
        }
        if let Some(entry) = self.services.get(name) {
            self.pools.update(&entry.held, &holder);
        }
    }

    /// Step 3.
    fn keep_what_is_shown(&mut self, now: Time, name: &ObjectName) {
        let Some(entry) = self.services.get_mut(name) else {
            return;
        };
        let holder = entry.service.holder(name);
        let due = after(now, self.grace);
        let mut shown = match &entry.service {
            Service::Request(request) => {
                let judge = Judge {
                    pools: &self.pools,
                    wants: Wants::new(request, &self.enabled),
                    subject: Subject::new(name, request),
                    now,
                    due,
                    may_judge: self.inputs == Inputs::Complete,
                };
                let claim = Claim {
                    held: &entry.held,
                    is_judged: entry.is_judged,
                    foreign: &mut entry.notices.foreign,
                    former: &mut entry.former,
                };
                let shown = judge.keeps(request, claim);
                entry.is_judged |= judge.may_judge;
                shown
            }
            Service::Unreadable { current } => current.iter().map(|addr| (*addr, None)).collect(),
            Service::Foreign(_) => Vec::new(),
        };
        shown.retain(|(addr, _)| self.pools.take_shown(*addr, &holder));
        for (addr, leaves) in shown {
            entry.held.push(addr);
            if let Some(until) = leaves {
                entry.notices.leaving.insert(addr, until);
                self.leaving.insert((until, name.clone(), addr));
            }
        }
        if entry.notices.foreign.is_empty() {
            self.with_foreign.remove(name);
        } else {
            self.with_foreign.insert(name.clone());
        }
    }

    /// Step 4, for those concerned and for those that wait for what became free.
    fn serve_in_turn(&mut self, dirty: BTreeSet<Rank>) -> BTreeSet<Rank> {
        let mut turn = dirty;
        let mut roomy = self.pools.take_relieved();
        for addr in std::mem::take(&mut self.freed) {
            turn.extend(self.waiting.queue(&Need::Address(addr)).cloned());
            if self.pools.is_free(addr) {
                let family = types::Family::of(addr);
                let pools = self.pools.names_at(addr).cloned();
                roomy.extend(pools.map(|pool| Need::Pool(pool, family)));
            }
        }
        loop {
            self.serve_once(&mut turn, roomy);
            // Whoever took an address to share may have made it one that others can share.
            roomy = self.pools.take_relieved();
            roomy.retain(|need| self.waiting.next_in(need, None).is_some());
            if roomy.is_empty() {
                return turn;
            }
        }
    }

    /// Serves those of `turn`, and those that wait for what is `roomy`, once each.
    fn serve_once(&mut self, turn: &mut BTreeSet<Rank>, mut roomy: BTreeSet<Need>) {
        let mut last: Option<Rank> = None;
        loop {
            // Who waits for a pool with room mostly gets an address of it, so few are served in vain.
            roomy.retain(|need| self.pools.has_room(need));
            let next = roomy
                .iter()
                .filter_map(|need| self.waiting.next_in(need, last.as_ref()))
                .chain(next_after(turn, last.as_ref()))
                .min()
                .cloned();
            let Some(next) = next else {
                return;
            };
            self.serve(&next.name);
            turn.insert(next.clone());
            last = Some(next);
        }
    }

    /// Allocates what a service lacks.
    fn serve(&mut self, name: &ObjectName) {
        let Some(entry) = self.services.get_mut(name) else {
            return;
        };
        let Service::Request(request) = &entry.service else {
            self.waiting.remove(name);
            return;
        };
        let holder = entry.service.holder(name);
        let wants = Wants::new(request, &self.enabled);
        let subject = Subject::new(name, request);
        let missing = wants.missing(&entry.held);
        let mut shortage = Shortage::default();
        let mut found = Vec::new();
        if wants.is_hopeless() {
            shortage.note(Satisfaction::NoPool, []);
        }
        for addr in missing.addresses {
            match self.pools.check(addr, subject, &holder) {
                Ok(()) if self.pools.take(addr, &holder) => found.push(addr),
                // It is another service's after all.
                Ok(()) => shortage.note_refusal(addr, Refusal::Taken),
                Err(refusal) => shortage.note_refusal(addr, refusal),
            }
        }
        for family in missing.families {
            match self.pools.offer(family, subject, &holder) {
                Offer::Address(addr) if self.pools.take(addr, &holder) => found.push(addr),
                Offer::Address(addr) => shortage.note_refusal(addr, Refusal::Taken),
                Offer::None { needs } => shortage.note_none(needs, request),
            }
        }
        entry.held.append(&mut found);
        wants.sort(&mut entry.held);
        entry.satisfaction = shortage.first.unwrap_or(Satisfaction::Satisfied);
        match shortage.first {
            Some(_) => self.waiting.add(&holder.rank, shortage.needs),
            None => self.waiting.remove(name),
        }
    }

    /// Step 5.
    fn speak_of(&mut self, name: &ObjectName, actions: &mut Vec<Action>) {
        let Some(entry) = self.services.get_mut(name) else {
            return;
        };
        match &entry.service {
            Service::Request(_) => entry.speak(name, actions),
            Service::Foreign(shown) => {
                if shown.marked || entry.told.is_some() {
                    let is_given = |addr: &&IpAddr| {
                        self.pools.has(**addr) || shown.notices.leaving.contains_key(*addr)
                    };
                    let given = shown.addresses.iter().filter(is_given);
                    let given: BTreeSet<IpAddr> = entry.held.iter().chain(given).copied().collect();
                    actions.push(Action::ClearService {
                        service: name.clone(),
                        addresses: given.into_iter().collect(),
                    });
                }
                self.services.remove(name);
                self.with_foreign.remove(name);
            }
            Service::Unreadable { .. } => {}
        }
    }
}
