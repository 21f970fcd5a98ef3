//! What a program that follows a cluster sees, and a way to wait for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use api::{Key, Kind, Object, StatusPatch, Version};
use integration::cluster::ControlPlane;
use integration::{Patience, until};
use store::kubernetes::{Cluster, ConnectOptions, Troubles, Watch};
use store::{Hub, HubHandle, Snapshot, Source as _, Statuses, WriteError, version_of};
use tokio::runtime::Runtime;
use tokio::sync::watch::Receiver;
use types::ObjectName;

/// Retries of a watch are at most so far apart in a test that does not last.
pub(crate) const PATIENCE: Patience = Patience(Duration::from_secs(60));

/// The definitions, as they are installed.
pub(crate) const DEFINITIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/crds");

/// A program that follows a cluster.
pub(crate) struct View {
    pub(crate) cluster: Cluster,
    runtime: Runtime,
    hub: HubHandle,
    troubles: Receiver<Troubles>,
}

/// A connection and a runtime to use it in.
pub(crate) fn connect(kubeconfig: &Path, timeout: Duration) -> Result<(Runtime, Cluster)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let options = ConnectOptions {
        kubeconfig: Some(kubeconfig.to_owned()),
        timeout,
        ..ConnectOptions::default()
    };
    let cluster = runtime.block_on(Cluster::connect(options))?;
    Ok((runtime, cluster))
}

/// All objects of these kinds.
pub(crate) fn all(kinds: &[Kind]) -> Vec<Watch> {
    kinds.iter().copied().map(Watch::new).collect()
}

pub(crate) fn key(kind: Kind, namespace: &str, name: &str) -> Key {
    Key::new(kind, ObjectName::new(namespace, name))
}

/// Installs the definitions, and waits until they are served.
pub(crate) fn install(control: &ControlPlane) -> Result<()> {
    control.kubectl(&format!("apply --server-side -f {DEFINITIONS}"))?;
    control.kubectl("wait --for=condition=Established --timeout=30s crd --all")?;
    let all = "get ciliumloadbalancerippools,ciliumbgpclusterconfigs,ciliumbgpnodeconfigs";
    until("the definitions are served", Patience::START, || {
        control.kubectl(all).map(drop)
    })
}

/// A Service of the type LoadBalancer.
pub(crate) fn service(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{type: LoadBalancer, ports: [{{port: 80}}]}}\n---\n"
    )
}

impl View {
    /// Follows the cluster that a kubeconfig names, as whom it names.
    pub(crate) fn open(kubeconfig: &Path, watches: &[Watch]) -> Result<Self> {
        Self::open_patiently(kubeconfig, watches, Duration::from_secs(5))
    }

    /// As [`View::open`], with another limit for each request.
    pub(crate) fn open_patiently(
        kubeconfig: &Path,
        watches: &[Watch],
        timeout: Duration,
    ) -> Result<Self> {
        let (runtime, cluster) = connect(kubeconfig, timeout)?;
        let guard = runtime.enter();
        let source = cluster.source(watches);
        let troubles = source.troubles();
        let hub = Hub::spawn(source);
        drop(guard);
        Ok(Self {
            cluster,
            runtime,
            hub,
            troubles,
        })
    }

    /// Waits until what is seen is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Snapshot) -> bool) -> Result<Snapshot> {
        let mut last = Snapshot::default();
        until(what, PATIENCE, || {
            last = self.hub.snapshot();
            let keys: Vec<String> = last.objects.keys().take(20).map(Key::to_string).collect();
            ensure!(
                is_so(&last),
                "seen are {keys:?}, synced {:?}, refused {:?}, wrong is {:?}",
                last.synced,
                last.refused,
                self.troubles()
            );
            Ok(())
        })?;
        Ok(last)
    }

    /// Waits until something is wrong that is said in these words.
    pub(crate) fn until_trouble(&self, words: &str) -> Result<String> {
        let mut found = String::new();
        until(words, PATIENCE, || {
            let troubles = self.troubles();
            let trouble = troubles.values().find(|trouble| trouble.contains(words));
            found = trouble
                .with_context(|| format!("wrong is {troubles:?}"))?
                .clone();
            Ok(())
        })?;
        Ok(found)
    }

    /// Waits until nothing is wrong.
    pub(crate) fn until_well(&self) -> Result<()> {
        until("nothing is wrong", PATIENCE, || {
            let troubles = self.troubles();
            ensure!(troubles.is_empty(), "wrong is {troubles:?}");
            Ok(())
        })
    }

    /// What is wrong now, as it is shown.
    pub(crate) fn troubles(&self) -> BTreeMap<String, String> {
        let troubles = self.troubles.borrow();
        let shown = troubles.iter();
        shown
            .map(|(watched, trouble)| (watched.to_string(), trouble.clone()))
            .collect()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.hub.snapshot()
    }

    /// Waits until the object is seen; the version it is seen at.
    pub(crate) fn version(&self, key: &Key) -> Result<Version> {
        let snapshot = self.until(&format!("{key} is seen"), |seen| {
            seen.objects.contains_key(key)
        })?;
        let object: Option<&Object> = snapshot.objects.get(key);
        Ok(version_of(object.context("it is gone")?))
    }

    /// Writes a status, as what is under test does.
    pub(crate) fn write(
        &self,
        key: &Key,
        seen: &Version,
        status: StatusPatch,
    ) -> Result<(), WriteError> {
        let write = Statuses::write(&self.cluster, key.clone(), seen.clone(), status);
        self.block_on(write)
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// The next report of a new source of one kind.
pub(crate) fn first_report(runtime: &Runtime, cluster: &Cluster, watch: Watch) -> Vec<api::Change> {
    runtime.block_on(async {
        let mut source = cluster.source(&[watch]);
        source.next().await
    })
}
