//! What is said of rules that are missing in a role.

use std::fs;

use anyhow::{Context as _, ensure};
use api::{Kind, Statement, StatusPatch, Truth};
use integration::cluster::{self, ControlPlane};
use store::{LeaseName, Leases as _, WriteError};

use super::view::{View, all, key, service};

/// A role with rules, bound to the service account.
fn role(rules: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: r}}\n\
         rules:\n{rules}---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\n\
         metadata: {{name: r}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r}}\n\
         subjects: [{{kind: ServiceAccount, name: operator, namespace: sluicegate}}]\n"
    )
}

const MAY_READ: &str = "- {apiGroups: [''], resources: [services], verbs: [get, list, watch]}\n";
const MAY_WRITE: &str = "- {apiGroups: [''], resources: [services/status], verbs: [patch]}\n";

/// What may not be watched, read or written is said by name, and done once it is allowed.
#[test]
fn a_rule_that_is_missing_is_named_and_waited_for() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        let account = control.service_account("sluicegate", "operator")?;
        control.apply(&service("default", "web"))?;
        let web = key(Kind::Service, "default", "web");
        let view = View::open(&account, &all(&[Kind::Service]))?;

        let said = view.until_trouble("may not watch")?;
        ensure!(
            said == "the service account sluicegate/operator may not watch services in the whole \
                     cluster: its role needs the rule apiGroups: [\"\"], resources: \
                     [\"services\"], verbs: [\"watch\"]",
            "{said}"
        );
        ensure!(view.snapshot().synced.is_empty());

        control.apply(&role(MAY_READ))?;
        let version = view.version(&web)?;
        view.until_well()?;
        let write = || {
            let statement = Statement::new(Truth::True, "satisfied", "");
            let patch = StatusPatch {
                conditions: [("cilium.io/A".to_owned(), Some(statement))].into(),
                ..StatusPatch::default()
            };
            view.write(&web, &version, patch)
        };
        let refused = write();
        let expected = "the service account sluicegate/operator may not patch services/status in \
                        the namespace default: its role needs the rule apiGroups: [\"\"], \
                        resources: [\"services/status\"], verbs: [\"patch\"]";
        ensure!(
            refused == Err(WriteError::Forbidden(expected.to_owned())),
            "{refused:?}"
        );

        control.apply(&role(&format!("{MAY_READ}{MAY_WRITE}")))?;
        integration::until("it may be written", super::view::PATIENCE, || Ok(write()?))?;

        let name = LeaseName {
            namespace: "default".to_owned(),
            name: "sluicegate-operator".to_owned(),
        };
        let lease = view.block_on(view.cluster.read(&name));
        ensure!(
            matches!(&lease, Err(WriteError::Forbidden(said)) if said.contains(
                "may not get leases in the namespace default: its role needs the rule apiGroups: \
                 [\"coordination.k8s.io\"]"
            )),
            "{lease:?}"
        );
        Ok(())
    });
}

/// A token that is not accepted is said to be none, and one that takes its place in the kubeconfig is
/// used without a restart.
#[test]
fn a_renewed_kubeconfig_is_read_again() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        let account = control.service_account("sluicegate", "operator")?;
        control.apply(&role(MAY_READ))?;
        let valid = fs::read_to_string(&account)?;
        let (before, token) = valid.split_once("token: ").context("it has no token")?;
        fs::write(&account, format!("{before}token: not.a.token\n"))?;
        let view = View::open(&account, &all(&[Kind::Service]))?;

        let said = view.until_trouble("does not accept who we say we are")?;
        ensure!(
            !said.contains("not.a.token") && !said.contains(token),
            "{said}"
        );
        ensure!(view.snapshot().synced.is_empty());
        fs::write(&account, &valid)?;

        view.until("services are synced", |seen| !seen.synced.is_empty())?;
        view.until_well()
    });
}
