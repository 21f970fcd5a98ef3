//! What objects are told about themselves.

use api::Kind;
use serde_json::json;
use types::ObjectName;

use crate::manifests::{advertisement, cilium, cluster, dated, node, peer, peer_config, service};
use crate::world::{World, object};

const CLUSTER: Kind = Kind::CiliumBGPClusterConfig;

#[test]
fn a_config_says_which_peer_configs_are_missing_sorted_and_once() {
    let peers = json!([
        peer("1", "b"),
        peer("2", "a"),
        peer("3", "b"),
        peer("4", "there")
    ]);
    let mut world = World::with([
        cluster("c", json!(null), peers),
        peer_config("there", json!({})),
    ]);
    let missing = says(&world, "c", "cilium.io/MissingPeerConfigs");

    world.put(peer_config("a", json!({})));
    world.put(peer_config("b", json!({})));

    assert_eq!(
        missing,
        "True MissingPeerConfigs: Referenced CiliumBGPPeerConfig(s) are missing: [a b]"
    );
    assert_eq!(
        says(&world, "c", "cilium.io/MissingPeerConfigs"),
        "False MissingPeerConfigs: "
    );
}

#[test]
fn a_config_says_whether_it_selects_any_node() {
    let rack = json!({"matchLabels": {"rack": "r1"}});
    let mut world = World::with([cluster("c", rack, json!([]))]);
    let none = says(&world, "c", "cilium.io/NoMatchingNode");

    world.put(node("edge2", json!({"rack": "r1"}), &[]));
    let one = says(&world, "c", "cilium.io/NoMatchingNode");
    world.remove(Kind::Node, ObjectName::of_cluster("edge2"));

    assert_eq!(
        none,
        "True NoMatchingNode: No node matches spec.nodeSelector"
    );
    assert_eq!(
        one,
        "False NoMatchingNode: No node matches spec.nodeSelector"
    );
    assert_eq!(says(&world, "c", "cilium.io/NoMatchingNode"), none);
}

#[test]
fn the_oldest_config_has_a_node_and_the_others_say_so() {
    let mut world = World::with([
        dated(
            cluster("young", json!(null), json!([])),
            "2026-02-01T00:00:00Z",
        ),
        dated(
            cluster("old", json!(null), json!([])),
            "2026-01-01T00:00:00Z",
        ),
        node("edge1", json!({}), &["10.0.0.9"]),
    ]);
    let young = says(&world, "young", "cilium.io/ConflictingClusterConfig");
    let old = says(&world, "old", "cilium.io/ConflictingClusterConfig");

    world.remove(CLUSTER, ObjectName::of_cluster("old"));

    assert_eq!(
        young,
        "True ConflictingClusterConfigs: Selecting the same node(s) with ClusterConfig(s): [old]"
    );
    assert_eq!(old, "False ConflictingClusterConfigs: ");
    assert_eq!(
        says(&world, "young", "cilium.io/ConflictingClusterConfig"),
        "False ConflictingClusterConfigs: "
    );
    assert_eq!(world.applied.instances.len(), 1);
}

#[test]
fn a_peer_config_says_whether_its_secret_is_missing() {
    let kind = Kind::CiliumBGPPeerConfig;
    let secret = |data| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tor", "namespace": "kube-system"}, "stringData": data,
        })
    };
    let mut world = World::with([peer_config("tor", json!({"authSecretRef": "tor"}))]);
    let says = |world: &World| {
        world
            .says(kind, "tor", "cilium.io/MissingAuthSecret")
            .unwrap()
    };
    let missing = says(&world);

    world.put(secret(json!({"pass": "x"})));
    let empty = says(&world);
    world.put(secret(json!({"password": "x"})));

    assert_eq!(
        missing,
        "True MissingAuthSecret: Referenced Auth Secret \"kube-system/tor\" is missing"
    );
    assert_eq!(
        empty,
        "True MissingPassword: Referenced Auth Secret \"kube-system/tor\" has no key \"password\""
    );
    assert_eq!(says(&world), "False MissingAuthSecret: ");
}

#[test]
fn fields_that_are_not_acted_upon_are_named_until_they_are_gone() {
    let condition = "sluicegate.io/NotEnforced";
    let mut world = World::with([
        service(json!({"sessionAffinity": "ClientIP"}), &[]),
        cilium(
            "CiliumBGPAdvertisement",
            "ad",
            json!({"advertisements": [{"advertisementType": "CiliumPodIPPool"}]}),
        ),
    ]);
    let of_service = world.says(Kind::Service, "web", condition);
    let of_advertisement = world.says(Kind::CiliumBGPAdvertisement, "ad", condition);

    world.put(service(json!({}), &[]));
    world.put(advertisement("ad", "tor", json!({})));

    assert_eq!(
        of_service.as_deref(),
        Some(
            "True FieldsNotEnforced: spec.sessionAffinity: connections of one client are spread over the backends"
        )
    );
    assert_eq!(
        of_advertisement.as_deref(),
        Some(
            "True FieldsNotEnforced: spec.advertisements[0].advertisementType: there are no pools of pod addresses, so nothing is announced"
        )
    );
    assert_eq!(world.says(Kind::Service, "web", condition), None);
    assert_eq!(
        world.says(Kind::CiliumBGPAdvertisement, "ad", condition),
        None
    );
}

#[test]
fn a_condition_that_is_shown_is_not_written_again() {
    let told = json!([{
        "type": "sluicegate.io/NotEnforced", "status": "True", "reason": "FieldsNotEnforced",
        "message": "spec.sessionAffinity: connections of one client are spread over the backends",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }, {"type": "example.org/Other", "status": "True"}]);
    let mut shown = service(json!({"sessionAffinity": "ClientIP"}), &[]);
    shown["status"]["conditions"] = told.clone();
    let mut stale = service(json!({}), &[]);
    stale["status"]["conditions"] = told;
    let mut world = World::with([]);

    let nothing = world.put(shown);
    let removal = world.desired.on_change(&api::Delta {
        objects: [(object(stale.clone()).key(), Some(object(stale)))].into(),
        ..api::Delta::default()
    });

    assert!(nothing.statuses.is_empty());
    let patches: Vec<_> = removal
        .statuses
        .values()
        .flat_map(|patch| &patch.conditions)
        .collect();
    assert_eq!(patches, [(&"sluicegate.io/NotEnforced".to_owned(), &None)]);
}

#[test]
fn an_object_that_does_not_validate_says_so_itself_until_it_does() {
    let key = api::Key::new(
        Kind::CiliumLoadBalancerIPPool,
        ObjectName::of_cluster("blue"),
    );
    let fault = api::Fault {
        path: api::FieldPath::new(vec![api::Step::Field("spec".to_owned())]),
        reason: "makes no sense".to_owned(),
    };
    let document = |conditions: serde_json::Value| {
        json!({
            "metadata": {"name": "blue", "resourceVersion": "7"},
            "status": {"conditions": conditions},
        })
    };
    let refused = |conditions| api::Delta {
        refused: [(key.clone(), vec![fault.clone()])].into(),
        shown: api::Shown::of(key.kind, &document(conditions))
            .map(|shown| (key.clone(), shown))
            .into_iter()
            .collect(),
        ..api::Delta::default()
    };
    let mut world = World::with([]);

    let first = world.desired.on_change(&refused(json!([])));
    let said = first.statuses[&key].conditions["sluicegate.io/Refused"].clone();
    let again = world.desired.on_change(&refused(json!([{
        "type": "sluicegate.io/Refused", "status": "True", "reason": "DoesNotValidate",
        "message": "spec: makes no sense",
    }])));
    let mended = world.desired.on_change(&api::Delta {
        refused: [(key.clone(), Vec::new())].into(),
        ..api::Delta::default()
    });
    let silent = world.desired.on_change(&api::Delta {
        shown: std::collections::BTreeMap::new(),
        ..refused(json!([]))
    });

    let said = said.expect("the condition is to be there");
    assert_eq!(said.status, api::Truth::True);
    assert_eq!(
        (said.reason.as_str(), said.message.as_str()),
        ("DoesNotValidate", "spec: makes no sense")
    );
    assert!(again.statuses.is_empty(), "it is there already");
    assert!(mended.statuses.is_empty(), "the object is gone");
    assert!(silent.statuses.is_empty(), "there is nothing to write to");
}

#[test]
fn a_refused_service_keeps_the_addresses_that_it_shows() {
    let key = api::Key::new(Kind::Service, ObjectName::new("shop", "web"));
    let document = json!({
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7"},
        "spec": {"type": "LoadBalancer"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "h"}]}},
    });
    let fault = api::Fault {
        path: api::FieldPath::new(Vec::new()),
        reason: "makes no sense".to_owned(),
    };
    let shown = api::Shown::of(key.kind, &document).expect("it is written to");
    let mut world = World::with([]);

    let changes = world.desired.on_change(&api::Delta {
        refused: [(key.clone(), vec![fault])].into(),
        shown: [(key.clone(), shown)].into(),
        ..api::Delta::default()
    });

    assert!(matches!(
        &changes.ipam.services[&key.name],
        Some(lb_ipam::Service::Unreadable { current })
            if *current == ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]
    ));
    assert!(changes.statuses.contains_key(&key));
}

#[test]
fn nothing_is_said_of_references_before_all_kinds_are_known() {
    let mut world = World::unsynced();
    world.put(cluster("c", json!(null), json!([peer("tor", "tor")])));
    world.put(peer_config("tor", json!({"authSecretRef": "tor"})));
    world.sync([CLUSTER, Kind::CiliumBGPPeerConfig]);

    assert!(world.applied.statuses.is_empty());
    world.sync(Kind::ALL);
    assert_eq!(world.applied.statuses.len(), 2);
}

fn says(world: &World, name: &str, condition: &str) -> String {
    world.says(CLUSTER, name, condition).expect("the condition")
}
