use serde_json::{Value, from_value, json};

use super::*;

const NOW: &str = "2026-11-20T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn agents(desired: i32, ready: i32) -> Value {
    json!({
        "metadata": {"name": "sluicegate", "generation": 2},
        "spec": {"selector": {}, "template": {}},
        "status": {
            "currentNumberScheduled": desired, "desiredNumberScheduled": desired,
            "numberMisscheduled": 0, "numberReady": ready, "numberAvailable": ready,
            "updatedNumberScheduled": desired, "observedGeneration": 2,
        },
    })
}

fn operators(desired: i32, ready: i32) -> Value {
    json!({
        "metadata": {"name": "sluicegate-operator", "generation": 1},
        "spec": {"replicas": desired, "selector": {}, "template": {}},
        "status": {
            "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": desired,
            "observedGeneration": 1,
        },
    })
}

fn pod(name: &str, state: &Value) -> Pod {
    from_value(json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "agent", "image": "sluicegate/sluicegate:v0.1.0"}]},
        "status": {
            "phase": if state.get("running").is_some() { "Running" } else { "Pending" },
            "containerStatuses": [{
                "name": "agent", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": state,
            }],
        },
    }))
    .unwrap()
}

fn running(name: &str) -> Pod {
    pod(name, &json!({"running": {}}))
}

fn seen() -> Seen {
    Seen {
        agents: Some(from_value(agents(2, 2)).unwrap()),
        operators: Some(from_value(operators(2, 2)).unwrap()),
        agent_pods: vec![running("a"), running("b")],
        operator_pods: vec![running("c"), running("d")],
        lease: Some(lease("c", "2026-11-20T11:59:57.000000Z")),
    }
}

fn lease(holder: &str, renewed: &str) -> Lease {
    from_value(json!({
        "metadata": {"name": "sluicegate-operator"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed},
    }))
    .unwrap()
}

fn picture(seen: &Seen) -> Picture {
    Picture::of(seen, "kube-system", now())
}

#[test]
fn all_is_well_when_every_pod_is_ready_and_one_leads() {
    let picture = picture(&seen());

    assert!(picture.is_well(), "{}", picture.waiting_for());
    assert_eq!(picture.leader.as_deref(), Some("c"));
    assert_eq!(
        picture.agent.phases,
        BTreeMap::from([("Running".to_owned(), 2)])
    );
    assert_eq!(
        picture.agent.images,
        BTreeMap::from([("sluicegate/sluicegate:v0.1.0".to_owned(), 2)])
    );
    assert_eq!(picture.agent.summary(), "OK");
}

#[test]
fn pods_that_are_not_ready_and_why_are_errors() {
    let mut seen = seen();
    seen.agents = Some(from_value(agents(2, 1)).unwrap());
    let state = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
    seen.agent_pods = vec![running("a"), pod("b", &state)];

    let picture = picture(&seen);

    assert_eq!(
        picture.agent.errors,
        [
            "1 of 2 pods of DaemonSet sluicegate are not ready",
            "pod b: ImagePullBackOff: no such image",
        ]
    );
    assert_eq!(picture.agent.summary(), "2 errors");
    assert!(!picture.is_well());
}

#[test]
fn a_container_that_is_being_made_is_no_error_of_its_own() {
    let mut seen = seen();
    seen.agents = Some(from_value(agents(1, 0)).unwrap());
    seen.agent_pods = vec![pod(
        "a",
        &json!({"waiting": {"reason": "ContainerCreating"}}),
    )];

    assert_eq!(
        picture(&seen).agent.errors,
        ["1 of 1 pods of DaemonSet sluicegate are not ready"]
    );
}

#[test]
fn what_is_not_there_is_named_with_the_namespace() {
    let picture = picture(&Seen::default());

    assert_eq!(
        picture.waiting_for(),
        "there is no DaemonSet of agents in namespace kube-system; there is no Deployment of \
         operators in namespace kube-system"
    );
}

#[test]
fn nobody_leads_when_the_lease_has_run_out_or_was_given_back() {
    for lease in [
        None,
        Some(lease("", "2026-11-20T11:59:59.000000Z")),
        Some(lease("c", "2026-11-20T11:59:00.000000Z")),
    ] {
        let mut seen = seen();
        seen.lease = lease;

        let picture = picture(&seen);

        assert_eq!(picture.leader, None);
        assert_eq!(picture.operator.summary(), "1 warnings");
    }
}

#[test]
fn a_change_that_is_not_carried_out_yet_is_waited_for() {
    let mut changed = agents(2, 2);
    changed["metadata"]["generation"] = json!(3);
    let mut old = agents(2, 2);
    old["status"]["updatedNumberScheduled"] = json!(1);
    for (agents, expected) in [
        (changed, "the DaemonSet was changed just now"),
        (old, "1 pods are not of the newest version yet"),
        (agents(0, 0), "no node takes an agent"),
    ] {
        let mut seen = seen();
        seen.agents = Some(from_value(agents).unwrap());
        assert_eq!(picture(&seen).waiting_for(), expected);
    }
}
