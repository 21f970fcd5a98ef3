//! etcd and the API server.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::cluster::{self, ControlPlane, Etcd};

const ROLES: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: [''], resources: [services], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: sluicegate}]
";

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}
";

/// The API server is Kubernetes' own: it defaults a Service, gives it cluster addresses of both
/// families, keeps it over a restart, and lists with a stream.
#[test]
fn a_control_plane_keeps_objects_over_a_restart_of_its_api_server() {
    cluster::run(|lab| {
        let cluster = ControlPlane::start(lab)?;

        cluster.apply(SERVICE)?;
        let families = "get service web -o jsonpath={.spec.ipFamilies}";
        ensure!(cluster.kubectl(families)? == r#"["IPv4","IPv6"]"#);
        cluster.stop_api()?;
        ensure!(
            cluster.kubectl("get services").is_err(),
            "a stopped API server answers"
        );
        cluster.start_api()?;

        ensure!(cluster.kubectl(families)? == r#"["IPv4","IPv6"]"#);
        let gates = cluster.kubectl("get --raw /metrics")?;
        let streams = r#"kubernetes_feature_enabled{name="WatchList",stage="BETA"} 1"#;
        ensure!(gates.contains(streams), "lists are not streamed");
        Ok(())
    });
}

/// A service account may do what its roles say and nothing else; a frozen API server keeps
/// everyone waiting, and goes on when it is let.
#[test]
fn a_service_account_may_do_what_its_roles_say() {
    cluster::run(|lab| {
        let cluster = ControlPlane::start(lab)?;
        let account = cluster.service_account("sluicegate", "reader")?;
        let ask = |args: &[&str]| -> Result<String> {
            let output = cluster.kubectl_as(&account, args)?;
            let text = if output.status.success() {
                output.stdout
            } else {
                output.stderr
            };
            Ok(String::from_utf8_lossy(&text).into_owned())
        };

        let before = ask(&["get", "services"])?;
        cluster.apply(ROLES)?;
        let after = ask(&["get", "services"])?;
        let other = ask(&["get", "nodes"])?;
        cluster.freeze_api(true)?;
        let frozen = ask(&["get", "services", "--request-timeout=1s"])?;
        cluster.freeze_api(false)?;

        let who = "\"system:serviceaccount:sluicegate:reader\" cannot list resource";
        ensure!(
            before.contains(who) && before.contains("services"),
            "{before}"
        );
        ensure!(
            after.contains("kubernetes") && after.contains("443/TCP"),
            "{after}"
        );
        ensure!(other.contains(who) && other.contains("nodes"), "{other}");
        ensure!(frozen.contains("imeout"), "{frozen}");
        ensure!(ask(&["get", "services"])?.contains("kubernetes"));
        Ok(())
    });
}

/// A certificate whose time is over is refused by whoever checks it, until there is a new one.
#[test]
fn an_expired_certificate_of_the_api_server_is_refused() {
    cluster::run(|lab| {
        let cluster = ControlPlane::start(lab)?;

        cluster.set_serving_lifetime(Duration::ZERO);
        cluster.stop_api()?;
        cluster.start_api()?;
        let refused = cluster
            .kubectl("get services")
            .err()
            .context("it was taken")?;
        cluster.set_serving_lifetime(Duration::from_secs(600));
        cluster.stop_api()?;
        cluster.start_api()?;

        let refused = format!("{refused:#}");
        ensure!(refused.contains("certificate has expired"), "{refused}");
        cluster.kubectl("get services")?;
        Ok(())
    });
}

/// An etcd with TLS talks to holders of a certificate and to nobody else.
#[test]
fn an_etcd_with_tls_takes_no_strangers() {
    cluster::run(|lab| {
        let host = lab.host("store")?;
        let authority = cluster::Authority::create(&lab.folder("pki")?)?;
        let client = authority.client("fleet", None)?;

        let etcd = Etcd::start_with_tls(&host, &authority)?;
        let trusted = authority.certificate();
        let url = format!("{}/version", etcd.url());
        let known = [
            "--cacert",
            &trusted.to_string_lossy(),
            "--cert",
            &client.certificate.to_string_lossy(),
            "--key",
            &client.key.to_string_lossy(),
        ]
        .map(ToOwned::to_owned);
        let curl = |args: &[String]| {
            let mut all = vec!["--silent", "--show-error", "--fail", "--max-time", "5"];
            all.extend(args.iter().map(String::as_str));
            all.push(&url);
            host.run("curl", &all)
        };

        let answer = curl(&known)?;
        ensure!(answer.contains("etcdserver"), "{answer}");
        ensure!(curl(&known[..2]).is_err(), "it answered a stranger");
        Ok(())
    });
}
