//! What was seen, judged: what runs, and what is wrong.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::look::{Seen, count_images};

/// An installation as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Picture {
    /// Where it is.
    pub(super) namespace: String,
    /// The agents.
    pub(super) agent: Workload,
    /// The operators.
    pub(super) operator: Workload,
    /// The operator that leads.
    pub(super) leader: Option<String>,
}

/// A DaemonSet or a Deployment, and its pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Workload {
    /// DaemonSet or Deployment.
    pub(super) kind: &'static str,
    /// Its name; none if it is not there.
    pub(super) name: Option<String>,
    /// How many pods there are to be.
    pub(super) desired: i32,
    /// How many are ready.
    pub(super) ready: i32,
    /// How many are ready for long enough.
    pub(super) available: i32,
    /// How many pods are in which phase.
    pub(super) phases: BTreeMap<String, usize>,
    /// How many pods run which image.
    pub(super) images: BTreeMap<String, usize>,
    /// What is wrong.
    pub(super) errors: Vec<String>,
    /// What will be right on its own, or is worse than it should be.
    pub(super) warnings: Vec<String>,
}

impl Picture {
    /// Judges what was seen.
    pub(super) fn of(seen: &Seen, namespace: &str, now: Timestamp) -> Self {
        let agent = agents(seen.agents.as_ref(), &seen.agent_pods, namespace);
        let mut operator = operators(seen.operators.as_ref(), &seen.operator_pods, namespace);
        let leader = seen.lease.as_ref().and_then(|lease| leader(lease, now));
        if operator.ready > 0 && leader.is_none() {
            let none = "no operator leads: new addresses wait, and nothing else does";
            operator.warnings.push(none.to_owned());
        }
        Self {
            namespace: namespace.to_owned(),
            agent,
            operator,
            leader,
        }
    }

    /// Whether everything runs.
    pub(super) fn is_well(&self) -> bool {
        [&self.agent, &self.operator]
            .iter()
            .all(|workload| workload.errors.is_empty() && workload.warnings.is_empty())
    }

    /// What is waited for, in one line.
    pub(super) fn waiting_for(&self) -> String {
        let all = [&self.agent, &self.operator];
        let said = all
            .iter()
            .flat_map(|workload| workload.errors.iter().chain(&workload.warnings));
        said.cloned().collect::<Vec<_>>().join("; ")
    }
}

impl Workload {
    /// What is said of it in the picture.
    pub(super) fn summary(&self) -> String {
        let count = |items: &[String], noun: &str| {
            (!items.is_empty()).then(|| format!("{} {noun}", items.len()))
        };
        let counts = [
            count(&self.errors, "errors"),
            count(&self.warnings, "warnings"),
        ];
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        if counts.is_empty() {
            return "OK".to_owned();
        }
        counts.join(", ")
    }

    fn missing(kind: &'static str, name: &str, namespace: &str) -> Self {
        let error = format!("there is no {kind} of {name} in namespace {namespace}");
        Self {
            kind,
            errors: vec![error],
            ..Self::default()
        }
    }

    /// Adds what the pods say.
    fn with_pods(mut self, pods: &[Pod]) -> Self {
        for pod in pods {
            let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
            let phase = phase.unwrap_or_else(|| "Unknown".to_owned());
            *self.phases.entry(phase).or_insert(0) += 1;
            self.errors.extend(waits(pod));
        }
        self.images = count_images(pods);
        let not_ready = self.desired - self.ready;
        if not_ready > 0 {
            let name = self.name.as_deref().unwrap_or_default();
            let text = format!(
                "{not_ready} of {} pods of {} {name} are not ready",
                self.desired, self.kind
            );
            self.errors.insert(0, text);
        }
        self
    }
}

fn agents(set: Option<&DaemonSet>, pods: &[Pod], namespace: &str) -> Workload {
    let Some(set) = set else {
        return Workload::missing("DaemonSet", "agents", namespace);
    };
    let status = set.status.clone().unwrap_or_default();
    let desired = status.desired_number_scheduled;
    let mut workload = Workload {
        kind: "DaemonSet",
        name: set.metadata.name.clone(),
        desired,
        ready: status.number_ready,
        available: status.number_available.unwrap_or(0),
        ..Workload::default()
    };
    let old = desired - status.updated_number_scheduled.unwrap_or(0);
    if status.observed_generation != set.metadata.generation {
        workload
            .warnings
            .push("the DaemonSet was changed just now".to_owned());
    } else if desired == 0 {
        workload.warnings.push("no node takes an agent".to_owned());
    } else if old > 0 {
        let text = format!("{old} pods are not of the newest version yet");
        workload.warnings.push(text);
    }
    workload.with_pods(pods)
}

fn operators(set: Option<&Deployment>, pods: &[Pod], namespace: &str) -> Workload {
    let Some(set) = set else {
        return Workload::missing("Deployment", "operators", namespace);
    };
    let status = set.status.clone().unwrap_or_default();
    let desired = set
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let mut workload = Workload {
        kind: "Deployment",
        name: set.metadata.name.clone(),
        desired,
        ready: status.ready_replicas.unwrap_or(0),
        available: status.available_replicas.unwrap_or(0),
        ..Workload::default()
    };
    let old = desired - status.updated_replicas.unwrap_or(0);
    if status.observed_generation != set.metadata.generation {
        workload
            .warnings
            .push("the Deployment was changed just now".to_owned());
    } else if desired == 0 {
        workload
            .warnings
            .push("no operator is wanted: new addresses wait".to_owned());
    } else if old > 0 {
        let text = format!("{old} pods are not of the newest version yet");
        workload.warnings.push(text);
    }
    workload.with_pods(pods)
}

/// Why a pod's containers do not run.
fn waits(pod: &Pod) -> Vec<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let statuses = pod.status.iter().flat_map(|status| {
        let containers = status.container_statuses.iter();
        containers.flatten()
    });
    let waiting = statuses.filter_map(|status| status.state.as_ref()?.waiting.as_ref());
    waiting
        // Every pod begins with this one.
        .filter(|waiting| waiting.reason.as_deref() != Some("ContainerCreating"))
        .map(|waiting| {
            let reason = waiting.reason.as_deref().unwrap_or("waiting");
            match waiting.message.as_deref() {
                Some(message) => format!("pod {name}: {reason}: {message}"),
                None => format!("pod {name}: {reason}"),
            }
        })
        .collect()
}

/// Who holds the lease now.
fn leader(lease: &Lease, now: Timestamp) -> Option<String> {
    let spec = lease.spec.as_ref()?;
    let holder = spec
        .holder_identity
        .clone()
        .filter(|holder| !holder.is_empty())?;
    let renewed = spec.renew_time.as_ref()?.0;
    let lasts = spec.lease_duration_seconds.unwrap_or(0);
    // Its clock is not ours: what ran out a moment ago may have been renewed.
    let slack = lasts.saturating_mul(2);
    let age = now.duration_since(renewed).as_secs();
    (age <= i64::from(slack)).then_some(holder)
}

#[cfg(test)]
mod tests;
