//! What an operator has written: nodes' BGP configurations, and what it says of the objects they come from.

use std::collections::BTreeMap;

use api::{Delta, Key, Kind, Object};
use desired::{Changes, Facts, Forwarding, Role};
use serde_json::{Value, json};
use types::{NodeName, ObjectName};

use crate::manifests::{cilium, cluster, dated, node, peer, peer_config, service, with};
use crate::world::{World, facts, object};

const CLUSTER: Kind = Kind::CiliumBGPClusterConfig;
const NODE_CONFIG: Kind = Kind::CiliumBGPNodeConfig;
const EARLY: &str = "2026-01-01T00:00:00Z";
const LATE: &str = "2026-02-01T00:00:00Z";

#[test]
fn a_node_gets_what_its_config_says_and_what_it_has_different() {
    let mut config = cluster(
        "rack",
        json!(null),
        json!([peer("tor", "tor"), gateway("gw")]),
    );
    config["metadata"]["uid"] = json!("1234");
    let world = operator().told([
        config,
        node("edge1", json!({}), &["10.0.0.9"]),
        node("edge2", json!({}), &["10.0.0.8"]),
        cilium(
            "CiliumBGPNodeConfigOverride",
            "edge2",
            json!({"bgpInstances": [
                {"name": "main", "routerID": "10.0.0.2", "localPort": 1790, "localASN": 65009,
                 "peers": [{"name": "tor", "localAddress": "10.0.0.8"}, {"name": "none", "localAddress": "10.0.0.7"}]},
                {"name": "none", "routerID": "10.0.0.3"},
            ]}),
        ),
    ]);

    let peers = |tor: Value| {
        json!([tor, {"name": "gw", "peerASN": 65000,
            "autoDiscovery": {"mode": "DefaultGateway", "defaultGateway": {"addressFamily": "ipv4"}}}])
    };
    let plain = json!({"name": "tor", "peerASN": 65000, "peerAddress": "192.0.2.254", "peerConfigRef": {"name": "tor"}});
    let mut from = plain.clone();
    from["localAddress"] = json!("10.0.0.8");
    let expected = |name: &str, instance: Value| {
        json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumBGPNodeConfig",
            "metadata": {"name": name, "ownerReferences": [{
                "apiVersion": "cilium.io/v2", "kind": "CiliumBGPClusterConfig", "name": "rack", "uid": "1234",
                "controller": true,
            }]},
            "spec": {"bgpInstances": [instance]},
        })
    };
    assert_eq!(
        manifests(&world),
        [
            expected(
                "edge1",
                json!({"name": "main", "localASN": 65001, "peers": peers(plain)})
            ),
            expected(
                "edge2",
                json!({
                    "name": "main", "localASN": 65009, "routerID": "10.0.0.2", "localPort": 1790, "peers": peers(from),
                })
            ),
        ]
    );
}

#[test]
fn the_first_config_to_have_a_node_keeps_it_and_the_other_says_so() {
    let mut world = operator().told([
        dated(cluster("young", json!(null), json!([])), LATE),
        node("edge1", json!({}), &["10.0.0.9"]),
    ]);

    world.put(dated(cluster("old", json!(null), json!([])), EARLY));
    let mut restarted = world.rebuilt();

    for world in [&world, &restarted] {
        assert_eq!(owner(world, "edge1"), Some("young"));
        assert_eq!(
            says(world, "old", "cilium.io/ConflictingClusterConfig"),
            "True ConflictingClusterConfigs: Selecting the same node(s) with ClusterConfig(s): [young]"
        );
        assert_eq!(
            says(world, "young", "cilium.io/ConflictingClusterConfig"),
            "False ConflictingClusterConfigs: "
        );
    }
    restarted.put(cluster(
        "young",
        json!({"matchLabels": {"rack": "r9"}}),
        json!([]),
    ));
    assert_eq!(owner(&restarted, "edge1"), Some("old"));
    assert_eq!(
        says(&restarted, "old", "cilium.io/ConflictingClusterConfig"),
        "False ConflictingClusterConfigs: "
    );
}

#[test]
fn a_node_that_nobody_has_goes_to_the_oldest_config() {
    let world = operator().told([
        dated(cluster("a-young", json!(null), json!([])), LATE),
        dated(cluster("old", json!(null), json!([])), EARLY),
        node("edge1", json!({}), &["10.0.0.9"]),
    ]);

    assert_eq!(owner(&world, "edge1"), Some("old"));
}

#[test]
fn a_config_that_was_made_anew_has_its_nodes_anew() {
    let mut config = cluster("rack", json!(null), json!([]));
    config["metadata"]["uid"] = json!("one");
    let mut world = operator().told([
        config.clone(),
        dated(cluster("other", json!(null), json!([])), LATE),
        node("edge1", json!({}), &["10.0.0.9"]),
    ]);
    let before = owner(&world, "edge1").map(str::to_owned);

    config["metadata"]["uid"] = json!("two");
    config["metadata"]["creationTimestamp"] = json!("2026-03-01T00:00:00Z");
    world.put(config);

    assert_eq!(before.as_deref(), Some("rack"));
    assert_eq!(owner(&world, "edge1"), Some("other"), "it is older now");
}

#[test]
fn a_node_that_is_not_selected_any_more_has_no_config() {
    let rack = json!({"matchLabels": {"rack": "r1"}});
    let labelled = |rack: &str| node("edge1", json!({"rack": rack}), &["10.0.0.9"]);
    for end in [
        |world: &mut World| world.remove(CLUSTER, ObjectName::of_cluster("rack")),
        |world: &mut World| world.remove(Kind::Node, ObjectName::of_cluster("edge1")),
        |world: &mut World| world.put(node("edge1", json!({"rack": "r2"}), &["10.0.0.9"])),
        |world: &mut World| {
            let nobody = json!({"matchLabels": {"rack": "r3"}});
            world.put(cluster("rack", nobody, json!([])))
        },
    ] {
        let mut world = operator().told([cluster("rack", rack.clone(), json!([])), labelled("r1")]);
        let had = manifests(&world).len();

        let changes = end(&mut world);

        let gone: Vec<_> = changes.node_configs.into_iter().collect();
        assert_eq!(had, 1);
        assert_eq!(gone, [(edge("edge1"), None)]);
    }
}

#[test]
fn nothing_is_written_before_every_kind_is_known() {
    let needed = [
        Kind::Node,
        CLUSTER,
        NODE_CONFIG,
        Kind::CiliumBGPNodeConfigOverride,
    ];
    for missing in needed {
        let mut world = operator();
        world.put(cluster("rack", json!(null), json!([])));
        world.put(node("edge1", json!({}), &["10.0.0.9"]));
        world.put(written("edge9", "rack"));
        world.sync(needed.into_iter().filter(|kind| *kind != missing));

        let before = world.applied.node_configs.clone();
        let changes = world.sync([missing]);

        assert_eq!(before, BTreeMap::new(), "{missing}");
        let said: Vec<(&str, bool)> = changes
            .node_configs
            .iter()
            .map(|(node, spec)| (node.as_str(), spec.is_some()))
            .collect();
        assert_eq!(said, [("edge1", true), ("edge9", false)]);
    }
}

#[test]
fn nothing_is_removed_or_taken_over_while_something_is_not_valid() {
    let name = ObjectName::of_cluster;
    let shown = |world: &mut World| {
        world.put(written("edge1", "lost"));
        world.put(written("edge2", "broken"));
        world.put(written("edge3", "rack"));
        world.put(cluster("rack", json!(null), json!([])));
        for node_name in ["edge1", "edge2", "edge3"] {
            world.put(node(node_name, json!({}), &[]));
        }
    };
    let mut world = operator();
    shown(&mut world);
    world.remove(Kind::Node, name("edge3"));
    world.refuse(CLUSTER, name("broken"), true);

    world.sync(Kind::ALL);

    // What lost its config is taken over, what belongs to a config that cannot be read stays as it
    // is, and what seems to belong to nobody any more waits.
    assert_eq!(owner(&world, "edge1"), Some("rack"));
    assert_eq!(owner(&world, "edge2"), Some("broken"));
    assert_eq!(owner(&world, "edge3"), Some("rack"));
    let changes = world.refuse(CLUSTER, name("broken"), false);
    let said: Vec<&NodeName> = changes.node_configs.keys().collect();
    assert_eq!(said, [&edge("edge2"), &edge("edge3")]);
    assert_eq!(owner(&world, "edge2"), Some("rack"));
    assert_eq!(owner(&world, "edge3"), None);
}

#[test]
fn an_override_that_cannot_be_read_leaves_a_node_as_it_is() {
    let kind = Kind::CiliumBGPNodeConfigOverride;
    let differs = |port: u16| {
        let spec = json!({"bgpInstances": [{"name": "main", "localPort": port}]});
        cilium("CiliumBGPNodeConfigOverride", "edge1", spec)
    };
    let mut world = operator().told([
        cluster("rack", json!(null), json!([])),
        node("edge1", json!({}), &[]),
        differs(1790),
    ]);
    let mut shown: Vec<Value> = manifests(&world);
    shown.push(cluster("rack", json!(null), json!([])));
    shown.push(node("edge1", json!({}), &[]));
    let key = ObjectName::of_cluster("edge1");

    let mut restarted = operator();
    restarted.refuse(kind, key.clone(), true);
    let restarted = restarted.told(shown);
    world.refuse(kind, key, true);

    for world in [&restarted, &world] {
        let instance = &world.node_config("edge1").expect("one").instances[0];
        assert_eq!(instance.local_port, Some(1790));
    }
    assert_eq!(restarted.applied.node_configs, BTreeMap::new());
}

#[test]
fn what_others_do_to_a_config_is_put_right_and_what_is_theirs_is_left_alone() {
    let mut world = operator().told([
        cluster("rack", json!({"matchLabels": {"rack": "r1"}}), json!([])),
        node("edge1", json!({"rack": "r1"}), &[]),
        node("edge2", json!({}), &[]),
        cilium(
            "CiliumBGPNodeConfig",
            "edge2",
            json!({"bgpInstances": [{"name": "mine"}]}),
        ),
    ]);
    let right = world.node_config("edge1").cloned();

    let mut edited = written("edge1", "rack");
    edited["spec"]["bgpInstances"][0]["localASN"] = json!(1);
    let after_edit = world.put(edited);
    let after_removal = world.remove(NODE_CONFIG, ObjectName::of_cluster("edge1"));

    assert_eq!(
        after_edit.node_configs,
        [(edge("edge1"), right.clone())].into()
    );
    assert_eq!(after_removal.node_configs, [(edge("edge1"), right)].into());
    assert_eq!(world.node_config("edge2").unwrap().owner, None);
    assert_eq!(
        world.node_config("edge2").unwrap().instances[0].name,
        "mine"
    );
}

#[test]
fn what_does_not_matter_costs_no_write() {
    let mut world = operator().told([
        cluster("rack", json!(null), json!([peer("tor", "tor")])),
        peer_config("tor", json!({})),
        node("edge1", json!({"rack": "r1"}), &["10.0.0.9"]),
        service(json!({"sessionAffinity": "ClientIP"}), &["192.0.2.1"]),
    ]);
    let mut beating = node("edge1", json!({"rack": "r1"}), &["10.0.0.9"]);
    beating["metadata"]["resourceVersion"] = json!("77");
    beating["status"]["conditions"] =
        json!([{"type": "Ready", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]);
    let mut established = manifests(&world).remove(0);
    established["status"] = json!({"bgpInstances": [{"name": "main", "peers": [
        {"name": "tor", "peerAddress": "192.0.2.254", "peeringState": "established"},
    ]}]});

    for value in [beating, established] {
        let changes = world.put(value);

        let progress = world.desired.progress();
        assert_eq!(
            changes,
            Changes {
                progress,
                ..Changes::default()
            }
        );
    }
    // Who forwards keeps clients at their backends, and there is one write for each Service: its address.
    assert_eq!(
        world.says(Kind::Service, "web", "sluicegate.io/NotEnforced"),
        None
    );
}

#[test]
fn an_operator_tells_no_node_what_to_do_and_an_agent_no_other() {
    let objects = || {
        [
            cluster("rack", json!(null), json!([peer("tor", "tor")])),
            peer_config("tor", json!({"authSecretRef": "none"})),
            node("edge1", json!({}), &["10.0.0.9"]),
            service(json!({}), &["192.0.2.1"]),
            written("edge1", "rack"),
            written("edge2", "rack"),
        ]
    };
    let operator = operator().told(objects());
    let agent = World::knowing(facts(Role::Agent, Forwarding::Elsewhere)).told(objects());

    assert_eq!(operator.applied.instances, BTreeMap::new());
    assert_eq!(operator.applied.services, BTreeMap::new());
    assert_eq!(agent.applied.node_configs, BTreeMap::new());
    assert_eq!(agent.applied.requests, BTreeMap::new());
    let judged: Vec<String> = agent
        .applied
        .statuses
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(judged, ["CiliumBGPNodeConfig/edge1"]);
}

#[test]
fn without_reports_the_conditions_are_removed() {
    let quiet = Facts {
        status_reports: false,
        ..facts(Role::Operator, Forwarding::Elsewhere)
    };
    let condition =
        |kind: &str| json!({"type": kind, "status": "False", "reason": "r", "message": "m"});
    let mut config = cluster("rack", json!(null), json!([]));
    config["status"] = json!({"conditions": [
        condition("cilium.io/NoMatchingNode"), condition("cilium.io/MissingPeerConfigs"),
        condition("cilium.io/ConflictingClusterConfig"), condition("example.org/Other"),
    ]});
    let mut peers = peer_config("tor", json!({}));
    peers["status"] = json!({"conditions": [condition("cilium.io/MissingAuthSecret")]});
    let mut world = World::knowing(quiet);
    let objects = [config, peers].map(object);

    let changes = world.desired.on_change(&Delta {
        objects: objects
            .map(|object: Object| (object.key(), Some(object)))
            .into(),
        refused: BTreeMap::new(),
        shown: BTreeMap::new(),
        synced: Kind::ALL.into(),
    });

    let removed = |key: Key| -> Vec<&str> {
        let conditions = changes.statuses[&key].conditions.iter();
        conditions
            .map(|(kind, said)| {
                assert_eq!(said, &None);
                kind.as_str()
            })
            .collect()
    };
    assert_eq!(
        removed(Key::new(CLUSTER, ObjectName::of_cluster("rack"))),
        [
            "cilium.io/ConflictingClusterConfig",
            "cilium.io/MissingPeerConfigs",
            "cilium.io/NoMatchingNode"
        ]
    );
    assert_eq!(
        removed(Key::new(
            Kind::CiliumBGPPeerConfig,
            ObjectName::of_cluster("tor")
        )),
        ["cilium.io/MissingAuthSecret"]
    );
}

#[test]
fn a_label_of_one_node_is_judged_for_that_node_alone() {
    let mut world = operator();
    let config =
        |name: &str, rack: &str| cluster(name, json!({"matchLabels": {"rack": rack}}), json!([]));
    world.put(config("a", "r1"));
    world.put(config("b", "r2"));
    for number in 0..400 {
        world.put(node(&format!("edge{number}"), json!({"rack": "r1"}), &[]));
    }
    world.sync(Kind::ALL);

    let changes = world.put(node("edge7", json!({"rack": "r2"}), &[]));

    let said: Vec<&NodeName> = changes.node_configs.keys().collect();
    assert_eq!(said, [&edge("edge7")]);
    assert_eq!(owner(&world, "edge7"), Some("b"));
    assert_eq!(owner(&world, "edge8"), Some("a"));
}

/// An operator of a cluster where kube-proxy forwards.
fn operator() -> World {
    World::knowing(facts(Role::Operator, Forwarding::Elsewhere))
}

/// A CiliumBGPNodeConfig as an operator wrote it once.
fn written(name: &str, owner: &str) -> Value {
    let spec = json!({"bgpInstances": [{"name": "main", "localASN": 65001, "peers": []}]});
    let references = json!([{
        "apiVersion": "cilium.io/v2", "kind": "CiliumBGPClusterConfig", "name": owner, "controller": true,
    }]);
    let value = cilium("CiliumBGPNodeConfig", name, spec);
    with(value, "/metadata", json!({"ownerReferences": references}))
}

fn gateway(name: &str) -> Value {
    let discovery = json!({"mode": "DefaultGateway", "defaultGateway": {"addressFamily": "ipv4"}});
    json!({"name": name, "peerASN": 65000, "autoDiscovery": discovery})
}

fn manifests(world: &World) -> Vec<Value> {
    let specs = world.applied.node_configs.iter();
    specs.map(|(node, spec)| spec.manifest(node)).collect()
}

fn owner<'w>(world: &'w World, node: &str) -> Option<&'w str> {
    let owner = world.node_config(node)?.owner.as_ref()?;
    Some(owner.name.as_str())
}

fn says(world: &World, name: &str, condition: &str) -> String {
    world.says(CLUSTER, name, condition).expect("the condition")
}

fn edge(name: &str) -> NodeName {
    name.parse().expect("a name")
}
