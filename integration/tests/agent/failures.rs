//! API servers that are away, slow or unwilling: what is announced stays, and what is wrong is said.

use std::time::Duration;

use agent_api::Status;
use anyhow::ensure;
use integration::until;

use crate::nodes::{Nodes, PATIENCE, established, run, says};

const VIP: &str = "192.0.2.1";

fn faults(status: &Status) -> String {
    let source = status.source.as_ref();
    source
        .map(|source| source.faults.join("\n"))
        .unwrap_or_default()
}

/// The API server dies and comes back, with a change made meanwhile: routes stay, work resumes.
#[test]
fn nothing_is_withdrawn_while_the_api_server_is_away() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &[VIP], "")?;
        let agents = nodes.agents()?;
        nodes.next_hops(VIP, &["n1", "n2"])?;
        let [first, _] = &agents;

        nodes.plane.stop_api()?;
        says(first, "it is said that the server is away", |status| {
            !faults(status).is_empty()
        })?;
        nodes.next_hops(VIP, &["n1", "n2"])?;
        nodes.plane.start_api()?;
        nodes.serve("dns", &["192.0.2.53"], "")?;

        nodes.next_hops("192.0.2.53", &["n1", "n2"])?;
        says(first, "nothing is wrong any more", |status| {
            faults(status).is_empty()
        })?;
        nodes.never_withdrawn("n1")?;
        nodes.never_withdrawn("n2")
    });
}

/// An agent is restarted, and then started without an API server: graceful restart keeps its routes
/// while it waits, and says so.
#[test]
fn a_restart_without_an_api_server_waits_and_withdraws_nothing() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &[VIP], "")?;
        let [mut first, _second] = nodes.agents()?;
        nodes.next_hops(VIP, &["n1", "n2"])?;

        first.stop()?;
        first.start()?;
        established(&mut first)?;
        nodes.next_hops(VIP, &["n1", "n2"])?;

        nodes.plane.stop_api()?;
        first.stop()?;
        first.start()?;
        says(&first, "it waits for the API server", |status| {
            !status.ready
                && !faults(status).is_empty()
                && status
                    .problems
                    .iter()
                    .any(|said| said.contains("have not been read"))
        })?;
        ensure!(
            first.peers()?.is_empty(),
            "a session with nothing to announce"
        );
        nodes.next_hops(VIP, &["n1", "n2"])?;
        nodes.plane.start_api()?;

        established(&mut first)?;
        nodes.next_hops(VIP, &["n1", "n2"])?;
        says(&first, "it is ready", |status| status.ready)?;
        nodes.never_withdrawn("n1")
    });
}

/// A kill is no stop: routers keep the routes, too.
#[test]
fn a_killed_agent_comes_back_and_nothing_was_withdrawn() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &[VIP], "")?;
        let [mut first, _second] = nodes.agents()?;
        nodes.next_hops(VIP, &["n1", "n2"])?;

        first.kill()?;
        nodes.next_hops(VIP, &["n1", "n2"])?;
        first.start()?;

        established(&mut first)?;
        nodes.never_withdrawn("n1")
    });
}

/// A role that lacks a rule: the kind is named, and so is who may not.
#[test]
fn a_missing_rule_is_said_by_name_and_works_once_it_is_there() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &[VIP], "")?;
        let get = "get clusterrole sluicegate -o yaml";
        let role = nodes.plane.kubectl(get)?;
        nodes.plane.kubectl("delete clusterrole sluicegate")?;
        let mut agent = nodes.agent(0, &[])?;
        agent.start()?;

        says(&agent, "what may not be watched is named", |status| {
            faults(status).contains(
                "the service account kube-system/sluicegate may not watch services in the whole \
                 cluster: its role needs the rule apiGroups: [\"\"], resources: [\"services\"]",
            )
        })?;
        let role: String = role
            .lines()
            .filter(|line| !line.contains("resourceVersion") && !line.contains("uid:"))
            .map(|line| format!("{line}\n"))
            .collect();
        nodes.plane.kubectl_with(&["create", "-f", "-"], &role)?;

        nodes.next_hops(VIP, &["n1"])?;
        says(&agent, "nothing is wrong any more", |status| {
            faults(status).is_empty()
        })
    });
}

/// The API server's certificate expires and is renewed.
#[test]
fn an_expired_certificate_is_said_and_nothing_is_withdrawn() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &[VIP], "")?;
        let agents = nodes.agents()?;
        nodes.next_hops(VIP, &["n1", "n2"])?;
        let [first, _] = &agents;

        nodes.plane.stop_api()?;
        nodes.plane.set_serving_lifetime(Duration::ZERO);
        nodes.plane.start_api()?;
        says(first, "the certificate is named", |status| {
            faults(status).contains("expired")
        })?;
        nodes.next_hops(VIP, &["n1", "n2"])?;
        nodes.plane.stop_api()?;
        nodes.plane.set_serving_lifetime(Duration::from_secs(3600));
        nodes.plane.start_api()?;

        says(first, "nothing is wrong any more", |status| {
            faults(status).is_empty()
        })?;
        nodes.never_withdrawn("n1")
    });
}

/// A server that accepts and never answers is as good as none.
#[test]
fn a_frozen_api_server_changes_nothing() {
    run(|lab| {
        let nodes = Nodes::build(lab)?;
        nodes.serve("web", &[VIP], "")?;
        let _agents = nodes.agents()?;
        nodes.next_hops(VIP, &["n1", "n2"])?;

        nodes.plane.freeze_api(true)?;
        let mut late = nodes.agent(0, &[])?;
        let refused = late.start().and_then(|()| {
            until("a second agent gives up", PATIENCE, || {
                let ended = late.check_running().is_err();
                ensure!(ended, "it runs beside another");
                Ok(())
            })
        });
        nodes.plane.freeze_api(false)?;
        refused?;

        nodes.serve("dns", &["192.0.2.53"], "")?;
        nodes.next_hops("192.0.2.53", &["n1", "n2"])?;
        nodes.never_withdrawn("n1")
    });
}
