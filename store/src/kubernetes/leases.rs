//! Leases of a cluster: `coordination.k8s.io/v1`.
//!
//! They do not wait for other writes: a leader that cannot renew in time is none.

use std::time::Duration;

use api::{Timestamp, Version};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::{Ask, Cluster};
use super::failure::Failure;
use super::resource::{Address, MANAGER, Resource};
use super::statuses::{read, version};
use crate::source::{LeaseName, LeaseRecord, Leases, WriteError};

/// A lease of which nobody said how long it lasts.
const USUAL: Duration = Duration::from_secs(15);

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<u64>,
    acquire_time: Option<Timestamp>,
    renew_time: Option<Timestamp>,
    lease_transitions: Option<u32>,
}

impl Leases for Cluster {
    async fn read(&self, name: &LeaseName) -> Result<Option<(LeaseRecord, Version)>, WriteError> {
        // Without a version it is read from etcd's majority.
        let lease = match self.ask(Ask::get(object(name))).await {
            Ok(answer) => read(&answer.body)?,
            Err(Failure::NotFound) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let seen = seen(&lease)?;
        Ok(Some((record(&lease)?, seen)))
    }

    async fn write(
        &self,
        name: &LeaseName,
        record: &LeaseRecord,
        seen: Option<&Version>,
    ) -> Result<Version, WriteError> {
        let (method, address) = match seen {
            Some(_) => (Method::PUT, object(name)),
            None => (Method::POST, resource().list(Some(&name.namespace))),
        };
        let answer = self
            .ask(Ask {
                method,
                address: self
                    .limited(address.with("fieldManager", MANAGER))
                    .into_text(),
                body: Some(("application/json", lease(name, record, seen))),
            })
            .await?;
        self::seen(&read(&answer.body)?)
    }
}

fn resource() -> Resource {
    Resource {
        api_version: "coordination.k8s.io/v1".to_owned(),
        plural: "leases".to_owned(),
        namespaced: true,
    }
}

fn object(name: &LeaseName) -> Address {
    resource().object(&name.namespace, &name.name)
}

fn seen(lease: &Value) -> Result<Version, WriteError> {
    let version = version(lease).map(Version::new);
    version.ok_or_else(|| WriteError::Unavailable("the lease has no version".to_owned()))
}

fn record(lease: &Value) -> Result<LeaseRecord, WriteError> {
    let spec = lease.get("spec").cloned().unwrap_or_default();
    let spec: Option<Spec> = serde_json::from_value(spec)
        .map_err(|error| WriteError::Unavailable(format!("the lease cannot be read: {error}")))?;
    let spec = spec.unwrap_or_default();
    Ok(LeaseRecord {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: spec
            .lease_duration_seconds
            .map_or(USUAL, Duration::from_secs),
        acquired: spec.acquire_time.unwrap_or_default(),
        renewed: spec.renew_time.unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or_default(),
    })
}

fn lease(name: &LeaseName, record: &LeaseRecord, seen: Option<&Version>) -> Vec<u8> {
    // The server takes a version that is nothing for none.
    let metadata = json!({
        "namespace": name.namespace,
        "name": name.name,
        "resourceVersion": seen.map(Version::as_str),
    });
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": record.holder,
            // Whole seconds, and at least one.
            "leaseDurationSeconds": record.duration.as_millis().div_ceil(1000).max(1),
            "acquireTime": micro(record.acquired),
            "renewTime": micro(record.renewed),
            "leaseTransitions": record.transitions,
        },
    });
    lease.to_string().into_bytes()
}

/// Leases have their times in microseconds.
fn micro(time: Timestamp) -> String {
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> LeaseName {
        LeaseName {
            namespace: "kube-system".to_owned(),
            name: "sluicegate-operator".to_owned(),
        }
    }

    #[test]
    fn a_lease_says_what_the_record_says() {
        let lease_record = LeaseRecord {
            holder: "a".to_owned(),
            duration: Duration::from_secs(15),
            acquired: "2026-11-20T10:00:00.123456Z".parse().unwrap(),
            renewed: "2026-11-20T10:00:05Z".parse().unwrap(),
            transitions: 3,
        };
        let version = Version::new("7");

        let body = lease(&name(), &lease_record, Some(&version));
        let value: Value = serde_json::from_slice(&body).unwrap();

        assert_eq!(value["spec"]["renewTime"], "2026-11-20T10:00:05.000000Z");
        assert_eq!(value["metadata"]["resourceVersion"], "7");
        assert_eq!(record(&value), Ok(lease_record));
    }

    #[test]
    fn a_lease_that_was_given_back_has_no_holder() {
        let lease = json!({"spec": {"leaseDurationSeconds": 1, "renewTime": null}});

        let record = record(&lease).unwrap();

        assert_eq!(record.holder, "");
        assert_eq!(record.duration, Duration::from_secs(1));
    }
}
