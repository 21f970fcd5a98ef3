//! What the source tells.

use api::{Key, Kind};
use etcd_client::Client;
use store::etcd::Sight;
use store::{Objects as _, version_of};
use tokio::time::timeout;
use types::ObjectName;

use crate::server::{Etcd, LIMIT, program};
use crate::support::{Follower, fleet, pool, pool_key};

#[tokio::test]
async fn objects_are_listed_and_then_followed() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);
    fleet.apply(&pool("blue", "10.0.0.0/24")).await.unwrap();

    let mut follower = Follower::of(&fleet);
    follower.synced().await;
    let listed = follower.objects.clone();
    fleet.apply(&pool("green", "10.0.1.0/24")).await.unwrap();
    fleet.apply(&pool("blue", "10.0.2.0/24")).await.unwrap();
    fleet.delete(&pool_key("green")).await.unwrap();
    fleet.apply(&pool("red", "10.0.3.0/24")).await.unwrap();
    follower
        .until("red", |known| known.has(&pool_key("red")))
        .await;

    assert_eq!(listed.keys().collect::<Vec<_>>(), [&pool_key("blue")]);
    assert!(!follower.has(&pool_key("green")));
    let blue = &follower.objects[&pool_key("blue")];
    assert_eq!(blue.meta().generation, Some(2));
    assert!(blue.meta().uid.is_some() && blue.meta().created.is_some());
    assert_ne!(version_of(blue), version_of(&listed[&pool_key("blue")]));
}

#[tokio::test]
async fn more_than_a_page_is_listed_whole() {
    const POOLS: usize = 300;
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);
    let mut writes = tokio::task::JoinSet::new();
    for n in 0..POOLS {
        let fleet = fleet.clone();
        let cidr = format!("10.{}.{}.0/24", n / 256, n % 256);
        writes.spawn(async move { fleet.apply(&pool(&format!("p{n:03}"), &cidr)).await });
    }
    for applied in writes.join_all().await {
        applied.unwrap();
    }

    let mut follower = Follower::of(&fleet);
    follower.synced().await;

    assert_eq!(follower.objects.len(), POOLS);
    let listed = fleet.list(Kind::CiliumLoadBalancerIPPool).await.unwrap();
    assert_eq!(listed.len(), POOLS);
    assert_eq!(listed[299]["metadata"]["name"], "p299");
}

#[tokio::test]
async fn only_the_kinds_that_are_asked_for_are_told() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);
    fleet.apply(&pool("blue", "10.0.0.0/24")).await.unwrap();

    let mut sights = fleet.sights([Kind::Service]);
    let mut told = Vec::new();
    while !told.contains(&Sight::Synced(Kind::Service)) {
        told.extend(timeout(LIMIT, sights.next()).await.unwrap());
    }

    assert_eq!(
        told,
        [Sight::Restart(Kind::Service), Sight::Synced(Kind::Service)]
    );
}

#[tokio::test]
async fn what_others_put_there_is_refused_alone_and_taken_when_it_is_right() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);
    let mut raw = Client::connect([&etcd.url], None).await.unwrap();
    let junk = "/sluicegate/cilium.io/ciliumloadbalancerippools/-/junk";
    let web = "/sluicegate/core/services/shop/web";
    raw.put(junk, "not json", None).await.unwrap();
    raw.put(web, pool("blue", "10.0.0.0/24").to_string(), None)
        .await
        .unwrap();
    raw.put("/sluicegate/apps/deployments/shop/web", "{}", None)
        .await
        .unwrap();
    fleet.apply(&pool("green", "10.0.1.0/24")).await.unwrap();
    let web = Key::new(Kind::Service, ObjectName::new("shop", "web"));

    let mut follower = Follower::of(&fleet);
    follower.synced().await;
    follower
        .until("both are refused", |known| known.refused.len() == 2)
        .await;
    let refused: Vec<Key> = follower.refused.keys().cloned().collect();
    fleet.apply(&pool("junk", "10.0.2.0/24")).await.unwrap();
    fleet.delete(&web).await.unwrap();
    follower
        .until("all is well", |known| known.refused.is_empty())
        .await;

    assert_eq!(refused, [web, pool_key("junk")]);
    assert!(follower.has(&pool_key("junk")) && follower.has(&pool_key("green")));
}
