//! Leases, and what is fenced by them.

use std::time::Duration;

use store::{LeaseName, LeaseRecord, Leases as _, Objects as _, WriteError};

use crate::server::{Etcd, program};
use crate::support::{fleet, pool, pool_key};

#[tokio::test]
async fn a_lease_goes_to_the_first_who_asks() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);

    let nobody = fleet.read(&name()).await.unwrap();
    let first = fleet.write(&name(), &held_by("a", 0), None).await.unwrap();
    let second = fleet.write(&name(), &held_by("b", 0), None).await;
    let renewed = fleet.write(&name(), &held_by("a", 0), Some(&first)).await;
    let stale = fleet.write(&name(), &held_by("b", 1), Some(&first)).await;
    let (record, version) = fleet.read(&name()).await.unwrap().unwrap();

    assert_eq!(nobody, None);
    assert_eq!(second, Err(WriteError::Conflict));
    assert_eq!(stale, Err(WriteError::Conflict));
    assert_eq!((record, Ok(version)), (held_by("a", 0), renewed));
}

#[tokio::test]
async fn of_many_who_take_a_lease_at_once_one_has_it() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let mut takers = tokio::task::JoinSet::new();
    for n in 0..16 {
        let fleet = fleet(&etcd.url);
        takers.spawn(async move {
            let record = held_by(&format!("node-{n}"), 0);
            fleet.write(&name(), &record, None).await
        });
    }

    let outcomes = takers.join_all().await;

    let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(taken, 1);
    let lost = outcomes.iter().filter(|o| **o == Err(WriteError::Conflict));
    assert_eq!(lost.count(), 15);
}

#[tokio::test]
async fn who_lost_the_lease_writes_nothing_and_who_renews_it_goes_on() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);
    let first = fleet.write(&name(), &held_by("a", 0), None).await.unwrap();
    let old = fleet.fenced_by(&name(), &held_by("a", 0));

    let at_first = old.apply(&pool("blue", "10.0.0.0/24")).await;
    let renewed = old
        .write(&name(), &held_by("a", 0), Some(&first))
        .await
        .unwrap();
    let when_renewed = old.apply(&pool("blue", "10.0.1.0/24")).await;
    fleet
        .write(&name(), &held_by("b", 1), Some(&renewed))
        .await
        .unwrap();
    let new = fleet.fenced_by(&name(), &held_by("b", 1));
    let too_late = old.apply(&pool("blue", "10.0.2.0/24")).await;
    let removed = old.delete(&pool_key("blue")).await;
    let by_new = new.apply(&pool("blue", "10.0.3.0/24")).await;

    assert!(at_first.is_ok() && when_renewed.is_ok() && by_new.is_ok());
    let said = "the lease kube-system/sluicegate-operator is held by another by now";
    assert_eq!(too_late, Err(WriteError::Unavailable(said.to_owned())));
    assert_eq!(removed, Err(WriteError::Unavailable(said.to_owned())));
}

fn name() -> LeaseName {
    LeaseName {
        namespace: "kube-system".into(),
        name: "sluicegate-operator".into(),
    }
}

fn held_by(holder: &str, transitions: u32) -> LeaseRecord {
    LeaseRecord {
        holder: holder.to_owned(),
        duration: Duration::from_secs(15),
        acquired: "2026-11-20T12:00:00Z".parse().unwrap(),
        renewed: "2026-11-20T12:00:00Z".parse().unwrap(),
        transitions,
    }
}
