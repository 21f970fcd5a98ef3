//! What the accounts of the chart may do, by the API server's own judgement, and what they may not.

use anyhow::{Context as _, Result, ensure};
use integration::cluster::ControlPlane;
use integration::{Patience, until};
use serde_json::{Value, json};

use crate::tools::{run, template};

const AGENT: &str = "sluicegate";
const OPERATOR: &str = "sluicegate-operator";

/// Everywhere.
const CLUSTER: &str = "";
/// Where the chart is installed.
const OWN: &str = "networking";
/// Where the passwords of BGP peers are.
const SECRETS: &str = "kube-system";
const OTHER: &str = "default";

/// Account, verbs, API group, resource (with its subresource, and a name after `=`), namespace.
type Line = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const ALLOWED: &[Line] = &[
    (AGENT, "get list watch", "", "services", CLUSTER),
    (AGENT, "get list watch", "", "nodes", CLUSTER),
    (
        AGENT,
        "get list watch",
        "discovery.k8s.io",
        "endpointslices",
        CLUSTER,
    ),
    (
        AGENT,
        "get list watch",
        "cilium.io",
        "ciliumbgpnodeconfigs",
        CLUSTER,
    ),
    (
        AGENT,
        "get list watch",
        "cilium.io",
        "ciliumbgppeerconfigs",
        CLUSTER,
    ),
    (
        AGENT,
        "get list watch",
        "cilium.io",
        "ciliumbgpadvertisements",
        CLUSTER,
    ),
    (
        AGENT,
        "patch",
        "cilium.io",
        "ciliumbgpnodeconfigs/status",
        CLUSTER,
    ),
    (AGENT, "get list watch", "", "secrets", SECRETS),
    (
        AGENT,
        "get",
        "coordination.k8s.io",
        "leases=sluicegate-operator",
        OWN,
    ),
    (OPERATOR, "get list watch", "", "services", CLUSTER),
    (OPERATOR, "get list watch", "", "nodes", CLUSTER),
    (OPERATOR, "patch", "", "services/status", CLUSTER),
    (
        OPERATOR,
        "get list watch",
        "cilium.io",
        "ciliumloadbalancerippools",
        CLUSTER,
    ),
    (
        OPERATOR,
        "patch",
        "cilium.io",
        "ciliumloadbalancerippools/status",
        CLUSTER,
    ),
    (
        OPERATOR,
        "get list watch",
        "cilium.io",
        "ciliumbgpclusterconfigs",
        CLUSTER,
    ),
    (
        OPERATOR,
        "patch",
        "cilium.io",
        "ciliumbgpclusterconfigs/status",
        CLUSTER,
    ),
    (
        OPERATOR,
        "get list watch",
        "cilium.io",
        "ciliumbgppeerconfigs",
        CLUSTER,
    ),
    (
        OPERATOR,
        "patch",
        "cilium.io",
        "ciliumbgppeerconfigs/status",
        CLUSTER,
    ),
    (
        OPERATOR,
        "get list watch",
        "cilium.io",
        "ciliumbgpadvertisements",
        CLUSTER,
    ),
    (
        OPERATOR,
        "get list watch",
        "cilium.io",
        "ciliumbgpnodeconfigoverrides",
        CLUSTER,
    ),
    (
        OPERATOR,
        "get list watch create patch delete",
        "cilium.io",
        "ciliumbgpnodeconfigs",
        CLUSTER,
    ),
    (OPERATOR, "get list watch", "", "secrets", SECRETS),
    (OPERATOR, "create", "coordination.k8s.io", "leases", OWN),
    (
        OPERATOR,
        "get update",
        "coordination.k8s.io",
        "leases=sluicegate-operator",
        OWN,
    ),
    (
        OPERATOR,
        "create",
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        CLUSTER,
    ),
    (
        OPERATOR,
        "get patch",
        "apiextensions.k8s.io",
        "customresourcedefinitions=ciliumloadbalancerippools.cilium.io",
        CLUSTER,
    ),
];

const DENIED: &[Line] = &[
    (AGENT, "create update patch delete", "", "services", CLUSTER),
    (AGENT, "update patch", "", "services/status", CLUSTER),
    (AGENT, "update patch delete", "", "nodes", CLUSTER),
    (AGENT, "update patch", "", "nodes/status", CLUSTER),
    (AGENT, "get list watch", "", "pods", CLUSTER),
    (AGENT, "create", "", "pods/exec", CLUSTER),
    (AGENT, "get list watch", "", "secrets", CLUSTER),
    (AGENT, "get list watch", "", "secrets", OWN),
    (AGENT, "get", "", "secrets", OTHER),
    (AGENT, "create update patch delete", "", "secrets", SECRETS),
    (
        AGENT,
        "create update patch delete",
        "cilium.io",
        "ciliumbgpnodeconfigs",
        CLUSTER,
    ),
    (
        AGENT,
        "patch",
        "cilium.io",
        "ciliumloadbalancerippools/status",
        CLUSTER,
    ),
    (
        AGENT,
        "create update patch delete",
        "coordination.k8s.io",
        "leases",
        OWN,
    ),
    (AGENT, "get", "coordination.k8s.io", "leases=other", OWN),
    (
        AGENT,
        "create",
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        CLUSTER,
    ),
    (
        OPERATOR,
        "create update patch delete",
        "",
        "services",
        CLUSTER,
    ),
    (OPERATOR, "update patch delete", "", "nodes", CLUSTER),
    (OPERATOR, "get list watch", "", "pods", CLUSTER),
    (OPERATOR, "get list watch", "", "secrets", CLUSTER),
    (OPERATOR, "get list watch", "", "secrets", OWN),
    (
        OPERATOR,
        "create update patch delete",
        "",
        "secrets",
        SECRETS,
    ),
    (
        OPERATOR,
        "create update patch delete",
        "cilium.io",
        "ciliumloadbalancerippools",
        CLUSTER,
    ),
    (
        OPERATOR,
        "create update patch delete",
        "cilium.io",
        "ciliumbgpclusterconfigs",
        CLUSTER,
    ),
    (
        OPERATOR,
        "patch",
        "cilium.io",
        "ciliumbgpnodeconfigs/status",
        CLUSTER,
    ),
    (
        OPERATOR,
        "get update patch delete",
        "coordination.k8s.io",
        "leases=other",
        OWN,
    ),
    (OPERATOR, "create", "coordination.k8s.io", "leases", OTHER),
    (
        OPERATOR,
        "delete",
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        CLUSTER,
    ),
    (
        OPERATOR,
        "get patch update",
        "apiextensions.k8s.io",
        "customresourcedefinitions=ciliumnetworkpolicies.cilium.io",
        CLUSTER,
    ),
    (
        OPERATOR,
        "create bind escalate",
        "rbac.authorization.k8s.io",
        "clusterroles",
        CLUSTER,
    ),
    (OPERATOR, "impersonate", "", "users", CLUSTER),
];

#[test]
fn the_accounts_may_do_what_the_programs_do_and_nothing_else() {
    run(|lab| {
        let cluster = ControlPlane::start(lab)?;
        cluster.kubectl("create namespace networking")?;
        cluster.apply(&template(OWN, &[])?)?;

        let mut wrong = verdicts(&cluster, ALLOWED, true)?;
        wrong.extend(verdicts(&cluster, DENIED, false)?);

        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        let rules = cluster.json(
            "get clusterroles,roles --all-namespaces -l app.kubernetes.io/part-of=sluicegate",
        )?;
        ensure!(
            !rules.to_string().contains("\"*\""),
            "a role has a wildcard"
        );
        Ok(())
    });
}

/// `kubectl patch` reads first what an agent only writes.
const READS: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: kubectl-reads-first}
rules:
- {apiGroups: [cilium.io], resources: [ciliumbgpnodeconfigs/status], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: kubectl-reads-first}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: kubectl-reads-first}
subjects: [{kind: ServiceAccount, name: sluicegate, namespace: networking}]
";

/// Where the definition of a custom resource is.
const DEFINITION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../configs/crds/ciliumbgpnodeconfigs.yaml"
);

/// Roles cannot name the node that an agent's pod runs on; the chart's admission policy does. An agent
/// that runs in no pod is not held back by it.
#[test]
fn an_agent_writes_the_status_of_its_own_node_only() {
    run(|lab| {
        let cluster = ControlPlane::start(lab)?;
        cluster.kubectl("create namespace networking")?;
        cluster.kubectl(&format!("apply --server-side -f {DEFINITION}"))?;
        cluster.kubectl("wait --for condition=established crd/ciliumbgpnodeconfigs.cilium.io")?;
        cluster.apply(&template(OWN, &[])?)?;
        cluster.apply(READS)?;
        for node in ["one", "two"] {
            cluster.apply(&format!(
                "apiVersion: v1\nkind: Node\nmetadata: {{name: {node}}}\n---\n\
                 apiVersion: cilium.io/v2\nkind: CiliumBGPNodeConfig\nmetadata: {{name: {node}}}\n\
                 spec: {{bgpInstances: [{{name: edge}}]}}\n"
            ))?;
        }
        let no_pod = cluster.token_of(OWN, AGENT)?;
        let in_pod = cluster.host().folder().join("in-pod.kubeconfig");
        let ask = "create token sluicegate -n networking --bound-object-kind Node --bound-object-name one";
        let bound = cluster.kubectl(ask)?;
        let text = std::fs::read_to_string(&no_pod)?;
        let token = text
            .lines()
            .find(|line| line.trim_start().starts_with("token: "));
        let text = text.replace(
            token.context("no token")?,
            &format!("    token: {}", bound.trim()),
        );
        std::fs::write(&in_pod, text)?;
        let patch = |kubeconfig: &std::path::Path, node: &str| -> Result<String> {
            let output = cluster.kubectl_as(
                kubeconfig,
                &[
                    "patch",
                    "ciliumbgpnodeconfig",
                    node,
                    "--subresource=status",
                    "--type=merge",
                    "-p",
                    r#"{"status":{"bgpInstances":[]}}"#,
                ],
            )?;
            let said = [output.stdout, output.stderr].concat();
            Ok(String::from_utf8_lossy(&said).into_owned())
        };

        let denied = until("the policy is in force", Patience::START, || {
            let said = patch(&in_pod, "two")?;
            ensure!(said.contains("its own node's"), "{said}");
            Ok(said)
        })?;

        ensure!(denied.contains("denied"), "{denied}");
        let own = patch(&in_pod, "one")?;
        ensure!(own.contains("patched"), "{own}");
        let outside = patch(&no_pod, "two")?;
        ensure!(outside.contains("patched"), "{outside}");
        Ok(())
    });
}

/// The lines that the API server judges otherwise, asked all at once.
fn verdicts(cluster: &ControlPlane, lines: &[Line], expected: bool) -> Result<Vec<String>> {
    let asked: Vec<(String, Value)> = lines.iter().flat_map(reviews).collect();
    let items: Vec<&Value> = asked.iter().map(|(_, review)| review).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let text = cluster.kubectl_with(&["create", "-f", "-", "-o", "json"], &list.to_string())?;
    let answers = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let answers: Vec<Value> = answers.collect::<Result<_, _>>().context(text.clone())?;
    ensure!(answers.len() == asked.len(), "{} answers", answers.len());
    let mut wrong = Vec::new();
    for ((what, _), answer) in asked.iter().zip(&answers) {
        let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool);
        if allowed.context("no verdict")? != expected {
            wrong.push(format!("{what}: allowed is not {expected}"));
        }
    }
    Ok(wrong)
}

fn reviews(&(account, verbs, group, resource, namespace): &Line) -> Vec<(String, Value)> {
    let (resource, name) = resource.split_once('=').unwrap_or((resource, ""));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let verbs = verbs.split(' ');
    verbs
        .map(|verb| {
            let what =
                format!("{account}: {verb} {resource}/{subresource} {name} in {namespace:?}");
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": format!("system:serviceaccount:{OWN}:{account}"),
                    "groups": ["system:serviceaccounts", "system:authenticated"],
                    "resourceAttributes": {
                        "verb": verb, "group": group, "resource": resource,
                        "subresource": subresource, "name": name, "namespace": namespace,
                    },
                },
            });
            (what, review)
        })
        .collect()
}
