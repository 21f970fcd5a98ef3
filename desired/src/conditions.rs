//! What objects show of their conditions, and what is to be written so that they say what they should.

mod notes;
mod statements;

use std::collections::{BTreeMap, BTreeSet};

use api::condition::{cluster_config, node_config, own, peer_config};
use api::{Condition, Fault, Key, Kind, Object, Shown, Statement, StatusPatch, Truth};
use lb_ipam::Inputs;
use types::ObjectName;

use crate::{Facts, Role};

pub(crate) use statements::Context;

/// The types of conditions that are decided here.
const TYPES: [&str; 10] = [
    cluster_config::NO_MATCHING_NODE,
    cluster_config::MISSING_PEER_CONFIGS,
    cluster_config::CONFLICTING,
    peer_config::MISSING_AUTH_SECRET,
    node_config::RECONCILE_ERROR,
    own::NODE_STATE,
    own::ROUTER_IDS,
    own::NOT_ENFORCED,
    own::REFUSED,
    own::UNUSABLE_BACKENDS,
];

/// The longest message that a condition may have is 32768 bytes; faults are said up to here.
const LONGEST_MESSAGE: usize = 4096;

/// The index over objects and what they refer to.
#[derive(Debug)]
pub(crate) struct Conditions {
    role: Role,
    /// The object of this node.
    own: Key,
    /// What objects show, and what was written since.
    shown: BTreeMap<Key, Statements>,
    /// What is said of objects that do not validate.
    refused: BTreeMap<Key, Statement>,
    dirty: BTreeSet<Key>,
}

type Statements = BTreeMap<String, Statement>;

impl Conditions {
    pub(crate) fn new(facts: &Facts) -> Self {
        let own = ObjectName::of_cluster(facts.node.as_str());
        Self {
            role: facts.role,
            own: Key::new(Kind::CiliumBGPNodeConfig, own),
            shown: BTreeMap::new(),
            refused: BTreeMap::new(),
            dirty: BTreeSet::new(),
        }
    }

    /// An object has a new value, or is gone.
    pub(crate) fn on_object(&mut self, key: &Key, object: Option<&Object>) {
        if !self.is_judged(key) {
            return;
        }
        self.show(key, object.map_or(&[][..], Object::conditions));
    }

    /// An object does not validate, or does again. What is shown is none where nothing can be said.
    pub(crate) fn on_refused(&mut self, key: &Key, faults: &[Fault], shown: Option<&Shown>) {
        if !self.is_judged(key) {
            return;
        }
        match shown {
            Some(shown) if !faults.is_empty() => {
                self.refused.insert(key.clone(), refusal(faults));
                self.show(key, &shown.conditions);
            }
            Some(_) | None => {
                self.refused.remove(key);
                self.dirty.insert(key.clone());
            }
        }
    }

    fn show(&mut self, key: &Key, held: &[Condition]) {
        let held = held.iter();
        let ours = held.filter(|condition| TYPES.contains(&condition.kind.as_str()));
        let shown: Statements = ours.map(|held| (held.kind.clone(), said(held))).collect();
        if shown.is_empty() {
            self.shown.remove(key);
        } else {
            self.shown.insert(key.clone(), shown);
        }
        self.dirty.insert(key.clone());
    }

    pub(crate) fn touch(&mut self, kind: Kind, name: &ObjectName) {
        let key = Key::new(kind, name.clone());
        if self.is_judged(&key) {
            self.dirty.insert(key);
        }
    }

    /// The state of this node has changed.
    pub(crate) fn touch_own(&mut self) {
        if self.is_judged(&self.own) {
            self.dirty.insert(self.own.clone());
        }
    }

    /// Works through what was touched and can be judged.
    pub(crate) fn settle(&mut self, context: &Context<'_>) -> BTreeMap<Key, StatusPatch> {
        let mut patches = BTreeMap::new();
        let mut known: BTreeMap<Kind, bool> = BTreeMap::new();
        let mut can_judge = |key: &Key| {
            let kinds = self.role.judging(key.kind).unwrap_or_default();
            let judge = || context.objects.inputs(kinds) != Inputs::Incomplete;
            *known.entry(key.kind).or_insert_with(judge)
        };
        let (ready, waiting): (BTreeSet<Key>, _) = std::mem::take(&mut self.dirty)
            .into_iter()
            .partition(&mut can_judge);
        self.dirty = waiting;
        for key in ready {
            let object = context.objects.get(&key);
            let refused = self.refused.get(&key);
            if object.is_none() && refused.is_none() {
                self.shown.remove(&key);
                continue;
            }
            let mut wanted =
                object.map_or_else(Statements::new, |found| context.statements(&found));
            if let Some(refused) = refused {
                wanted.insert(own::REFUSED.to_owned(), refused.clone());
            }
            let patch = self.patch(&key, wanted);
            if !patch.is_empty() {
                patches.insert(key, patch);
            }
        }
        patches
    }

    /// Of all nodes' objects an agent judges its own.
    fn is_judged(&self, key: &Key) -> bool {
        let others = self.role == Role::Agent && *key != self.own;
        self.role.judging(key.kind).is_some() && !others
    }

    /// What differs from what is shown.
    fn patch(&mut self, key: &Key, wanted: Statements) -> StatusPatch {
        let shown = self.shown.remove(key).unwrap_or_default();
        let mut patch = StatusPatch::default();
        for kind in shown.keys().filter(|kind| !wanted.contains_key(*kind)) {
            patch.conditions.insert(kind.clone(), None);
        }
        for (kind, statement) in &wanted {
            if !shown
                .get(kind)
                .is_some_and(|shown| says_the_same(shown, statement))
            {
                patch
                    .conditions
                    .insert(kind.clone(), Some(statement.clone()));
            }
        }
        if !wanted.is_empty() {
            self.shown.insert(key.clone(), wanted);
        }
        patch
    }
}

fn refusal(faults: &[Fault]) -> Statement {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let mut message = faults.join("; ");
    if message.len() > LONGEST_MESSAGE {
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        message.push_str(" ...");
    }
    Statement::new(Truth::True, own::REASON_REFUSED, message)
}

fn said(condition: &Condition) -> Statement {
    Statement {
        status: condition.status,
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        observed_generation: condition.observed_generation,
    }
}

/// The generation alone is not worth a write.
fn says_the_same(one: &Statement, other: &Statement) -> bool {
    (one.status, &one.reason, &one.message) == (other.status, &other.reason, &other.message)
}
