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
    /// The addresses of a Service, in that order. Names that another program put beside them stay.
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
    /// sorted by type, and those of others stay to the letter. A status that is not an object is
    /// replaced. Whether anything changed.
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
            give(&mut fields, ingress);
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
        let Value::Array(held) = held else {
            return self.merged(Value::Array(Vec::new()), now);
        };
        let mut all: BTreeMap<String, Value> = held
            .into_iter()
            .filter_map(|condition| Some((condition.get("type")?.as_str()?.to_owned(), condition)))
            .collect();
        for (kind, statement) in &self.conditions {
            let was = all.remove(kind);
            if let Some(statement) = statement {
                all.insert(kind.clone(), statement.after(kind, was, now));
            }
        }
        all.into_values().collect()
    }
}

/// Puts addresses into a Service's status. An address that is there keeps what else is said of it,
/// and entries that are no addresses stay, after the addresses.
fn give(status: &mut Map<String, Value>, addresses: &[IpAddr]) {
    let held = status.get("loadBalancer");
    let held = held.and_then(|held| held.get("ingress")?.as_array());
    let held: Vec<Value> = held.cloned().unwrap_or_default();
    let (with_address, others): (Vec<Value>, Vec<Value>) =
        held.into_iter().partition(|entry| address(entry).is_some());
    if with_address
        .iter()
        .filter_map(address)
        .eq(addresses.iter().copied())
    {
        return;
    }
    let of = |wanted: &IpAddr| {
        let mut held = with_address.iter();
        let held = held.find(|entry| address(entry) == Some(*wanted));
        held.cloned().unwrap_or_else(|| json!({ "ip": wanted }))
    };
    let entries: Vec<Value> = addresses.iter().map(of).chain(others).collect();
    status.insert("loadBalancer".to_owned(), json!({ "ingress": entries }));
}

fn address(entry: &Value) -> Option<IpAddr> {
    entry.get("ip")?.as_str()?.parse().ok()
}

impl Statement {
    /// The condition that follows the one that was there; the same one if it says the same.
    fn after(&self, kind: &str, was: Option<Value>, now: Timestamp) -> Value {
        let before: Option<Condition> =
            was.clone().and_then(|was| serde_json::from_value(was).ok());
        let same_truth = before.as_ref().filter(|was| was.status == self.status);
        let since = same_truth.and_then(|was| was.last_transition_time);
        let condition = self.at(kind, since.unwrap_or(now));
        match was {
            Some(was) if before.as_ref() == Some(&condition) => was,
            Some(_) | None => json!(condition),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ingress(addresses: &[&str]) -> StatusPatch {
        StatusPatch {
            ingress: Some(addresses.iter().map(|addr| addr.parse().unwrap()).collect()),
            ..StatusPatch::default()
        }
    }

    #[test]
    fn names_of_other_programs_stay_beside_the_addresses() {
        let mut status = json!({"loadBalancer": {"ingress": [
            {"hostname": "lb.example", "ports": [{"port": 80, "protocol": "TCP"}]},
            {"ip": "192.0.2.1", "ipMode": "VIP"},
        ]}});
        let now = at("2026-11-20T10:00:00Z");

        assert!(!ingress(&["192.0.2.1"]).apply(&mut status, now));
        assert!(ingress(&["192.0.2.2", "192.0.2.1"]).apply(&mut status, now));
        assert_eq!(
            status["loadBalancer"]["ingress"],
            json!([
                {"ip": "192.0.2.2"},
                {"ip": "192.0.2.1", "ipMode": "VIP"},
                {"hostname": "lb.example", "ports": [{"port": 80, "protocol": "TCP"}]},
            ])
        );
        assert!(ingress(&[]).apply(&mut status, now));
        assert!(!ingress(&[]).apply(&mut status, now));
        assert_eq!(
            status["loadBalancer"]["ingress"][0]["hostname"],
            "lb.example"
        );
    }

    #[test]
    fn no_address_is_what_no_list_of_them_is() {
        let mut status = json!({"loadBalancer": {}});

        assert!(!ingress(&[]).apply(&mut status, at("2026-11-20T10:00:00Z")));
    }

    #[test]
    fn conditions_of_others_stay_to_the_letter() {
        let foreign = json!({
            "type": "example.com/Ready", "status": "Maybe", "lastHeartbeatTime": "yesterday",
        });
        let mut status = json!({"conditions": [foreign]});
        let statement = Statement::new(Truth::True, "satisfied", "");
        let patch = StatusPatch {
            conditions: [("cilium.io/A".to_owned(), Some(statement))].into(),
            ..StatusPatch::default()
        };

        assert!(patch.apply(&mut status, at("2026-11-20T10:00:00Z")));
        assert!(!patch.apply(&mut status, at("2026-11-20T11:00:00Z")));

        assert_eq!(status["conditions"][1], foreign);
        assert_eq!(
            status["conditions"][0]["lastTransitionTime"],
            "2026-11-20T10:00:00Z"
        );
    }
}
