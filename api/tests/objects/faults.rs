//! Every fault of every kind but Service and the BGP resources.

use serde_json::{Value, json};

use crate::{cilium, table};

#[test]
fn documents_that_are_no_objects_are_refused() {
    table(&[
        (
            json!(null),
            &["(object): is not an object: expected apiVersion, kind, metadata"],
        ),
        (
            json!([1]),
            &["(object): is not an object: expected apiVersion, kind, metadata"],
        ),
        (json!({}), &["apiVersion: is required, as text"]),
        (json!({"apiVersion": "v1"}), &["kind: is required, as text"]),
        (
            json!({"apiVersion": 1, "kind": "Service"}),
            &["apiVersion: is required, as text"],
        ),
        (
            json!({"apiVersion": "v2", "kind": "Service"}),
            &["apiVersion: \"v2\" is not supported for Service: expected v1"],
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
            &[
                "kind: apps/v1 Deployment is not supported: expected one of Service, EndpointSlice, Node, Secret, \
               CiliumLoadBalancerIPPool, CiliumBGPClusterConfig, CiliumBGPPeerConfig, CiliumBGPAdvertisement, \
               CiliumBGPNodeConfig, CiliumBGPNodeConfigOverride",
            ],
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret"}),
            &["metadata.name: is required"],
        ),
        (
            json!({"apiVersion": "v1", "kind": "Service", "metadata": 5}),
            &["metadata: invalid type: integer `5`, expected a map"],
        ),
    ]);
}

#[test]
fn faults_of_metadata_are_found() {
    let node = |metadata| json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata});
    table(&[
        (
            node(json!({"name": "edge_1"})),
            &[
                "metadata.name: \"edge_1\" is not a name: expected lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
            ],
        ),
        (
            node(json!({"name": "a", "namespace": "b"})),
            &["metadata.namespace: a Node has no namespace"],
        ),
        (
            node(json!({"name": "a", "labels": {"-x": "y", "k": "-v"}})),
            &[
                "metadata.labels.-x: \"-x\" is not a label key",
                "metadata.labels.k: \"-v\" is not a label value: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
            ],
        ),
        (
            node(json!({"name": "a", "annotations": {"": "y"}})),
            &["metadata.annotations.: \"\" is not a label key"],
        ),
        (
            node(json!({"name": "a", "labels": {"k": 5}})),
            &["metadata.labels.k: invalid type: integer `5`, expected a string"],
        ),
        (
            node(json!({"name": "a", "nmae": "b", "x": {"y": 1}})),
            &[
                "metadata.nmae: is not a known field",
                "metadata.x: is not a known field",
            ],
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "B"}}),
            &["metadata.namespace: \"B\" is not a namespace"],
        ),
    ]);
}

#[test]
fn faults_of_a_pool_are_found() {
    let pool = |spec| cilium("CiliumLoadBalancerIPPool", spec);
    let block = |block: Value| pool(json!({"blocks": [block]}));
    table(&[
        (
            json!({"apiVersion": "cilium.io/v2", "kind": "CiliumLoadBalancerIPPool", "metadata": {"name": "x"}}),
            &["spec: is required"],
        ),
        (
            block(json!({})),
            &["spec.blocks[0]: needs a cidr or a start"],
        ),
        (
            block(json!({"cidr": "10.0.0.0"})),
            &["spec.blocks[0].cidr: \"10.0.0.0\" is not a prefix: expected ADDRESS/LENGTH"],
        ),
        (
            block(json!({"cidr": "10.0.0.0/33"})),
            &["spec.blocks[0].cidr: prefix length 33 is larger than 32"],
        ),
        (
            block(json!({"cidr": "10.0.0.0/8", "start": "10.0.0.1"})),
            &["spec.blocks[0]: has both cidr and start or stop"],
        ),
        (
            block(json!({"stop": "10.0.0.1"})),
            &["spec.blocks[0].start: is required with stop"],
        ),
        (
            block(json!({"start": "x"})),
            &["spec.blocks[0].start: \"x\" is not an IP address"],
        ),
        (
            block(json!({"start": "10.0.0.2", "stop": "10.0.0.1"})),
            &["spec.blocks[0].stop: 10.0.0.1 is before 10.0.0.2"],
        ),
        (
            block(json!({"start": "10.0.0.2", "stop": "fd00::1"})),
            &["spec.blocks[0].stop: fd00::1 is not of the same family as 10.0.0.2"],
        ),
        (
            pool(json!({"allowFirstLastIPs": "yes", "disabled": false})),
            &["spec.allowFirstLastIPs: \"yes\" is not one of Yes, No"],
        ),
        (
            pool(json!({"disabled": "no"})),
            &["spec.disabled: invalid type: string \"no\", expected a boolean"],
        ),
        (
            pool(json!({"serviceSelector": {"matchExpressions": [
                {"key": "a", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["x"]},
                {"operator": "Is"}, {"key": "a/b/c", "operator": "NotIn", "values": ["!"]},
            ]}})),
            &[
                "spec.serviceSelector.matchExpressions[0].values: must not be empty for In and NotIn",
                "spec.serviceSelector.matchExpressions[1].values: must be empty for Exists and DoesNotExist",
                "spec.serviceSelector.matchExpressions[2].key: is required",
                "spec.serviceSelector.matchExpressions[2].operator: \"Is\" is not one of In, NotIn, Exists, DoesNotExist",
                "spec.serviceSelector.matchExpressions[3].key: \"a/b/c\" is not a label key",
                "spec.serviceSelector.matchExpressions[3].values[0]: \"!\" is not a label value: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
            ],
        ),
        // Every unknown field and every fault, not only the first.
        (
            pool(
                json!({"blocks": [{"cdir": "10.0.0.0/8"}, {"cidr": "x", "y": {"z": 1}}], "more": 1}),
            ),
            &[
                "spec.blocks[0].cdir: is not a known field",
                "spec.blocks[1].y: is not a known field",
                "spec.more: is not a known field",
                "spec.blocks[0]: needs a cidr or a start",
                "spec.blocks[1].cidr: \"x\" is not a prefix: expected ADDRESS/LENGTH",
            ],
        ),
    ]);
}

#[test]
fn faults_of_an_endpoint_slice_a_node_and_a_secret_are_found() {
    let slice = |body: Value| {
        let mut value = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "x"}});
        value
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        value
    };
    table(&[
        (slice(json!({})), &["addressType: is required"]),
        (
            slice(json!({"addressType": "ipv4"})),
            &["addressType: \"ipv4\" is not one of IPv4, IPv6, FQDN"],
        ),
        (
            slice(
                json!({"addressType": "IPv4", "endpoints": [{"addresses": []}, {"addresses": ["fd00::1", "x"], "nodeName": "A"}]}),
            ),
            &[
                "endpoints[0].addresses: must have at least one item",
                "endpoints[1].addresses[0]: fd00::1 is not of the slice's family, ipv4",
                "endpoints[1].addresses[1]: \"x\" is not an IP address",
                "endpoints[1].nodeName: \"A\" is not a node name: expected lower-case letters, digits, '-' and '.', starting and ending with a letter or digit, at most 253 characters",
            ],
        ),
        (
            slice(
                json!({"addressType": "IPv4", "ports": [{"port": 0}, {"port": 1, "protocol": "X"}]}),
            ),
            &[
                "ports[0].port: 0 is not between 1 and 65535",
                "ports[1].protocol: \"X\" is not one of TCP, UDP, SCTP",
            ],
        ),
        (
            slice(
                json!({"addressType": "IPv4", "metadata": {"name": "x", "annotations": {"service.cilium.io/weight": "70000"}}}),
            ),
            &[
                "metadata.annotations[\"service.cilium.io/weight\"]: 70000 is not between 0 and 65535",
            ],
        ),
        (
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "x"}, "spec": {"podCIDR": "x"}, "status": {"addresses": [{"type": "IP"}, {"type": "InternalIP"}, {"type": "InternalIP", "address": "x"}]}}),
            &[
                "spec.podCIDR: \"x\" is not a prefix: expected ADDRESS/LENGTH",
                "status.addresses[0].type: \"IP\" is not one of InternalIP, ExternalIP, Hostname, InternalDNS, ExternalDNS",
                "status.addresses[1].address: is required",
                "status.addresses[2].address: \"x\" is not an IP address",
            ],
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {"password": "%"}}),
            &["data.password: is not base64"],
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {"password": 5}}),
            &["data.password: is not of the right type"],
        ),
    ]);
}
