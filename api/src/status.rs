//! What is to be written to an object's status, and how it joins what is there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::bgp::NodeStatus;
use crate::{Condition, Truth};

/// What is to be written to an object's status. What it does not name stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusPatch {
    /// The addresses of a Service, in that order.
    pub ingress: Option<Vec<IpAddr>>,
    /// Conditions by type; none removes the condition.
    pub conditions: BTreeMap<String, Option<Statement>>,
    /// How a node's BGP instances are, in its CiliumBGPNodeConfig.
    pub bgp: Option<NodeStatus>,
}

/// A condition before it has a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Whether it holds.
    pub status: Truth,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// The generation of the object that was looked at.
    pub observed_generation: Option<i64>,
}

impl Statement {
    /// A statement about any generation.
    #[must_use]
    pub fn new(status: Truth, reason: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
            message: message.into(),
            observed_generation: None,
        }
    }
}

impl StatusPatch {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ingress.is_none() && self.conditions.is_empty() && self.bgp.is_none()
    }

    /// Writes the patch into a status. A condition's time moves only with its truth; conditions are
    /// sorted by type. A status that is not an object is replaced. Whether anything changed.
    pub fn apply(&self, status: &mut Value, now: Timestamp) -> bool {
        let before = status.clone();
        let mut fields = match status.take() {
            Value::Object(fields) => fields,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Map::new(),
        };
        if let Some(ingress) = &self.ingress {
            let ingress: Vec<Value> = ingress.iter().map(|ip| json!({ "ip": ip })).collect();
            fields.insert("loadBalancer".to_owned(), json!({ "ingress": ingress }));
        }
        if let Some(bgp) = &self.bgp {
            fields.insert("bgpInstances".to_owned(), json!(bgp.instances));
        }
        if !self.conditions.is_empty() {
            let held = fields.get("conditions").cloned().unwrap_or_default();
            fields.insert("conditions".to_owned(), self.merged(held, now));
        }
        *status = Value::Object(fields);
        *status != before
    }

    fn merged(&self, held: Value, now: Timestamp) -> Value {
        let held: Vec<Condition> = serde_json::from_value(held).unwrap_or_default();
        let mut all: BTreeMap<String, Condition> = held
            .into_iter()
            .map(|condition| (condition.kind.clone(), condition))
            .collect();
        for (kind, statement) in &self.conditions {
            let was = all.remove(kind);
            if let Some(statement) = statement {
                let since = was.filter(|was| was.status == statement.status);
                let since = since.and_then(|was| was.last_transition_time);
                all.insert(kind.clone(), statement.at(kind, since.unwrap_or(now)));
            }
        }
        json!(all.into_values().collect::<Vec<_>>())
    }
}

impl Statement {
    fn at(&self, kind: &str, since: Timestamp) -> Condition {
        Condition {
            kind: kind.to_owned(),
            status: self.status,
            reason: self.reason.clone(),
            message: self.message.clone(),
            observed_generation: self.observed_generation,
            last_transition_time: Some(since),
        }
    }
}
