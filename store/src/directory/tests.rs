use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

use api::{Ingress, Key, Kind, Object, Statement, StatusPatch, Truth, Version};
use tempfile::TempDir;
use types::ObjectName;

use super::*;
use crate::hub::{Hub, HubHandle, Watcher};
use crate::source::{Statuses, WriteError};

const LIMIT: Duration = Duration::from_secs(20);

/// Long enough that what a test waits for came by an event.
const NO_RESCAN: Duration = Duration::from_secs(3600);

/// A place for manifests and state, across restarts of the agent.
struct Place {
    dir: TempDir,
}

/// A running agent's store.
struct Running {
    hub: HubHandle,
    watcher: Watcher,
    statuses: DirectoryStatuses,
    overrides: Overrides,
    faults: latest::Receiver<Faults>,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("manifests")).unwrap();
        let place = Self { dir };
        for (name, text) in files {
            place.write(name, text);
        }
        place
    }

    fn manifests(&self) -> PathBuf {
        self.dir.path().join("manifests")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.manifests().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// As editors save: the new text under another name, then renamed.
    fn replace(&self, name: &str, text: &str) {
        let new = self.manifests().join(format!(".{name}.tmp"));
        fs::write(&new, text).unwrap();
        fs::rename(new, self.manifests().join(name)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.manifests().join(name)).unwrap();
    }

    fn config(&self) -> DirectoryConfig {
        DirectoryConfig {
            settle: Duration::from_millis(20),
            rescan: NO_RESCAN,
            ..DirectoryConfig::new(self.manifests(), self.dir.path().join("state"))
        }
    }

    async fn start(&self) -> Running {
        self.start_with(self.config()).await
    }

    async fn start_with(&self, config: DirectoryConfig) -> Running {
        let (directory, statuses, overrides) = open_when_free(&config).await;
        let faults = directory.faults();
        let hub = Hub::spawn(directory);
        Running {
            watcher: hub.watch(),
            hub,
            statuses,
            overrides,
            faults,
        }
    }
}

impl Running {
    /// Waits until the objects are so.
    async fn until(&mut self, holds: impl Fn(&BTreeMap<Key, Object>) -> bool) {
        let wait = async {
            while !holds(&self.hub.snapshot().objects) {
                self.watcher.changed().await;
            }
        };
        if tokio::time::timeout(LIMIT, wait).await.is_err() {
            panic!("{:#?}\n{:?}", self.hub.snapshot(), self.faults.borrow());
        }
    }

    /// Waits until there are exactly these services.
    async fn until_services(&mut self, names: &[&str]) {
        self.until(|objects| services(objects) == names).await;
        self.until_synced().await;
    }

    async fn until_synced(&mut self) {
        let wait = async {
            while self.hub.snapshot().synced.len() < Kind::ALL.len() {
                self.watcher.changed().await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.unwrap();
    }

    /// Waits for a fault that begins so.
    async fn until_fault(&mut self, start: &str) {
        let faults = &mut self.faults;
        let wait = faults.wait_for(|faults| {
            faults
                .iter()
                .any(|fault| fault.to_string().starts_with(start))
        });
        let found = tokio::time::timeout(LIMIT, wait).await.is_ok();
        assert!(found, "{start}: {:?}", self.faults.borrow());
    }

    async fn until_no_fault(&mut self) {
        let wait = self.faults.wait_for(|faults| faults.is_empty());
        tokio::time::timeout(LIMIT, wait).await.unwrap().unwrap();
    }

    /// Waits until the hub knows of exactly these refused services.
    async fn until_refused(&mut self, names: &[&str]) {
        let wait = async {
            loop {
                let refused = self.hub.snapshot().refused;
                if refused
                    .keys()
                    .map(|key| key.name.name.as_ref())
                    .eq(names.iter().copied())
                {
                    break;
                }
                self.watcher.changed().await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.unwrap();
    }

    fn object(&self, name: &str) -> Object {
        self.hub.snapshot().objects[&key(name)].clone()
    }
}

/// Opens the store once the agent before has let go of it.
async fn open_when_free(config: &DirectoryConfig) -> (Directory, DirectoryStatuses, Overrides) {
    let since = Instant::now();
    loop {
        match Directory::open(config.clone()) {
            Err(OpenError::InUse { .. }) if since.elapsed() < LIMIT => {
                tokio::task::yield_now().await
            }
            opened => return opened.unwrap(),
        }
    }
}

fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec:\n  type: LoadBalancer\n  ports:\n    - port: {port}\n---\n"
    )
}

fn key(name: &str) -> Key {
    Key::new(Kind::Service, ObjectName::new("shop", name))
}

fn services(objects: &BTreeMap<Key, Object>) -> Vec<&str> {
    let services = objects.keys().filter(|key| key.kind == Kind::Service);
    services.map(|key| key.name.name.as_ref()).collect()
}

fn port(objects: &BTreeMap<Key, Object>, name: &str) -> Option<u16> {
    match objects.get(&key(name))? {
        Object::Service(service) => Some(service.ports.first()?.port),
        _ => None,
    }
}

fn ingress(object: &Object) -> Vec<Ingress> {
    match object {
        Object::Service(service) => service.ingress.clone(),
        _ => Vec::new(),
    }
}

fn version(object: &Object) -> Version {
    Version::new(object.meta().resource_version.clone().unwrap())
}

fn given(addr: &str) -> StatusPatch {
    StatusPatch {
        ingress: Some(vec![addr.parse().unwrap()]),
        ..StatusPatch::default()
    }
}

fn stated(truth: Truth, message: &str) -> StatusPatch {
    let statement = Statement::new(truth, "reason", message);
    StatusPatch {
        conditions: BTreeMap::from([("example/Ready".to_owned(), Some(statement))]),
        ..StatusPatch::default()
    }
}

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
async fn a_status_comes_back_with_the_object_and_stays_across_a_restart() {
    let place = Place::new(&[("a.yaml", &service("a", 80)), ("b.yaml", &service("b", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a", "b"]).await;
    let before = running.object("a");

    let written = running
        .statuses
        .write(key("a"), version(&before), given("10.0.0.1"));
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
    assert_ne!(version(&after), version(&before));
    assert_eq!(again.hub.snapshot(), all);
}

#[tokio::test]
async fn a_status_for_what_was_not_seen_last_is_a_conflict() {
    let place = Place::new(&[("a.yaml", &service("a", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a"]).await;
    let seen = version(&running.object("a"));
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
    let seen = version(&running.object("a"));
    let same = running
        .statuses
        .write(key("a"), seen.clone(), given("10.0.0.1"));
    assert_eq!(same.await, Ok(()));
    assert_eq!(version(&running.object("a")), seen);
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
            .write(key.clone(), version(object), given(&addr))
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
        let seen = version(&running.object("a"));
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
    assert_ne!(version(&labelled_object), version(&first));
    assert_eq!(changed.meta().created, first.meta().created);
}

#[tokio::test]
async fn an_object_that_moves_to_another_file_stays_as_it_is() {
    let place = Place::new(&[("a.yaml", &service("a", 80)), ("b.yaml", &service("b", 80))]);
    let mut running = place.start().await;
    running.until_services(&["a", "b"]).await;
    let seen = version(&running.object("a"));
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
        .write(key("a"), version(&before), given("10.0.0.8"))
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
    let mut drained = running.overrides.drained();

    assert_eq!(running.overrides.drain(backend).await, Ok(true));
    assert_eq!(running.overrides.drain(backend).await, Ok(false));
    assert!(drained.borrow_and_update().contains(&backend));
    drop(drained);
    drop(running);
    let again = place.start().await;
    assert!(again.overrides.drained().borrow().contains(&backend));
    assert_eq!(again.overrides.undrain(backend).await, Ok(true));
    assert_eq!(again.overrides.undrain(backend).await, Ok(false));
    assert!(again.overrides.drained().borrow().is_empty());
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
        .write(key("a"), version(&before), given("10.0.0.1"))
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
