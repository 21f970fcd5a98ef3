//! Several operators over one store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod memory;

use std::time::Duration;

use desired::{Facts, Role};
use memory::{Line, Memory, pool, service};
use operator::{Duties, Options, Runner, Standing, Terms};
use store::LeaseName;
use types::Family;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);

#[tokio::test]
async fn one_of_two_operators_leads_and_the_other_writes_nothing() {
    let memory = Memory::default();
    memory.put(pool("10.0.0.0/24"));
    memory.put(service("a"));
    let first = start(&memory.line(), "first", short());
    until("the first leads", || leads(&first)).await;

    let second = start(&memory.line(), "second", short());
    until("the second sees who leads", || {
        let first = Some("first".to_owned());
        matches!(second.view().standing(), Standing::Standby { holder, .. } if holder == first)
    })
    .await;
    memory.put(service("b"));
    until("both have addresses", || memory.addresses().len() == 2).await;

    assert!(second.view().tally().counts().is_empty());
    let counts = first.view().tally().counts();
    let of_services: u64 = counts
        .iter()
        .filter(|((kind, _), _)| *kind == "Service")
        .map(|(_, number)| number)
        .sum();
    assert_eq!(of_services, 2, "one write a service: {counts:?}");
}

#[tokio::test]
async fn an_operator_that_is_stopped_gives_the_lease_back() {
    let memory = Memory::default();
    // An hour if it did not.
    let hour = Duration::from_secs(3600);
    let terms = Terms::new(hour, hour / 2, Duration::from_millis(50)).unwrap();
    let mut first = start(&memory.line(), "first", terms);
    until("the first leads", || leads(&first)).await;
    let second = start(&memory.line(), "second", terms);

    first.stop().await;

    until("the second leads", || leads(&second)).await;
    assert_eq!(memory.holder(), "second");
    assert_eq!(first.view().standing(), Standing::Ended);
}

#[tokio::test]
async fn an_operator_that_is_dropped_is_followed_once_its_lease_has_run_out() {
    let memory = Memory::default();
    memory.put(pool("10.0.0.0/24"));
    memory.put(service("a"));
    let first = start(&memory.line(), "first", short());
    until("it has an address", || memory.addresses().len() == 1).await;
    let before = memory.addresses();

    drop(first);
    let second = start(&memory.line(), "second", short());
    memory.put(service("b"));
    assert_eq!(memory.addresses().len(), 1, "a new one waits");

    until("the second leads", || leads(&second)).await;
    until("the new one has an address", || {
        memory.addresses().len() == 2
    })
    .await;
    assert_eq!(memory.addresses().get("a"), before.get("a"));
}

#[tokio::test]
async fn an_operator_that_is_cut_off_stops_before_another_begins() {
    let memory = Memory::default();
    memory.put(pool("10.0.0.0/24"));
    let line = memory.line();
    let first = start(&line, "first", short());
    until("the first leads", || leads(&first)).await;
    let second = start(&memory.line(), "second", short());

    line.cut(true);
    for name in ["a", "b", "c"] {
        memory.put(service(name));
    }
    until("the second leads", || {
        let second = leads(&second);
        assert!(!(second && leads(&first)), "both lead");
        second
    })
    .await;
    until("all have addresses", || memory.addresses().len() == 3).await;
    let given = memory.addresses();
    line.cut(false);

    until("the first sees who leads", || {
        let second = Some("second".to_owned());
        matches!(first.view().standing(), Standing::Standby { holder, .. } if holder == second)
    })
    .await;
    assert_eq!(memory.addresses(), given);
    let distinct: std::collections::BTreeSet<_> = given.values().flatten().collect();
    assert_eq!(distinct.len(), 3, "{given:?}");
}

#[tokio::test]
async fn nothing_is_written_while_nothing_changes() {
    let memory = Memory::default();
    memory.put(pool("10.0.0.0/24"));
    memory.put(service("a"));
    let first = start(&memory.line(), "first", short());
    until("the queue is empty", || {
        memory.addresses().len() == 1 && summary(&first).is_some_and(|it| it.waiting == 0)
    })
    .await;
    let before = memory.writes();
    drop(first);

    // Another one, which looks at everything anew.
    let second = start(&memory.line(), "second", short());
    until("the second leads", || leads(&second)).await;
    memory.put(service("b"));
    until("the new one has an address", || {
        memory.addresses().len() == 2
    })
    .await;
    until("the queue is empty", || {
        summary(&second).is_some_and(|it| it.waiting == 0)
    })
    .await;

    // The new service, and the pool's counts.
    assert_eq!(memory.writes() - before, 2);
}

fn start(line: &Line, identity: &str, terms: Terms) -> Runner {
    let facts = Facts {
        role: Role::Operator,
        ..Facts::new("operator".parse().unwrap())
    };
    let options = Options {
        lease: LeaseName {
            namespace: "kube-system".to_owned(),
            name: "lease".to_owned(),
        },
        identity: identity.to_owned(),
        terms,
        duties: Duties {
            facts,
            families: Family::BOTH.to_vec(),
            bgp: true,
            writes: 4,
        },
    };
    Runner::spawn(line.clone(), line.clone(), options)
}

fn short() -> Terms {
    let millis = Duration::from_millis;
    Terms::new(millis(1000), millis(600), millis(100)).unwrap()
}

fn summary(runner: &Runner) -> Option<operator::Summary> {
    match runner.view().standing() {
        Standing::Leading { summary } => summary,
        Standing::Standby { .. } | Standing::Ended => None,
    }
}

fn leads(runner: &Runner) -> bool {
    summary(runner).is_some_and(|summary| summary.is_synced())
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !holds() {
            tokio::time::sleep(POLL).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}
