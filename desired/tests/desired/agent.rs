//! What an agent of a cluster runs, and says of its own CiliumBGPNodeConfig.

use api::Kind;
use desired::{Forwarding, Role};
use serde_json::{Value, json};
use types::ObjectName;

use crate::manifests::{cilium, node, peer, peer_config, with};
use crate::world::{World, facts};

const KIND: Kind = Kind::CiliumBGPNodeConfig;

#[test]
fn an_agent_runs_what_its_own_object_says_and_nothing_without_one() {
    let mut world = agent();
    world.put(node("edge1", json!({}), &["10.0.0.9"]));
    world.put(peer_config("tor", json!({})));
    world.put(config("edge2", json!({})));
    world.sync(Role::Agent.kinds().iter().copied());
    let without = world.applied.instances.len();

    world.put(config(
        "edge1",
        json!({"routerID": "10.9.9.9", "localPort": 1790}),
    ));
    let instance = world.applied.instances.values().next().cloned();
    world.remove(KIND, ObjectName::of_cluster("edge1"));

    let instance = instance.unwrap();
    assert_eq!(without, 0);
    assert_eq!(instance.router_id.to_string(), "10.9.9.9");
    assert_eq!((instance.local_port, instance.peers.len()), (Some(1790), 1));
    assert!(world.applied.instances.is_empty());
}

#[test]
fn an_agent_tells_nothing_before_every_kind_is_known() {
    for missing in Role::Agent.kinds() {
        let mut world = agent();
        world.put(node("edge1", json!({}), &["10.0.0.9"]));
        world.put(config("edge1", json!({})));
        let known = Role::Agent.kinds().iter().filter(|kind| *kind != missing);
        world.sync(known.copied());

        let before = world.applied.instances.len();
        world.sync([*missing]);

        assert_eq!((before, world.applied.instances.len()), (0, 1), "{missing}");
    }
}

#[test]
fn a_config_that_cannot_be_read_any_more_runs_on() {
    let mut world = agent().told([
        config("edge1", json!({})),
        node("edge1", json!({}), &["10.0.0.9"]),
    ]);

    world.refuse(KIND, ObjectName::of_cluster("edge1"), true);

    assert_eq!(world.applied.instances.len(), 1);
}

#[test]
fn what_is_not_run_is_said_in_the_object_until_it_is() {
    let condition = "cilium.io/BGPReconcileError";
    let mut world = agent().told([
        config("edge1", json!({})),
        config("edge2", json!({})),
        node("edge1", json!({}), &["10.0.0.9"]),
    ]);
    let error = world.says(KIND, "edge1", condition);

    world.put(peer_config("tor", json!({})));

    assert_eq!(
        error.as_deref(),
        Some("True BGPReconcileError: BGP peer tor of main: CiliumBGPPeerConfig tor is not there")
    );
    assert_eq!(
        world.says(KIND, "edge1", condition).as_deref(),
        Some("False BGPReconcileError: ")
    );
    assert_eq!(world.says(KIND, "edge2", condition), None);
}

#[test]
fn the_state_of_the_node_is_said_in_the_object() {
    let condition = "sluicegate.io/NodeState";
    let mut cordoned = node("edge1", json!({}), &["10.0.0.9"]);
    cordoned["spec"] = json!({"unschedulable": true});
    let mut world = agent().told([config("edge1", json!({})), cordoned]);
    let said = world.says(KIND, "edge1", condition).unwrap();

    let label = "node.kubernetes.io/exclude-from-external-load-balancers";
    world.put(node("edge1", json!({label: ""}), &["10.0.0.9"]));
    let excluded = world.says(KIND, "edge1", condition).unwrap();
    world.put(node("edge1", json!({}), &["10.0.0.9"]));

    assert!(
        said.starts_with("True Cordoned: the node is cordoned; "),
        "{said}"
    );
    assert!(
        excluded.starts_with("True Excluded: the label "),
        "{excluded}"
    );
    assert_eq!(world.says(KIND, "edge1", condition), None);
}

#[test]
fn a_heartbeat_of_the_own_node_changes_nothing() {
    let mut world = agent().told([
        config("edge1", json!({})),
        node("edge1", json!({}), &["10.0.0.9"]),
    ]);
    let mut beating = node("edge1", json!({}), &["10.0.0.9"]);
    beating["metadata"]["resourceVersion"] = json!("77");
    beating["status"]["conditions"] = json!([{"type": "Ready"}]);

    let changes = world.put(beating);

    assert_eq!(changes.bgp, desired::BgpChanges::default());
    assert!(changes.statuses.is_empty());
}

fn agent() -> World {
    World::knowing(facts(Role::Agent, Forwarding::Elsewhere))
}

fn config(name: &str, more: Value) -> Value {
    let instance = json!({"name": "main", "localASN": 65001, "peers": [peer("tor", "tor")]});
    let instance = with(instance, "", more);
    cilium(
        "CiliumBGPNodeConfig",
        name,
        json!({"bgpInstances": [instance]}),
    )
}
