use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::Kind;

#[test]
fn every_custom_kind_that_is_read_has_a_definition_with_its_names_and_versions() {
    let definitions = all();

    for kind in Kind::ALL
        .into_iter()
        .filter(|kind| kind.group() == "cilium.io")
    {
        let found = definitions
            .iter()
            .find(|definition| definition["spec"]["names"]["kind"] == kind.as_str());
        let definition = found.unwrap_or_else(|| panic!("{kind} has no definition"));
        let spec = &definition["spec"];
        assert_eq!(spec["names"]["plural"], kind.plural());
        assert_eq!(spec["scope"] == "Namespaced", kind.namespaced());
        let served: BTreeSet<String> = spec["versions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|version| format!("cilium.io/{}", version["name"].as_str().unwrap()))
            .collect();
        let read: BTreeSet<String> = kind
            .api_versions()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(served, read, "{kind}");
    }
}

#[test]
fn one_version_is_stored_and_older_ones_are_said_to_be_deprecated() {
    for definition in all() {
        let versions = definition["spec"]["versions"].as_array().unwrap();
        let stored = versions.iter().filter(|version| version["storage"] == true);
        assert_eq!(stored.count(), 1);
        for version in versions {
            assert_eq!(version["deprecated"] == true, version["storage"] == false);
        }
    }
}

#[test]
fn schemas_are_structural() {
    for definition in all() {
        for version in definition["spec"]["versions"].as_array().unwrap() {
            check(&version["schema"]["openAPIV3Schema"], "");
        }
    }
}

#[test]
fn defaults_and_limits_are_those_that_manifests_are_written_for() {
    let definitions = all();
    let schema = |kind: &str, path: &str| {
        let found = definitions
            .iter()
            .find(|definition| definition["spec"]["names"]["kind"] == kind)
            .unwrap();
        let mut at = &found["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for step in path.split('.') {
            at = match step {
                "[]" => &at["items"],
                name => &at["properties"][name],
            };
        }
        at.clone()
    };
    let is = |kind: &str, path: &str, what: &str, value: Value| {
        assert_eq!(schema(kind, path)[what], value, "{kind} {path} {what}");
    };

    let peer = "CiliumBGPPeerConfig";
    is(peer, "spec.timers.holdTimeSeconds", "default", json!(90));
    is(peer, "spec.timers.holdTimeSeconds", "minimum", json!(3));
    is(
        peer,
        "spec.timers.keepAliveTimeSeconds",
        "default",
        json!(30),
    );
    is(
        peer,
        "spec.timers.connectRetryTimeSeconds",
        "default",
        json!(120),
    );
    is(peer, "spec.transport.peerPort", "default", json!(179));
    is(peer, "spec.ebgpMultihop", "default", json!(1));
    is(
        peer,
        "spec.gracefulRestart.restartTimeSeconds",
        "default",
        json!(120),
    );
    is(
        peer,
        "spec.gracefulRestart.restartTimeSeconds",
        "maximum",
        json!(4095),
    );
    is(peer, "spec.families.[]", "required", json!(["afi", "safi"]));
    let cluster = "CiliumBGPClusterConfig";
    is(cluster, "spec", "required", json!(["bgpInstances"]));
    is(cluster, "spec.bgpInstances", "maxItems", json!(16));
    is(
        cluster,
        "spec.bgpInstances.[].peers.[].peerASN",
        "default",
        json!(0),
    );
    is(
        cluster,
        "spec.bgpInstances.[].localASN",
        "maximum",
        json!(4_294_967_295_u32),
    );
    is(
        "CiliumLoadBalancerIPPool",
        "spec.disabled",
        "default",
        json!(false),
    );
    is(
        "CiliumLoadBalancerIPPool",
        "spec.allowFirstLastIPs",
        "enum",
        json!(["Yes", "No"]),
    );
}

/// Structural: every schema has one type, and nothing that an API server refuses.
fn check(schema: &Value, at: &str) {
    let fields = schema
        .as_object()
        .unwrap_or_else(|| panic!("{at} is not a schema"));
    assert!(
        fields["type"].is_string(),
        "{at} has the type {}",
        fields["type"]
    );
    for field in fields.keys() {
        let known = [
            "type",
            "description",
            "properties",
            "required",
            "items",
            "additionalProperties",
            "enum",
            "default",
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "pattern",
            "format",
        ];
        let known = known.contains(&field.as_str()) || field.starts_with("x-kubernetes-");
        assert!(known, "{at} has {field}");
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        check(property, &format!("{at}.{name}"));
    }
    for within in ["items", "additionalProperties"] {
        if let Some(schema) = fields.get(within) {
            check(schema, &format!("{at}.{within}"));
        }
    }
}
