//! CiliumBGPNodeConfig and its override: what they mean, and every fault.

use api::bgp::{InstanceStatus, NodeStatus, PeerStatus, PeerTimers, RouteCount};
use api::{Object, StatusPatch, Strictness};
use serde_json::{Value, json};

use crate::{cilium, read, table};

#[test]
fn a_node_config_is_written_as_it_is_read() {
    let manifest = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumBGPNodeConfig",
        "metadata": {
            "name": "edge1",
            "ownerReferences": [{
                "apiVersion": "cilium.io/v2", "kind": "CiliumBGPClusterConfig",
                "name": "rack", "uid": "1234", "controller": true,
            }],
        },
        "spec": {"bgpInstances": [{
            "name": "one", "localASN": 65001, "routerID": "10.0.0.1", "localPort": 179,
            "peers": [
                {"name": "tor", "peerASN": 65000, "peerAddress": "fe80::1%eth0", "localAddress": "fe80::2",
                 "peerConfigRef": {"name": "fast"}},
                {"name": "gateway", "peerASN": 0,
                 "autoDiscovery": {"mode": "DefaultGateway", "defaultGateway": {"addressFamily": "ipv6"}}},
            ],
        }]},
    });

    let config = read_as!(CiliumBGPNodeConfig, manifest.clone());

    assert_eq!(config.spec.manifest(&config.node), manifest);
    let owner = config.spec.owner.as_ref().unwrap();
    assert_eq!(
        (owner.name.as_str(), owner.uid.as_deref()),
        ("rack", Some("1234"))
    );
}

#[test]
fn an_owner_that_does_not_decide_is_none() {
    let mut value = cilium("CiliumBGPNodeConfig", json!({"bgpInstances": []}));
    for reference in [
        json!({"kind": "CiliumBGPClusterConfig", "name": "rack", "uid": "1"}),
        json!({"kind": "CiliumNode", "name": "x", "uid": "1", "controller": true}),
        json!({"kind": "CiliumBGPClusterConfig", "uid": "1", "controller": true}),
        json!(5),
    ] {
        value["metadata"]["ownerReferences"] = json!([reference]);

        let config = read_as!(CiliumBGPNodeConfig, value.clone());

        assert_eq!(config.spec.owner, None, "{reference}");
    }
}

#[test]
fn a_status_is_read_as_it_was_written_beside_its_conditions() {
    let status = NodeStatus {
        instances: vec![InstanceStatus {
            name: "one".to_owned(),
            local_asn: Some(65001),
            peers: vec![PeerStatus {
                name: "tor".to_owned(),
                peer_address: "192.0.2.1".to_owned(),
                peer_asn: Some(65000),
                peering_state: Some("established".to_owned()),
                established_time: Some("2026-01-01T00:00:00Z".parse().unwrap()),
                timers: Some(PeerTimers {
                    hold_secs: 90,
                    keepalive_secs: 30,
                }),
                route_count: vec![RouteCount {
                    afi: "ipv4".to_owned(),
                    safi: "unicast".to_owned(),
                    received: 3,
                    advertised: 1,
                }],
            }],
        }],
    };
    let patch = StatusPatch {
        bgp: Some(status.clone()),
        ..StatusPatch::default()
    };
    let mut value = cilium("CiliumBGPNodeConfig", json!({"bgpInstances": []}));
    let mut written = json!({"conditions": [{"type": "a/B", "status": "True"}]});

    let first = patch.apply(&mut written, "2026-01-01T00:00:00Z".parse().unwrap());
    let again = patch.apply(&mut written, "2026-01-02T00:00:00Z".parse().unwrap());
    value["status"] = written.clone();
    let config = read_as!(CiliumBGPNodeConfig, value);

    assert!(first && !again);
    assert_eq!(
        written["bgpInstances"],
        json!([{"name": "one", "localASN": 65001, "peers": [{
            "name": "tor", "peerAddress": "192.0.2.1", "peerASN": 65000, "peeringState": "established",
            "establishedTime": "2026-01-01T00:00:00Z",
            "timers": {"appliedHoldTimeSeconds": 90, "appliedKeepaliveSeconds": 30},
            "routeCount": [{"afi": "ipv4", "safi": "unicast", "received": 3, "advertised": 1}],
        }]}])
    );
    assert_eq!(config.status, status);
    assert_eq!(config.conditions.len(), 1);
}

#[test]
fn a_status_that_another_program_wrote_does_not_spoil_the_object() {
    for status in [
        json!({"bgpInstances": 5}),
        json!({"bgpInstances": [{"peers": []}]}),
        json!({"bgpInstances": [{"name": "x", "peers": [{"name": "p", "peerAddress": "a", "uptime": 3}]}]}),
    ] {
        let mut value = cilium("CiliumBGPNodeConfig", json!({"bgpInstances": []}));
        value["status"] = status;

        assert!(matches!(read(value), Object::CiliumBGPNodeConfig(_)));
    }
}

#[test]
fn an_override_has_what_differs() {
    let object = read_as!(
        CiliumBGPNodeConfigOverride,
        cilium(
            "CiliumBGPNodeConfigOverride",
            json!({"bgpInstances": [{
                "name": "one", "routerID": "10.0.0.9", "localPort": 1790, "localASN": 65009,
                "peers": [{"name": "tor", "localAddress": "192.0.2.9", "localPort": 1234}, {"name": "any"}],
            }]}),
        )
    );

    let instance = &object.instances[0];
    assert_eq!(instance.router_id.unwrap().to_string(), "10.0.0.9");
    assert_eq!(instance.local_port, Some(1790));
    assert_eq!(instance.local_asn.unwrap().get(), 65009);
    assert_eq!(instance.peers[0].local_address, "192.0.2.9".parse().ok());
    assert_eq!(instance.peers[1].local_address, None);
    let notes: Vec<String> = object.unenforced.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "spec.bgpInstances[0].peers[0].localPort: the system chooses the port that a session is opened from"
        ]
    );
}

#[test]
fn faults_of_node_configs_are_found() {
    let node = |instance: Value| cilium("CiliumBGPNodeConfig", json!({"bgpInstances": [instance]}));
    let peer = |peer: Value| node(json!({"name": "one", "peers": [peer]}));
    table(&[
        (
            cilium("CiliumBGPNodeConfig", json!(null)),
            &["spec: is required"],
        ),
        (node(json!({})), &["spec.bgpInstances[0].name: is required"]),
        (
            node(json!({"name": "one", "routerID": "fd00::1", "localASN": 0, "localPort": 65536})),
            &[
                "spec.bgpInstances[0].localASN: 0 is not between 1 and 4294967295",
                "spec.bgpInstances[0].routerID: \"fd00::1\" is not an IPv4 address",
                "spec.bgpInstances[0].localPort: 65536 is not between 1 and 65535",
            ],
        ),
        (
            node(json!({"name": "one", "routerID": "0.0.0.0"})),
            &["spec.bgpInstances[0].routerID: router ID 0.0.0.0 is not allowed"],
        ),
        (
            cilium(
                "CiliumBGPNodeConfig",
                json!({"bgpInstances": [{"name": "one"}, {"name": "one"}]}),
            ),
            &["spec.bgpInstances[1].name: \"one\" is there twice"],
        ),
        (
            peer(json!({"name": "tor", "localAddress": "eth0"})),
            &["spec.bgpInstances[0].peers[0].localAddress: \"eth0\" is not an IP address"],
        ),
        (
            peer(json!({"name": "tor", "bfd": true})),
            &["spec.bgpInstances[0].peers[0].bfd: is not a known field"],
        ),
    ]);
}

#[test]
fn faults_of_overrides_are_found() {
    let with = |instances: Value| {
        cilium(
            "CiliumBGPNodeConfigOverride",
            json!({"bgpInstances": instances}),
        )
    };
    table(&[
        (
            with(json!([])),
            &["spec.bgpInstances: must have at least one item"],
        ),
        (
            with(json!([{"name": ""}])),
            &["spec.bgpInstances[0].name: must have 1 to 255 characters"],
        ),
        (
            with(json!([{"name": "a", "peers": [{"name": "p"}, {"name": "p", "localPort": 0}]}])),
            &[
                "spec.bgpInstances[0].peers[1].name: \"p\" is there twice",
                "spec.bgpInstances[0].peers[1].localPort: 0 is not between 1 and 65535",
            ],
        ),
        (
            with(json!([{"name": "a", "routerId": "10.0.0.1"}])),
            &["spec.bgpInstances[0].routerId: is not a known field"],
        ),
    ]);
}

#[test]
fn fields_of_a_newer_node_config_do_not_matter_where_a_server_checked_it() {
    let value = cilium(
        "CiliumBGPNodeConfig",
        json!({"bgpInstances": [{"name": "one", "bfd": {}}]}),
    );

    assert!(Object::from_value(value, Strictness::Lenient).is_ok());
}
