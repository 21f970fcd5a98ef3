//! Every fault of a Service.

use serde_json::{Value, json};

use crate::table;

#[test]
fn faults_of_a_service_are_found() {
    let service = |spec| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": spec});
    let with = |field: &str, value: Value| {
        let mut spec = json!({"ports": [{"port": 80}]});
        spec[field] = value;
        service(spec)
    };
    table(&[
        (
            service(json!({})),
            &["spec.ports: must have at least one item"],
        ),
        (
            service(json!({"ports": [{}]})),
            &["spec.ports[0].port: is required"],
        ),
        (
            service(json!({"ports": [{"port": 0}]})),
            &["spec.ports[0].port: 0 is not between 1 and 65535"],
        ),
        (
            service(json!({"ports": [{"port": 80, "targetPort": true}]})),
            &["spec.ports[0].targetPort: is neither a number nor a port's name"],
        ),
        (
            service(json!({"ports": [{"port": 80, "targetPort": 65536}]})),
            &["spec.ports[0].targetPort: 65536 is not between 1 and 65535"],
        ),
        (
            service(json!({"ports": [{"port": 80, "nodePort": -1}]})),
            &["spec.ports[0].nodePort: -1 is not between 0 and 65535"],
        ),
        (
            service(json!({"ports": [{"port": 80, "protocol": "tcp"}]})),
            &["spec.ports[0].protocol: \"tcp\" is not one of TCP, UDP, SCTP"],
        ),
        (
            service(
                json!({"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 80}, {"port": 81}]}),
            ),
            &[
                "spec.ports[1].name: \"a\" is there twice",
                "spec.ports[1]: 80/TCP is there twice",
                "spec.ports[2].name: is required where there are several ports",
            ],
        ),
        (
            with("type", json!("loadbalancer")),
            &[
                "spec.type: \"loadbalancer\" is not one of ClusterIP, NodePort, LoadBalancer, ExternalName",
            ],
        ),
        (
            with("loadBalancerIP", json!("x")),
            &["spec.loadBalancerIP: \"x\" is not an IP address"],
        ),
        (
            with("externalIPs", json!(["10.0.0.1", "x"])),
            &["spec.externalIPs[1]: \"x\" is not an IP address"],
        ),
        (
            with("clusterIPs", json!(["x"])),
            &["spec.clusterIPs[0]: \"x\" is not an IP address"],
        ),
        (
            with("ipFamilies", json!(["IPv4", "IPv5", "IPv4"])),
            &[
                "spec.ipFamilies[2]: IPv4 is there twice",
                "spec.ipFamilies[1]: \"IPv5\" is not one of IPv4, IPv6",
            ],
        ),
        (
            with("ipFamilyPolicy", json!("Dual")),
            &[
                "spec.ipFamilyPolicy: \"Dual\" is not one of SingleStack, PreferDualStack, RequireDualStack",
            ],
        ),
        (
            with("externalTrafficPolicy", json!("Node")),
            &["spec.externalTrafficPolicy: \"Node\" is not one of Cluster, Local"],
        ),
        (
            with("internalTrafficPolicy", json!("Node")),
            &["spec.internalTrafficPolicy: \"Node\" is not one of Cluster, Local"],
        ),
        (
            with("sessionAffinity", json!("Cookie")),
            &["spec.sessionAffinity: \"Cookie\" is not one of None, ClientIP"],
        ),
        (
            with(
                "sessionAffinityConfig",
                json!({"clientIP": {"timeoutSeconds": 0}}),
            ),
            &["spec.sessionAffinityConfig.clientIP.timeoutSeconds: 0 is not between 1 and 86400"],
        ),
        (
            with("loadBalancerSourceRanges", json!(["10.0.0.1/8"])),
            &[
                "spec.loadBalancerSourceRanges[0]: 10.0.0.1/8 has host bits set; did you mean 10.0.0.0/8?",
            ],
        ),
    ]);
}

#[test]
fn faults_of_a_services_status_and_annotations_are_found() {
    let service = |annotations, status| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "annotations": annotations},
            "spec": {"ports": [{"port": 80}]}, "status": status,
        })
    };
    let annotated = |key: &str, value: &str| {
        service(
            json!({"sluicegate.io/health-check": "http", key: value}),
            json!(null),
        )
    };
    table(&[
        (
            service(
                json!({}),
                json!({"loadBalancer": {"ingress": [{}, {"ip": "x"}]}}),
            ),
            &[
                "status.loadBalancer.ingress[0]: needs an ip or a hostname",
                "status.loadBalancer.ingress[1].ip: \"x\" is not an IP address",
            ],
        ),
        (
            annotated("lbipam.cilium.io/ips", "192.0.2.1,x"),
            &["metadata.annotations[\"lbipam.cilium.io/ips\"]: \"x\" is not an IP address"],
        ),
        (
            annotated("sluicegate.io/helth-check", "http"),
            &[
                "metadata.annotations[\"sluicegate.io/helth-check\"]: is not an annotation that Sluicegate knows",
            ],
        ),
        (
            annotated("sluicegate.io/health-check", "ping"),
            &[
                "metadata.annotations[\"sluicegate.io/health-check\"]: \"ping\" is not one of none, tcp, http",
            ],
        ),
        (
            annotated("sluicegate.io/health-check-path", "index"),
            &[
                "metadata.annotations[\"sluicegate.io/health-check-path\"]: must begin with / and have no spaces or control characters",
            ],
        ),
        (
            annotated("sluicegate.io/health-check-path", "/ HTTP/1.1\r\nX: y"),
            &[
                "metadata.annotations[\"sluicegate.io/health-check-path\"]: must begin with / and have no spaces or control characters",
            ],
        ),
        (
            annotated("sluicegate.io/health-check-port", "http"),
            &[
                "metadata.annotations[\"sluicegate.io/health-check-port\"]: \"http\" is not a number",
            ],
        ),
        (
            annotated("sluicegate.io/health-check-port", "70000"),
            &[
                "metadata.annotations[\"sluicegate.io/health-check-port\"]: 70000 is not between 1 and 65535",
            ],
        ),
        (
            annotated("sluicegate.io/health-check-interval", "10ms"),
            &[
                "metadata.annotations[\"sluicegate.io/health-check-interval\"]: 10ms is not between 100ms and 3600s",
            ],
        ),
        (
            annotated("sluicegate.io/health-check-interval", "2"),
            &[
                "metadata.annotations[\"sluicegate.io/health-check-interval\"]: \"2\" is not a duration such as 500ms, 2s or 1h",
            ],
        ),
        (
            annotated("sluicegate.io/health-check-timeout", "3s"),
            &[
                "metadata.annotations[\"sluicegate.io/health-check-timeout\"]: is longer than the interval",
            ],
        ),
        (
            annotated("sluicegate.io/health-check-rise", "0"),
            &[
                "metadata.annotations[\"sluicegate.io/health-check-rise\"]: 0 is not between 1 and 100",
            ],
        ),
        (
            annotated("sluicegate.io/when-empty", "drop"),
            &[
                "metadata.annotations[\"sluicegate.io/when-empty\"]: \"drop\" is not one of withdraw, refuse",
            ],
        ),
        (
            annotated("sluicegate.io/idle-timeout", "25h"),
            &[
                "metadata.annotations[\"sluicegate.io/idle-timeout\"]: 25h is not between 1s and 86400s",
            ],
        ),
        (
            annotated("sluicegate.io/quarantine", "25h"),
            &[
                "metadata.annotations[\"sluicegate.io/quarantine\"]: 25h is not between 0ns and 86400s",
            ],
        ),
        (
            annotated("sluicegate.io/maglev-table-size", "1024"),
            &[
                "metadata.annotations[\"sluicegate.io/maglev-table-size\"]: \"1024\" is not one of 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071",
            ],
        ),
        (
            service(json!({"sluicegate.io/quarantine": "30s"}), json!(null)),
            &[
                "metadata.annotations[\"sluicegate.io/quarantine\"]: has no effect without sluicegate.io/health-check",
            ],
        ),
        (
            service(json!({"sluicegate.io/health-check-fall": "3"}), json!(null)),
            &[
                "metadata.annotations[\"sluicegate.io/health-check-fall\"]: has no effect without sluicegate.io/health-check",
            ],
        ),
        (
            service(
                json!({"sluicegate.io/health-check": "tcp", "sluicegate.io/health-check-path": "/"}),
                json!(null),
            ),
            &[
                "metadata.annotations[\"sluicegate.io/health-check-path\"]: has no effect on a tcp check",
            ],
        ),
    ]);
}
