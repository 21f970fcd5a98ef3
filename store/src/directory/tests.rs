use std::collections::BTreeMap;
use std::fs;

use api::{Ingress, Key, Kind, Object, Statement, StatusPatch, Truth};
use tempfile::TempDir;
use types::ObjectName;

use super::*;
use crate::hub::{Hub, HubHandle, Watcher};
use crate::source::{Statuses, WriteError, version_of};

mod files;
mod given;
mod property;

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
                tokio::task::yield_now().await;
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
    let Object::Service(service) = objects.get(&key(name))? else {
        return None;
    };
    Some(service.ports.first()?.port)
}

fn ingress(object: &Object) -> Vec<Ingress> {
    let Object::Service(service) = object else {
        return Vec::new();
    };
    service.ingress.clone()
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
