//! What objects are given beside their manifests, and how it lasts.

use super::*;

#[tokio::test]
async fn a_status_comes_back_with_the_object_and_stays_across_a_restart() {
    let place = Place::new(&[("a.yaml", &service("a", 80)), ("b.yaml", &service("b", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a", "b"]).await;
    let before = running.object("a");

    let written = running
        .statuses
        .write(key("a"), version_of(&before), given("10.0.0.1"));
    written.await.unwrap();
    running
        .until(|objects| !ingress(&objects[&key("a")]).is_empty())
        .await;
    let all = running.hub.snapshot();
    let after = running.object("a");
    drop(running);
    let mut again = place.start().await;
    again.until_synced().await;

    assert_eq!(ingress(&after), [Ingress::Ip("10.0.0.1".parse().unwrap())]);
    assert_eq!(after.meta().generation, before.meta().generation);
    assert_eq!(after.meta().created, before.meta().created);
    assert_ne!(version_of(&after), version_of(&before));
    assert_eq!(again.hub.snapshot(), all);
}

#[tokio::test]
async fn a_status_for_what_was_not_seen_last_is_a_conflict() {
    let place = Place::new(&[("a.yaml", &service("a", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a"]).await;
    let seen = version_of(&running.object("a"));
    let write = |patch| running.statuses.write(key("a"), seen.clone(), patch);

    assert_eq!(write(given("10.0.0.1")).await, Ok(()));
    assert_eq!(write(given("10.0.0.2")).await, Err(WriteError::Conflict));
    let gone = running
        .statuses
        .write(key("b"), seen.clone(), given("10.0.0.1"));
    assert_eq!(gone.await, Err(WriteError::Gone));
    running
        .until(|objects| !ingress(&objects[&key("a")]).is_empty())
        .await;
    let seen = version_of(&running.object("a"));
    let same = running
        .statuses
        .write(key("a"), seen.clone(), given("10.0.0.1"));
    assert_eq!(same.await, Ok(()));
    assert_eq!(version_of(&running.object("a")), seen);
}

#[tokio::test]
async fn statuses_written_together_are_all_written() {
    let text: String = (0..200).map(|n| service(&format!("s{n}"), 80)).collect();
    let place = Place::new(&[("all.yaml", &text)]);
    let mut running = place.start().await;
    running.until(|objects| objects.len() == 200).await;

    let objects = running.hub.snapshot().objects;
    let writes = objects.iter().enumerate().map(|(n, (key, object))| {
        let addr = format!("10.0.0.{n}");
        running
            .statuses
            .write(key.clone(), version_of(object), given(&addr))
    });
    let results = futures_util::future::join_all(writes).await;

    assert!(results.iter().all(Result::is_ok));
    running
        .until(|objects| objects.values().all(|object| ingress(object).len() == 1))
        .await;
}

#[tokio::test]
async fn a_condition_keeps_its_time_until_its_truth_changes() {
    let place = Place::new(&[("a.yaml", &service("a", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a"]).await;
    let mut times = Vec::new();
    for (truth, message) in [
        (Truth::True, "one"),
        (Truth::True, "two"),
        (Truth::False, "three"),
    ] {
        let seen = version_of(&running.object("a"));
        let written = running
            .statuses
            .write(key("a"), seen, stated(truth, message));
        written.await.unwrap();
        let told = |objects: &BTreeMap<Key, Object>| {
            objects[&key("a")]
                .conditions()
                .iter()
                .any(|condition| condition.message == message)
        };
        running.until(told).await;
        times.push(
            running.object("a").conditions()[0]
                .last_transition_time
                .unwrap(),
        );
    }

    assert_eq!(times[0], times[1]);
    assert!(times[2] >= times[1]);
    assert_eq!(times[0].subsec_nanosecond(), 0);
}

#[tokio::test]
async fn a_generation_counts_what_is_asked_for_and_nothing_else() {
    let place = Place::new(&[("a.yaml", &service("a", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a"]).await;
    let first = running.object("a");

    let labelled = service("a", 80).replace("namespace: shop}", "namespace: shop, labels: {x: y}}");
    place.write("a.yaml", &labelled);
    running
        .until(|objects| !objects[&key("a")].meta().labels.is_empty())
        .await;
    let labelled_object = running.object("a");
    place.write("a.yaml", &labelled.replace("port: 80", "port: 81"));
    running
        .until(|objects| port(objects, "a") == Some(81))
        .await;
    let changed = running.object("a");

    assert_eq!(first.meta().generation, Some(1));
    assert_eq!(labelled_object.meta().generation, Some(1));
    assert_eq!(changed.meta().generation, Some(2));
    assert_ne!(version_of(&labelled_object), version_of(&first));
    assert_eq!(changed.meta().created, first.meta().created);
}

#[tokio::test]
async fn what_comes_later_is_younger_and_a_stated_time_counts() {
    let place = Place::new(&[("a.yaml", &(service("a", 80) + &service("b", 80)))]);
    let mut running = place.start().await;
    running.until_services(&["a", "b"]).await;
    let stated = "namespace: shop, creationTimestamp: '2020-01-02T03:04:05Z'}";
    place.write("c.yaml", &service("c", 80));
    place.write(
        "d.yaml",
        &service("d", 80).replace("namespace: shop}", stated),
    );
    running.until_services(&["a", "b", "c", "d"]).await;

    let created = |name: &str| running.object(name).meta().created.unwrap();

    assert_eq!(created("a"), created("b"));
    assert!(created("c") > created("a"));
    assert_eq!(created("d").to_string(), "2020-01-02T03:04:05Z");
}

#[tokio::test]
async fn a_manifests_own_status_counts_until_one_is_written() {
    let exported = service("a", 80).replace(
        "spec:",
        "status: {loadBalancer: {ingress: [{ip: 10.0.0.7}]}}\nspec:",
    );
    let place = Place::new(&[("a.yaml", &exported)]);
    let mut running = place.start().await;
    running.until_services(&["a"]).await;
    let before = running.object("a");

    running
        .statuses
        .write(key("a"), version_of(&before), given("10.0.0.8"))
        .await
        .unwrap();
    running
        .until(|objects| ingress(&objects[&key("a")]) != ingress(&before))
        .await;

    assert_eq!(ingress(&before), [Ingress::Ip("10.0.0.7".parse().unwrap())]);
    assert_eq!(
        ingress(&running.object("a")),
        [Ingress::Ip("10.0.0.8".parse().unwrap())]
    );
}

#[tokio::test]
async fn a_drained_backend_stays_drained_across_a_restart() {
    let place = Place::new(&[]);
    let running = place.start().await;
    let backend = "10.0.0.1:80".parse().unwrap();
    let mut orders = running.overrides.orders();

    assert_eq!(running.overrides.drain(backend).await, Ok(true));
    assert_eq!(running.overrides.drain(backend).await, Ok(false));
    assert!(orders.borrow_and_update().drained.contains(&backend));
    drop(orders);
    drop(running);
    let again = place.start().await;
    assert!(again.overrides.orders().borrow().drained.contains(&backend));
    assert_eq!(again.overrides.undrain(backend).await, Ok(true));
    assert_eq!(again.overrides.undrain(backend).await, Ok(false));
    assert!(again.overrides.orders().borrow().drained.is_empty());
}

#[tokio::test]
async fn a_withdrawn_node_stays_withdrawn_across_a_restart_with_and_without_manifests() {
    let place = Place::new(&[]);
    let state_dir = place.config().state_dir;

    let orders = Overrides::open(&state_dir).unwrap();
    assert_eq!(orders.set_withdrawn(true).await, Ok(true));
    assert_eq!(orders.set_withdrawn(true).await, Ok(false));
    drop(orders);
    let running = place.start().await;

    assert!(running.overrides.orders().borrow().withdrawn);
    assert_eq!(running.overrides.set_withdrawn(false).await, Ok(true));
    drop(running);
    let again = place.start().await;
    assert!(!again.overrides.orders().borrow().withdrawn);
}

#[tokio::test]
async fn orders_without_a_disk_are_taken_and_end_with_the_agent() {
    let orders = Overrides::in_memory();
    let backend = "10.0.0.1:80".parse().unwrap();

    assert_eq!(orders.drain(backend).await, Ok(true));
    assert_eq!(orders.set_withdrawn(true).await, Ok(true));

    let told = orders.orders().borrow().clone();
    assert!(told.withdrawn && told.drained.contains(&backend));
}

#[tokio::test]
async fn two_agents_with_one_state_directory_are_one_too_many() {
    let place = Place::new(&[]);
    let _running = place.start().await;

    let error = Directory::open(place.config()).unwrap_err();

    assert!(
        error.to_string().contains(&std::process::id().to_string()),
        "{error}"
    );
}

#[tokio::test]
async fn while_the_state_cannot_be_written_nothing_changes_and_then_everything_does() {
    let place = Place::new(&[("a.yaml", &service("a", 80))]);
    let mut running = place
        .start_with(DirectoryConfig {
            rescan: Duration::from_millis(50),
            ..place.config()
        })
        .await;
    running.until_services(&["a"]).await;
    let before = running.object("a");
    let ledger = Arc::clone(&running.statuses.ledger);

    lock(&ledger).break_disk();
    let written = running
        .statuses
        .write(key("a"), version_of(&before), given("10.0.0.1"))
        .await;
    assert!(
        matches!(written, Err(WriteError::Unavailable(_))),
        "{written:?}"
    );
    lock(&ledger).break_disk();
    place.write("a.yaml", &service("a", 81));
    running
        .until_fault(".:1: ?/?: (file): nothing changes until the state database")
        .await;
    running
        .until(|objects| port(objects, "a") == Some(81))
        .await;
    running.until_no_fault().await;
    drop(ledger);
    let all = running.hub.snapshot();
    drop(running);

    let mut again = place.start().await;
    again.until_synced().await;
    assert_eq!(again.hub.snapshot(), all);
}
