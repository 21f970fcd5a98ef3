//! Whatever the order of changes, the outcome is that of telling everything at once.

use std::collections::BTreeMap;

use api::Kind;
use desired::{Drained, Facts, Forwarding, Role};
use proptest::prelude::*;
use serde_json::{Value, json};
use types::{Family, ObjectName, Protocol, Vip};

use crate::manifests::with;
use crate::world::{World, facts};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    Put(Kind, u8, Vec<u8>),
    Gone(Kind, u8),
    Refused(Kind, u8, bool),
    Synced(Kind),
    Ready(u8, bool),
    Drained(u8),
    Connected(u8),
}

/// Choices that a random string of bytes makes; the first of each when it is used up.
struct Choices<'b>(&'b [u8]);

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn changes_one_by_one_come_to_the_same_as_a_full_pass(
        settled_first: bool,
        (role, forwarding) in parts(),
        happenings in proptest::collection::vec(happening(), 1..60),
    ) {
        let mut world = World::knowing(knowing(role, forwarding));
        if settled_first {
            for kind in Kind::ALL {
                world.put(manifest(kind, 0, &[]));
            }
            world.sync(Kind::ALL);
            world.all_ready();
        }
        for happening in happenings {
            happen(&mut world, happening);
        }

        let before = world.rebuilt();
        prop_assert_eq!(world.outcome(), before.outcome());
        world.sync(Kind::ALL);

        let rebuilt = world.rebuilt();
        prop_assert_eq!(world.outcome(), rebuilt.outcome());
        prop_assert_eq!(rebuilt.applied.node_configs, BTreeMap::new(), "all are as they were to be");
    }

    #[test]
    fn a_node_on_its_own_and_one_with_an_operator_come_to_the_same(
        objects in proptest::collection::vec(something(), 1..40), connected in 0u8..8,
    ) {
        let told = |role| {
            let mut world = World::knowing(knowing(role, Forwarding::Elsewhere));
            happen(&mut world, Happening::Connected(connected));
            world.put(manifest(Kind::Node, 1, &[]));
            for (kind, number, bytes) in &objects {
                world.put(manifest(*kind, *number, bytes));
            }
            world
        };
        let mut alone = told(Role::Standalone);
        let mut operator = told(Role::Operator);
        let mut agent = told(Role::Agent);

        alone.sync(Kind::ALL);
        operator.sync(Kind::ALL);
        for (node, spec) in &operator.applied.node_configs {
            agent.put(spec.manifest(node));
        }
        agent.sync(Kind::ALL);

        let run = |world: &World| {
            let (applied, heard, left_out) = world.outcome();
            (applied.instances, heard, left_out)
        };
        prop_assert_eq!(run(&alone), run(&agent));
    }
}

/// Each role, with those that may forward beside it.
fn parts() -> impl Strategy<Value = (Role, Forwarding)> {
    let roles = prop_oneof![
        Just(Role::Standalone),
        Just(Role::Operator),
        Just(Role::Agent)
    ];
    let forwarding = prop_oneof![Just(Forwarding::Balancer), Just(Forwarding::Elsewhere)];
    (roles, forwarding)
}

fn knowing(role: Role, forwarding: Forwarding) -> Facts {
    Facts {
        spare_router_id: std::net::Ipv4Addr::new(9, 9, 9, 9).try_into().ok(),
        ..facts(role, forwarding)
    }
}

/// An object of any kind but those that an operator writes.
fn something() -> impl Strategy<Value = (Kind, u8, Vec<u8>)> {
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::CiliumBGPNodeConfig)
        .collect();
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    (proptest::sample::select(kinds), 0u8..3, bytes)
}

fn happen(world: &mut World, happening: Happening) {
    match happening {
        Happening::Put(kind, number, bytes) => {
            world.refuse(kind, name(kind, number), false);
            world.put(manifest(kind, number, &bytes));
        }
        Happening::Gone(kind, number) => {
            world.refuse(kind, name(kind, number), false);
            world.remove(kind, name(kind, number));
        }
        Happening::Refused(kind, number, refused) => {
            world.refuse(kind, name(kind, number), refused);
        }
        Happening::Synced(kind) => drop(world.sync([kind])),
        Happening::Ready(number, ready) => drop(world.ready([(vip(number), ready)])),
        Happening::Drained(number) => {
            let port = (number & 4 != 0).then_some(80);
            let addr = if number & 1 == 0 {
                "10.1.0.1"
            } else {
                "10.1.0.2"
            };
            let addr = addr.parse().expect("an address");
            let drained = (number & 2 != 0).then_some(Drained { addr, port });
            world.drain(drained.into_iter().collect());
        }
        Happening::Connected(number) => {
            let gateways = [(Family::V4, "10.0.0.254"), (Family::V6, "fd00::254")];
            let gateways = gateways.into_iter().skip(usize::from(number % 3));
            let gateways = gateways.map(|(family, addr)| (family, addr.parse().expect("one")));
            let addresses = ["10.0.0.9", "fe80::9", "fd00::9"]
                .into_iter()
                .take(usize::from(number / 2));
            let addresses = addresses.map(|addr| addr.parse().expect("one"));
            let interfaces = [("eth0".to_owned(), addresses.collect())].into();
            world.connect(gateways.collect(), interfaces);
        }
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    let kind = || proptest::sample::select(&Kind::ALL[..]);
    let byte = prop_oneof![3 => Just(0u8), 1 => any::<u8>()];
    let bytes = proptest::collection::vec(byte, 0..40);
    prop_oneof![
        12 => (kind(), 0u8..3, bytes).prop_map(|(k, n, b)| Happening::Put(k, n, b)),
        3 => (kind(), 0u8..3).prop_map(|(k, n)| Happening::Gone(k, n)),
        1 => (kind(), 0u8..3, any::<bool>()).prop_map(|(k, n, r)| Happening::Refused(k, n, r)),
        1 => kind().prop_map(Happening::Synced),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(n, r)| Happening::Ready(n, r)),
        1 => (0u8..8).prop_map(Happening::Drained),
        1 => (0u8..8).prop_map(Happening::Connected),
    ]
}

impl Choices<'_> {
    fn of(&mut self, choices: u8) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first % choices
    }

    fn one(&mut self, choices: &[Value]) -> Value {
        let at = self.of(u8::try_from(choices.len()).expect("few choices"));
        choices.get(usize::from(at)).cloned().expect("in range")
    }

    fn some(&mut self, choices: &[Value]) -> Value {
        choices
            .iter()
            .filter(|_| self.of(2) == 0)
            .cloned()
            .collect()
    }
}

fn name(kind: Kind, number: u8) -> ObjectName {
    match kind {
        Kind::Service | Kind::EndpointSlice => ObjectName::new("default", &format!("n{number}")),
        Kind::Secret => ObjectName::new("kube-system", &format!("n{number}")),
        Kind::Node | Kind::CiliumBGPNodeConfig | Kind::CiliumBGPNodeConfigOverride => {
            ObjectName::of_cluster(&format!("edge{number}"))
        }
        Kind::CiliumLoadBalancerIPPool
        | Kind::CiliumBGPClusterConfig
        | Kind::CiliumBGPPeerConfig
        | Kind::CiliumBGPAdvertisement => ObjectName::of_cluster(&format!("n{number}")),
    }
}

fn vip(number: u8) -> Vip {
    let addr = ["192.0.2.1", "192.0.2.2", "fd00::1"]
        .into_iter()
        .cycle()
        .nth(number.into());
    Vip {
        addr: addr.and_then(|text| text.parse().ok()).expect("an address"),
        port: if number & 64 == 0 { 80 } else { 443 },
        protocol: if number & 128 == 0 {
            Protocol::Tcp
        } else {
            Protocol::Udp
        },
    }
}

fn manifest(kind: Kind, number: u8, bytes: &[u8]) -> Value {
    let mut choices = Choices(bytes);
    let c = &mut choices;
    let created = c.one(&[
        json!(null),
        json!("2026-01-01T00:00:00Z"),
        json!("2026-02-01T00:00:00Z"),
    ]);
    let mut labels = json!({"team": c.one(&[json!("a"), json!("b")])});
    if kind == Kind::Node {
        let zone = c.one(&[json!("z1"), json!("z2")]);
        labels = with(labels, "", json!({"topology.kubernetes.io/zone": zone}));
        if c.of(5) == 4 {
            labels = with(labels, "", json!({api::keys::EXCLUDE: ""}));
        }
    }
    let name = name(kind, number);
    let mut value = match kind {
        Kind::Service => service(c),
        Kind::EndpointSlice => slice(c),
        Kind::Node => json!({
            "spec": {"podCIDRs": c.some(&[json!("10.8.0.0/24"), json!("fd08::/64")]), "unschedulable": c.of(4) == 3},
            "status": {"addresses": c.some(&[
                json!({"type": "InternalIP", "address": "10.0.0.9"}), json!({"type": "InternalIP", "address": "fd00::9"}),
            ])},
        }),
        Kind::Secret => {
            json!({"stringData": c.one(&[json!({"password": "x"}), json!({"other": "x"}), json!({"password": "y"})])})
        }
        Kind::CiliumLoadBalancerIPPool => json!({"spec": {
            "blocks": c.some(&[json!({"cidr": "192.0.2.0/24"}), json!({"start": "fd00::1"})]), "disabled": c.of(2) == 1,
            "serviceSelector": selector(c),
        }}),
        Kind::CiliumBGPClusterConfig => cluster(c),
        Kind::CiliumBGPPeerConfig => json!({"spec": {
            "authSecretRef": c.one(&[json!(null), json!("n0"), json!("n1")]),
            "transport": {"sourceInterface": c.one(&[json!(null), json!(null), json!("eth0")])},
            "families": [
                {"afi": "ipv4", "safi": "unicast", "advertisements": selector(c)},
                {"afi": c.one(&[json!("ipv6"), json!("ipv4"), json!("ls")]), "safi": "unicast", "advertisements": selector(c)},
            ],
        }}),
        Kind::CiliumBGPAdvertisement => advertisement(c),
        Kind::CiliumBGPNodeConfig => {
            json!({"spec": {"bgpInstances": c.some(&[json!({"name": "k", "localASN": 65003})])}})
        }
        Kind::CiliumBGPNodeConfigOverride => {
            json!({"spec": {"bgpInstances": [{
                "name": c.one(&[json!("i"), json!("j")]), "routerID": c.one(&[json!(null), json!("10.9.9.9")]),
                "localASN": c.one(&[json!(null), json!(65009)]), "localPort": c.one(&[json!(null), json!(1790)]),
                "peers": c.some(&[json!({"name": "peer0", "localAddress": "10.0.0.9"})]),
            }]}})
        }
    };
    let annotations = c.one(&[json!({}), json!({"service.cilium.io/weight": "7"})]);
    let mut metadata = json!({"name": *name.name, "labels": labels, "annotations": annotations, "creationTimestamp": created});
    let fields = metadata.as_object_mut().expect("a map");
    if kind.namespaced() {
        fields.insert("namespace".into(), json!(*name.namespace));
    }
    if kind == Kind::EndpointSlice {
        let service = format!("n{}", c.of(3));
        fields.insert(
            "labels".into(),
            json!({"kubernetes.io/service-name": service}),
        );
    }
    let document = value.as_object_mut().expect("a map");
    document.insert("metadata".into(), metadata);
    document.insert("kind".into(), json!(kind.as_str()));
    document.insert("apiVersion".into(), json!(kind.api_versions().first()));
    value
}

fn selector(c: &mut Choices<'_>) -> Value {
    c.one(&[
        json!({}),
        json!(null),
        json!({"matchLabels": {"team": "a"}}),
        json!({"matchLabels": {"team": "b"}}),
    ])
}

fn service(c: &mut Choices<'_>) -> Value {
    let ports = c.one(&[
        json!([{"port": 80}]),
        json!([{"name": "http", "port": 80}, {"name": "https", "port": 443}]),
        json!([{"name": "http", "port": 80}, {"name": "quic", "port": 80, "protocol": "UDP"}]),
    ]);
    json!({
        "spec": {
            "type": c.one(&[json!("LoadBalancer"), json!("LoadBalancer"), json!("ClusterIP")]), "ports": ports,
            "loadBalancerClass": c.one(&[json!(null), json!("io.cilium/bgp-control-plane"), json!("example.org/other")]),
            "externalTrafficPolicy": c.one(&[json!("Cluster"), json!("Local")]),
            "internalTrafficPolicy": c.one(&[json!("Cluster"), json!("Local")]),
            "externalIPs": c.some(&[json!("198.51.100.1")]), "clusterIPs": c.some(&[json!("10.96.0.1")]),
        },
        "status": {"loadBalancer": {"ingress": c.some(&[
            json!({"ip": "192.0.2.1"}), json!({"ip": "192.0.2.2"}), json!({"ip": "fd00::1"}),
        ])}},
    })
}

fn slice(c: &mut Choices<'_>) -> Value {
    let (family, addresses) = [
        ("IPv4", ["10.1.0.1", "10.1.0.2"]),
        ("IPv6", ["fd01::1", "fd01::2"]),
    ]
    .into_iter()
    .nth(usize::from(c.of(3) == 2))
    .expect("in range");
    let mut endpoints = Vec::new();
    for address in addresses {
        if c.of(4) == 3 {
            continue;
        }
        let terminating = json!({"ready": false, "serving": true, "terminating": true});
        endpoints.push(json!({
            "addresses": [address],
            "nodeName": c.one(&[json!("edge1"), json!("edge2"), json!(null)]),
            "conditions": c.one(&[json!({}), json!({"ready": false}), terminating]),
            "hints": c.one(&[json!({}), json!({"forZones": [{"name": "z1"}]}), json!({"forNodes": [{"name": "edge1"}]})]),
        }));
    }
    json!({"addressType": family, "endpoints": endpoints, "ports": c.one(&[
        json!([{"port": 80}]),
        json!([{"name": "http", "port": 80}, {"name": "https", "port": 8443}]),
        json!([{"name": "http", "port": 80}, {"name": "quic", "port": 80, "protocol": "UDP"}]),
    ])})
}

fn cluster(c: &mut Choices<'_>) -> Value {
    let peers: Vec<Value> = (0..2 - c.of(3))
        .map(|number| json!({
            "name": format!("peer{number}"), "peerAddress": c.one(&[json!("192.0.2.254"), json!("fe80::1%eth0"), json!(null)]),
            "autoDiscovery": c.one(&[json!(null), json!({"mode": "DefaultGateway", "defaultGateway": {"addressFamily": "ipv6"}})]),
            "peerConfigRef": c.one(&[json!({"name": "n0"}), json!({"name": "n1"}), json!({"name": "n2"}), json!(null)]),
        }))
        .collect();
    json!({"spec": {
        "nodeSelector": c.one(&[json!(null), json!({"matchLabels": {"kubernetes.io/hostname": "edge1"}}), json!({"matchLabels": {"team": "b"}})]),
        "bgpInstances": [{"name": c.one(&[json!("i"), json!("j")]), "localASN": c.one(&[json!(65001), json!(null), json!(65002)]), "peers": peers}],
    }})
}

fn advertisement(c: &mut Choices<'_>) -> Value {
    let entries: Vec<Value> = (0..=c.of(2))
        .map(|_| {
            match c.of(7) {
                4 => return json!({"advertisementType": "PodCIDR"}),
                5 => return json!({"advertisementType": "Interface", "interface": {"name": "eth0"}}),
                6 => return json!({"advertisementType": "CiliumPodIPPool"}),
                _ => {}
            }
            json!({
                "advertisementType": "Service", "selector": selector(c),
 "service": {"addresses": c.one(&[json!(["LoadBalancerIP"]), json!(["ClusterIP", "ExternalIP"])]), "aggregationLengthIPv4": c.one(&[json!(null), json!(24)])},
                "attributes": {
                    "localPreference": c.one(&[json!(null), json!(50), json!(200)]),
                    "communities": {"standard": c.some(&[json!("65000:1"), json!("65000:2")]), "large": c.some(&[json!("1:2:3")])},
                },
            })
        })
        .collect();
    json!({"spec": {"advertisements": entries}})
}
