//! Manifests for tests: short calls for what people write at length.

#![expect(
    clippy::needless_pass_by_value,
    reason = "json! borrows, and calls read better without"
)]

use serde_json::{Map, Value, json};

/// A LoadBalancer Service `default/web` on port 80, of team a, with that spec and those addresses.
pub(crate) fn service(spec: Value, ingress: &[&str]) -> Value {
    named_service("web", spec, ingress)
}

pub(crate) fn named_service(name: &str, spec: Value, ingress: &[&str]) -> Value {
    let ingress: Vec<Value> = ingress.iter().map(|ip| json!({"ip": ip})).collect();
    let defaults = json!({"type": "LoadBalancer", "ports": [{"port": 80}]});
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"team": "a"}},
        "spec": merged(defaults, spec), "status": {"loadBalancer": {"ingress": ingress}},
    })
}

/// A slice of `default/web` at port 80, with an endpoint for each address and its conditions.
pub(crate) fn slice(name: &str, family: &str, endpoints: &[(&str, Value)]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(address, more)| merged(json!({"addresses": [address]}), more.clone()))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": family, "endpoints": endpoints, "ports": [{"port": 80}],
    })
}

/// A CiliumBGPClusterConfig with one instance of AS 65001.
pub(crate) fn cluster(name: &str, selector: Value, peers: Value) -> Value {
    cilium(
        "CiliumBGPClusterConfig",
        name,
        json!({
            "nodeSelector": selector, "bgpInstances": [{"name": "main", "localASN": 65001, "peers": peers}],
        }),
    )
}

/// A peer in AS 65000 with that config.
pub(crate) fn peer(name: &str, config: &str) -> Value {
    json!({"name": name, "peerASN": 65000, "peerAddress": "192.0.2.254", "peerConfigRef": {"name": config}})
}

/// A CiliumBGPPeerConfig that takes advertisements labelled `to: NAME` in both families.
pub(crate) fn peer_config(name: &str, spec: Value) -> Value {
    let family = |afi| json!({"afi": afi, "safi": "unicast", "advertisements": {"matchLabels": {"to": name}}});
    let defaults = json!({"families": [family("ipv4"), family("ipv6")]});
    cilium("CiliumBGPPeerConfig", name, merged(defaults, spec))
}

/// A CiliumBGPAdvertisement of LoadBalancer addresses of all Services to peers of that config.
pub(crate) fn advertisement(name: &str, to: &str, entry: Value) -> Value {
    let defaults = json!({
        "advertisementType": "Service", "service": {"addresses": ["LoadBalancerIP"]}, "selector": {},
    });
    let spec = json!({"advertisements": [merged(defaults, entry)]});
    let metadata = json!({"name": name, "labels": {"to": to}});
    merged(
        cilium("CiliumBGPAdvertisement", name, spec),
        json!({"metadata": metadata}),
    )
}

pub(crate) fn cilium(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "cilium.io/v2", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

pub(crate) fn node(name: &str, labels: Value, addresses: &[&str]) -> Value {
    let addresses: Vec<Value> = addresses
        .iter()
        .map(|ip| json!({"type": "InternalIP", "address": ip}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        "status": {"addresses": addresses},
    })
}

/// The same, created at that time.
pub(crate) fn dated(value: Value, time: &str) -> Value {
    with(value, "/metadata", json!({"creationTimestamp": time}))
}

/// The same, with these fields in the map at a JSON pointer.
pub(crate) fn with(mut value: Value, at: &str, fields: Value) -> Value {
    let map = value.pointer_mut(at).and_then(Value::as_object_mut);
    if let (Some(map), Value::Object(fields)) = (map, fields) {
        map.extend(fields);
    }
    value
}

fn merged(defaults: Value, more: Value) -> Value {
    let mut all = Map::new();
    for value in [defaults, more] {
        if let Value::Object(fields) = value {
            all.extend(fields);
        }
    }
    Value::Object(all)
}
