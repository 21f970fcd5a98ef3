//! BGP identifiers out of a pool: one for each instance of each node, kept while the instance is there.
//!
//! What was given is in the CiliumBGPNodeConfigs and comes from there after a restart. An override that
//! asks for one of the pool gets it if no other instance has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use api::bgp::NodeSpec;
use types::{NodeName, Prefix, RouterId};

use super::build::Wanted;

/// The addresses that BGP identifiers are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterIdPool {
    prefix: Prefix,
    first: Ipv4Addr,
    last: Ipv4Addr,
}

/// BGP identifiers look like IPv4 addresses (RFC 6286).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRouterIdPool(Prefix);

/// Who has which identifier of the pool.
#[derive(Debug)]
pub(super) struct RouterIds {
    pool: Option<RouterIdPool>,
    holders: BTreeMap<Ipv4Addr, (NodeName, String)>,
    held: BTreeMap<NodeName, BTreeMap<String, RouterId>>,
    /// What could not be given, and why.
    problems: BTreeMap<NodeName, BTreeMap<String, Problem>>,
    /// Whether what the objects show was looked at.
    adopted: bool,
    /// Whether one has become free that somebody may wait for.
    freed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Exhausted(RouterIdPool),
    Taken {
        id: RouterId,
        by: (NodeName, String),
    },
}

impl RouterIds {
    pub(super) fn new(pool: Option<RouterIdPool>) -> Self {
        Self {
            pool,
            holders: BTreeMap::new(),
            held: BTreeMap::new(),
            problems: BTreeMap::new(),
            adopted: false,
            freed: false,
        }
    }

    /// Takes over, once, what the objects show: of two instances with one identifier the first.
    pub(super) fn adopt(&mut self, shown: &BTreeMap<NodeName, NodeSpec>) {
        if std::mem::replace(&mut self.adopted, true) || self.pool.is_none() {
            return;
        }
        for (node, spec) in shown.iter().filter(|(_, spec)| spec.owner.is_some()) {
            for instance in &spec.instances {
                if let Some(id) = instance.router_id {
                    self.hold(node, &instance.name, id);
                }
            }
        }
    }

    /// The identifiers of a node's instances, which are exactly these.
    pub(super) fn assign<'c>(
        &mut self,
        node: &NodeName,
        wanted: Wanted<'c>,
    ) -> BTreeMap<&'c str, RouterId> {
        let Some(pool) = self.pool else {
            let wanted = wanted.into_iter();
            return wanted.filter_map(|(name, id)| Some((name, id?))).collect();
        };
        self.keep(node, |instance| wanted.contains_key(instance));
        self.problems.remove(node);
        let mut given = BTreeMap::new();
        for (instance, wanted) in wanted {
            match self.give(pool, node, instance, wanted) {
                Ok(id) => drop(given.insert(instance, id)),
                Err((problem, id)) => {
                    let problems = self.problems.entry(node.clone()).or_default();
                    problems.insert(instance.to_owned(), problem);
                    given.extend(id.map(|id| (instance, id)));
                }
            }
        }
        given
    }

    /// The node has no instances any more.
    pub(super) fn release(&mut self, node: &NodeName) {
        self.keep(node, |_| false);
        self.problems.remove(node);
    }

    /// What could not be given to the node's instances, in words.
    pub(super) fn problems(&self, node: &NodeName) -> Option<String> {
        let problems = self.problems.get(node)?.iter();
        let problems =
            problems.map(|(instance, problem)| format!("instance {instance}: {problem}"));
        Some(problems.collect::<Vec<_>>().join(", "))
    }

    /// Nodes that may now get what they could not have before.
    pub(super) fn retries(&mut self) -> BTreeSet<NodeName> {
        if std::mem::take(&mut self.freed) {
            self.problems.keys().cloned().collect()
        } else {
            BTreeSet::new()
        }
    }

    /// What the instance gets, also if that is not what it should.
    fn give(
        &mut self,
        pool: RouterIdPool,
        node: &NodeName,
        instance: &str,
        wanted: Option<RouterId>,
    ) -> Result<RouterId, (Problem, Option<RouterId>)> {
        let Some(wanted) = wanted else {
            let id = self.given(pool, node, instance);
            return id.ok_or((Problem::Exhausted(pool), None));
        };
        if !pool.contains(wanted) {
            self.keep(node, |other| other != instance);
            return Ok(wanted);
        }
        let holder = self.holders.get(&wanted.addr()).cloned();
        match holder {
            Some(by) if (&by.0, by.1.as_str()) != (node, instance) => {
                let instead = self.given(pool, node, instance);
                Err((Problem::Taken { id: wanted, by }, instead))
            }
            Some(_) => Ok(wanted),
            None => {
                self.keep(node, |other| other != instance);
                self.hold(node, instance, wanted);
                Ok(wanted)
            }
        }
    }

    /// The identifier that the instance has, else a free one.
    fn given(&mut self, pool: RouterIdPool, node: &NodeName, instance: &str) -> Option<RouterId> {
        let held = self.held.get(node).and_then(|held| held.get(instance));
        if let Some(id) = held {
            return Some(*id);
        }
        let id = self.free(pool)?;
        self.hold(node, instance, id);
        Some(id)
    }

    fn free(&self, pool: RouterIdPool) -> Option<RouterId> {
        let mut next = pool.first;
        for taken in self
            .holders
            .range(pool.first..=pool.last)
            .map(|(id, _)| *id)
        {
            if taken > next {
                break;
            }
            next = Ipv4Addr::from(u32::from(taken).checked_add(1)?);
        }
        RouterId::try_from(next).ok().filter(|_| next <= pool.last)
    }

    /// Takes an identifier of the pool that nobody has for the instance, if it has none.
    fn hold(&mut self, node: &NodeName, instance: &str, id: RouterId) {
        let is_ours = self.pool.is_some_and(|pool| pool.contains(id));
        let held = self.held.entry(node.clone()).or_default();
        if is_ours && !held.contains_key(instance) && !self.holders.contains_key(&id.addr()) {
            held.insert(instance.to_owned(), id);
            let holder = (node.clone(), instance.to_owned());
            self.holders.insert(id.addr(), holder);
        }
        if held.is_empty() {
            self.held.remove(node);
        }
    }

    /// Frees what the node's other instances have.
    fn keep(&mut self, node: &NodeName, keep: impl Fn(&str) -> bool) {
        let Some(held) = self.held.get_mut(node) else {
            return;
        };
        let (holders, freed) = (&mut self.holders, &mut self.freed);
        held.retain(|instance, id| {
            let keep = keep(instance);
            if !keep {
                holders.remove(&id.addr());
                *freed = true;
            }
            keep
        });
        if held.is_empty() {
            self.held.remove(node);
        }
    }
}

impl RouterIdPool {
    fn contains(&self, id: RouterId) -> bool {
        (self.first..=self.last).contains(&id.addr())
    }
}

impl TryFrom<Prefix> for RouterIdPool {
    type Error = BadRouterIdPool;

    /// The first and last address are left out where there are others, as in a subnet.
    fn try_from(prefix: Prefix) -> Result<Self, BadRouterIdPool> {
        let (IpAddr::V4(first), IpAddr::V4(last)) = (prefix.addr(), prefix.last()) else {
            return Err(BadRouterIdPool(prefix));
        };
        let (first, last) = if prefix.len() < 31 {
            (u32::from(first) + 1, u32::from(last) - 1)
        } else {
            (u32::from(first), u32::from(last))
        };
        Ok(Self {
            prefix,
            // RFC 6286 §2.1: a BGP identifier is not zero.
            first: first.max(1).into(),
            last: last.into(),
        })
    }
}

impl fmt::Display for RouterIdPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.prefix.fmt(f)
    }
}

impl fmt::Display for BadRouterIdPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "router IDs are not taken from {}: they are IPv4", self.0)
    }
}

impl std::error::Error for BadRouterIdPool {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted(pool) => write!(f, "no router ID is free in {pool}"),
            Self::Taken {
                id,
                by: (node, instance),
            } => {
                write!(f, "router ID {id} belongs to instance {instance} of {node}")
            }
        }
    }
}
