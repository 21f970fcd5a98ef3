//! Statuses and whole objects.

use std::net::IpAddr;

use api::{Ingress, Key, Kind, Object, Statement, StatusPatch, Truth, Version};
use serde_json::{Value, json};
use store::{Applied, Objects as _, Statuses as _, WriteError, version_of};
use types::ObjectName;

use crate::server::{Etcd, program};
use crate::support::{Follower, fleet, pool, pool_key};

#[tokio::test]
async fn a_status_is_written_on_what_was_seen_and_comes_back() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);
    fleet.apply(&web(80)).await.unwrap();
    let mut follower = Follower::of(&fleet);
    follower.synced().await;
    let seen = version_of(&follower.objects[&web_key()]);

    fleet
        .write(web_key(), seen.clone(), addresses(&["10.0.0.1"]))
        .await
        .unwrap();
    let stale = fleet.write(web_key(), seen, addresses(&["10.0.0.2"])).await;
    follower
        .until("the address", |known| {
            ingress(&known.objects[&web_key()]) == ["10.0.0.1"]
        })
        .await;
    let now = version_of(&follower.objects[&web_key()]);
    let again = fleet
        .write(web_key(), now.clone(), addresses(&["10.0.0.1"]))
        .await;

    assert_eq!(stale, Err(WriteError::Conflict));
    assert_eq!(again, Ok(()));
    let held = fleet.get(&web_key()).await.unwrap().unwrap();
    // The same again was not written.
    assert_eq!(held["metadata"]["resourceVersion"], now.as_str());
    assert_eq!(held["metadata"]["generation"], 1);
}

#[tokio::test]
async fn a_status_outlives_what_is_applied() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);
    fleet.apply(&web(80)).await.unwrap();
    let seen = Version::new(version(&fleet.get(&web_key()).await.unwrap().unwrap()));
    let mut patch = addresses(&["10.0.0.1"]);
    let statement = Statement::new(Truth::True, "satisfied", "");
    patch
        .conditions
        .insert("cilium.io/IPAMRequestSatisfied".into(), Some(statement));
    fleet.write(web_key(), seen, patch).await.unwrap();

    let mut manifest = web(8080);
    manifest["status"] = json!({"loadBalancer": {"ingress": [{"ip": "10.9.9.9"}]}});
    let applied = fleet.apply(&manifest).await;
    let again = fleet.apply(&manifest).await;

    assert_eq!(applied, Ok(Applied::Changed));
    assert_eq!(again, Ok(Applied::Unchanged));
    let held = fleet.get(&web_key()).await.unwrap().unwrap();
    assert_eq!(held["metadata"]["generation"], 2);
    assert_eq!(
        held["status"]["loadBalancer"]["ingress"][0]["ip"],
        "10.0.0.1"
    );
    assert_eq!(held["status"]["conditions"][0]["reason"], "satisfied");
}

#[tokio::test]
async fn what_is_gone_and_what_is_wrong_is_said() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);

    let gone = fleet
        .write(web_key(), Version::new("7"), addresses(&["10.0.0.1"]))
        .await;
    let bad = fleet.apply(&pool("blue", "10.0.0.0/33")).await;
    let large = fleet.apply(&large()).await;
    let deleted = fleet.delete(&web_key()).await;

    assert_eq!(gone, Err(WriteError::Gone));
    assert_eq!(deleted, Ok(false));
    let Err(WriteError::Forbidden(reason)) = bad else {
        panic!("{bad:?}");
    };
    assert!(reason.starts_with("spec.blocks[0].cidr: "), "{reason}");
    let Err(WriteError::Forbidden(reason)) = large else {
        panic!("{large:?}");
    };
    assert!(reason.contains("larger than max"), "{reason}");
}

#[tokio::test]
async fn writes_at_the_same_time_lose_nothing() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);
    fleet.apply(&web(80)).await.unwrap();

    let statuses = async {
        for n in 0..40 {
            // Whoever writes statuses looks again when there was a conflict.
            loop {
                let held = fleet.get(&web_key()).await.unwrap().unwrap();
                let seen = Version::new(version(&held));
                let address = format!("10.0.0.{n}");
                match fleet.write(web_key(), seen, addresses(&[&address])).await {
                    Ok(()) => break,
                    Err(error) => assert_eq!(error, WriteError::Conflict),
                }
            }
        }
    };
    let specs = async {
        for n in 1..=40 {
            while fleet.apply(&web(n)).await == Err(WriteError::Conflict) {}
        }
    };
    tokio::join!(statuses, specs);

    let held = fleet.get(&web_key()).await.unwrap().unwrap();
    assert_eq!(held["spec"]["ports"][0]["port"], 40);
    assert_eq!(
        held["status"]["loadBalancer"]["ingress"][0]["ip"],
        "10.0.0.39"
    );
    assert_eq!(held["metadata"]["generation"], 41);
}

#[tokio::test]
async fn an_object_that_is_made_again_is_another() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let fleet = fleet(&etcd.url);
    let made = fleet.apply(&pool("blue", "10.0.0.0/24")).await;
    let first = fleet.get(&pool_key("blue")).await.unwrap().unwrap();

    let deleted = fleet.delete(&pool_key("blue")).await;
    let again = fleet.apply(&pool("blue", "10.0.0.0/24")).await;
    let second = fleet.get(&pool_key("blue")).await.unwrap().unwrap();

    assert_eq!((made, deleted), (Ok(Applied::Created), Ok(true)));
    assert_eq!(again, Ok(Applied::Created));
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
}

fn web(port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": port}]},
    })
}

/// More than etcd takes.
fn large() -> Value {
    let mut large = web(80);
    large["metadata"]["annotations"] = json!({"example.org/all": "x".repeat(2 << 20)});
    large
}

fn web_key() -> Key {
    Key::new(Kind::Service, ObjectName::new("shop", "web"))
}

fn addresses(addresses: &[&str]) -> StatusPatch {
    let addresses = addresses.iter().map(|address| address.parse().unwrap());
    StatusPatch {
        ingress: Some(addresses.collect::<Vec<IpAddr>>()),
        ..StatusPatch::default()
    }
}

fn ingress(object: &Object) -> Vec<String> {
    let Object::Service(service) = object else {
        panic!("it is a Service");
    };
    let shown = service.ingress.iter().map(|ingress| match ingress {
        Ingress::Ip(address) => address.to_string(),
        Ingress::Hostname(name) => name.clone(),
    });
    shown.collect()
}

fn version(document: &Value) -> String {
    let version = document["metadata"]["resourceVersion"].as_str();
    version.unwrap().to_owned()
}
