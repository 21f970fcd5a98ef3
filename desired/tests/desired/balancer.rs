//! What the balancer is told.

use std::time::Duration;

use api::Kind;
use desired::{Drained, Inputs};
use serde_json::{Value, json};
use types::ObjectName;
use xdp_l4lb_core::desired::{BackendState, CheckKind, PrimeSize, Service, TableSize, WhenEmpty};

use crate::manifests::{named_service, service, slice};
use crate::world::World;

#[test]
fn a_service_has_its_addresses_and_the_endpoints_of_all_its_slices() {
    let world = World::with([
        service(json!({}), &["192.0.2.1", "fd00::1"]),
        slice("web-1", "IPv4", &[("10.1.0.1", json!({}))]),
        slice(
            "web-2",
            "IPv4",
            &[("10.1.0.2", json!({})), ("10.1.0.1", draining())],
        ),
    ]);

    // IPv6 clients are served by IPv4 backends, since there are no others.
    assert_eq!(
        shown(&world),
        ["default/web:80 [fd00::1]:80/TCP 192.0.2.1:80/TCP -> 10.1.0.1:80 10.1.0.2:80"]
    );
}

#[test]
fn with_slices_of_both_families_each_family_has_its_own_backends() {
    let mut world = World::with([
        service(json!({}), &["192.0.2.1", "fd00::1"]),
        slice("web-4", "IPv4", &[("10.1.0.1", json!({}))]),
        slice("web-6", "IPv6", &[("fd01::1", json!({}))]),
    ]);

    assert_eq!(
        shown(&world),
        [
            "default/web:80 192.0.2.1:80/TCP -> 10.1.0.1:80",
            "default/web:80/ipv6 [fd00::1]:80/TCP -> [fd01::1]:80"
        ]
    );
    world.remove(Kind::EndpointSlice, ObjectName::new("default", "web-6"));
    assert_eq!(
        shown(&world),
        ["default/web:80 [fd00::1]:80/TCP 192.0.2.1:80/TCP -> 10.1.0.1:80"]
    );
}

#[test]
fn endpoints_take_new_flows_when_ready_and_keep_old_ones_until_they_are_removed() {
    let world = World::with([
        service(json!({}), &["192.0.2.1"]),
        slice(
            "web-1",
            "IPv4",
            &[
                ("10.1.0.1", json!({})),
                ("10.1.0.2", draining()),
                ("10.1.0.3", json!({"conditions": {"ready": false}})),
                (
                    "10.1.0.4",
                    json!({"conditions": {"ready": false, "serving": false, "terminating": true}}),
                ),
                (
                    "10.1.0.5",
                    json!({"conditions": {"ready": false, "serving": true}}),
                ),
            ],
        ),
    ]);

    let service = only(&world);

    let found: Vec<_> = service
        .backends
        .iter()
        .map(|(addr, backend)| (addr.to_string(), backend.state, backend.weight))
        .collect();
    let expected = [
        ("10.1.0.1:80", BackendState::Active, 100),
        ("10.1.0.2:80", BackendState::Draining, 100),
        // Without weight it takes no new flows even where it is the last.
        ("10.1.0.4:80", BackendState::Draining, 0),
    ];
    assert_eq!(
        found,
        expected.map(|(addr, state, weight)| (addr.to_owned(), state, weight))
    );
}

#[test]
fn a_drained_backend_has_no_weight() {
    let mut world = World::with([
        service(json!({}), &["192.0.2.1"]),
        slice(
            "web-1",
            "IPv4",
            &[("10.1.0.1", json!({})), ("10.1.0.2", json!({}))],
        ),
    ]);
    let drain = |port| Drained {
        addr: "10.1.0.2".parse().unwrap(),
        port,
    };
    let weights = |world: &World| {
        only(world)
            .backends
            .values()
            .map(|b| b.weight)
            .collect::<Vec<_>>()
    };

    for (drained, expected) in [
        (vec![drain(None)], [100, 0]),
        (vec![drain(Some(81))], [100, 100]),
        (vec![drain(Some(80))], [100, 0]),
        (vec![], [100, 100]),
    ] {
        world.drain(drained.into_iter().collect());
        assert_eq!(weights(&world), expected);
    }
}

#[test]
fn ports_with_the_same_backends_share_a_table() {
    let mut endpoints = slice("web-1", "IPv4", &[("10.1.0.1", json!({}))]);
    endpoints["ports"] = json!([
        {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}, {"name": "metrics", "port": 9153},
    ]);
    let ports = endpoints["ports"].clone();
    let world = World::with([service(json!({"ports": ports}), &["192.0.2.1"]), endpoints]);

    assert_eq!(
        shown(&world),
        [
            "default/web:dns 192.0.2.1:53/TCP 192.0.2.1:53/UDP -> 10.1.0.1:53",
            "default/web:metrics 192.0.2.1:9153/TCP -> 10.1.0.1:9153",
        ]
    );
}

#[test]
fn ports_without_backends_do_not_share_what_they_will_have() {
    let ports = json!([{"name": "a", "port": 80}, {"name": "b", "port": 81}]);

    let world = World::with([service(json!({"ports": ports}), &["192.0.2.1"])]);

    assert_eq!(
        shown(&world),
        [
            "default/web:a 192.0.2.1:80/TCP ->",
            "default/web:b 192.0.2.1:81/TCP ->"
        ]
    );
}

#[test]
fn a_backend_that_listens_elsewhere_is_named_in_a_condition() {
    let mut endpoints = slice("web-1", "IPv4", &[("10.1.0.1", json!({}))]);
    endpoints["ports"] = json!([{"port": 8080}]);
    let mut misnamed = slice("web-1", "IPv4", &[("10.1.0.1", json!({}))]);
    misnamed["ports"] = json!([{"name": "http", "port": 80}]);

    let mut world = World::with([service(json!({}), &["192.0.2.1"]), endpoints]);
    let elsewhere = world.says(Kind::Service, "web", "sluicegate.io/UnusableBackends");
    world.put(misnamed);
    let unnamed = world.says(Kind::Service, "web", "sluicegate.io/UnusableBackends");
    world.put(slice("web-1", "IPv4", &[("10.1.0.1", json!({}))]));

    assert_eq!(
        elsewhere.as_deref(),
        Some(
            "True UnusableBackends: endpoints of default/web-1 listen at port 8080, and get packets for port 80 as they are"
        )
    );
    assert_eq!(
        unnamed.as_deref(),
        Some(
            "True UnusableBackends: no endpoints have a port \"\" of TCP, so 80/TCP has no backends"
        )
    );
    assert_eq!(
        world.says(Kind::Service, "web", "sluicegate.io/UnusableBackends"),
        None
    );
}

#[test]
fn annotations_become_settings_of_the_balancer() {
    let mut checked = service(json!({}), &["192.0.2.1"]);
    checked["metadata"]["annotations"] = json!({
        "sluicegate.io/health-check": "http", "sluicegate.io/health-check-path": "/up",
        "sluicegate.io/when-empty": "refuse", "sluicegate.io/idle-timeout": "5m",
        "sluicegate.io/quarantine": "1m", "sluicegate.io/maglev-table-size": "509",
    });
    let world = World::with([checked]);

    let service = only(&world);

    let check = service.check.as_ref().unwrap();
    let CheckKind::Http { path, status, .. } = &check.kind else {
        panic!("another check")
    };
    assert_eq!((path.as_ref(), *status), ("/up", (200, 399)));
    assert_eq!(
        (check.rise.get(), check.fall.get(), check.interval),
        (2, 3, Duration::from_secs(2))
    );
    assert_eq!(service.when_empty, WhenEmpty::Refuse);
    assert_eq!(service.idle, Duration::from_secs(300));
    assert_eq!(service.unhealthy_grace, Duration::from_secs(60));
    let size = PrimeSize::try_from(509).unwrap();
    assert_eq!(service.table_size, TableSize::Fixed(size));
}

#[test]
fn the_table_sizes_of_annotations_are_the_planners() {
    let sizes = api::annotations::MAGLEV_TABLE_SIZES.map(|(_, slots)| slots);

    assert_eq!(sizes, PrimeSize::ALL);
}

#[test]
fn services_of_other_types_and_classes_are_left_alone() {
    for spec in [
        json!({"type": "ClusterIP"}),
        json!({"type": "NodePort"}),
        json!({"loadBalancerClass": "example.org/other"}),
    ] {
        let world = World::with([service(spec.clone(), &["192.0.2.1"])]);

        assert_eq!(shown(&world), Vec::<String>::new(), "{spec}");
        assert!(world.applied.statuses.is_empty(), "{spec}");
        let request = world.applied.requests.values().next();
        assert!(
            matches!(request, Some(lb_ipam::Service::Foreign { .. })),
            "{spec}"
        );
    }
}

#[test]
fn a_service_that_leaves_our_class_leaves_the_balancer() {
    let mut world = World::with([service(json!({}), &["192.0.2.1"])]);

    world.put(service(
        json!({"loadBalancerClass": "example.org/other"}),
        &["192.0.2.1"],
    ));

    assert_eq!(shown(&world), Vec::<String>::new());
}

#[test]
fn nothing_is_said_before_services_and_slices_are_known_in_whole() {
    let mut world = World::unsynced();
    world.put(service(json!({}), &["192.0.2.1"]));
    world.sync([Kind::Service]);
    let before = shown(&world);
    world.put(slice("web-1", "IPv4", &[("10.1.0.1", json!({}))]));

    let changes = world.sync([Kind::EndpointSlice]);

    assert_eq!(before, Vec::<String>::new());
    assert_eq!(shown(&world).len(), 1);
    assert_eq!(changes.progress.balancer, Inputs::Complete);
    assert_eq!(changes.progress.bgp, Inputs::Incomplete);
    assert_eq!(changes.progress.ipam, Inputs::Incomplete);
}

#[test]
fn an_object_that_was_never_good_keeps_the_rest_from_being_complete() {
    let mut world = World::with([service(json!({}), &["192.0.2.1"])]);
    let known = ObjectName::new("default", "web");
    let unknown = ObjectName::new("default", "other");

    let still = world.refuse(Kind::Service, known, true).progress;
    let faulty = world.refuse(Kind::Service, unknown.clone(), true).progress;
    let request = world.applied.requests.get(&unknown).cloned();
    let again = world.refuse(Kind::Service, unknown.clone(), false).progress;

    assert_eq!(still.balancer, Inputs::Complete);
    assert_eq!(
        (faulty.balancer, faulty.bgp, faulty.ipam),
        (Inputs::Faulty, Inputs::Faulty, Inputs::Faulty)
    );
    assert!(matches!(request, Some(lb_ipam::Service::Unreadable { .. })));
    assert_eq!(again.balancer, Inputs::Complete);
    assert!(!world.applied.requests.contains_key(&unknown));
    assert_eq!(shown(&world).len(), 1, "the last good value stays");
}

#[test]
fn one_slice_among_many_services_touches_one_service() {
    let many = (0..2000).map(|n| {
        named_service(
            &format!("s{n}"),
            json!({}),
            &[&format!("10.{}.{}.1", n / 250, n % 250)],
        )
    });
    let mut world = World::with(many.chain([service(json!({}), &["192.0.2.1"])]));

    let changes = world.put(slice("web-1", "IPv4", &[("10.1.0.1", json!({}))]));

    assert_eq!(world.applied.services.len(), 2001);
    assert_eq!(changes.balancer.services.len(), 1);
    assert!(changes.ipam.services.is_empty() && changes.statuses.is_empty());
}

fn draining() -> Value {
    json!({"conditions": {"ready": false, "serving": true, "terminating": true}})
}

fn only(world: &World) -> &Service {
    assert_eq!(world.applied.services.len(), 1);
    world.applied.services.values().next().expect("one service")
}

/// Each service with its frontends and backends.
fn shown(world: &World) -> Vec<String> {
    let services = world.applied.services.iter();
    services
        .map(|(key, service)| {
            let mut frontends: Vec<String> =
                service.frontends.iter().map(ToString::to_string).collect();
            frontends.sort_unstable_by_key(|text| (!text.starts_with('['), text.clone()));
            let backends = service.backends.keys().map(|backend| format!(" {backend}"));
            format!(
                "{key} {} ->{}",
                frontends.join(" "),
                backends.collect::<String>()
            )
        })
        .collect()
}
