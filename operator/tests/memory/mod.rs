//! A store in memory that several operators share, each by a line of its own that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};

use api::{Change, Key, Kind, Object, StatusPatch, Strictness, Version};
use desired::Role;
use operator::{Fence, World};
use serde_json::{Value, json};
use store::{Applied, LeaseName, LeaseRecord, Leases, Objects, Source, Statuses, WriteError};
use tokio::sync::watch;

/// What all lines lead to.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Shared>);

/// One operator's way to it.
#[derive(Clone)]
pub(crate) struct Line {
    memory: Memory,
    is_cut: Arc<watch::Sender<bool>>,
}

/// Everything there is, and then what changes.
pub(crate) struct View {
    line: Line,
    /// The version of what was shown last; none before the first list.
    shown: Option<BTreeMap<Key, u64>>,
    news: watch::Receiver<u64>,
}

#[derive(Default)]
struct Shared {
    content: Mutex<Content>,
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct Content {
    objects: BTreeMap<Key, (Value, u64)>,
    lease: Option<(LeaseRecord, u64)>,
    version: u64,
    writes: u64,
}

impl Memory {
    pub(crate) fn line(&self) -> Line {
        Line {
            memory: self.clone(),
            is_cut: Arc::new(watch::Sender::new(false)),
        }
    }

    /// As a person would.
    pub(crate) fn put(&self, object: Value) {
        let key = read(object.clone(), 0).key();
        let mut content = self.content();
        content.version += 1;
        let version = content.version;
        content.objects.insert(key, (object, version));
        self.0.news.send_replace(version);
    }

    /// The addresses of each service that has some.
    pub(crate) fn addresses(&self) -> BTreeMap<String, Vec<String>> {
        let content = self.content();
        let services = content
            .objects
            .iter()
            .filter_map(|(key, (object, version))| {
                let Object::Service(service) = read(object.clone(), *version) else {
                    return None;
                };
                let addresses = service.ingress_ips().map(|addr| addr.to_string());
                let addresses: Vec<String> = addresses.collect();
                (!addresses.is_empty()).then(|| (key.name.name.to_string(), addresses))
            });
        services.collect()
    }

    /// How often somebody has written a status or an object.
    pub(crate) fn writes(&self) -> u64 {
        self.content().writes
    }

    pub(crate) fn holder(&self) -> String {
        let lease = self.content().lease.clone();
        lease.map(|(record, _)| record.holder).unwrap_or_default()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.content.lock().unwrap()
    }
}

impl Line {
    /// From now on nothing comes through, in either direction, or it does again.
    pub(crate) fn cut(&self, cut: bool) {
        self.is_cut.send_replace(cut);
    }

    async fn through(&self) {
        let mut is_cut = self.is_cut.subscribe();
        is_cut.wait_for(|is_cut| !is_cut).await.unwrap();
    }
}

impl World for Line {
    type Source = View;
    type Writer = Self;

    fn source(&self, _: Fence) -> impl Future<Output = View> + Send + use<> {
        let line = self.clone();
        let news = line.memory.0.news.subscribe();
        async move {
            View {
                line,
                shown: None,
                news,
            }
        }
    }

    fn writer(&self, _: &LeaseName, _: &LeaseRecord) -> Self {
        self.clone()
    }
}

impl Source for View {
    async fn next(&mut self) -> Vec<Change> {
        if self.shown.is_some() {
            self.news.changed().await.unwrap();
        }
        self.line.through().await;
        let now: BTreeMap<Key, (Value, u64)> = self.line.memory.content().objects.clone();
        let is_first = self.shown.is_none();
        let before = self.shown.take().unwrap_or_default();
        let kinds = Role::Operator.kinds();
        let mut changes = Vec::new();
        if is_first {
            changes.extend(kinds.iter().map(|kind| Change::Restart(*kind)));
        }
        for (key, (object, version)) in &now {
            if before.get(key) != Some(version) {
                let version_ = Version::new(version.to_string());
                changes.push(Change::Put(
                    key.clone(),
                    read(object.clone(), *version),
                    version_,
                ));
            }
        }
        let gone: BTreeSet<_> = before
            .keys()
            .filter(|key| !now.contains_key(*key))
            .collect();
        changes.extend(gone.into_iter().cloned().map(Change::Gone));
        if is_first {
            changes.extend(kinds.iter().map(|kind| Change::Synced(*kind)));
        }
        let versions = now.into_iter().map(|(key, (_, version))| (key, version));
        self.shown = Some(versions.collect());
        changes
    }
}

impl Statuses for Line {
    async fn write(&self, key: Key, seen: Version, status: StatusPatch) -> Result<(), WriteError> {
        self.through().await;
        let mut content = self.memory.content();
        content.version += 1;
        let next = content.version;
        let (object, version) = content.objects.get_mut(&key).ok_or(WriteError::Gone)?;
        if version.to_string() != seen.as_str() {
            return Err(WriteError::Conflict);
        }
        status.apply(
            &mut object["status"],
            "2026-11-20T12:00:00Z".parse().unwrap(),
        );
        *version = next;
        content.writes += 1;
        self.memory.0.news.send_replace(next);
        Ok(())
    }
}

impl Objects for Line {
    async fn apply(&self, manifest: &Value) -> Result<Applied, WriteError> {
        self.through().await;
        self.memory.put(manifest.clone());
        self.memory.content().writes += 1;
        Ok(Applied::Changed)
    }

    async fn delete(&self, key: &Key) -> Result<bool, WriteError> {
        self.through().await;
        let mut content = self.memory.content();
        content.version += 1;
        content.writes += 1;
        self.memory.0.news.send_replace(content.version);
        Ok(content.objects.remove(key).is_some())
    }
}

impl Leases for Line {
    async fn read(&self, _: &LeaseName) -> Result<Option<(LeaseRecord, Version)>, WriteError> {
        self.through().await;
        let lease = self.memory.content().lease.clone();
        Ok(lease.map(|(record, version)| (record, Version::new(version.to_string()))))
    }

    async fn write(
        &self,
        _: &LeaseName,
        record: &LeaseRecord,
        seen: Option<&Version>,
    ) -> Result<Version, WriteError> {
        self.through().await;
        let mut content = self.memory.content();
        let is = content.lease.as_ref();
        let is = is.map(|(_, version)| Version::new(version.to_string()));
        if is.as_ref() != seen {
            return Err(WriteError::Conflict);
        }
        content.version += 1;
        let version = content.version;
        content.lease = Some((record.clone(), version));
        Ok(Version::new(version.to_string()))
    }
}

pub(crate) fn pool(cidr: &str) -> Value {
    json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumLoadBalancerIPPool",
        "metadata": { "name": "pool" },
        "spec": { "blocks": [{ "cidr": cidr }] },
    })
}

pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }] },
    })
}

fn read(mut object: Value, version: u64) -> Object {
    let metadata = object.pointer_mut("/metadata").unwrap();
    let metadata = metadata.as_object_mut().unwrap();
    metadata.insert("resourceVersion".to_owned(), version.to_string().into());
    Object::from_value(object, Strictness::Lenient).unwrap()
}

/// The kinds that a test puts are among those that an operator needs.
#[test]
fn an_operator_needs_services_and_pools() {
    for kind in [Kind::Service, Kind::CiliumLoadBalancerIPPool] {
        assert!(Role::Operator.kinds().contains(&kind));
    }
}
