//! A node without a network: a directory of manifests, its store, and the operator on top.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use api::{Block, Delta, Key, Kind, Object, Service, ServiceType, condition};
use lb_ipam::{Families, FamilyPolicy, Inputs, Pool, Range, Request, Selector, Shown};
use operator::{Input, Operator, OperatorHandle};
use store::{Directory, DirectoryConfig, Hub, HubHandle, Statuses, Watcher};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use types::{Family, ObjectName};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(20);

/// How often a condition is looked at if the source has nothing new.
const POLL: Duration = Duration::from_millis(10);

/// A directory of manifests and a state directory, which outlive the node.
pub(crate) struct Disk(TempDir);

/// What runs; dropping it ends it like a power cut.
pub(crate) struct Node {
    pub(crate) hub: HubHandle,
    pub(crate) operator: OperatorHandle,
    news: Watcher,
    _pump: Pump,
}

/// Ends its task when dropped.
struct Pump(JoinHandle<()>);

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs one life of a node: when it returns the state directory is free for the next.
pub(crate) fn life<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

impl Disk {
    pub(crate) fn new() -> Self {
        let disk = Self(TempDir::new().unwrap());
        fs::create_dir(disk.path("manifests")).unwrap();
        disk
    }

    pub(crate) fn put(&self, file: &str, text: &str) {
        let temporary = self.path("new");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.path("manifests").join(file)).unwrap();
    }

    pub(crate) fn remove(&self, file: &str) {
        fs::remove_file(self.path("manifests").join(file)).unwrap();
    }

    pub(crate) fn start(&self) -> Node {
        self.start_with(|statuses| statuses)
    }

    /// Starts a node whose statuses pass through what `wrap` makes of them.
    pub(crate) fn start_with<S: Statuses + 'static>(
        &self,
        wrap: impl FnOnce(store::DirectoryStatuses) -> S,
    ) -> Node {
        let config = DirectoryConfig {
            settle: Duration::from_millis(5),
            ..DirectoryConfig::new(self.path("manifests"), self.path("state"))
        };
        let (directory, statuses, _) = Directory::open(config).unwrap();
        let hub = Hub::spawn(directory);
        // Full only while the operator is busy; the watcher then gathers what differs.
        let (inputs, receiver) = mpsc::channel(1);
        let operator = Operator::spawn(&Family::BOTH, receiver, wrap(statuses));
        Node {
            news: hub.watch(),
            _pump: Pump(tokio::spawn(pump(hub.watch(), inputs))),
            hub,
            operator,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::join(self.0.path(), name)
    }
}

impl Node {
    /// Waits until something is so.
    pub(crate) async fn until(&mut self, what: &str, mut holds: impl FnMut(&Node) -> bool) {
        let ended = tokio::time::timeout(LIMIT, async {
            while !holds(self) {
                // What the operator reports has no news of its own.
                drop(tokio::time::timeout(POLL, self.news.changed()).await);
            }
        })
        .await;
        let now = self.hub.snapshot();
        assert!(ended.is_ok(), "waited in vain until {what}: {now:#?}");
    }

    pub(crate) async fn until_ingress(&mut self, name: &str, addresses: &[&str]) {
        let what = format!("{name} has {addresses:?}");
        self.until(&what, |node| node.ingress(name) == addresses)
            .await;
    }

    pub(crate) fn ingress(&self, name: &str) -> Vec<String> {
        let service = self.service(name);
        let addresses = service.iter().flat_map(|service| service.ingress_ips());
        addresses.map(|addr| addr.to_string()).collect()
    }

    /// Status, reason and message of a service's condition.
    pub(crate) fn condition(&self, name: &str, kind: &str) -> Option<String> {
        let service = self.service(name)?;
        said(&service.conditions, kind)
    }

    pub(crate) fn pool_condition(&self, name: &str, kind: &str) -> Option<String> {
        let key = Key::new(Kind::CiliumLoadBalancerIPPool, ObjectName::of_cluster(name));
        match self.hub.snapshot().objects.get(&key)? {
            Object::CiliumLoadBalancerIPPool(pool) => said(&pool.conditions, kind),
            _ => None,
        }
    }

    /// The version of every object: a write moves one.
    pub(crate) fn versions(&self) -> BTreeMap<Key, Option<String>> {
        let objects = self.hub.snapshot().objects.into_iter();
        objects
            .map(|(key, object)| (key, object.meta().resource_version.clone()))
            .collect()
    }

    fn service(&self, name: &str) -> Option<std::sync::Arc<Service>> {
        let key = Key::new(Kind::Service, ObjectName::new("default", name));
        match self.hub.snapshot().objects.get(&key)? {
            Object::Service(service) => Some(std::sync::Arc::clone(service)),
            _ => None,
        }
    }
}

fn said(conditions: &[api::Condition], kind: &str) -> Option<String> {
    let condition = conditions.iter().find(|condition| condition.kind == kind)?;
    let status = format!("{:?} {}", condition.status, condition.reason);
    match condition.message.as_str() {
        "" => Some(status),
        message => Some(format!("{status}: {message}")),
    }
}

/// Passes on what differs, in the allocator's terms.
async fn pump(mut watcher: Watcher, inputs: mpsc::Sender<Input>) {
    let mut synced = BTreeSet::new();
    loop {
        let delta = watcher.changed().await;
        synced.extend(delta.synced.iter().copied());
        let all = [Kind::Service, Kind::CiliumLoadBalancerIPPool];
        let ipam = ipam(&delta, all.iter().all(|kind| synced.contains(kind)));
        let input = Input {
            objects: delta.objects,
            shown: delta.shown,
            ipam,
            statements: BTreeMap::new(),
        };
        if inputs.send(input).await.is_err() {
            return;
        }
    }
}

fn ipam(delta: &Delta, complete: bool) -> lb_ipam::Delta {
    let mut ipam = lb_ipam::Delta {
        inputs: complete.then_some(Inputs::Complete),
        // Tests do not wait.
        grace: Some(Duration::ZERO),
        ..lb_ipam::Delta::default()
    };
    for (key, object) in &delta.objects {
        let name = key.name.clone();
        match (key.kind, object) {
            (Kind::CiliumLoadBalancerIPPool, Some(Object::CiliumLoadBalancerIPPool(found))) => {
                drop(ipam.pools.insert(name, Some(pool(found))));
            }
            (Kind::CiliumLoadBalancerIPPool, _) => drop(ipam.pools.insert(name, None)),
            (Kind::Service, Some(Object::Service(found))) => {
                drop(ipam.services.insert(name, Some(service(found))));
            }
            (Kind::Service, _) => drop(ipam.services.insert(name, None)),
            _ => {}
        }
    }
    ipam
}

fn pool(pool: &api::LoadBalancerIPPool) -> Pool {
    let block = |block: &Block| match *block {
        Block::Cidr(prefix) => lb_ipam::Block::Cidr(prefix),
        Block::Range { start, stop } => lb_ipam::Block::Range(Range::new(start, stop).unwrap()),
    };
    let labels = pool.service_selector.iter().flat_map(|s| &s.match_labels);
    Pool {
        blocks: pool.blocks.iter().map(block).collect(),
        selector: Selector {
            match_labels: labels
                .map(|(k, v)| (k.as_str().into(), v.as_str().into()))
                .collect(),
            ..Selector::default()
        },
        allow_first_last: pool.allow_first_last_ips,
        disabled: pool.disabled,
        ..Pool::default()
    }
}

fn service(service: &Service) -> lb_ipam::Service {
    let of_allocator = condition::service::IPAM_SATISFIED;
    let shown = Shown {
        addresses: service.ingress_ips().collect(),
        marked: service.conditions.iter().any(|c| c.kind == of_allocator),
        ..Shown::default()
    };
    if service.kind != ServiceType::LoadBalancer {
        return lb_ipam::Service::Foreign(shown);
    }
    let policy = match service.ip_family_policy {
        Some(api::IpFamilyPolicy::RequireDualStack) => FamilyPolicy::RequireDualStack,
        Some(api::IpFamilyPolicy::PreferDualStack) => FamilyPolicy::PreferDualStack,
        Some(api::IpFamilyPolicy::SingleStack) | None => FamilyPolicy::SingleStack,
    };
    let labels = service.meta.labels.iter();
    lb_ipam::Service::Request(Request {
        labels: labels
            .map(|(k, v)| (k.as_str().into(), v.as_str().into()))
            .collect(),
        families: Families {
            order: service.ip_families.clone(),
            policy,
        },
        shown,
        ..Request::default()
    })
}
