//! etcd goes, forgets, and comes back.

use store::etcd::{ConnectOptions, Fleet};
use store::{Objects as _, Source as _, WriteError};
use tokio::time::timeout;

use crate::server::{Etcd, LIMIT, program, urls};
use crate::support::{Follower, Gate, eventually, fleet, pool, pool_key};

#[tokio::test]
async fn a_restart_of_etcd_loses_nothing_and_takes_nothing_away() {
    let Some(program) = program() else { return };
    let mut etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);
    fleet.apply(&pool("blue", "10.0.0.0/24")).await.unwrap();
    let mut follower = Follower::of(&fleet);
    follower.synced().await;

    etcd.kill();
    etcd.resume();
    etcd.wait();
    eventually("it takes writes again", || async {
        fleet.apply(&pool("green", "10.0.1.0/24")).await.is_ok()
    })
    .await;
    follower
        .until("green", |known| known.has(&pool_key("green")))
        .await;

    assert!(follower.has(&pool_key("blue")));
    assert_eq!(follower.gone, 0);
}

#[tokio::test]
async fn what_happened_meanwhile_is_told_also_after_a_compaction() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let direct = fleet(&etcd.url);
    let gate = Gate::to(&etcd.url).await;
    direct.apply(&pool("blue", "10.0.0.0/24")).await.unwrap();
    direct.apply(&pool("green", "10.0.1.0/24")).await.unwrap();
    let mut follower = Follower::of(&fleet(&gate.url));
    follower.synced().await;

    gate.close();
    direct.delete(&pool_key("blue")).await.unwrap();
    direct.apply(&pool("red", "10.0.3.0/24")).await.unwrap();
    let mut raw = etcd_client::Client::connect([&etcd.url], None)
        .await
        .unwrap();
    let now = raw.get("x", None).await.unwrap();
    let now = now.header().unwrap().revision();
    raw.compact(now, None).await.unwrap();
    gate.open();
    follower
        .until("red, and no blue", |known| {
            known.has(&pool_key("red")) && !known.has(&pool_key("blue"))
        })
        .await;

    assert!(follower.has(&pool_key("green")));
    assert_eq!(follower.gone, 1);
}

#[tokio::test]
async fn a_cut_without_a_compaction_is_gone_on_from() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let direct = fleet(&etcd.url);
    let gate = Gate::to(&etcd.url).await;
    direct.apply(&pool("blue", "10.0.0.0/24")).await.unwrap();
    let mut follower = Follower::of(&fleet(&gate.url));
    follower.synced().await;

    for round in 0..3 {
        gate.close();
        let name = format!("p{round}");
        direct.apply(&pool(&name, "10.0.1.0/24")).await.unwrap();
        gate.open();
        follower
            .until("it is told", |known| known.has(&pool_key(&name)))
            .await;
    }

    // Nothing was listed a second time.
    assert_eq!(follower.synced, api::Kind::ALL.len());
}

#[tokio::test]
async fn an_etcd_that_says_nothing_more_is_noticed() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);
    fleet.apply(&pool("blue", "10.0.0.0/24")).await.unwrap();
    let mut trouble = fleet.source(api::Kind::ALL);
    let mut follower = Follower::of(&fleet);
    follower.synced().await;
    let mut told = trouble.trouble();
    let following = tokio::spawn(async move {
        loop {
            trouble.next().await;
        }
    });

    etcd.freeze(true);
    let noticed = timeout(LIMIT, told.wait_for(Option::is_some)).await;
    let noticed = noticed.is_ok_and(|told| told.is_ok());
    let refused = fleet.apply(&pool("red", "10.0.2.0/24")).await;
    etcd.freeze(false);
    eventually("it takes writes again", || async {
        fleet.apply(&pool("green", "10.0.1.0/24")).await.is_ok()
    })
    .await;
    follower
        .until("green", |known| known.has(&pool_key("green")))
        .await;
    following.abort();

    assert!(noticed);
    assert!(
        matches!(refused, Err(WriteError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(follower.gone, 0);
}

#[tokio::test]
async fn an_etcd_that_lost_everything_is_believed() {
    let Some(program) = program() else { return };
    let mut etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);
    for name in ["a", "b", "c"] {
        fleet.apply(&pool(name, "10.0.0.0/24")).await.unwrap();
    }
    let mut follower = Follower::of(&fleet);
    follower.synced().await;

    etcd.wipe();
    etcd.resume();
    etcd.wait();
    follower
        .until("nothing is left", |known| known.objects.is_empty())
        .await;
    fleet.apply(&pool("d", "10.0.0.0/24")).await.unwrap();

    follower.until("d", |known| known.has(&pool_key("d"))).await;
}

#[tokio::test]
async fn an_etcd_that_is_not_there_yet_is_waited_for() {
    let Some(program) = program() else { return };
    let [client] = urls("http");
    let fleet = fleet(&client);
    let source = fleet.source(api::Kind::ALL);
    let mut trouble = source.trouble();

    let told = timeout(LIMIT, trouble.wait_for(Option::is_some)).await;
    let told = told.unwrap().unwrap().clone().unwrap();
    let etcd = Etcd::started(&program, &client, &[]);
    etcd.wait();
    let well = timeout(LIMIT, trouble.wait_for(Option::is_none)).await;

    assert!(told.starts_with("etcd does not answer: "), "{told}");
    assert!(told.contains("refused"), "{told}");
    assert!(well.is_ok());
}

#[tokio::test]
async fn two_of_three_members_are_enough_and_one_says_that_it_is_not() {
    let Some(program) = program() else { return };
    let clients: [String; 3] = urls("http");
    let peers: [String; 3] = urls("http");
    let named = peers.iter().enumerate();
    let cluster: Vec<String> = named.map(|(n, peer)| format!("m{n}={peer}")).collect();
    let mut members: Vec<Etcd> = Vec::new();
    for (n, (client, peer)) in clients.iter().zip(&peers).enumerate() {
        let more = [
            format!("--name=m{n}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster={}", cluster.join(",")),
        ];
        members.push(Etcd::started(&program, client, &more));
    }
    let fleet = Fleet::connect(ConnectOptions::new(clients.clone())).unwrap();
    eventually("the members have met", || async {
        fleet.apply(&pool("blue", "10.0.0.0/24")).await.is_ok()
    })
    .await;
    let source = fleet.source(api::Kind::ALL);
    let mut trouble = source.trouble();
    let mut follower = Follower::of(&fleet);
    follower.synced().await;

    members[0].kill();
    eventually("two take writes", || async {
        fleet.apply(&pool("green", "10.0.1.0/24")).await.is_ok()
    })
    .await;
    follower
        .until("green", |known| known.has(&pool_key("green")))
        .await;
    members[1].kill();
    let lost = timeout(LIMIT, trouble.wait_for(Option::is_some)).await;
    let is_lost = lost.is_ok_and(|told| told.is_ok());
    let refused = fleet.apply(&pool("red", "10.0.2.0/24")).await;
    members[0].resume();
    follower_sees(&fleet, &mut follower).await;

    assert!(is_lost);
    assert!(refused.is_err());
    assert_eq!(follower.gone, 0);
}

async fn follower_sees(fleet: &Fleet, follower: &mut Follower) {
    eventually("two take writes again", || async {
        fleet.apply(&pool("white", "10.0.4.0/24")).await.is_ok()
    })
    .await;
    follower
        .until("white", |known| known.has(&pool_key("white")))
        .await;
}
