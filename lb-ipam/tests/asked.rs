//! What the allocator answers when it is asked, and what it does at size.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lb_ipam::{
    Action, Allocator, Block, Delta, Figures, Incompatibility, Inputs, Pool, Request, Satisfaction,
    Service, Shown, Time, Verdict,
};
use types::{Family, ObjectName};

#[test]
fn each_pool_says_why_it_gave_or_did_not() {
    let allocator = told(&[
        "pool blue priority=9 disabled 10.0.0.0/30",
        "pool full 10.0.1.0/32",
        "pool green select=app:db 10.0.2.0/30",
        "pool grey 10.0.1.0/30 created=9",
        "pool red quota=shop:1 10.0.3.0/30",
        "pool six 2001:db8::/126",
        "pool white 10.0.4.0/30",
        "pool yellow 10.0.5.0/30",
        "service shop/a",
        "service shop/b",
        "service shop/c",
    ]);

    let why = allocator.why(&name("shop/c")).unwrap();

    assert_eq!(why.held, ["10.0.4.0".parse::<IpAddr>().unwrap()]);
    assert_eq!(why.families, [Family::V4]);
    assert_eq!(why.satisfaction, Satisfaction::Satisfied);
    let verdicts: Vec<String> = why
        .pools
        .iter()
        .map(|(pool, verdicts)| {
            let [verdict] = &verdicts[..] else {
                panic!("{verdicts:?}");
            };
            let verdict = format!("{verdict:?}");
            let short = verdict.split(['(', ' ']).next().unwrap_or_default();
            format!("{pool} {short}")
        })
        .collect();
    assert_eq!(
        verdicts,
        [
            "blue Disabled",
            "full Full",
            "green NotSelected",
            "grey Conflicting",
            "red QuotaUsedUp",
            "six NoFamily",
            "white Gave",
            "yellow NotNeeded",
        ]
    );
}

#[test]
fn a_requested_address_is_explained_by_who_has_it() {
    let allocator = told(&[
        "pool blue no-first-last reserve=60s keeps=10.0.0.3@shop/gone@60s 10.0.0.0/29",
        "service shop/a share=key;80/TCP ask=10.0.0.1",
        "service shop/b share=key;80/TCP ask=10.0.0.1,10.0.0.0,10.0.0.3,10.9.9.9",
        "service shop/c share=key;81/TCP ask=10.0.0.1",
        "foreign shop/d marked",
    ]);
    let addr = |text: &str| text.parse::<IpAddr>().unwrap();

    let b = allocator.why(&name("shop/b")).unwrap();
    let c = allocator.why(&name("shop/c")).unwrap();

    assert_eq!(
        b.pools,
        [(
            ObjectName::of_cluster("blue"),
            vec![
                Verdict::Taken {
                    addr: addr("10.0.0.1"),
                    by: vec![name("shop/a"), name("shop/c")],
                    why: Some(Incompatibility::Listener),
                },
                Verdict::KeptBack(addr("10.0.0.0")),
                Verdict::Reserved {
                    addr: addr("10.0.0.3"),
                    service: name("shop/gone"),
                    until: Duration::from_secs(60),
                },
                Verdict::Lacks(addr("10.9.9.9")),
            ]
        )]
    );
    assert_eq!(c.sharing, [(addr("10.0.0.1"), vec![name("shop/a")])]);
    assert_eq!(allocator.why(&name("shop/d")), None);
    assert_eq!(allocator.why(&name("shop/e")), None);
}

#[test]
fn what_would_be_leaves_what_is() {
    let allocator = told(&["pool blue 10.0.0.0/31", "service shop/a", "service shop/b"]);
    let mut delta = Delta::default();
    support::read("no service shop/a", &mut delta);
    support::read("service shop/c", &mut delta);

    let (then, actions) = allocator.simulate(Time::ZERO, delta);

    let written: Vec<String> = actions.iter().map(support::write).collect();
    assert_eq!(written, ["shop/c ingress 10.0.0.0", "shop/c satisfied"]);
    assert_eq!(then.allocations().count(), 2);
    assert!(allocator.why(&name("shop/a")).is_some());
    assert_eq!(allocator.why(&name("shop/c")), None);
}

#[test]
fn figures_count_what_metrics_show() {
    let allocator = told(&[
        "pool blue reserve=60s keeps=10.0.0.1@shop/gone@60s 10.0.0.0/31",
        "pool red 10.0.0.1-10.0.0.2 created=4",
        "service shop/a",
        "service shop/b",
        "service shop/c marked has=192.0.2.1",
        "foreign shop/d marked",
    ]);

    assert_eq!(
        allocator.figures(),
        Figures {
            pools: 2,
            conflicting: 1,
            matching: 3,
            unsatisfied: 1,
            leaving: 1,
            reserved: 1,
        }
    );
}

#[test]
fn a_pool_that_goes_from_under_ten_thousand_services_and_returns_moves_none() {
    let pool = || Pool {
        blocks: vec![Block::Cidr("10.0.0.0/16".parse().unwrap())],
        ..Pool::default()
    };
    let services = (0..10_000).map(|n| {
        let name = ObjectName::new("shop", &format!("s{n}"));
        (name, Some(Service::Request(Request::default())))
    });
    let blue = ObjectName::of_cluster("blue");
    let mut allocator = Allocator::new(&Family::BOTH);
    let given = ingress(allocator.on_change(
        Time::ZERO,
        Delta {
            pools: [(blue.clone(), Some(pool()))].into(),
            services: services.collect(),
            inputs: Some(Inputs::Complete),
            ..Delta::default()
        },
    ));
    assert_eq!(given.len(), 10_000);
    let set = |pool| Delta {
        pools: [(blue.clone(), pool)].into(),
        ..Delta::default()
    };

    let gone = allocator.on_change(Duration::from_secs(5), set(None));
    // Another leader comes, that has seen nothing but statuses.
    let mut next = Allocator::new(&Family::BOTH);
    let shown = gone.into_iter().map(|action| {
        let Action::SetNotices { service, notices } = action else {
            panic!("{action:?}");
        };
        let addresses = given[&service].clone();
        let request = Request {
            shown: Shown {
                addresses,
                marked: true,
                notices,
            },
            ..Request::default()
        };
        (service, Some(Service::Request(request)))
    });
    let everything = Delta {
        services: shown.collect(),
        inputs: Some(Inputs::Complete),
        ..set(Some(pool()))
    };
    let after = next.on_change(Duration::from_secs(30), everything);
    let back = allocator.on_change(Duration::from_secs(64), set(Some(pool())));

    assert_eq!(ingress(after), given);
    assert_eq!(ingress(back), BTreeMap::new());
    assert_eq!(allocator.next_deadline(), None);
    assert_eq!(next.next_deadline(), None);
}

fn told(lines: &[&str]) -> Allocator {
    let mut delta = Delta {
        inputs: Some(Inputs::Complete),
        ..Delta::default()
    };
    for line in lines {
        support::read(line, &mut delta);
    }
    let mut allocator = Allocator::new(&Family::BOTH);
    allocator.on_change(Time::ZERO, delta);
    allocator
}

fn name(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap();
    ObjectName::new(namespace, name)
}

fn ingress(actions: Vec<Action>) -> BTreeMap<ObjectName, Vec<IpAddr>> {
    let mut given = BTreeMap::new();
    for action in actions {
        if let Action::SetIngress { service, addresses } = action {
            given.insert(service, addresses);
        }
    }
    given
}
