//! Leases as records in etcd.
//!
//! Beside the lease there is a key that says whose term it is, written in the same transaction. It
//! changes only with the holder, so that a transaction can depend on it while the lease is renewed.

use std::time::Duration;

use api::{Timestamp, Version};
use serde::{Deserialize, Serialize};

use super::fleet::{Fleet, term};
use super::writes::{Store, Swap};
use crate::source::{LeaseName, LeaseRecord, Leases, WriteError};

/// A lease as `coordination.k8s.io/v1` has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLease {
    api_version: String,
    kind: String,
    metadata: RawMetadata,
    spec: RawSpec,
}

#[derive(Debug, Serialize, Deserialize)]
struct RawMetadata {
    namespace: String,
    name: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpec {
    #[serde(default)]
    holder_identity: String,
    lease_duration_seconds: u64,
    acquire_time: Timestamp,
    renew_time: Timestamp,
    #[serde(default)]
    lease_transitions: u32,
}

impl Leases for Fleet {
    async fn read(&self, name: &LeaseName) -> Result<Option<(LeaseRecord, Version)>, WriteError> {
        let Some(found) = self.fetch(&self.layout.lease(name)).await? else {
            return Ok(None);
        };
        let record = parse(found.value()).map_err(|error| {
            WriteError::Forbidden(format!(
                "what etcd has as the lease {name} is none: {error}"
            ))
        })?;
        Ok(Some((record, version(found.mod_revision()))))
    }

    async fn write(
        &self,
        name: &LeaseName,
        record: &LeaseRecord,
        seen: Option<&Version>,
    ) -> Result<Version, WriteError> {
        let seen = match seen {
            None => 0,
            Some(seen) => seen.as_str().parse().map_err(|_| WriteError::Conflict)?,
        };
        let stores = [
            (self.layout.lease(name), Store::Put(text(name, record))),
            (
                self.layout.term(name),
                Store::Put(term(record).into_bytes()),
            ),
        ];
        // Whoever takes a lease cannot depend on having it.
        let free = Self {
            fence: None,
            ..self.clone()
        };
        match free.swap(seen, &stores).await? {
            Swap::Done(revision) => Ok(version(revision)),
            Swap::Differs(_) => Err(WriteError::Conflict),
        }
    }
}

fn text(name: &LeaseName, record: &LeaseRecord) -> Vec<u8> {
    let lease = RawLease {
        api_version: "coordination.k8s.io/v1".to_owned(),
        kind: "Lease".to_owned(),
        metadata: RawMetadata {
            namespace: name.namespace.clone(),
            name: name.name.clone(),
        },
        spec: RawSpec {
            holder_identity: record.holder.clone(),
            lease_duration_seconds: record.duration.as_secs(),
            acquire_time: record.acquired,
            renew_time: record.renewed,
            lease_transitions: record.transitions,
        },
    };
    // Strings and numbers only: they can be written.
    serde_json::to_vec(&lease).unwrap_or_default()
}

fn parse(value: &[u8]) -> Result<LeaseRecord, serde_json::Error> {
    let lease: RawLease = serde_json::from_slice(value)?;
    let spec = lease.spec;
    Ok(LeaseRecord {
        holder: spec.holder_identity,
        duration: Duration::from_secs(spec.lease_duration_seconds),
        acquired: spec.acquire_time,
        renewed: spec.renew_time,
        transitions: spec.lease_transitions,
    })
}

fn version(revision: i64) -> Version {
    Version::new(revision.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_reads_as_it_was_written() {
        let name = LeaseName {
            namespace: "kube-system".into(),
            name: "sluicegate-operator".into(),
        };
        let record = LeaseRecord {
            holder: "edge1".into(),
            duration: Duration::from_secs(15),
            acquired: "2026-11-20T12:00:00.000001Z".parse().unwrap(),
            renewed: "2026-11-20T12:00:02.5Z".parse().unwrap(),
            transitions: 3,
        };

        let text = text(&name, &record);

        assert_eq!(parse(&text).unwrap(), record);
        assert!(parse(b"{}").is_err());
    }
}
