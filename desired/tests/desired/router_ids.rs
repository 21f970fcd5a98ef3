//! BGP identifiers out of a pool.

use api::Kind;
use desired::{Facts, Forwarding, Role, RouterIdPool};
use serde_json::{Value, json};
use types::ObjectName;

use crate::manifests::{cilium, cluster, node, with};
use crate::world::{World, facts};

#[test]
fn every_instance_of_every_node_has_one_of_its_own_and_it_is_freed_with_the_node() {
    let mut world = pool("10.255.0.0/29").told([two_instances(), edge("edge1"), edge("edge2")]);
    let first = given(&world);

    world.remove(Kind::Node, ObjectName::of_cluster("edge1"));
    world.put(edge("edge3"));

    assert_eq!(
        first,
        [
            "edge1 a 10.255.0.1",
            "edge1 b 10.255.0.2",
            "edge2 a 10.255.0.3",
            "edge2 b 10.255.0.4"
        ]
    );
    assert_eq!(
        given(&world),
        [
            "edge2 a 10.255.0.3",
            "edge2 b 10.255.0.4",
            "edge3 a 10.255.0.1",
            "edge3 b 10.255.0.2"
        ]
    );
    world.remove(Kind::CiliumBGPClusterConfig, ObjectName::of_cluster("rack"));
    assert_eq!(given(&world), Vec::<String>::new());
}

#[test]
fn a_restart_changes_nothing() {
    let mut world = pool("10.255.0.0/29").told([two_instances(), edge("edge1"), edge("edge2")]);
    world.remove(Kind::Node, ObjectName::of_cluster("edge1"));

    let mut restarted = world.rebuilt();
    restarted.put(edge("edge0"));

    assert_eq!(restarted.applied.node_configs.len(), 1);
    assert_eq!(
        given(&restarted)[..2],
        ["edge0 a 10.255.0.1", "edge0 b 10.255.0.2"]
    );
    assert_eq!(
        given(&restarted)[2..],
        ["edge2 a 10.255.0.3", "edge2 b 10.255.0.4"]
    );
}

#[test]
fn a_pool_that_is_empty_is_said_and_filled_when_one_is_free() {
    let mut world = pool("10.255.0.0/30").told([two_instances(), edge("edge1"), edge("edge2")]);
    let without = given(&world);
    let said = says(&world);

    world.remove(Kind::Node, ObjectName::of_cluster("edge1"));

    assert_eq!(
        without,
        [
            "edge1 a 10.255.0.1",
            "edge1 b 10.255.0.2",
            "edge2 a -",
            "edge2 b -"
        ]
    );
    assert_eq!(
        said.as_deref(),
        Some(
            "True RouterIDsMissing: edge2: instance a: no router ID is free in 10.255.0.0/30, \
             instance b: no router ID is free in 10.255.0.0/30"
        )
    );
    assert_eq!(given(&world), ["edge2 a 10.255.0.1", "edge2 b 10.255.0.2"]);
    assert_eq!(says(&world), None);
}

#[test]
fn an_override_has_one_of_the_pool_unless_another_instance_does() {
    let mut world = pool("10.255.0.0/29").told([
        two_instances(),
        edge("edge1"),
        edge("edge2"),
        differs("edge1", "a", "10.255.0.5"),
    ]);
    let taken = given(&world);

    world.put(differs("edge2", "a", "10.255.0.5"));
    let refused = (given(&world), says(&world));
    world.put(differs("edge1", "a", "192.0.2.1"));

    assert_eq!(
        taken,
        [
            "edge1 a 10.255.0.5",
            "edge1 b 10.255.0.1",
            "edge2 a 10.255.0.2",
            "edge2 b 10.255.0.3"
        ]
    );
    assert_eq!(refused.0, taken, "what it had, it keeps");
    assert_eq!(
        refused.1.as_deref(),
        Some(
            "True RouterIDsMissing: edge2: instance a: router ID 10.255.0.5 belongs to instance a of edge1"
        )
    );
    assert_eq!(
        given(&world),
        [
            "edge1 a 192.0.2.1",
            "edge1 b 10.255.0.1",
            "edge2 a 10.255.0.5",
            "edge2 b 10.255.0.3"
        ]
    );
    assert_eq!(says(&world), None);
}

#[test]
fn two_nodes_that_show_the_same_one_do_not_keep_it_both() {
    let world = pool("10.255.0.0/29").told([two_instances(), edge("edge1"), edge("edge2")]);
    let mut shown: Vec<Value> = world
        .applied
        .node_configs
        .iter()
        .map(|(node, spec)| spec.manifest(node))
        .collect();
    shown[1]["spec"]["bgpInstances"][0]["routerID"] = json!("10.255.0.1");
    shown.extend([two_instances(), edge("edge1"), edge("edge2")]);

    let restarted = pool("10.255.0.0/29").told(shown);

    assert_eq!(
        given(&restarted),
        [
            "edge1 a 10.255.0.1",
            "edge1 b 10.255.0.2",
            "edge2 a 10.255.0.3",
            "edge2 b 10.255.0.4"
        ]
    );
}

#[test]
fn without_a_pool_only_overrides_have_one() {
    let world = World::knowing(facts(Role::Operator, Forwarding::Elsewhere)).told([
        two_instances(),
        edge("edge1"),
        differs("edge1", "a", "10.255.0.5"),
    ]);

    assert_eq!(given(&world), ["edge1 a 10.255.0.5", "edge1 b -"]);
}

#[test]
fn a_pool_is_of_ipv4_and_has_no_zero() {
    let pool = |text: &str| RouterIdPool::try_from(text.parse::<types::Prefix>().unwrap());

    let error = pool("fd00::/64").unwrap_err();

    assert_eq!(
        error.to_string(),
        "router IDs are not taken from fd00::/64: they are IPv4"
    );
    assert!(pool("0.0.0.0/32").is_ok());
    assert_eq!(pool("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
}

fn pool(prefix: &str) -> World {
    let prefix: types::Prefix = prefix.parse().expect("a prefix");
    World::knowing(Facts {
        router_id_pool: RouterIdPool::try_from(prefix).ok(),
        ..facts(Role::Operator, Forwarding::Elsewhere)
    })
}

fn two_instances() -> Value {
    let instances = json!([{"name": "a", "localASN": 65001}, {"name": "b", "localASN": 65002}]);
    let config = cluster("rack", json!(null), json!([]));
    with(config, "/spec", json!({"bgpInstances": instances}))
}

fn edge(name: &str) -> Value {
    node(name, json!({}), &[])
}

fn differs(node: &str, instance: &str, id: &str) -> Value {
    let spec = json!({"bgpInstances": [{"name": instance, "routerID": id}]});
    cilium("CiliumBGPNodeConfigOverride", node, spec)
}

/// Node, instance and router ID of every object.
fn given(world: &World) -> Vec<String> {
    let keys = world.objects.keys();
    let nodes = keys.filter(|key| key.kind == Kind::CiliumBGPNodeConfig);
    let mut given = Vec::new();
    for node in nodes.map(|key| &key.name.name) {
        let spec = world.node_config(node).expect("it is there");
        for instance in &spec.instances {
            let id = instance.router_id.map(|id| id.to_string());
            let id = id.as_deref().unwrap_or("-");
            given.push(format!("{node} {} {id}", instance.name));
        }
    }
    given
}

fn says(world: &World) -> Option<String> {
    let kind = Kind::CiliumBGPClusterConfig;
    world.says(kind, "rack", "sluicegate.io/RouterIDs")
}
