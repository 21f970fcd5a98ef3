//! What a change would do, and what it would cut.

use std::time::Duration;

use api::{Key, Kind};
use desired::plan::{
    AddressFate, Assumptions, Chain, CutKind, Layout, LinkState, Plan, SessionFate, Situation,
    Step, explain, plan,
};
use desired::{Forwarding, IpamOptions};
use serde_json::{Value, json};
use types::{Family, ObjectName};

use crate::world::object;

#[test]
fn from_nothing_everything_is_new_and_nothing_is_cut() {
    let plan = plan(&Situation::new(), &edge(), &nodes());

    let [address] = &plan.addresses[..] else {
        panic!("{:?}", plan.addresses);
    };
    assert_eq!(
        (address.service.as_str(), address.fate),
        ("shop/web", AddressFate::Given)
    );
    assert_eq!(
        address.becomes,
        ["10.0.0.0".parse::<std::net::IpAddr>().unwrap()]
    );
    let [pool] = &plan.pools[..] else {
        panic!("{:?}", plan.pools);
    };
    assert_eq!(
        pool.becomes.as_ref().map(|pool| pool.available.as_str()),
        Some("3")
    );
    let [session] = &plan.sessions[..] else {
        panic!("{:?}", plan.sessions);
    };
    assert_eq!(session.fate, SessionFate::Opened);
    assert_eq!(session.nodes.len(), 2);
    let [route] = &plan.routes[..] else {
        panic!("{:?}", plan.routes);
    };
    assert_eq!(
        (route.prefix.to_string().as_str(), route.step),
        ("10.0.0.0/32", Step::Added)
    );
    let carried = route.becomes.as_ref().unwrap();
    assert_eq!(carried.next_hop, "self");
    assert_eq!(carried.communities, ["65000:100"]);
    assert_eq!(carried.local_preference, Some(150));
    assert_eq!(route.nodes.len(), 2);
    let [service] = &plan.services[..] else {
        panic!("{:?}", plan.services);
    };
    assert_eq!(service.frontends_added, ["10.0.0.0:80/TCP"]);
    assert_eq!(service.backends_added, ["10.1.0.1:80 weight 100"]);
    assert_eq!(plan.cuts, []);
}

#[test]
fn the_same_objects_change_nothing() {
    for assumptions in [nodes(), cluster()] {
        let plan = plan(&edge(), &edge(), &assumptions);

        assert!(plan.changes_nothing(), "{plan:?}");
        assert!(!plan.cuts_traffic());
    }
}

#[test]
fn an_operator_and_its_agents_come_to_the_same_routes_as_nodes_by_themselves() {
    let elsewhere = Assumptions {
        forwarding: Forwarding::Elsewhere,
        ..nodes()
    };
    let alone = plan(&Situation::new(), &edge(), &elsewhere);
    let together = plan(&Situation::new(), &edge(), &cluster());

    assert_eq!(alone.routes, together.routes);
    assert_eq!(alone.sessions, together.sessions);
    assert_eq!(together.services, []);
    assert_eq!(together.routes.len(), 1);
}

#[test]
fn a_pool_that_goes_cuts_its_addresses_after_their_notice() {
    let mut after = edge();
    remove(&mut after, Kind::CiliumLoadBalancerIPPool, "", "blue");
    put(&mut after, pool("green", "10.9.0.0/30"));

    let plan = plan(&edge(), &after, &nodes());

    let [address] = &plan.addresses[..] else {
        panic!("{:?}", plan.addresses);
    };
    assert_eq!(
        (address.fate, address.after_secs),
        (AddressFate::Moved, Some(60))
    );
    assert_eq!(
        cuts(&plan),
        ["Address 10.0.0.0: shop/web has 10.9.0.0 instead after 60 s"]
    );
    assert_eq!(plan.routes.len(), 2);
}

#[test]
fn a_service_that_goes_is_said_once() {
    let mut after = edge();
    remove(&mut after, Kind::Service, "shop", "web");

    let plan = plan(&edge(), &after, &nodes());

    assert_eq!(cuts(&plan), ["Address 10.0.0.0: shop/web loses it"]);
    assert_eq!(
        plan.addresses.first().map(|it| it.fate),
        Some(AddressFate::Lost)
    );
}

#[test]
fn a_vip_without_endpoints_is_cut() {
    let mut after = edge();
    put(&mut after, slice(false));

    let plan = plan(&edge(), &after, &nodes());

    assert_eq!(
        cuts(&plan),
        [
            "Vip 10.0.0.0:80/TCP: shop/web has no ready endpoint",
            "Route 10.0.0.0/32: no node announces it any more",
        ]
    );
}

#[test]
fn what_resets_a_session_and_what_does_not() {
    let rows = [
        (
            json!({"timers": {"holdTimeSeconds": 9, "keepAliveTimeSeconds": 3}}),
            SessionFate::Reset,
            vec!["hold time 90 becomes 9", "keepalive 30 becomes 3"],
        ),
        (
            json!({"transport": {"peerPort": 1179}}),
            SessionFate::Reset,
            vec!["peer port 179 becomes 1179"],
        ),
        (
            json!({"ebgpMultihop": 4}),
            SessionFate::Updated,
            vec!["multihop"],
        ),
        (
            json!({"gracefulRestart": {"enabled": true}}),
            SessionFate::Updated,
            vec!["graceful restart"],
        ),
    ];
    for (fields, fate, why) in rows {
        let mut after = edge();
        put(&mut after, peer_config(&fields));

        let plan = plan(&edge(), &after, &nodes());

        let [session] = &plan.sessions[..] else {
            panic!("{:?}", plan.sessions);
        };
        assert_eq!(
            (session.fate, &session.why),
            (fate, &why.iter().map(ToString::to_string).collect())
        );
        let sessions = plan.cuts.iter().filter(|cut| cut.kind == CutKind::Session);
        assert_eq!(sessions.count(), usize::from(fate == SessionFate::Reset));
        assert_eq!(plan.routes, []);
    }
}

#[test]
fn another_as_or_no_peer_cuts_the_session() {
    let mut renumbered = edge();
    put(&mut renumbered, cluster_config(64999));
    let mut without = edge();
    remove(&mut without, Kind::CiliumBGPClusterConfig, "", "racks");

    let reset = plan(&edge(), &renumbered, &nodes());
    let closed = plan(&edge(), &without, &nodes());

    assert_eq!(
        cuts(&reset),
        ["Session main/tor 192.0.2.1: it is reset: local AS 65001 becomes 64999 (on a, b)"]
    );
    assert_eq!(
        cuts(&closed),
        [
            "Route 10.0.0.0/32: no node announces it any more",
            "Session main/tor 192.0.2.1: it is closed (on a, b)",
        ]
    );
}

#[test]
fn attributes_change_without_a_cut() {
    let mut after = edge();
    put(&mut after, advertisement(200));

    let plan = plan(&edge(), &after, &nodes());

    let [route] = &plan.routes[..] else {
        panic!("{:?}", plan.routes);
    };
    assert_eq!(route.step, Step::Changed);
    let preferences = [&route.was, &route.becomes].map(|it| it.as_ref().unwrap().local_preference);
    assert_eq!(preferences, [Some(150), Some(200)]);
    assert_eq!(plan.cuts, []);
}

#[test]
fn a_request_that_cannot_be_met_is_refused_in_the_conditions_words() {
    let mut after = edge();
    put(
        &mut after,
        service("greedy", &json!({"lbipam.cilium.io/ips": "10.0.0.0"})),
    );

    let plan = plan(&edge(), &after, &nodes());

    let [address] = &plan.addresses[..] else {
        panic!("{:?}", plan.addresses);
    };
    assert_eq!(address.fate, AddressFate::Refused);
    assert_eq!(address.reason, Some("already_allocated"));
    assert_eq!(
        address.message.as_deref(),
        Some("The IP '10.0.0.0' is already allocated to another service")
    );
    assert_eq!(plan.cuts, []);
}

#[test]
fn statuses_are_those_of_what_is_there() {
    let mut before = edge();
    let mut web = service("web", &json!({}));
    if let Some(fields) = web.as_object_mut() {
        let status = json!({"loadBalancer": {"ingress": [{"ip": "10.0.0.2"}]}});
        fields.insert("status".to_owned(), status);
    }
    put(&mut before, web);

    let plan = plan(&before, &edge(), &nodes());

    assert!(plan.changes_nothing(), "{plan:?}");
}

#[test]
fn an_unbroken_chain_names_every_link() {
    let chain = explain(&edge(), "10.0.0.0".parse().unwrap(), &nodes());

    assert_eq!(chain.broken, None);
    let links: Vec<&str> = chain.links.iter().map(|link| link.name).collect();
    assert_eq!(
        links,
        [
            "pool",
            "service",
            "backends",
            "advertisement",
            "peer-config",
            "session",
            "kernel-map"
        ]
    );
    assert!(
        chain
            .links
            .iter()
            .all(|link| link.state == LinkState::Whole)
    );
}

#[test]
fn each_link_can_be_the_first_that_is_broken() {
    let addr = "10.0.0.0".parse().unwrap();
    let without = |kind, namespace: &str, name: &str| {
        let mut objects = edge();
        remove(&mut objects, kind, namespace, name);
        explain(&objects, addr, &nodes())
    };
    let with = |value: Value| {
        let mut objects = edge();
        put(&mut objects, value);
        explain(&objects, addr, &nodes())
    };
    let mut unselected = advertisement(150);
    unselected["metadata"]["labels"] = json!({"advertise": "other"});
    let mut elsewhere = cluster_config(65001);
    elsewhere["spec"]["nodeSelector"] = json!({"matchLabels": {"rack": "none"}});
    let other_port = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "ports": [{"name": "other", "port": 80}],
        "endpoints": [{"addresses": ["10.1.0.1"], "nodeName": "a", "conditions": {"ready": true}}],
    });

    assert_broken(
        &explain(&edge(), "10.77.0.1".parse().unwrap(), &nodes()),
        "pool",
    );
    assert_broken(&without(Kind::Service, "shop", "web"), "service");
    assert_broken(&with(slice(false)), "backends");
    assert_broken(
        &without(Kind::CiliumBGPAdvertisement, "", "vips"),
        "advertisement",
    );
    assert_broken(&with(unselected), "peer-config");
    assert_broken(&with(elsewhere), "session");
    // Without a backend for its port no node announces it either.
    assert_broken(&with(other_port), "session");
}

fn assert_broken(chain: &Chain, link: &str) {
    assert_eq!(chain.broken, Some(link), "{chain:#?}");
    let broken = chain.links.iter().find(|it| it.name == link);
    assert!(broken.is_some_and(|it| it.todo.is_some()));
}

fn cuts(plan: &Plan) -> Vec<String> {
    let cuts = plan.cuts.iter();
    cuts.map(|cut| format!("{:?} {}: {}", cut.kind, cut.what, cut.why))
        .collect()
}

fn nodes() -> Assumptions {
    Assumptions {
        layout: Layout::Nodes,
        forwarding: Forwarding::Balancer,
        ipam: IpamOptions::default(),
        families: Family::BOTH.to_vec(),
        node: "node".parse().expect("a name"),
        now: Duration::from_secs(1_000_000),
    }
}

fn cluster() -> Assumptions {
    Assumptions {
        layout: Layout::Cluster,
        forwarding: Forwarding::Elsewhere,
        ..nodes()
    }
}

/// Two nodes, a router, a pool, a Service with an endpoint.
fn edge() -> Situation {
    let mut objects = Situation::new();
    for value in [
        node("a", "192.0.2.11"),
        node("b", "192.0.2.12"),
        pool("blue", "10.0.0.0/30"),
        service("web", &json!({})),
        slice(true),
        cluster_config(65001),
        peer_config(&json!({})),
        advertisement(150),
    ] {
        put(&mut objects, value);
    }
    objects
}

fn put(objects: &mut Situation, value: Value) {
    let object = object(value);
    objects.insert(object.key(), object);
}

fn remove(objects: &mut Situation, kind: Kind, namespace: &str, name: &str) {
    let removed = objects.remove(&Key::new(kind, ObjectName::new(namespace, name)));
    assert!(removed.is_some());
}

fn node(name: &str, addr: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"addresses": [{"type": "InternalIP", "address": addr}]},
    })
}

fn cilium(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "cilium.io/v2", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn pool(name: &str, cidr: &str) -> Value {
    cilium(
        "CiliumLoadBalancerIPPool",
        name,
        &json!({"blocks": [{"cidr": cidr}]}),
    )
}

fn service(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    })
}

fn slice(ready: bool) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "ports": [{"port": 80}],
        "endpoints": [{"addresses": ["10.1.0.1"], "nodeName": "a", "conditions": {"ready": ready}}],
    })
}

fn cluster_config(local_asn: u32) -> Value {
    let peer = json!({
        "name": "tor", "peerAddress": "192.0.2.1", "peerASN": 65000, "peerConfigRef": {"name": "tor"},
    });
    let instance = json!({"name": "main", "localASN": local_asn, "peers": [peer]});
    cilium(
        "CiliumBGPClusterConfig",
        "racks",
        &json!({"bgpInstances": [instance]}),
    )
}

fn peer_config(fields: &Value) -> Value {
    let mut spec = fields.clone();
    if let Some(spec) = spec.as_object_mut() {
        let family = json!({
            "afi": "ipv4", "safi": "unicast",
            "advertisements": {"matchLabels": {"advertise": "vips"}},
        });
        spec.insert("families".to_owned(), json!([family]));
    }
    cilium("CiliumBGPPeerConfig", "tor", &spec)
}

fn advertisement(preference: u32) -> Value {
    let entry = json!({
        "advertisementType": "Service",
        "service": {"addresses": ["LoadBalancerIP"]},
        "selector": {"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["x"]}]},
        "attributes": {"communities": {"standard": ["65000:100"]}, "localPreference": preference},
    });
    let mut value = cilium(
        "CiliumBGPAdvertisement",
        "vips",
        &json!({"advertisements": [entry]}),
    );
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("labels".to_owned(), json!({"advertise": "vips"}));
    }
    value
}
