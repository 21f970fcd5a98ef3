use std::os::unix::fs::symlink;

use serde_json::json;
use tempfile::TempDir;
use types::ObjectName;

use super::super::{check, read};
use super::*;

#[tokio::test]
async fn a_new_object_gets_a_file_that_says_where_it_belongs() {
    let dir = TempDir::new().unwrap();
    let files = ManifestFiles::new(dir.path().join("manifests"));

    let pool = files.apply(&pool("blue", "10.0.0.0/24")).await;
    let web = files.apply(&service()).await;
    let again = files.apply(&service()).await;

    assert_eq!((pool, web), (Ok(Applied::Created), Ok(Applied::Created)));
    assert_eq!(again, Ok(Applied::Unchanged));
    let (found, faults) = read(files.root());
    let places: Vec<&str> = found.iter().map(|found| found.file.as_ref()).collect();
    assert_eq!(
        places,
        [
            "ciliumloadbalancerippools/blue.yaml",
            "services/shop/web.yaml"
        ]
    );
    assert!(faults.is_empty(), "{faults:?}");
}

#[tokio::test]
async fn an_object_is_changed_where_it_is() {
    let dir = with(&[(
        "all.yaml",
        &format!(
            "# Ours.\n{}\n---\n{}\n",
            pool("blue", "10.0.0.0/24"),
            service()
        ),
    )]);
    let files = ManifestFiles::new(dir.path());

    let changed = files.apply(&pool("blue", "10.0.9.0/24")).await;

    assert_eq!(changed, Ok(Applied::Changed));
    let text = fs::read_to_string(dir.path().join("all.yaml")).unwrap();
    assert!(text.starts_with("# Ours.\n"), "{text}");
    assert!(text.contains("10.0.9.0/24") && text.ends_with(&format!("---\n{}\n", service())));
    assert_eq!(read(dir.path()).0.len(), 2);
}

#[tokio::test]
async fn deleting_takes_the_document_and_then_the_file() {
    let dir = with(&[(
        "all.yaml",
        &format!("{}\n---\n{}\n", pool("blue", "10.0.0.0/24"), service()),
    )]);
    let files = ManifestFiles::new(dir.path());
    let file = dir.path().join("all.yaml");

    let first = files.delete(&key("blue")).await;
    let is_there = file.exists();
    let web = Key::new(Kind::Service, ObjectName::new("shop", "web"));
    let second = files.delete(&web).await;
    let third = files.delete(&web).await;

    assert_eq!((first, second, third), (Ok(true), Ok(true), Ok(false)));
    assert!(is_there && !file.exists());
    assert!(check(dir.path()).is_empty());
}

#[tokio::test]
async fn what_another_program_changed_meanwhile_is_seen() {
    let dir = with(&[("a.yaml", &pool("blue", "10.0.0.0/24").to_string())]);
    let files = ManifestFiles::new(dir.path());
    assert_eq!(
        files.apply(&pool("blue", "10.0.0.0/24")).await,
        Ok(Applied::Unchanged)
    );

    fs::rename(dir.path().join("a.yaml"), dir.path().join("b.yaml")).unwrap();
    let changed = files.apply(&pool("blue", "10.0.1.0/24")).await;

    assert_eq!(changed, Ok(Applied::Changed));
    assert!(!dir.path().join("a.yaml").exists());
    assert_eq!(read(dir.path()).0.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_changes_nothing() {
    let list = json!({
        "apiVersion": "v1", "kind": "List", "items": [pool("blue", "10.0.0.0/24")],
    });
    let twice = pool("green", "10.0.1.0/24").to_string();
    let dir = with(&[
        ("list.json", &list.to_string()),
        ("a.yaml", &twice),
        ("b.yaml", &twice),
        ("ciliumloadbalancerippools/red.yaml", &service().to_string()),
    ]);
    let files = ManifestFiles::new(dir.path());

    let in_list = files.delete(&key("blue")).await;
    let is_twice = files.apply(&pool("green", "10.0.2.0/24")).await;
    let is_taken = files.apply(&pool("red", "10.0.2.0/24")).await;
    let is_bad = files.apply(&pool("white", "10.0.0.0/33")).await;

    assert_eq!(
        said(in_list),
        "list.json: the object is an item of a List: edit the file by hand"
    );
    assert_eq!(
        said(is_twice),
        "CiliumLoadBalancerIPPool/green is there more than once: remove it from all but one of \
         a.yaml, b.yaml"
    );
    assert_eq!(
        said(is_taken),
        "ciliumloadbalancerippools/red.yaml is there and has something else in it"
    );
    assert!(said(is_bad).starts_with("spec.blocks[0].cidr: "));
}

#[tokio::test]
async fn a_secret_is_its_owners_and_a_link_stays_a_link() {
    let dir = with(&[("real/.pool", &pool("blue", "10.0.0.0/24").to_string())]);
    symlink("real/.pool", dir.path().join("pool.yaml")).unwrap();
    let files = ManifestFiles::new(dir.path());

    files.apply(&secret()).await.unwrap();
    files.apply(&pool("blue", "10.0.1.0/24")).await.unwrap();

    let secret = fs::metadata(dir.path().join("secrets/shop/peers.yaml")).unwrap();
    assert_eq!(secret.permissions().mode() & 0o777, 0o600);
    assert!(dir.path().join("pool.yaml").is_symlink());
    let text = fs::read_to_string(dir.path().join("real/.pool")).unwrap();
    assert!(text.contains("10.0.1.0/24"), "{text}");
}

#[tokio::test]
async fn what_a_cluster_gave_does_not_get_into_a_file() {
    let dir = TempDir::new().unwrap();
    let files = ManifestFiles::new(dir.path());
    let mut exported = pool("blue", "10.0.0.0/24");
    exported["metadata"]["uid"] = json!("6a1c");
    exported["metadata"]["resourceVersion"] = json!("812");
    exported["metadata"]["creationTimestamp"] = json!("2026-11-20T12:00:00Z");

    files.apply(&exported).await.unwrap();

    assert_eq!(*read(dir.path()).0[0].value, pool("blue", "10.0.0.0/24"));
    assert_eq!(files.rehearse(&exported), Ok(Applied::Unchanged));
}

fn with(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn said<T: std::fmt::Debug>(outcome: Result<T, WriteError>) -> String {
    match outcome {
        Err(WriteError::Forbidden(reason)) => reason,
        outcome => panic!("{outcome:?}"),
    }
}

fn key(name: &str) -> Key {
    Key::new(Kind::CiliumLoadBalancerIPPool, ObjectName::of_cluster(name))
}

fn pool(name: &str, cidr: &str) -> Value {
    json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumLoadBalancerIPPool",
        "metadata": {"name": name}, "spec": {"blocks": [{"cidr": cidr}]},
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"ports": [{"port": 80}]},
    })
}

fn secret() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "peers", "namespace": "shop"},
        "stringData": {"password": "x"},
    })
}
