//! Whatever a document says, it is read or refused.

use api::{Object, Strictness};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Names that mean something somewhere, so that random documents get past the first check.
const NAMES: [&str; 40] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "spec",
    "status",
    "ports",
    "port",
    "protocol",
    "type",
    "blocks",
    "cidr",
    "start",
    "stop",
    "serviceSelector",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "bgpInstances",
    "peers",
    "peerAddress",
    "peerConfigRef",
    "autoDiscovery",
    "families",
    "afi",
    "advertisements",
    "advertisementType",
    "service",
    "addresses",
    "selector",
    "attributes",
    "communities",
    "timers",
    "endpoints",
    "addressType",
    "conditions",
    "data",
    "loadBalancer",
];

const TEXTS: [&str; 16] = [
    "x",
    "",
    "IPv4",
    "Service",
    "In",
    "10.0.0.0/8",
    "10.0.0.1",
    "fd00::1%eth0",
    "TCP",
    "SCTP",
    "unicast",
    "ipv4",
    "PodCIDR",
    "True",
    "2026-01-01T00:00:00Z",
    "LoadBalancer",
];

proptest! {
    #[test]
    fn any_json_is_read_or_refused_and_never_panics(
        metadata in any_json(), spec in any_json(), status in any_json(), at in 0usize..10, top in any_json(),
    ) {
        let kind = api::Kind::ALL[at];
        let mut value = json!({
            "apiVersion": kind.api_versions()[0], "kind": kind.as_str(),
            "metadata": {"name": "x"}, "spec": spec, "status": status,
        });
        if metadata.is_object() {
            value["metadata"] = metadata;
        }
        if let Value::Object(top) = top {
            value.as_object_mut().unwrap().extend(top);
        }

        let strict = Object::from_value(value.clone(), Strictness::Strict);
        let lenient = Object::from_value(value, Strictness::Lenient);

        match (strict, lenient) {
            (Ok(strict), Ok(lenient)) => prop_assert_eq!(strict, lenient),
            (Ok(_), Err(refusal)) => prop_assert!(false, "only refused when lenient: {:?}", refusal),
            (Err(refusal), _) => prop_assert!(!refusal.faults.is_empty()),
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0i64..200).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(&TEXTS[..]).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        let key = proptest::sample::select(&NAMES[..]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..6).prop_map(|fields| {
                Value::Object(
                    fields
                        .into_iter()
                        .map(|(k, v)| (k.to_owned(), v))
                        .collect::<Map<_, _>>(),
                )
            }),
        ]
    })
}
