//! Where objects are, and what can be done with them there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use agent_api::Objects;
use anyhow::{Context as _, Result, bail};
use api::{Key, Kind};
use serde_json::Value;
use store::kubernetes::{Cluster, ConnectOptions};
use store::manifest::{self, ManifestFiles};
use store::{Applied, Objects as _, WriteError};

use super::args::PlaceArgs;
use super::document::key_of;
use crate::args::Args;
use crate::client::Client;

/// Where a namespaced object is if nobody says.
const DEFAULT_NAMESPACE: &str = "default";

/// Where objects are.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Files, and what this node's agent says of them.
    Directory {
        files: ManifestFiles,
        socket: PathBuf,
    },
    /// A fleet's etcd.
    #[cfg(feature = "etcd")]
    Fleet(store::etcd::Fleet),
    /// A Kubernetes cluster.
    Cluster(Cluster),
}

/// What the environment says, for when the command line does not.
#[derive(Clone, Debug, Default)]
struct Surroundings {
    manifests: Option<OsString>,
    etcd: Option<OsString>,
    kubeconfig: Option<OsString>,
    home: Option<PathBuf>,
}

/// Which place is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    Directory(PathBuf),
    Fleet(Vec<String>),
    /// The kubeconfig; none for the pod's own cluster.
    Cluster(Option<PathBuf>),
}

impl Place {
    /// The place that the command line, or else the environment, names.
    pub(super) async fn of(args: &Args, place: &PlaceArgs) -> Result<Self> {
        let surroundings = Surroundings {
            manifests: std::env::var_os("SLUICE_MANIFESTS").filter(|value| !value.is_empty()),
            etcd: std::env::var_os("SLUICE_ETCD").filter(|value| !value.is_empty()),
            kubeconfig: std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()),
            home: std::env::home_dir(),
        };
        let kubeconfig = args.cluster.kubeconfig.as_deref();
        let is_cluster = kubeconfig.is_some() || args.cluster.context.is_some();
        match surroundings.choose(place, kubeconfig, is_cluster)? {
            Choice::Directory(dir) => Ok(Self::Directory {
                files: ManifestFiles::new(dir),
                socket: args.socket.clone(),
            }),
            Choice::Fleet(urls) => fleet(urls, place),
            Choice::Cluster(kubeconfig) => {
                let options = ConnectOptions {
                    kubeconfig,
                    context: args.cluster.context.clone(),
                    ..ConnectOptions::default()
                };
                let cluster = Cluster::connect(options).await;
                Ok(Self::Cluster(cluster.context(
                    "no place is named (--manifests, --etcd or --kubeconfig), and there is no cluster",
                )?))
            }
        }
    }

    /// The namespace of objects that name none.
    pub(super) fn namespace(&self, args: &Args) -> String {
        match (&args.cluster.namespace, self) {
            (Some(namespace), _) => namespace.clone(),
            (None, Self::Cluster(cluster)) => cluster.namespace(),
            (None, Self::Directory { .. }) => DEFAULT_NAMESPACE.to_owned(),
            #[cfg(feature = "etcd")]
            (None, Self::Fleet(_)) => DEFAULT_NAMESPACE.to_owned(),
        }
    }

    pub(super) async fn apply(&self, manifest: &Value) -> Result<Applied, WriteError> {
        match self {
            Self::Directory { files, .. } => files.apply(manifest).await,
            #[cfg(feature = "etcd")]
            Self::Fleet(fleet) => fleet.apply(manifest).await,
            Self::Cluster(cluster) => cluster.apply(manifest).await,
        }
    }

    /// What applying would come to.
    pub(super) async fn rehearse(&self, manifest: &Value) -> Result<Applied, WriteError> {
        match self {
            Self::Directory { files, .. } => files.rehearse(manifest),
            #[cfg(feature = "etcd")]
            Self::Fleet(fleet) => fleet.rehearse(manifest).await,
            Self::Cluster(cluster) => cluster.rehearse(manifest).await,
        }
    }

    pub(super) async fn delete(&self, key: &Key) -> Result<bool, WriteError> {
        match self {
            Self::Directory { files, .. } => files.delete(key).await,
            #[cfg(feature = "etcd")]
            Self::Fleet(fleet) => fleet.delete(key).await,
            Self::Cluster(cluster) => cluster.delete(key).await,
        }
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Value>, WriteError> {
        match self {
            Self::Directory { files, socket } => {
                let mut found = documents(files.root(), socket).await.into_iter();
                let found = found.find(|(found, _)| found == key);
                Ok(found.map(|(_, document)| document))
            }
            #[cfg(feature = "etcd")]
            Self::Fleet(fleet) => fleet.get(key).await,
            Self::Cluster(cluster) => cluster.get(key).await,
        }
    }

    /// The objects of a kind, or those in a namespace, sorted by namespace and name.
    pub(super) async fn list(
        &self,
        kind: Kind,
        namespace: Option<&str>,
    ) -> Result<Vec<Value>, WriteError> {
        let mut found = match self {
            Self::Directory { files, socket } => documents(files.root(), socket)
                .await
                .into_iter()
                .filter(|(key, _)| key.kind == kind)
                .map(|(_, document)| document)
                .collect(),
            #[cfg(feature = "etcd")]
            Self::Fleet(fleet) => fleet.list(kind).await?,
            Self::Cluster(cluster) => cluster.list(kind, namespace).await?,
        };
        let namespace = namespace.filter(|_| kind.namespaced());
        if let Some(namespace) = namespace {
            found.retain(|document| namespace_of(document) == namespace);
        }
        found.sort_by(|one, other| place_of(one).cmp(&place_of(other)));
        Ok(found)
    }
}

impl Surroundings {
    fn choose(
        &self,
        place: &PlaceArgs,
        kubeconfig: Option<&Path>,
        is_cluster: bool,
    ) -> Result<Choice> {
        if let Some(dir) = &place.manifests {
            return Ok(Choice::Directory(dir.clone()));
        }
        if !place.etcd.is_empty() {
            return Ok(Choice::Fleet(place.etcd.clone()));
        }
        if let Some(kubeconfig) = kubeconfig {
            return Ok(Choice::Cluster(Some(kubeconfig.to_owned())));
        }
        match (&self.manifests, &self.etcd) {
            (Some(_), Some(_)) if !is_cluster => {
                bail!("SLUICE_MANIFESTS and SLUICE_ETCD are both set: name the place that is meant")
            }
            (Some(dir), _) if !is_cluster => return Ok(Choice::Directory(dir.into())),
            (_, Some(urls)) if !is_cluster => {
                let urls = urls.to_string_lossy();
                return Ok(Choice::Fleet(urls.split(',').map(str::to_owned).collect()));
            }
            (_, _) => {}
        }
        let at_home = self.home.as_ref().map(|home| home.join(".kube/config"));
        let found = match &self.kubeconfig {
            Some(files) if files.to_string_lossy().contains(':') => {
                bail!(
                    "KUBECONFIG names more than one file: name the one that is meant with --kubeconfig"
                )
            }
            Some(file) => Some(file.into()),
            None => at_home.filter(|file| file.exists()),
        };
        Ok(Choice::Cluster(found))
    }
}

/// The manifests of a directory that are valid, with what the agent has given to them and written to
/// their status, if this node's agent runs on that directory. What is wrong with the others is said.
pub(super) async fn documents(root: &Path, socket: &Path) -> Vec<(Key, Value)> {
    let (found, faults) = manifest::read(root);
    for fault in faults {
        eprintln!("sluice: {fault}");
    }
    let given = given(root, socket).await;
    let documents = found.into_iter().map(|found| {
        let mut document = found.value.as_ref().clone();
        if let Some(given) = given.get(&found.key) {
            join(&mut document, given);
        }
        (found.key, document)
    });
    documents.collect()
}

/// The objects that the agent has from that directory; none if it has another, or is not there.
async fn given(root: &Path, socket: &Path) -> BTreeMap<Key, Value> {
    let socket = socket.to_owned();
    let asked = tokio::task::spawn_blocking(move || Client::new(&socket).get("/v1/objects"));
    let Ok(Ok(answer)) = asked.await else {
        return BTreeMap::new();
    };
    let answer: Objects = answer;
    let is_same = answer.manifests.canonicalize().ok() == root.canonicalize().ok();
    let items = answer.items.into_iter().filter(|_| is_same);
    let items = items.filter_map(|item| {
        let kind = Kind::from_name(item.get("kind")?.as_str()?)?;
        Some((key_of(kind, &item), item))
    });
    items.collect()
}

fn join(document: &mut Value, given: &Value) {
    let Value::Object(fields) = document else {
        return;
    };
    if let Some(status) = given.get("status") {
        fields.insert("status".to_owned(), status.clone());
    }
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        for name in ["generation", "resourceVersion", "creationTimestamp"] {
            if let Some(value) = given.get("metadata").and_then(|given| given.get(name)) {
                metadata.insert(name.to_owned(), value.clone());
            }
        }
    }
}

fn namespace_of(document: &Value) -> &str {
    let namespace = document.pointer("/metadata/namespace");
    let namespace = namespace.and_then(Value::as_str);
    namespace
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or(DEFAULT_NAMESPACE)
}

fn place_of(document: &Value) -> (&str, &str) {
    let name = document.pointer("/metadata/name").and_then(Value::as_str);
    (namespace_of(document), name.unwrap_or_default())
}

#[cfg(feature = "etcd")]
fn fleet(urls: Vec<String>, place: &PlaceArgs) -> Result<Place> {
    use store::etcd;

    let options = etcd::ConnectOptions {
        prefix: place
            .etcd_prefix
            .clone()
            .unwrap_or_else(|| etcd::DEFAULT_PREFIX.to_owned()),
        ca: place.etcd_ca.clone(),
        identity: place.etcd_cert.clone().zip(place.etcd_key.clone()),
        user: place
            .etcd_user
            .clone()
            .zip(place.etcd_password_file.clone()),
        ..etcd::ConnectOptions::new(urls)
    };
    let fleet = etcd::Fleet::connect(options).context("using the arguments for etcd")?;
    Ok(Place::Fleet(fleet))
}

#[cfg(not(feature = "etcd"))]
fn fleet(_: Vec<String>, _: &PlaceArgs) -> Result<Place> {
    bail!("this sluice was built without etcd (cargo feature \"etcd\")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_line_names_comes_before_the_environment() {
        let everywhere = Surroundings {
            manifests: Some("/m".into()),
            etcd: Some("http://a:1,http://b:1".into()),
            kubeconfig: Some("/k".into()),
            home: None,
        };
        let named = |manifests: Option<&str>, etcd: &[&str]| PlaceArgs {
            manifests: manifests.map(Into::into),
            etcd: etcd.iter().map(|url| (*url).to_owned()).collect(),
            ..PlaceArgs::default()
        };
        let choose = |place: &PlaceArgs, kubeconfig: Option<&str>| {
            let kubeconfig = kubeconfig.map(Path::new);
            everywhere.choose(place, kubeconfig, kubeconfig.is_some())
        };

        assert_eq!(
            choose(&named(Some("/d"), &[]), None).unwrap(),
            Choice::Directory("/d".into())
        );
        assert_eq!(
            choose(&named(None, &["http://c:1"]), None).unwrap(),
            Choice::Fleet(vec!["http://c:1".to_owned()])
        );
        assert_eq!(
            choose(&named(None, &[]), Some("/c")).unwrap(),
            Choice::Cluster(Some("/c".into()))
        );
        assert!(choose(&named(None, &[]), None).is_err());
    }

    #[test]
    fn the_environment_names_one_place() {
        let choose = |surroundings: Surroundings, is_cluster| {
            surroundings
                .choose(&PlaceArgs::default(), None, is_cluster)
                .unwrap()
        };
        let etcd = Surroundings {
            etcd: Some("http://a:1,http://b:1".into()),
            kubeconfig: Some("/k".into()),
            ..Surroundings::default()
        };

        assert_eq!(
            choose(etcd.clone(), false),
            Choice::Fleet(vec!["http://a:1".to_owned(), "http://b:1".to_owned()])
        );
        // A context is one of a kubeconfig.
        assert_eq!(choose(etcd, true), Choice::Cluster(Some("/k".into())));
        assert_eq!(
            choose(Surroundings::default(), false),
            Choice::Cluster(None)
        );
    }
}
