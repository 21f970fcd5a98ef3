//! Runs `sluice plan`, `explain` and `lb-ipam` on directories: what is printed, and the exit status.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const POOL: &str = "
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: blue}
spec: {blocks: [{cidr: 10.0.0.0/30}]}
";
const WEB: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, ports: [{port: 80}]}
";
const SLICE: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 80}]
endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}}]
";

#[test]
fn a_new_directory_is_all_new_and_cuts_nothing() {
    let new = directory(&[
        ("pool.yaml", POOL),
        ("web.yaml", WEB),
        ("slice.yaml", SLICE),
    ]);

    let out = sluice(&["plan", "-f", &path(&new)]);

    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert_eq!(
        text(&out),
        "Addresses:\n  \
           + shop/web 10.0.0.0\n\
         Pools:\n  \
           + blue: 3 of 4 available\n\
         Balanced services:\n  \
           + shop/web:80: +10.0.0.0:80/TCP +10.1.0.1:80 weight 100 (on node)\n\
         No traffic is cut.\n"
    );
}

#[test]
fn a_cut_is_named_and_the_status_is_2() {
    let old = directory(&[
        ("pool.yaml", POOL),
        ("web.yaml", WEB),
        ("slice.yaml", SLICE),
    ]);
    let new = directory(&[
        ("pool.yaml", &POOL.replace("10.0.0.0/30", "10.0.1.0/30")),
        ("web.yaml", WEB),
        ("slice.yaml", SLICE),
    ]);

    let out = sluice(&["plan", "-f", &path(&new), "--against", &path(&old)]);

    assert_eq!(out.status.code(), Some(2), "{out:?}");
    assert!(text(&out).ends_with(
        "TRAFFIC WOULD BE CUT:\n  \
           ! address 10.0.0.0: shop/web has 10.0.1.0 instead after 60 s\n"
    ));
}

#[test]
fn the_document_keeps_its_names() {
    let old = directory(&[
        ("pool.yaml", POOL),
        ("web.yaml", WEB),
        ("slice.yaml", SLICE),
    ]);
    let new = directory(&[
        ("pool.yaml", POOL),
        ("web.yaml", &WEB.replace("port: 80", "port: 81")),
        ("slice.yaml", SLICE),
        (
            "bad.yaml",
            &POOL.replace("blue", "bad").replace("/30", "/33"),
        ),
    ]);

    let out = sluice(&[
        "plan",
        "-f",
        &path(&new),
        "--against",
        &path(&old),
        "-o",
        "json",
    ]);

    assert_eq!(out.status.code(), Some(2), "{out:?}");
    let plan: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        plan,
        json!({
            "cuts": [{
                "kind": "vip", "what": "10.0.0.0:80/TCP",
                "why": "shop/web does not have it any more",
            }],
            "addresses": [],
            "pools": [],
            "sessions": [],
            "routes": [],
            "services": [
                {
                    "service": "shop/web:80", "step": "removed",
                    "frontendsAdded": [], "frontendsRemoved": ["10.0.0.0:80/TCP"],
                    "backendsAdded": [], "backendsRemoved": ["10.1.0.1:80 weight 100"],
                    "nodes": ["node"],
                },
                {
                    "service": "shop/web:81", "step": "added",
                    "frontendsAdded": ["10.0.0.0:81/TCP"], "frontendsRemoved": [],
                    "backendsAdded": ["10.1.0.1:81 weight 100"], "backendsRemoved": [],
                    "nodes": ["node"],
                },
            ],
            "leftOut": [],
            "refused": [{
                "place": "bad.yaml:5", "object": "CiliumLoadBalancerIPPool/bad: spec.blocks[0].cidr",
                "reason": "prefix length 33 is larger than 32",
            }],
        })
    );
}

#[test]
fn what_is_refused_stays_as_it_is() {
    let old = directory(&[
        ("pool.yaml", POOL),
        ("web.yaml", WEB),
        ("slice.yaml", SLICE),
    ]);
    let new = directory(&[
        ("pool.yaml", POOL),
        ("web.yaml", &WEB.replace("port: 80", "port: 99999")),
        ("slice.yaml", SLICE),
    ]);

    let out = sluice(&["plan", "-f", &path(&new), "--against", &path(&old)]);

    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert!(
        text(&out).starts_with("Refused (stays as it is):\n  ! web.yaml:5: Service/shop/web: ")
    );
    assert!(text(&out).ends_with("Nothing changes.\nNo traffic is cut.\n"));
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let broken = directory(&[("pool.yaml", "{")]);

    let out = sluice(&["plan", "-f", &path(&broken)]);
    let absent = sluice(&["plan", "-f", "/absent"]);

    assert_eq!(out.status.code(), Some(1), "{out:?}");
    assert_eq!(absent.status.code(), Some(1), "{absent:?}");
}

#[test]
fn the_first_broken_link_of_an_address_is_named() {
    let dir = directory(&[
        ("pool.yaml", POOL),
        ("web.yaml", WEB),
        ("slice.yaml", SLICE),
    ]);

    let out = sluice(&["explain", "vip", "10.0.0.0", "--manifests", &path(&dir)]);

    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let last = text(&out).lines().last().unwrap().to_owned();
    assert!(
        last.starts_with("10.0.0.0: advertisement is broken: "),
        "{last}"
    );
}

#[test]
fn addresses_are_shown_explained_and_simulated_from_objects_alone() {
    let greedy = WEB.replace("name: web", "name: greedy").replace(
        "namespace: shop",
        "namespace: shop, annotations: {lbipam.cilium.io/ips: 10.0.0.0}",
    );
    let dir = directory(&[
        ("pool.yaml", POOL),
        ("web.yaml", WEB),
        ("also.yaml", &WEB.replace("web", "also")),
    ]);
    let more = directory(&[
        ("greedy.yaml", &greedy),
        ("pool.yaml", POOL),
        ("web.yaml", WEB),
    ]);

    let show = sluice(&["lb-ipam", "show", "--manifests", &path(&dir)]);
    let why = sluice(&["lb-ipam", "why", "shop/web", "--manifests", &path(&dir)]);
    let absent = sluice(&["lb-ipam", "why", "shop/absent", "--manifests", &path(&dir)]);
    let simulated = sluice(&[
        "lb-ipam",
        "simulate",
        "-f",
        &path(&more),
        "--against",
        &path(&dir),
    ]);

    assert_eq!(
        text(&show),
        "Namespace   Name   Addresses   Reason      Message\n\
         shop        also   10.0.0.0    satisfied\n\
         shop        web    10.0.0.1    satisfied\n"
    );
    assert_eq!(
        text(&why),
        "shop/web: 10.0.0.1 (satisfied)\n  wants any of ipv4\n  pool blue: has 10.0.0.1 of the Service\n"
    );
    assert_eq!(why.status.code(), Some(0));
    assert_eq!(absent.status.code(), Some(1));
    assert_eq!(
        text(&simulated),
        "Addresses:\n  \
           - shop/also 10.0.0.0\n  \
           + shop/greedy 10.0.0.0\n\
         TRAFFIC WOULD BE CUT:\n  \
           ! address 10.0.0.0: shop/also loses it; other Services keep it\n"
    );
    assert_eq!(simulated.status.code(), Some(2));
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(Path::join(dir.path(), name), content).unwrap();
    }
    dir
}

fn path(dir: &TempDir) -> String {
    dir.path().to_str().unwrap().to_owned()
}

/// Runs it where nothing in the environment names a place.
fn sluice(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    for variable in ["KUBECONFIG", "SLUICE_MANIFESTS", "SLUICE_ETCD"] {
        command.env_remove(variable);
    }
    command
        .env("SLUICE_SOCKET", "/nonexistent/agent.sock")
        .env("HOME", "/nonexistent")
        .args(args)
        .output()
        .unwrap()
}

fn text(out: &Output) -> String {
    String::from_utf8(out.stdout.clone()).unwrap()
}
