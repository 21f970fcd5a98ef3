//! What objects show of their conditions, and what is to be written so that they say what they should.

mod notes;
mod statements;

use std::collections::{BTreeMap, BTreeSet};

use api::condition::{cluster_config, node_config, own, peer_config};
use api::{Condition, Key, Kind, Object, Statement, StatusPatch};
use lb_ipam::Inputs;
use types::ObjectName;

use crate::{Facts, Role};

pub(crate) use statements::Context;

/// The types of conditions that are decided here.
const TYPES: [&str; 9] = [
    cluster_config::NO_MATCHING_NODE,
    cluster_config::MISSING_PEER_CONFIGS,
    cluster_config::CONFLICTING,
    peer_config::MISSING_AUTH_SECRET,
    node_config::RECONCILE_ERROR,
    own::NODE_STATE,
    own::ROUTER_IDS,
    own::NOT_ENFORCED,
    own::UNUSABLE_BACKENDS,
];

/// The index over objects and what they refer to.
#[derive(Debug)]
pub(crate) struct Conditions {
    role: Role,
    /// The object of this node.
    own: Key,
    /// What objects show, and what was written since.
    shown: BTreeMap<Key, Statements>,
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
            dirty: BTreeSet::new(),
        }
    }

    /// An object has a new value, or is gone.
    pub(crate) fn on_object(&mut self, key: &Key, object: Option<&Object>) {
        if !self.is_judged(key) {
            return;
        }
        let held = object.map_or(&[][..], Object::conditions).iter();
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
            let Some(object) = context.objects.get(&key) else {
                continue;
            };
            let patch = self.patch(&key, context.statements(&object));
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
