//! Documents as people and servers write them, read by the public interface.

use std::time::Duration;

use api::{Object, Refusal, Strictness};
use serde_json::{Map, Value, json};

/// Reads a document that is of that kind.
macro_rules! read_as {
    ($kind:ident, $value:expr) => {{
        let api::Object::$kind(object) = crate::read($value) else {
            panic!("another kind");
        };
        object
    }};
}

mod bgp;
mod bgp_faults;
mod faults;
mod meaning;
mod node_configs;
mod pools;
mod properties;
mod selectors;
mod service_faults;
mod services;

pub(crate) fn read(value: Value) -> Object {
    Object::from_value(value, Strictness::Strict)
        .unwrap_or_else(|refusal| panic!("{refusal}: {:?}", refusal.faults))
}

pub(crate) fn refused(value: Value) -> Refusal {
    Object::from_value(value, Strictness::Strict).expect_err("a refusal")
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn cilium(kind: &str, spec: impl Into<Value>) -> Value {
    let spec: Value = spec.into();
    json!({"apiVersion": "cilium.io/v2", "kind": kind, "metadata": {"name": "x"}, "spec": spec})
}

pub(crate) fn pool(spec: Value) -> Value {
    cilium("CiliumLoadBalancerIPPool", spec)
}

/// A service with those fields in its spec.
pub(crate) fn service(fields: Value) -> Value {
    let mut spec = Map::new();
    spec.insert("ports".to_owned(), json!([{"port": 80}]));
    if let Value::Object(fields) = fields {
        spec.extend(fields);
    }
    let metadata = json!({"name": "web", "labels": {"tier": "front"}});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
}

/// Each document is refused with exactly these faults, in this order.
pub(crate) fn table(rows: &[(Value, &[&str])]) {
    for (value, expected) in rows {
        let refusal = refused(value.clone());
        let faults: Vec<String> = refusal.faults.iter().map(ToString::to_string).collect();
        assert_eq!(&faults, expected, "{value}");
    }
}
