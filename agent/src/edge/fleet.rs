//! A fleet of nodes that share an etcd: each registers itself, and one of them is the operator.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use desired::{Facts, Forwarding, Role};
use operator::{Duties, Fence, Options, Runner, Standing, Terms, World};
use serde_json::{Value, json};
use store::etcd::{ConnectOptions, DEFAULT_PREFIX, Fleet, FleetSource};
use store::{Hub, LeaseName, LeaseRecord, Objects as _};
use tokio::task::JoinHandle;
use types::{Family, NodeName};

use super::guide::Guide;
use super::leader::Leadership;
use super::origin::{LEASE, NAMESPACE, Opened, Origin, orders};
use super::remote::Remote;
use crate::config::{Edge, Etcd};

/// How long to wait before a node registers itself again that could not; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// See [`FIRST_PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Statuses, and objects, that a leader writes at a time.
const WRITES: usize = 32;

/// What runs beside the node's own parts; dropping it ends that.
#[derive(Debug)]
pub(super) struct Membership {
    lease: LeaseName,
    /// This node's part in the election of an operator, until it leaves.
    runner: Mutex<Option<Runner>>,
    identity: String,
    registration: JoinHandle<()>,
}

/// What the leader of a fleet works on.
struct Field(Fleet);

impl Membership {
    /// The operators' lease.
    pub(super) const fn lease(&self) -> &LeaseName {
        &self.lease
    }

    /// Who leads, as far as it is known.
    pub(super) fn known(&self) -> Leadership {
        let runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        match runner.as_ref().map(|runner| runner.view().standing()) {
            Some(Standing::Leading { .. }) => Leadership::Held(self.identity.clone()),
            Some(Standing::Standby {
                holder: Some(holder),
                ..
            }) => Leadership::Held(holder),
            Some(Standing::Standby { holder: None, .. } | Standing::Ended) | None => {
                Leadership::Unknown
            }
        }
    }

    /// Gives the lease back if this node has it.
    pub(super) async fn leave(&self) {
        let mut runner = self
            .runner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(runner) = &mut runner {
            runner.stop().await;
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.registration.abort();
    }
}

/// Joins the fleet. etcd need not be there yet.
///
/// # Errors
/// If the configuration cannot be right.
pub(super) fn join(node: &NodeName, etcd: &Etcd, own: &Edge) -> Result<Opened> {
    let fleet = Fleet::connect(options(etcd)?).context("using etcd")?;
    let lease = LeaseName {
        namespace: NAMESPACE.to_owned(),
        name: LEASE.to_owned(),
    };
    let identity = identity(node);
    let membership = Membership {
        runner: Mutex::new(Some(operate(&fleet, own, node, &lease, &identity))),
        lease,
        identity,
        registration: tokio::spawn(register(fleet.clone(), own_node(node, etcd))),
    };
    let source = fleet.source(Role::Agent.kinds().iter().copied());
    Ok(Opened {
        origin: Origin::Etcd {
            urls: etcd.endpoints.join(","),
            trouble: source.trouble(),
        },
        hub: Hub::spawn(source),
        overrides: orders(own)?,
        role: Role::Agent,
        duties: None,
        remote: Some(Remote::Etcd(fleet)),
        guide: Some(Guide::Shared(membership)),
    })
}

fn options(etcd: &Etcd) -> Result<ConnectOptions> {
    let pair = |a: &Option<_>, b: &Option<_>| a.clone().zip(b.clone());
    anyhow::ensure!(
        etcd.certificate.is_some() == etcd.key.is_some(),
        "etcd: certificate and key go together"
    );
    anyhow::ensure!(
        etcd.user.is_some() == etcd.password_file.is_some(),
        "etcd: user and password-file go together"
    );
    Ok(ConnectOptions {
        prefix: etcd
            .prefix
            .clone()
            .unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
        ca: etcd.ca.clone(),
        identity: pair(&etcd.certificate, &etcd.key),
        user: etcd.user.clone().zip(etcd.password_file.clone()),
        ..ConnectOptions::new(etcd.endpoints.iter().cloned())
    })
}

/// Competes for the operators' lease, and does an operator's work while this node has it.
fn operate(
    fleet: &Fleet,
    own: &Edge,
    node: &NodeName,
    lease: &LeaseName,
    identity: &str,
) -> Runner {
    let facts = Facts {
        role: Role::Operator,
        secrets_namespace: own.bgp.secrets_namespace.as_str().into(),
        status_reports: own.bgp.status_report,
        forwarding: match own.balancer {
            Some(_) => Forwarding::Balancer,
            None => Forwarding::Elsewhere,
        },
        ..Facts::new(node.clone())
    };
    let duties = Duties {
        facts,
        families: Family::BOTH.to_vec(),
        bgp: own.bgp.enabled,
        writes: WRITES,
    };
    let options = Options {
        lease: lease.clone(),
        identity: identity.to_owned(),
        terms: Terms::default(),
        duties,
    };
    Runner::spawn(fleet.clone(), Field(fleet.clone()), options)
}

impl World for Field {
    type Source = FleetSource;
    type Writer = Fleet;

    fn source(&self, _: Fence) -> impl Future<Output = FleetSource> + Send + use<> {
        let fleet = self.0.clone();
        async move { fleet.source(Role::Operator.kinds().iter().copied()) }
    }

    fn writer(&self, lease: &LeaseName, term: &LeaseRecord) -> Fleet {
        self.0.fenced_by(lease, term)
    }
}

/// Another one for every process.
fn identity(node: &NodeName) -> String {
    use std::hash::{BuildHasher as _, RandomState};

    format!(
        "{node}_{:016x}",
        RandomState::new().hash_one(std::process::id())
    )
}

/// This node's own object, with what its configuration says.
fn own_node(node: &NodeName, etcd: &Etcd) -> Value {
    let mut labels = etcd.labels.clone();
    labels
        .entry("kubernetes.io/hostname".to_owned())
        .or_insert_with(|| node.to_string());
    let addresses = etcd.addresses.iter();
    let addresses: Vec<Value> = addresses
        .map(|addr| json!({ "type": "InternalIP", "address": addr }))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": node, "labels": labels },
        "status": { "addresses": addresses },
    })
}

/// Writes the node's own object once; it stays when the agent ends.
async fn register(fleet: Fleet, node: Value) {
    let mut pause = FIRST_PAUSE;
    loop {
        match fleet.apply(&node).await {
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "this node is not registered, and tries again");
            }
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_the_labels_and_addresses_of_its_configuration() {
        let etcd = Etcd {
            labels: [("rack".to_owned(), "r1".to_owned())].into(),
            addresses: vec!["10.0.0.1".parse().unwrap()],
            ..Etcd::default()
        };

        let node = own_node(&"n1".parse().unwrap(), &etcd);

        let labels = json!({ "rack": "r1", "kubernetes.io/hostname": "n1" });
        assert_eq!(node["metadata"]["labels"], labels);
        let read = api::Object::from_value(node, api::Strictness::Strict).unwrap();
        assert_eq!(read.key().to_string(), "Node/n1");
    }

    #[test]
    fn what_goes_together_is_given_together() {
        let half = Etcd {
            endpoints: vec!["http://e:2379".into()],
            user: Some("u".into()),
            ..Etcd::default()
        };

        assert!(
            options(&half)
                .unwrap_err()
                .to_string()
                .contains("password-file")
        );
        assert_ne!(
            identity(&"n".parse().unwrap()),
            identity(&"n".parse().unwrap())
        );
    }
}
