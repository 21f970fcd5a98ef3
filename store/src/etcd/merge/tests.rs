use serde_json::json;

use super::*;

#[test]
fn a_new_object_is_given_what_kubernetes_gives() {
    let Merged::Created(made) = merge(None, &pool(&["10.0.0.0/24"]), &given()).unwrap() else {
        panic!("there was none");
    };

    let metadata = &made["metadata"];
    assert_eq!(metadata["uid"], "6a1c");
    assert_eq!(metadata["generation"], 1);
    assert_eq!(metadata["creationTimestamp"], "2026-11-20T12:00:00Z");
    assert_eq!(metadata["managedFields"][0]["manager"], "sluice");
}

#[test]
fn the_same_manifest_again_changes_nothing() {
    let manifest = pool(&["10.0.0.0/24"]);
    let made = apply(None, &manifest);

    assert_eq!(
        merge(Some(&made), &manifest, &given()),
        Ok(Merged::Unchanged)
    );
}

#[test]
fn a_change_of_the_spec_is_a_generation_and_one_of_a_label_is_none() {
    let made = apply(None, &pool(&["10.0.0.0/24"]));
    let mut labelled = pool(&["10.0.0.0/24"]);
    labelled["metadata"]["labels"] = json!({"team": "red"});

    let labelled = apply(Some(&made), &labelled);
    let grown = apply(Some(&made), &pool(&["10.0.0.0/24", "10.0.1.0/24"]));

    assert_eq!(labelled["metadata"]["generation"], 1);
    assert_eq!(labelled["metadata"]["labels"], json!({"team": "red"}));
    assert_eq!(grown["metadata"]["generation"], 2);
    assert_eq!(grown["metadata"]["uid"], made["metadata"]["uid"]);
}

#[test]
fn a_field_that_is_not_named_any_more_goes_and_one_of_another_stays() {
    let mut manifest = pool(&["10.0.0.0/24"]);
    manifest["spec"]["serviceSelector"] = json!({"matchLabels": {"org": "empire"}});
    let mut made = apply(None, &manifest);
    made["metadata"]["annotations"] = json!({"example.org/seen": "yes"});
    made["spec"]["disabled"] = json!(true);

    let after = apply(Some(&made), &pool(&["10.0.0.0/24"]));

    assert_eq!(after["spec"].get("serviceSelector"), None);
    assert_eq!(after["spec"]["disabled"], true);
    assert_eq!(
        after["metadata"]["annotations"],
        json!({"example.org/seen": "yes"})
    );
}

#[test]
fn who_applies_takes_nothing_of_another_who_applies() {
    let node = |labels: Value| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": labels}});
    let by = |manager: &str, existing: Option<&Value>, labels: Value| {
        let given = Given {
            manager: manager.into(),
            ..given()
        };
        match merge(existing, &node(labels), &given).unwrap() {
            Merged::Created(made) | Merged::Changed(made) => made,
            Merged::Unchanged => existing.unwrap().clone(),
        }
    };

    let of_agent = by("agent", None, json!({"host": "n"}));
    let of_both = by(
        "person",
        Some(&of_agent),
        json!({"host": "n", "rack": "r1"}),
    );
    let again = by("agent", Some(&of_both), json!({"host": "n"}));
    let less = by("person", Some(&again), json!({"zone": "z"}));

    assert_eq!(again, of_both);
    assert_eq!(
        less["metadata"]["labels"],
        json!({"host": "n", "zone": "z"})
    );
}

#[test]
fn a_value_without_one_is_not_named() {
    let mut manifest = pool(&["10.0.0.0/24"]);
    let made = apply(None, &manifest);
    manifest["spec"]["serviceSelector"] = Value::Null;

    assert_eq!(
        merge(Some(&made), &manifest, &given()),
        Ok(Merged::Unchanged)
    );
}

#[test]
fn what_is_given_is_not_taken_from_a_manifest_that_was_exported() {
    let made = apply(None, &pool(&["10.0.0.0/24"]));
    let mut exported = made.clone();
    exported["metadata"]["resourceVersion"] = json!("812");
    exported["metadata"]["uid"] = json!("another");

    let other = apply(None, &exported);

    assert_eq!(other["metadata"]["uid"], "6a1c");
    assert_eq!(other["metadata"].get("resourceVersion"), None);
    assert_eq!(
        merge(Some(&made), &exported, &given()),
        Ok(Merged::Unchanged)
    );
}

#[test]
fn a_namespace_that_is_not_named_is_the_default_one() {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 80}]},
    });

    let made = apply(None, &service);

    assert_eq!(made["metadata"]["namespace"], "default");
}

#[test]
fn a_status_is_the_manifests_until_one_is_written() {
    let node = |address: &str| {
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "edge1"},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]},
        })
    };
    let made = apply(None, &node("192.0.2.1"));
    let moved = apply(Some(&made), &node("192.0.2.2"));
    let mut written = moved.clone();
    let marks = &mut written["metadata"]["managedFields"];
    marks.as_array_mut().unwrap().push(status_mark());

    let after = apply(Some(&written), &node("192.0.2.3"));

    assert_eq!(moved["status"]["addresses"][0]["address"], "192.0.2.2");
    assert_eq!(after["status"]["addresses"][0]["address"], "192.0.2.2");
    assert!(!takes_status_from_manifest(&after));
}

#[test]
fn a_manifest_that_is_no_object_is_refused() {
    let mut bad = pool(&["10.0.0.0/33"]);
    assert!(merge(None, &bad, &given()).is_err());
    bad["kind"] = json!("Deployment");
    assert!(merge(None, &bad, &given()).is_err());
    assert!(merge(None, &Value::Null, &given()).is_err());
}

#[test]
fn what_cannot_be_read_is_replaced() {
    let broken = json!({"metadata": []});

    let after = apply(Some(&broken), &pool(&["10.0.0.0/24"]));

    assert_eq!(after["spec"]["blocks"][0]["cidr"], "10.0.0.0/24");
    assert_eq!(after["metadata"]["name"], "blue");
}

fn apply(existing: Option<&Value>, manifest: &Value) -> Value {
    match merge(existing, manifest, &given()).unwrap() {
        Merged::Created(made) => made,
        Merged::Changed(made) => made,
        Merged::Unchanged => existing.unwrap().clone(),
    }
}

fn pool(blocks: &[&str]) -> Value {
    let blocks: Vec<Value> = blocks.iter().map(|cidr| json!({"cidr": cidr})).collect();
    json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumLoadBalancerIPPool",
        "metadata": {"name": "blue"}, "spec": {"blocks": blocks},
    })
}

fn given() -> Given {
    Given {
        manager: MANAGER.into(),
        now: "2026-11-20T12:00:00Z".parse().unwrap(),
        uid: "6a1c".to_owned(),
    }
}
