//! Opens the place where objects come from, and starts what differs by it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agent_api::{Objects, Source, SourceKind};
use anyhow::{Context as _, Result};
use api::Kind;
use desired::Role;
use operator::{Operator, OperatorHandle};
use store::kubernetes::{Cluster, ConnectOptions, Troubles, Watch};
use store::{
    Directory, DirectoryConfig, DirectoryDocuments, Faults, Hub, HubHandle, LeaseName, Overrides,
};
use tokio::sync::{mpsc, watch};
use types::{Family, NodeName};

use super::guide::Guide;
use super::leader::Leader;
use super::remote::Remote;
use crate::config::{Edge, Kubernetes, SourceConfig};

/// The operators' lease, in the namespace that they are in.
pub(super) const LEASE: &str = "sluicegate-operator";

/// Where operators are, if nobody says otherwise.
pub(super) const NAMESPACE: &str = "kube-system";

/// Endpoints of Services that nobody balances are not asked for.
const BALANCED: &str = "!service.kubernetes.io/headless";

/// Objects that wait for the allocator. A full channel holds up the next delta, which the hub
/// then merges.
const INPUTS: usize = 16;

/// Where objects come from, opened, and what came with it.
pub(super) struct Opened {
    /// Follows the objects.
    pub(super) hub: HubHandle,
    /// What people are shown of the source.
    pub(super) origin: Origin,
    /// What an operator orders.
    pub(super) overrides: Overrides,
    /// What this node decides.
    pub(super) role: Role,
    /// The operator's duties, where they are this node's.
    pub(super) duties: Option<Duties>,
    /// Where this node's status goes, where others read it.
    pub(super) remote: Option<Remote>,
    /// Who leads the operators, where there are others.
    pub(super) guide: Option<Guide>,
}

/// The operator of a node of its own.
pub(super) struct Duties {
    pub(super) operator: OperatorHandle,
    pub(super) inputs: mpsc::Sender<operator::Input>,
}

/// What people are shown of where objects come from.
pub(super) enum Origin {
    /// A directory of manifests.
    Directory {
        /// Where it is.
        manifests: PathBuf,
        /// What is wrong with them.
        faults: watch::Receiver<Faults>,
        /// What they are, with what they were given.
        documents: DirectoryDocuments,
    },
    /// A Kubernetes API server.
    Kubernetes {
        /// Where it is.
        server: String,
        /// What is wrong between it and this node.
        troubles: watch::Receiver<Troubles>,
    },
    /// An etcd that a fleet shares.
    #[cfg(feature = "etcd")]
    Etcd {
        /// Where its members are.
        urls: String,
        /// Why it cannot be followed.
        trouble: watch::Receiver<Option<std::sync::Arc<str>>>,
    },
}

impl Opened {
    /// Opens the source that is configured.
    ///
    /// # Errors
    /// If it cannot be used at all. One that does not answer is waited for.
    pub(super) async fn open(node: &NodeName, own: &Edge) -> Result<Self> {
        match &own.source {
            SourceConfig::Directory(manifests) => directory(manifests, own),
            SourceConfig::Kubernetes(kubernetes) => cluster(node, kubernetes, own).await,
            #[cfg(feature = "etcd")]
            SourceConfig::Etcd(etcd) => super::fleet::join(node, etcd, own),
            #[cfg(not(feature = "etcd"))]
            SourceConfig::Etcd(_) => anyhow::bail!("this agent was built without etcd"),
        }
    }
}

impl Origin {
    /// In words.
    pub(super) fn shown(&self) -> Source {
        match self {
            Self::Directory { manifests, .. } => Source {
                kind: SourceKind::Directory,
                place: manifests.display().to_string(),
                faults: Vec::new(),
            },
            Self::Kubernetes { server, troubles } => Source {
                kind: SourceKind::Kubernetes,
                place: server.clone(),
                faults: in_words(&troubles.borrow()),
            },
            #[cfg(feature = "etcd")]
            Self::Etcd { urls, trouble } => Source {
                kind: SourceKind::Etcd,
                place: urls.clone(),
                faults: trouble.borrow().iter().map(ToString::to_string).collect(),
            },
        }
    }

    /// The objects of a directory, which nobody else can be asked for.
    pub(super) fn objects(&self) -> Option<Objects> {
        match self {
            Self::Directory {
                manifests,
                documents,
                ..
            } => Some(Objects {
                manifests: manifests.clone(),
                items: documents.all(),
            }),
            Self::Kubernetes { .. } => None,
            #[cfg(feature = "etcd")]
            Self::Etcd { .. } => None,
        }
    }

    /// What is wrong with manifests, by place; a source without places has none.
    pub(super) fn file_faults(&self) -> Faults {
        match self {
            Self::Directory { faults, .. } => faults.borrow().clone(),
            Self::Kubernetes { .. } => Faults::default(),
            #[cfg(feature = "etcd")]
            Self::Etcd { .. } => Faults::default(),
        }
    }
}

fn directory(manifests: &Path, own: &Edge) -> Result<Opened> {
    let state_dir = own
        .state_dir
        .as_deref()
        .context("a directory of manifests needs a state-dir")?;
    let (directory, statuses, overrides) =
        Directory::open(DirectoryConfig::new(manifests, state_dir))
            .with_context(|| in_dir(state_dir))?;
    let (faults, documents) = (directory.faults(), directory.documents());
    let (inputs, received) = mpsc::channel(INPUTS);
    Ok(Opened {
        hub: Hub::spawn(directory),
        origin: Origin::Directory {
            manifests: manifests.to_owned(),
            faults,
            documents,
        },
        overrides,
        role: Role::Standalone,
        duties: Some(Duties {
            operator: Operator::spawn(&Family::BOTH, received, statuses),
            inputs,
        }),
        remote: None,
        guide: None,
    })
}

async fn cluster(node: &NodeName, kubernetes: &Kubernetes, own: &Edge) -> Result<Opened> {
    let usual = ConnectOptions::default();
    let cluster = Cluster::connect(ConnectOptions {
        kubeconfig: kubernetes.kubeconfig.clone(),
        context: kubernetes.context.clone(),
        writes_per_second: kubernetes
            .writes_per_second
            .unwrap_or(usual.writes_per_second),
        burst: kubernetes.burst.unwrap_or(usual.burst),
        ..usual
    })
    .await
    .context("connecting to the cluster")?;
    let source = cluster.source(&watches(node, kubernetes, own));
    let origin = Origin::Kubernetes {
        server: cluster.server(),
        troubles: source.troubles(),
    };
    let namespace = kubernetes.namespace.as_deref().unwrap_or(NAMESPACE);
    let lease = LeaseName {
        namespace: namespace.to_owned(),
        name: LEASE.to_owned(),
    };
    let remote = Remote::Kubernetes(cluster);
    Ok(Opened {
        hub: Hub::spawn(source),
        origin,
        overrides: orders(own)?,
        role: Role::Agent,
        duties: None,
        guide: Some(Guide::Elsewhere(Leader::follow(remote.clone(), lease))),
        remote: Some(remote),
    })
}

/// What one node has to know of a cluster.
fn watches(node: &NodeName, kubernetes: &Kubernetes, own: &Edge) -> Vec<Watch> {
    let one = |kind: Kind| {
        let watch = Watch::new(kind);
        match kind {
            Kind::Node | Kind::CiliumBGPNodeConfig => {
                watch.with_fields(format!("metadata.name={node}"))
            }
            Kind::Secret => watch.in_namespaces([own.bgp.secrets_namespace.clone()]),
            Kind::Service => watch.in_namespaces(kubernetes.namespaces.clone()),
            Kind::EndpointSlice => watch
                .in_namespaces(kubernetes.namespaces.clone())
                .with_labels(BALANCED),
            Kind::CiliumLoadBalancerIPPool
            | Kind::CiliumBGPClusterConfig
            | Kind::CiliumBGPPeerConfig
            | Kind::CiliumBGPAdvertisement
            | Kind::CiliumBGPNodeConfigOverride => watch,
        }
    };
    let kinds = Role::Agent.kinds().iter().copied();
    let kinds = kinds.filter(|kind| own.bgp.enabled || needs_no_bgp(*kind));
    kinds.map(one).collect()
}

/// Whether a kind is needed where BGP is not spoken: roles may not let the others be read.
fn needs_no_bgp(kind: Kind) -> bool {
    matches!(kind, Kind::Service | Kind::EndpointSlice | Kind::Node)
}

/// Orders, kept where there is a place for them.
pub(super) fn orders(own: &Edge) -> Result<Overrides> {
    match &own.state_dir {
        Some(state_dir) => Overrides::open(state_dir).with_context(|| in_dir(state_dir)),
        None => Ok(Overrides::in_memory()),
    }
}

/// What is wrong with the same words is said once.
fn in_words(troubles: &Troubles) -> Vec<String> {
    let mut by_trouble: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (watched, trouble) in troubles.iter() {
        let named = by_trouble.entry(trouble).or_default();
        named.push(watched.to_string());
    }
    by_trouble
        .into_iter()
        .map(|(trouble, watched)| format!("{}: {trouble}", watched.join(", ")))
        .collect()
}

fn in_dir(state_dir: &Path) -> String {
    format!("opening the state in {}", state_dir.display())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use store::kubernetes::Watched;

    use super::*;
    use crate::config::Bgp;

    #[test]
    fn a_node_asks_for_itself_and_not_for_other_nodes() {
        let node = "n1".parse().unwrap();
        let own = Edge {
            source: SourceConfig::Kubernetes(Kubernetes::default()),
            state_dir: None,
            balancer: None,
            bgp: Bgp::default(),
        };

        let watches = watches(&node, &Kubernetes::default(), &own);

        let watch = |kind| watches.iter().find(|watch| watch.kind == kind).unwrap();
        for kind in [Kind::Node, Kind::CiliumBGPNodeConfig] {
            assert_eq!(watch(kind).fields.as_deref(), Some("metadata.name=n1"));
        }
        let secrets = &watch(Kind::Secret).namespaces;
        assert_eq!(*secrets, ["kube-system".to_owned()].into());
        assert!(watch(Kind::Service).namespaces.is_empty());
        assert_eq!(watches.len(), Role::Agent.kinds().len());
    }

    #[test]
    fn what_is_wrong_in_the_same_way_is_said_once() {
        let watched = |kind| Watched {
            kind,
            namespace: None,
        };
        let down = "the API server does not answer".to_owned();
        let troubles = Arc::new(BTreeMap::from([
            (watched(Kind::Service), down.clone()),
            (watched(Kind::Node), down),
            (watched(Kind::EndpointSlice), "forbidden".to_owned()),
        ]));

        assert_eq!(
            in_words(&troubles),
            [
                "endpointslices: forbidden",
                "services, nodes: the API server does not answer",
            ]
        );
    }
}
