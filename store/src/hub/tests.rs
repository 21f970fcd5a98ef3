use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::{Change, Fault, FieldPath, Key, Kind, Object, Strictness, Version};
use proptest::prelude::*;
use serde_json::json;
use tokio::sync::mpsc;
use types::ObjectName;

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

/// Reports what a test sends.
struct Sent(mpsc::UnboundedReceiver<Vec<Change>>);

impl Source for Sent {
    async fn next(&mut self) -> Vec<Change> {
        match self.0.recv().await {
            Some(changes) => changes,
            None => std::future::pending().await,
        }
    }
}

fn hub() -> (mpsc::UnboundedSender<Vec<Change>>, HubHandle) {
    let (send, receive) = mpsc::unbounded_channel();
    (send, Hub::spawn(Sent(receive)))
}

async fn next(watcher: &mut Watcher) -> Delta {
    tokio::time::timeout(LIMIT, watcher.changed())
        .await
        .unwrap()
}

fn key(kind: Kind, name: &str) -> Key {
    let namespace = if kind.namespaced() { "shop" } else { "" };
    Key::new(kind, ObjectName::new(namespace, name))
}

fn object(key: &Key, version: u32) -> Object {
    let spec = if key.kind == Kind::Service {
        json!({"ports": [{"port": 80}]})
    } else {
        json!({})
    };
    let value = json!({
        "apiVersion": key.kind.api_versions()[0],
        "kind": key.kind.as_str(),
        "metadata": {
            "name": key.name.name.as_ref(),
            "namespace": key.name.namespace.as_ref(),
            "resourceVersion": version.to_string(),
        },
        "spec": spec,
    });
    Object::from_value(value, Strictness::Strict).unwrap()
}

fn put(key: &Key, version: u32) -> Change {
    let text = version.to_string();
    Change::Put(key.clone(), object(key, version), Version::new(text))
}

fn faults(reason: &str) -> Vec<Fault> {
    vec![Fault {
        path: FieldPath::default(),
        reason: reason.to_owned(),
    }]
}

#[tokio::test]
async fn a_new_watcher_is_told_everything_and_then_only_what_differs() {
    let (send, hub) = hub();
    let (web, api) = (key(Kind::Service, "web"), key(Kind::Service, "api"));
    let mut first = hub.watch();
    send.send(vec![
        put(&web, 1),
        put(&api, 1),
        Change::Synced(Kind::Service),
    ])
    .unwrap();

    let told = next(&mut first).await;
    let mut second = hub.watch();
    let told_late = next(&mut second).await;
    send.send(vec![put(&web, 1), put(&api, 2)]).unwrap();
    let differs = next(&mut first).await;

    assert_eq!(told.objects.len(), 2);
    assert_eq!(told.synced, BTreeSet::from([Kind::Service]));
    assert_eq!(told_late, told);
    assert_eq!(
        differs.objects,
        BTreeMap::from([(api.clone(), Some(object(&api, 2)))])
    );
    assert!(differs.synced.is_empty());
}

#[tokio::test]
async fn a_watcher_that_lags_is_told_the_newest_value_once() {
    let (send, hub) = hub();
    let (web, api) = (key(Kind::Service, "web"), key(Kind::Service, "api"));
    let mut lagging = hub.watch();
    let mut quick = hub.watch();
    for version in 1..1000 {
        send.send(vec![put(&web, version)]).unwrap();
    }
    send.send(vec![put(&api, 1), Change::Gone(api.clone())])
        .unwrap();
    send.send(vec![Change::Synced(Kind::Node)]).unwrap();
    while !next(&mut quick).await.synced.contains(&Kind::Node) {}

    let delta = next(&mut lagging).await;

    assert_eq!(
        delta.objects,
        BTreeMap::from([(web.clone(), Some(object(&web, 999))), (api, None)])
    );
}

#[tokio::test]
async fn a_refused_object_keeps_its_last_good_value() {
    let (send, hub) = hub();
    let web = key(Kind::Service, "web");
    let mut watcher = hub.watch();
    send.send(vec![put(&web, 1)]).unwrap();
    next(&mut watcher).await;

    send.send(vec![Change::Refused(web.clone(), faults("no port"), None)])
        .unwrap();
    let refused = next(&mut watcher).await;
    let snapshot = hub.snapshot();
    send.send(vec![put(&web, 1)]).unwrap();
    let accepted = next(&mut watcher).await;

    assert!(refused.objects.is_empty());
    assert_eq!(
        refused.refused,
        BTreeMap::from([(web.clone(), faults("no port"))])
    );
    assert_eq!(snapshot.objects[&web], object(&web, 1));
    assert_eq!(snapshot.refused[&web], faults("no port"));
    assert_eq!(snapshot.counts()[&Kind::Service], 1);
    assert_eq!(snapshot.counts()[&Kind::Node], 0);
    assert!(accepted.objects.is_empty());
    assert_eq!(accepted.refused, BTreeMap::from([(web, Vec::new())]));
}

#[tokio::test]
async fn after_a_restart_what_was_not_seen_again_is_gone_and_the_rest_is_no_news() {
    let (send, hub) = hub();
    let (web, api) = (key(Kind::Service, "web"), key(Kind::Service, "api"));
    let pool = key(Kind::CiliumLoadBalancerIPPool, "pool");
    let mut watcher = hub.watch();
    send.send(vec![
        put(&web, 1),
        put(&api, 1),
        Change::Refused(pool.clone(), faults("x"), None),
    ])
    .unwrap();
    next(&mut watcher).await;

    send.send(vec![Change::Restart(Kind::Service), put(&web, 1)])
        .unwrap();
    send.send(vec![Change::Synced(Kind::Service)]).unwrap();
    let delta = next(&mut watcher).await;

    assert_eq!(delta.objects, BTreeMap::from([(api, None)]));
    assert_eq!(delta.synced, BTreeSet::from([Kind::Service]));
    assert!(hub.snapshot().refused.contains_key(&pool));
}

#[tokio::test]
async fn a_watcher_is_told_what_a_refused_object_shows_and_when_it_is_gone() {
    let (send, hub) = hub();
    let pool = key(Kind::CiliumLoadBalancerIPPool, "pool");
    let shown = |version: &str| {
        let document = serde_json::json!({"metadata": {"resourceVersion": version}});
        api::Shown::of(pool.kind, &document)
    };
    let refused = |version| Change::Refused(pool.clone(), faults("x"), shown(version));
    let mut watcher = hub.watch();

    send.send(vec![refused("1")]).unwrap();
    let first = next(&mut watcher).await;
    send.send(vec![refused("1"), refused("2")]).unwrap();
    let second = next(&mut watcher).await;
    send.send(vec![Change::Gone(pool.clone())]).unwrap();
    let gone = next(&mut watcher).await;

    assert_eq!(first.shown.get(&pool), shown("1").as_ref());
    assert_eq!(second.shown.get(&pool), shown("2").as_ref());
    assert_eq!(gone.refused, BTreeMap::from([(pool.clone(), Vec::new())]));
    assert_eq!(gone.objects, BTreeMap::from([(pool, None)]));
}

#[tokio::test]
async fn a_dropped_call_loses_nothing_and_a_dropped_hub_ends_its_task() {
    let (send, hub) = hub();
    let web = key(Kind::Service, "web");
    let mut watcher = hub.watch();
    assert!(
        tokio::time::timeout(Duration::from_millis(1), watcher.changed())
            .await
            .is_err()
    );
    send.send(vec![put(&web, 1)]).unwrap();
    assert_eq!(next(&mut watcher).await.objects.len(), 1);

    drop(hub);

    tokio::time::timeout(LIMIT, send.closed()).await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(1), watcher.changed())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_source_that_panics_ends_the_hub_visibly() {
    struct Broken;
    impl Source for Broken {
        async fn next(&mut self) -> Vec<Change> {
            panic!("a bug in a source")
        }
    }
    let mut hub = Hub::spawn(Broken);

    tokio::time::timeout(LIMIT, hub.ended()).await.unwrap();
    tokio::time::timeout(LIMIT, hub.ended()).await.unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Change(Change),
    Ask(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let key = (
        prop_oneof![Just(Kind::Service), Just(Kind::CiliumLoadBalancerIPPool)],
        prop_oneof![Just("a"), Just("b"), Just("c")],
    )
        .prop_map(|(kind, name)| key(kind, name));
    let kind = prop_oneof![Just(Kind::Service), Just(Kind::CiliumLoadBalancerIPPool)];
    prop_oneof![
        4 => (key.clone(), 0..4u32).prop_map(|(key, version)| Step::Change(put(&key, version))),
        2 => (key.clone(), "[ab]").prop_map(|(key, why)| Step::Change(Change::Refused(key, faults(&why), None))),
        2 => key.prop_map(|key| Step::Change(Change::Gone(key))),
        1 => kind.clone().prop_map(|kind| Step::Change(Change::Restart(kind))),
        1 => kind.prop_map(|kind| Step::Change(Change::Synced(kind))),
        3 => (0..3usize).prop_map(Step::Ask),
    ]
}

fn follow(copy: &mut Snapshot, delta: Delta) {
    for (key, object) in delta.objects {
        match object {
            Some(object) => copy.objects.insert(key, object),
            None => copy.objects.remove(&key),
        };
    }
    for (key, faults) in delta.refused {
        match faults.is_empty() {
            false => copy.refused.insert(key, faults),
            true => copy.refused.remove(&key),
        };
    }
    copy.synced.extend(delta.synced);
}

proptest! {
    #[test]
    fn every_watcher_ends_up_with_what_the_hub_has(steps in prop::collection::vec(step(), 0..60)) {
        let mut state = State::default();
        let watchers = [0; 3].map(|_| state.add_watcher());
        let mut copies = [(); 3].map(|()| Snapshot::default());
        for step in steps {
            match step {
                Step::Change(change) => state.on_changes(vec![change]),
                Step::Ask(at) => follow(&mut copies[at], state.take(watchers[at])),
            }
        }
        for (copy, watcher) in copies.iter_mut().zip(watchers) {
            follow(copy, state.take(watcher));
            prop_assert_eq!(&*copy, &state.snapshot());
            prop_assert!(state.take(watcher).is_empty());
        }
    }
}
