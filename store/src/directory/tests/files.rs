//! How manifests on the disk become changes.

use std::os::unix::fs::symlink;

use super::*;

#[tokio::test]
async fn one_reload_is_one_list_of_changes() {
    let place = Place::new(&[("a.yaml", &service("a", 80)), ("b.yaml", &service("b", 80))]);
    let (mut directory, ..) = Directory::open(place.config()).unwrap();

    let first = tokio::time::timeout(LIMIT, directory.next()).await.unwrap();
    place.replace("a.yaml", &(service("a", 81) + &service("c", 80)));
    place.remove("b.yaml");
    let second = tokio::time::timeout(LIMIT, directory.next()).await.unwrap();

    let kinds = Kind::ALL.len();
    assert_eq!(first.len(), 2 * kinds + 2);
    assert!(
        first[..kinds]
            .iter()
            .all(|change| matches!(change, Change::Restart(_)))
    );
    assert!(
        first[kinds + 2..]
            .iter()
            .all(|change| matches!(change, Change::Synced(_)))
    );
    assert_eq!(second.len(), 3, "{second:?}");
    assert_eq!(second[0], Change::Gone(key("b")));
    assert!(matches!(&second[1], Change::Put(k, ..) if *k == key("a")));
    assert!(matches!(&second[2], Change::Put(k, ..) if *k == key("c")));
}

#[tokio::test]
async fn a_dropped_call_loses_no_change() {
    let place = Place::new(&[("a.yaml", &service("a", 80))]);
    let (mut directory, ..) = Directory::open(place.config()).unwrap();

    let changes = tokio::time::timeout(LIMIT, async {
        loop {
            // Dropped at every point where it waits.
            let next = tokio::time::timeout(Duration::ZERO, directory.next());
            if let Ok(changes) = next.await {
                break changes;
            }
            tokio::task::yield_now().await;
        }
    });

    assert_eq!(changes.await.unwrap().len(), 2 * Kind::ALL.len() + 1);
}

#[tokio::test]
async fn files_are_followed_however_they_change() {
    let place = Place::new(&[("a.yaml", &service("a", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a"]).await;

    place.write("a.yaml", &service("a", 81));
    running
        .until(|objects| port(objects, "a") == Some(81))
        .await;
    place.replace("a.yaml", &service("a", 82));
    running
        .until(|objects| port(objects, "a") == Some(82))
        .await;
    place.write("new/below/b.yaml", &service("b", 80));
    running.until_services(&["a", "b"]).await;
    place.write("new/below/b.yaml", &service("b", 81));
    running
        .until(|objects| port(objects, "b") == Some(81))
        .await;
    fs::rename(
        place.manifests().join("new"),
        place.manifests().join("moved"),
    )
    .unwrap();
    place.write(
        "c.json",
        r#"{"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "c", "namespace": "shop"}, "spec": {"ports": [{"port": 1}]}}"#,
    );
    running.until_services(&["a", "b", "c"]).await;
    fs::remove_dir_all(place.manifests().join("moved")).unwrap();
    place.remove("a.yaml");
    running.until_services(&["c"]).await;
    assert!(running.faults.borrow().is_empty());
}

#[tokio::test]
async fn a_replaced_directory_is_followed() {
    let place = Place::new(&[("a.yaml", &service("a", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a"]).await;

    let new = place.dir.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::write(new.join("b.yaml"), service("b", 80)).unwrap();
    fs::rename(place.manifests(), place.dir.path().join("old")).unwrap();
    fs::rename(&new, place.manifests()).unwrap();
    running.until_services(&["b"]).await;

    place.write("b.yaml", &service("b", 81));
    running
        .until(|objects| port(objects, "b") == Some(81))
        .await;
}

#[tokio::test]
async fn a_mounted_config_map_is_followed() {
    // ..data is a link to ..1 and is swapped for one to ..2; web.yaml is a link to ..data/web.yaml.
    let place = Place::new(&[("..1/web.yaml", &service("web", 80))]);
    symlink("..1", place.manifests().join("..data")).unwrap();
    symlink("..data/web.yaml", place.manifests().join("web.yaml")).unwrap();
    let mut running = place.start().await;
    running.until_services(&["web"]).await;

    for n in 2..5 {
        place.write(&format!("..{n}/web.yaml"), &service("web", 80 + n));
        symlink(format!("..{n}"), place.manifests().join("..data_tmp")).unwrap();
        fs::rename(
            place.manifests().join("..data_tmp"),
            place.manifests().join("..data"),
        )
        .unwrap();
        fs::remove_dir_all(place.manifests().join(format!("..{}", n - 1))).unwrap();

        running
            .until(|objects| port(objects, "web") == Some(80 + n))
            .await;
    }
}

#[tokio::test]
async fn a_directory_that_is_a_link_is_followed_when_it_is_swapped() {
    let place = Place::new(&[]);
    fs::remove_dir(place.manifests()).unwrap();
    for n in 1..3 {
        let release = place.dir.path().join(format!("release-{n}"));
        fs::create_dir(&release).unwrap();
        fs::write(release.join("web.yaml"), service("web", 80 + n)).unwrap();
    }
    symlink("release-1", place.manifests()).unwrap();
    let mut running = place.start().await;
    running
        .until(|objects| port(objects, "web") == Some(81))
        .await;

    symlink("release-2", place.dir.path().join("next")).unwrap();
    fs::rename(place.dir.path().join("next"), place.manifests()).unwrap();

    running
        .until(|objects| port(objects, "web") == Some(82))
        .await;
}

#[tokio::test]
async fn what_has_no_events_is_seen_by_looking() {
    let place = Place::new(&[]);
    place.write("../elsewhere/web.txt", &service("web", 80));
    symlink("../elsewhere/web.txt", place.manifests().join("web.yaml")).unwrap();
    let mut running = place
        .start_with(DirectoryConfig {
            rescan: Duration::from_millis(50),
            ..place.config()
        })
        .await;
    running.until_services(&["web"]).await;

    place.write("../elsewhere/web.txt", &service("web", 81));

    running
        .until(|objects| port(objects, "web") == Some(81))
        .await;
}

#[tokio::test]
async fn a_refused_manifest_leaves_what_ran_running_also_across_a_restart() {
    let place = Place::new(&[("a.yaml", &(service("a", 80) + &service("b", 80)))]);
    let mut running = place.start().await;
    running.until_services(&["a", "b"]).await;
    let before = running.object("a");

    place.write("a.yaml", &(service("a", 0) + &service("b", 81)));
    running
        .until(|objects| port(objects, "b") == Some(81))
        .await;
    running
        .until_fault("a.yaml:7: Service/shop/a: spec.ports[0].port: ")
        .await;
    running.until_refused(&["a"]).await;
    let refused = running.hub.snapshot().refused;
    drop(running);
    let mut again = place.start().await;
    again.until_services(&["a", "b"]).await;

    assert_eq!(refused.keys().collect::<Vec<_>>(), [&key("a")]);
    assert_eq!(again.object("a"), before);
    assert_eq!(again.hub.snapshot().refused, refused);
    place.write("a.yaml", &(service("a", 80) + &service("b", 81)));
    again.until_no_fault().await;
    again.until_refused(&[]).await;
    assert_eq!(again.object("a"), before);
}

#[tokio::test]
async fn a_file_that_is_cut_off_leaves_its_objects_as_they_were() {
    let whole = service("a", 80) + &service("b", 80);
    let place = Place::new(&[("ab.yaml", &whole), ("c.yaml", &service("c", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a", "b", "c"]).await;

    place.write(
        "ab.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: a",
    );
    place.remove("c.yaml");
    running.until_services(&["a", "b"]).await;
    running
        .until_fault("ab.yaml:3: ?/?: (file): not valid YAML")
        .await;
    drop(running);

    let mut again = place.start().await;
    again.until_services(&["a", "b"]).await;
    place.write("ab.yaml", &service("b", 80));
    again.until_services(&["b"]).await;
}

#[tokio::test]
async fn a_document_of_unclear_kind_keeps_what_it_may_have_been() {
    let place = Place::new(&[("ab.yaml", &(service("a", 80) + &service("b", 80)))]);
    let mut running = place.start().await;
    running.until_services(&["a", "b"]).await;

    place.write(
        "ab.yaml",
        &service("a", 81).replace("kind: Service", "kind: Servise"),
    );

    running
        .until_fault("ab.yaml:2: Servise/shop/a: kind: ")
        .await;
    running.until_services(&["a"]).await;
    assert_eq!(port(&running.hub.snapshot().objects, "a"), Some(80));
}

#[tokio::test]
async fn a_vanished_directory_takes_nothing_away() {
    let place = Place::new(&[("a.yaml", &service("a", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a"]).await;
    let before = running.object("a");

    let aside = place.dir.path().join("aside");
    fs::rename(place.manifests(), &aside).unwrap();
    running
        .until_fault(".:1: ?/?: (file): the directory cannot be read: ")
        .await;
    assert_eq!(running.object("a"), before);
    drop(running);
    let mut again = place.start().await;
    again.until_services(&["a"]).await;
    assert_eq!(again.object("a"), before);
    fs::rename(&aside, place.manifests()).unwrap();
    again.until_no_fault().await;
    assert_eq!(again.object("a"), before);
}

#[tokio::test]
async fn an_empty_directory_in_place_of_the_real_one_takes_nothing_away() {
    let place = Place::new(&[("a.yaml", &service("a", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a"]).await;

    // As it looks when a disk is not mounted.
    fs::rename(place.manifests(), place.dir.path().join("aside")).unwrap();
    fs::create_dir(place.manifests()).unwrap();
    running
        .until_fault(".:1: ?/?: (file): the directory is empty and not the one")
        .await;
    drop(running);
    let mut again = place.start().await;
    again.until_services(&["a"]).await;
    again
        .until_fault(".:1: ?/?: (file): the directory is empty and not the one")
        .await;

    place.write("nothing.yaml", "# all gone\n");
    again.until_services(&[]).await;
    again.until_no_fault().await;
}

#[tokio::test]
async fn the_last_file_of_a_directory_can_be_deleted_also_while_no_agent_runs() {
    let place = Place::new(&[("a.yaml", &service("a", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a"]).await;
    place.remove("a.yaml");
    running.until_services(&[]).await;
    place.write("a.yaml", &service("a", 80));
    running.until_services(&["a"]).await;
    drop(running);
    place.remove("a.yaml");

    let mut again = place.start().await;

    again.until_services(&[]).await;
    assert!(again.faults.borrow().is_empty());
}

#[tokio::test]
async fn without_a_directory_and_without_memory_nothing_is_synced() {
    let place = Place::new(&[]);
    fs::remove_dir(place.manifests()).unwrap();
    let mut running = place.start().await;
    running.until_fault(".:1: ").await;
    assert!(running.hub.snapshot().synced.is_empty());

    place.write("a.yaml", &service("a", 80));

    running.until_services(&["a"]).await;
}

#[tokio::test]
async fn an_object_that_moves_to_another_file_stays_as_it_is() {
    let place = Place::new(&[("a.yaml", &service("a", 80)), ("b.yaml", &service("b", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a", "b"]).await;
    let seen = version_of(&running.object("a"));
    running
        .statuses
        .write(key("a"), seen, given("10.0.0.1"))
        .await
        .unwrap();
    running
        .until(|objects| !ingress(&objects[&key("a")]).is_empty())
        .await;
    let before = running.object("a");

    fs::rename(
        place.manifests().join("a.yaml"),
        place.manifests().join("z.yaml"),
    )
    .unwrap();
    place.replace("b.yaml", &service("b", 81));
    running
        .until(|objects| port(objects, "b") == Some(81))
        .await;
    assert_eq!(running.object("a"), before);
    place.write("z.yaml", "cut: [");
    running.until_fault("z.yaml:").await;
    assert_eq!(running.object("a"), before);
}

#[tokio::test]
async fn a_duplicate_leaves_what_ran_running() {
    let place = Place::new(&[("a.yaml", &service("a", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a"]).await;

    place.write("copy.yaml", &service("a", 81));
    running
        .until_fault("copy.yaml:1: Service/shop/a: (object): is there more than once")
        .await;
    running.until_refused(&["a"]).await;
    assert_eq!(port(&running.hub.snapshot().objects, "a"), Some(80));
    assert_eq!(running.hub.snapshot().refused[&key("a")].len(), 2);

    place.remove("a.yaml");
    running
        .until(|objects| port(objects, "a") == Some(81))
        .await;
    running.until_no_fault().await;
}
