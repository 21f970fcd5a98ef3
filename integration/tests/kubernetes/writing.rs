//! Statuses, whole objects and leases on a real API server.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use api::{Kind, Statement, StatusPatch, Timestamp, Truth, Version};
use integration::cluster::{self, ControlPlane};
use serde_json::{Value, json};
use store::kubernetes::Cluster;
use store::{Applied, LeaseName, LeaseRecord, Leases, Objects as _, WriteError};

use super::view::{View, all, connect, install, key, service};

const SATISFIED: &str = "cilium.io/IPAMRequestSatisfied";

const POOL: &str = "\
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: blue}
spec: {blocks: [{cidr: 192.0.2.0/24}]}
";

fn patch(addresses: &[&str], truth: Truth) -> Result<StatusPatch> {
    let addresses: Result<Vec<IpAddr>, _> = addresses.iter().map(|addr| addr.parse()).collect();
    let statement = Statement::new(truth, "satisfied", "");
    Ok(StatusPatch {
        ingress: Some(addresses?),
        conditions: [(SATISFIED.to_owned(), Some(statement))].into(),
        ..StatusPatch::default()
    })
}

/// A status joins what others wrote: names of other programs and their conditions stay, a
/// condition's time moves with its truth only, and what is so already is not written.
#[test]
fn a_status_joins_what_is_there() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        control.apply(&service("default", "web"))?;
        let foreign = r#"{"status":{"loadBalancer":{"ingress":[{"hostname":"lb.example"}]},"conditions":[{"type":"example.com/Theirs","status":"True","reason":"R","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}"#;
        control.kubectl(&format!(
            "patch service web --subresource=status --type=merge -p {foreign}"
        ))?;
        let web = key(Kind::Service, "default", "web");
        let view = View::open(control.admin(), &all(&[Kind::Service]))?;
        let write = |truth, addresses: &[&str]| -> Result<()> {
            let version = view.version(&web)?;
            let patch = patch(addresses, truth)?;
            Ok(view.write(&web, &version, patch)?)
        };
        let object = || control.json("get service web");

        write(Truth::True, &["192.0.2.1", "2001:db8::1"])?;
        let first = object()?;
        let expected = json!([
            {"ip": "192.0.2.1", "ipMode": "VIP"},
            {"ip": "2001:db8::1", "ipMode": "VIP"},
            {"hostname": "lb.example"},
        ]);
        ensure!(
            first["status"]["loadBalancer"]["ingress"] == expected,
            "{first}"
        );
        ensure!(first["status"]["conditions"][1]["type"] == "example.com/Theirs");
        ensure!(first["status"]["conditions"][1]["lastTransitionTime"] == "2026-01-01T00:00:00Z");

        seen_as(&view, &web, &first)?;
        write(Truth::True, &["192.0.2.1", "2001:db8::1"])?;
        ensure!(version(&object()?) == version(&first), "it was written");

        write(Truth::True, &[])?;
        let released = object()?;
        ensure!(
            released["status"]["loadBalancer"]["ingress"] == json!([{"hostname": "lb.example"}]),
            "{released}"
        );
        let since =
            |object: &Value| object["status"]["conditions"][0]["lastTransitionTime"].clone();
        ensure!(since(&released) == since(&first));
        let whole = control.json("get service web --show-managed-fields")?;
        let managers = whole["metadata"]["managedFields"].to_string();
        ensure!(managers.contains("\"sluice\""), "{managers}");
        Ok(())
    });
}

/// A status is written on what was seen, or not at all.
#[test]
fn a_status_is_not_written_on_another_object_than_was_seen() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        install(&control)?;
        control.apply(&(service("default", "web") + POOL))?;
        let kinds = [Kind::Service, Kind::CiliumLoadBalancerIPPool];
        let view = View::open(control.admin(), &all(&kinds))?;

        for key in [
            key(Kind::Service, "default", "web"),
            key(Kind::CiliumLoadBalancerIPPool, "", "blue"),
        ] {
            let patch = StatusPatch {
                ingress: None,
                ..patch(&[], Truth::True)?
            };
            let write = |version: &Version| view.write(&key, version, patch.clone());
            let kind = key.kind.plural();
            let name = &key.name.name;
            let seen = view.version(&key)?;
            control.kubectl(&format!("label {kind} {name} moved=on"))?;

            let late = write(&seen);
            ensure!(late == Err(WriteError::Conflict), "{key}: {late:?}");
            view.until("the label is seen", |snapshot| {
                let object = snapshot.objects.get(&key);
                object.is_some_and(|object| object.meta().labels.contains_key("moved"))
            })?;
            write(&view.version(&key)?)?;
            let object = control.json(&format!("get {kind} {name}"))?;
            ensure!(
                object["status"]["conditions"][0]["type"] == SATISFIED,
                "{object}"
            );

            control.kubectl(&format!("delete {kind} {name}"))?;
            let gone = write(&seen);
            ensure!(gone == Err(WriteError::Gone), "{key}: {gone:?}");
        }
        Ok(())
    });
}

/// Whole objects are applied: what a manifest does not name stays, what it names no more goes.
#[test]
fn objects_are_applied_and_deleted() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        install(&control)?;
        let (runtime, cluster) = connect(control.admin(), Duration::from_secs(5))?;
        let apply = |manifest: &Value| runtime.block_on(cluster.apply(manifest));
        let pool = |labels: Value| {
            json!({
                "apiVersion": "cilium.io/v2",
                "kind": "CiliumLoadBalancerIPPool",
                "metadata": {"name": "blue", "labels": labels},
                "spec": {"blocks": [{"cidr": "192.0.2.0/24"}]},
            })
        };

        ensure!(apply(&pool(json!({"a": "1", "b": "2"})))? == Applied::Created);
        ensure!(apply(&pool(json!({"a": "1", "b": "2"})))? == Applied::Unchanged);
        control.kubectl("label ippool blue theirs=3")?;
        ensure!(apply(&pool(json!({"a": "1"})))? == Applied::Changed);
        let labels = control.json("get ippool blue")?["metadata"]["labels"].clone();
        ensure!(labels == json!({"a": "1", "theirs": "3"}), "{labels}");

        // Of a kind that nobody here reads.
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": "default"}, "data": {"a": "b"},
        });
        ensure!(apply(&map)? == Applied::Created);
        ensure!(apply(&map)? == Applied::Unchanged);
        let unknown = json!({
            "apiVersion": "v1", "kind": "Nothing", "metadata": {"name": "a"},
        });
        ensure!(matches!(apply(&unknown), Err(WriteError::Unavailable(_))));
        let mut senseless = pool(json!({}));
        senseless["spec"]["blocks"] = json!("all of them");
        ensure!(matches!(apply(&senseless), Err(WriteError::Forbidden(_))));

        let blue = key(Kind::CiliumLoadBalancerIPPool, "", "blue");
        ensure!(runtime.block_on(cluster.delete(&blue))?);
        ensure!(!runtime.block_on(cluster.delete(&blue))?);
        Ok(())
    });
}

/// A lease goes to who saw it as it is, and to nobody else.
#[test]
fn a_lease_goes_to_one_of_two() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        let (runtime, one) = connect(control.admin(), Duration::from_secs(5))?;
        let other = one.clone();
        let name = LeaseName {
            namespace: "kube-system".to_owned(),
            name: "sluicegate-operator".to_owned(),
        };
        let record = |holder: &str, second: i64| -> Result<LeaseRecord> {
            Ok(LeaseRecord {
                holder: holder.to_owned(),
                duration: Duration::from_secs(15),
                acquired: "2026-11-20T10:00:00.000001Z".parse::<Timestamp>()?,
                renewed: Timestamp::from_second(1_800_000_000 + second)?,
                transitions: 1,
            })
        };
        let write = |by: &Cluster, holder: &str, second: i64, seen: Option<&Version>| {
            let record = record(holder, second)?;
            anyhow::Ok(runtime.block_on(Leases::write(by, &name, &record, seen)))
        };

        ensure!(runtime.block_on(one.read(&name))?.is_none());
        let first = write(&one, "one", 0, None)??;
        ensure!(write(&other, "other", 0, None)? == Err(WriteError::Conflict));
        let second = write(&one, "one", 1, Some(&first))??;
        ensure!(write(&other, "other", 1, Some(&first))? == Err(WriteError::Conflict));

        let (read, version) = runtime.block_on(one.read(&name))?.context("it is gone")?;
        ensure!(read == record("one", 1)? && version == second, "{read:?}");
        let shown = control.kubectl("get lease -n kube-system sluicegate-operator -o name")?;
        ensure!(shown.trim() == "lease.coordination.k8s.io/sluicegate-operator");
        Ok(())
    });
}

/// Waits until the object is seen as kubectl shows it.
fn seen_as(view: &View, key: &api::Key, shown: &Value) -> Result<()> {
    view.until("what was written is seen", |snapshot| {
        let object = snapshot.objects.get(key);
        object.is_some_and(|object| object.meta().resource_version.as_deref() == version(shown))
    })?;
    Ok(())
}

fn version(object: &Value) -> Option<&str> {
    object.pointer("/metadata/resourceVersion")?.as_str()
}
