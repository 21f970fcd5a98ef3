//! Encryption, certificates and users.

use std::fs;
use std::path::{Path, PathBuf};

use etcd_client::{Client, Permission, PermissionType};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use store::etcd::{ConnectOptions, Fleet};
use store::{Objects as _, WriteError};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::server::{Etcd, LIMIT, program, urls};
use crate::support::{Follower, eventually, fleet, pool, pool_key};

#[tokio::test]
async fn only_who_has_a_certificate_reads_and_only_the_right_etcd_is_believed() {
    let Some(program) = program() else { return };
    let dir = TempDir::new().unwrap();
    let authority = Authority::new(dir.path(), "ca");
    let other = Authority::new(dir.path(), "other");
    let server = authority.issue("server");
    let client = authority.issue("client");
    let [url] = urls("https");
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let more = [
        flag("cert-file", &server.0),
        flag("key-file", &server.1),
        flag("trusted-ca-file", &authority.file),
        "--client-cert-auth".to_owned(),
    ];
    let etcd = Etcd::started(&program, &url, &more);
    etcd.wait();
    let options = ConnectOptions {
        ca: Some(authority.file.clone()),
        identity: Some(client.clone()),
        ..ConnectOptions::new([&url])
    };

    let right = Fleet::connect(options.clone()).unwrap();
    eventually("it takes writes", || async {
        right.apply(&pool("blue", "10.0.0.0/24")).await.is_ok()
    })
    .await;
    let mut follower = Follower::of(&right);
    follower.synced().await;
    let nobody = Fleet::connect(ConnectOptions {
        identity: None,
        ..options.clone()
    });
    let fooled = Fleet::connect(ConnectOptions {
        ca: Some(other.file.clone()),
        ..options.clone()
    });
    let nobody = nobody.unwrap().get(&pool_key("blue")).await;
    let fooled = fooled.unwrap().get(&pool_key("blue")).await;

    assert!(follower.has(&pool_key("blue")));
    assert!(
        matches!(nobody, Err(WriteError::Unavailable(_))),
        "{nobody:?}"
    );
    let Err(WriteError::Unavailable(reason)) = fooled else {
        panic!("{fooled:?}");
    };
    assert!(reason.contains("certificate"), "{reason}");
}

#[tokio::test]
async fn a_user_may_what_its_role_says_and_a_new_password_is_taken() {
    let Some(program) = program() else { return };
    let etcd = Etcd::start(&program);
    let dir = TempDir::new().unwrap();
    let password = dir.path().join("password");
    fs::write(&password, "first\n").unwrap();
    let mut root = with_users(&etcd.url).await;
    let options = ConnectOptions {
        user: Some(("edge".to_owned(), password.clone())),
        ..ConnectOptions::new([&etcd.url])
    };
    let edge = Fleet::connect(options.clone()).unwrap();

    edge.apply(&pool("blue", "10.0.0.0/24")).await.unwrap();
    let mut follower = Follower::of(&edge);
    follower.synced().await;
    let elsewhere = Fleet::connect(ConnectOptions {
        prefix: "/others".to_owned(),
        ..options.clone()
    });
    let elsewhere = elsewhere.unwrap().apply(&pool("blue", "10.0.0.0/24")).await;
    let nobody = fleet(&etcd.url).get(&pool_key("blue")).await;
    root.user_change_password("edge", "second").await.unwrap();
    let late = Fleet::connect(options.clone()).unwrap();
    let source = late.source(api::Kind::ALL);
    let mut trouble = source.trouble();
    let told = timeout(LIMIT, trouble.wait_for(Option::is_some)).await;
    let told = told.unwrap().unwrap().clone().unwrap();
    fs::write(&password, "second\n").unwrap();
    let well = timeout(LIMIT, trouble.wait_for(Option::is_none)).await;

    assert!(follower.has(&pool_key("blue")));
    let said = "etcd does not permit it: user \"edge\", key \
                /others/cilium.io/ciliumloadbalancerippools/-/blue";
    assert_eq!(elsewhere, Err(WriteError::Forbidden(said.to_owned())));
    let Err(WriteError::Unavailable(reason)) = nobody else {
        panic!("{nobody:?}");
    };
    assert!(
        reason.starts_with("etcd does not accept the user"),
        "{reason}"
    );
    assert!(told.starts_with("etcd does not accept the user"), "{told}");
    assert!(!told.contains("first"), "{told}");
    assert!(well.is_ok());
}

/// Users root and edge, who may do all and what is below `/sluicegate/`.
async fn with_users(url: &str) -> Client {
    let mut client = Client::connect([url], None).await.unwrap();
    client.user_add("root", "toor", None).await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.user_add("edge", "first", None).await.unwrap();
    client.role_add("edge").await.unwrap();
    let all = Permission::new(PermissionType::Readwrite, "/sluicegate/").with_prefix();
    client.role_grant_permission("edge", all).await.unwrap();
    client.user_grant_role("edge", "edge").await.unwrap();
    client.auth_enable().await.unwrap();
    let options = etcd_client::ConnectOptions::new().with_user("root", "toor");
    Client::connect([url], Some(options)).await.unwrap()
}

/// Who issues certificates.
struct Authority {
    dir: PathBuf,
    file: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let file = dir.join(format!("{name}.pem"));
        fs::write(&file, certificate.pem()).unwrap();
        Self {
            dir: dir.to_owned(),
            file,
            issuer: Issuer::new(params, key),
        }
    }

    /// The files of a certificate for 127.0.0.1 and of its key.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = ["pem", "key"].map(|end| self.dir.join(format!("{name}.{end}")));
        let [certificate_file, key_file] = files;
        fs::write(&certificate_file, certificate.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        (certificate_file, key_file)
    }
}
