//! What an operator does and says when the API server is away, or does not let it.

use anyhow::ensure;
use integration::until;

use crate::field::{ACCOUNT, Field, PATIENCE, SHORT, run};
use crate::ipam::{pool, quiet, service};

#[test]
fn an_operator_outlives_its_api_server_and_writes_only_what_differs() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        let mut operator = field.operator(0, &SHORT)?;
        operator.until_leading()?;
        field.plane.apply(&pool("all", "10.9.0.0/24"))?;
        field.plane.apply(&service("a", "type: LoadBalancer"))?;
        field.until_external_ip("default", "a", "10.9.0.0")?;
        quiet(field, &operator)?;
        let before = operator.metric("sluice_operator_writes_total")?;

        field.plane.stop_api()?;
        until("it says that it cannot reach the lease", PATIENCE, || {
            let (code, said) = operator.get("/readyz")?;
            ensure!(
                code == 503 && said.contains("the lease cannot be reached"),
                "{said}"
            );
            Ok(())
        })?;
        operator.check_running()?;
        field.plane.start_api()?;

        operator.until_leading()?;
        field.plane.apply(&service("b", "type: LoadBalancer"))?;
        field.until_external_ip("default", "b", "10.9.0.1")?;
        quiet(field, &operator)?;
        ensure!(field.external_ip("default", "a")? == "10.9.0.0");
        // The service, and what the pool counts.
        let writes = operator.metric("sluice_operator_writes_total")? - before;
        ensure!((2.0..=3.0).contains(&writes), "{writes} writes");
        Ok(())
    });
}

#[test]
fn a_status_that_the_role_does_not_allow_is_said_by_name() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        let mut operator = field.operator(0, &SHORT)?;
        operator.until_leading()?;
        field.plane.apply(&pool("all", "10.9.0.0/24"))?;
        let role = format!("clusterrole {ACCOUNT}");
        let rules = field.plane.json(&format!("get {role}"))?;
        let position = rules["rules"].as_array().and_then(|rules| {
            let is_it = |rule: &serde_json::Value| rule["resources"][0] == "services/status";
            rules.iter().position(is_it)
        });
        let index = position.ok_or_else(|| anyhow::anyhow!("{rules}"))?;
        let patch = format!("[{{\"op\":\"remove\",\"path\":\"/rules/{index}\"}}]");
        field.plane.kubectl_with(
            &["patch", "clusterrole", ACCOUNT, "--type=json", "-p", &patch],
            "",
        )?;

        field.plane.apply(&service("a", "type: LoadBalancer"))?;

        let rule =
            "the service account kube-system/sluicegate-operator may not patch services/status";
        until("it says which rule is missing", PATIENCE, || {
            let (code, said) = operator.get("/readyz")?;
            ensure!(code == 503, "{said}");
            ensure!(
                said.contains("Service/default/a cannot be written: "),
                "{said}"
            );
            ensure!(said.contains(rule), "{said}");
            Ok(())
        })?;
        ensure!(operator.log()?.contains(rule), "the log does not say it");
        ensure!(operator.metric("sluice_operator_faults{reason=\"forbidden\"}")? == 1.0);
        ensure!(field.external_ip("default", "a")? == "<pending>");

        // Once it may, it does.
        let rules = serde_json::json!({"rules": rules["rules"]}).to_string();
        field.plane.kubectl_with(
            &[
                "patch",
                "clusterrole",
                ACCOUNT,
                "--type=merge",
                "-p",
                &rules,
            ],
            "",
        )?;
        field.until_external_ip("default", "a", "10.9.0.0")?;
        operator.until_leading()
    });
}

#[test]
fn a_lease_that_may_not_be_read_is_said_by_name() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        field
            .plane
            .kubectl(&format!("delete rolebinding {ACCOUNT} -n kube-system"))?;

        let mut operator = field.operator(0, &SHORT)?;

        until("it says what it may not", PATIENCE, || {
            let (code, said) = operator.get("/readyz")?;
            ensure!(code == 503 && said.contains("may not get leases"), "{said}");
            Ok(())
        })?;
        operator.check_running()
    });
}
