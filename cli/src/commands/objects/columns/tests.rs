use serde_json::json;

use super::*;

#[test]
fn a_pool_has_ciliums_columns() {
    let pool = json!({
        "metadata": {"name": "empire-ip-pool", "creationTimestamp": "2026-11-20T11:59:19Z"},
        "spec": {"blocks": []},
        "status": {"conditions": [
            {"type": "cilium.io/IPsAvailable", "status": "Unknown", "message": "18446744073709551622"},
            {"type": "cilium.io/PoolConflict", "status": "False", "message": ""},
        ]},
    });
    let columns = Columns::of(Kind::CiliumLoadBalancerIPPool, true, false);

    assert_eq!(
        columns.header(),
        ["NAME", "DISABLED", "CONFLICTING", "IPS AVAILABLE", "AGE"]
    );
    assert_eq!(
        columns.row(&pool, now()),
        [
            "empire-ip-pool",
            "false",
            "False",
            "18446744073709551622",
            "41s"
        ]
    );
}

#[test]
fn a_pool_that_nobody_looked_at_yet_has_gaps() {
    let pool = json!({"metadata": {"name": "blue"}, "spec": {"disabled": true}});
    let columns = Columns::of(Kind::CiliumLoadBalancerIPPool, false, false);

    assert_eq!(columns.row(&pool, now()), ["blue", "true", "", "", ""]);
}

#[test]
fn a_service_has_kubectls_columns() {
    let mut service = json!({
        "metadata": {"name": "deathstar", "namespace": "batuu"},
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.0.7", "selector": {"org": "empire"},
            "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}],
        },
    });
    let columns = Columns::of(Kind::Service, true, true);
    let pending = columns.row(&service, now());
    service["status"] = json!({"loadBalancer": {"ingress": [
        {"ip": "2001:db8:dead:beef::"}, {"ip": "172.18.255.200"},
    ]}});
    let given = columns.row(&service, now());
    service["spec"] = json!({"externalIPs": ["192.0.2.1"]});
    let stated = columns.row(&service, now());

    assert_eq!(columns.header().len(), pending.len());
    assert_eq!(pending[4], "<pending>");
    assert_eq!(
        given,
        [
            "batuu",
            "deathstar",
            "LoadBalancer",
            "10.96.0.7",
            "172.18.255.200,2001:db8:dead:beef::",
            "80:30080/TCP,53/UDP",
            "",
            "org=empire"
        ]
    );
    assert_eq!(
        stated,
        [
            "batuu",
            "deathstar",
            "ClusterIP",
            "<none>",
            "192.0.2.1",
            "<none>",
            "",
            "<none>"
        ]
    );
}

#[test]
fn slices_nodes_and_secrets_have_kubectls_columns() {
    let slice = json!({
        "metadata": {"name": "web-1"}, "addressType": "IPv4", "ports": [{"port": 80}],
        "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]},
            {"addresses": ["10.0.0.3"]}, {"addresses": ["10.0.0.4"]}],
    });
    let node = json!({
        "metadata": {"name": "n1", "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "spec": {"unschedulable": true},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"kubeletVersion": "v1.36.3"},
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
        },
    });
    let secret = json!({"metadata": {"name": "s"}, "data": {"password": "eA=="}});
    let row = |kind, document| Columns::of(kind, false, true).row(document, now());

    assert_eq!(
        row(Kind::EndpointSlice, &slice),
        [
            "web-1",
            "IPv4",
            "80",
            "10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...",
            ""
        ]
    );
    assert_eq!(
        row(Kind::Node, &node),
        [
            "n1",
            "Ready,SchedulingDisabled",
            "control-plane",
            "",
            "v1.36.3",
            "192.0.2.1"
        ]
    );
    assert_eq!(row(Kind::Secret, &secret), ["s", "Opaque", "1", ""]);
}

#[test]
fn every_kind_has_as_many_cells_as_headers() {
    for kind in Kind::ALL {
        for is_wide in [false, true] {
            let columns = Columns::of(kind, true, is_wide);
            assert_eq!(
                columns.header().len(),
                columns.row(&json!({}), now()).len(),
                "{kind}"
            );
        }
    }
}

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}
