//! What an operator's successor must know of addresses: who shares, who is expected back, what leaves.

use anyhow::ensure;
use integration::until;

use crate::field::{Field, PATIENCE, SHORT, run};
use crate::ipam::pool;

const RESERVATIONS: &str = "sluicegate.io/Reservations";
const LEAVING: &str = "sluicegate.io/AddressesLeaving";
const SATISFIED: &str = "cilium.io/IPAMRequestSatisfied";

#[test]
fn an_address_waits_for_its_service_under_the_next_leader_too() {
    run(|lab| {
        let field = &Field::build(lab, 2)?;
        let mut first = field.operator(0, &SHORT)?;
        first.until_leading()?;
        let reserving = pool("all", "10.9.0.0/29").replace(
            "metadata: {name: all}",
            "metadata: {name: all, annotations: {sluicegate.io/reserve: 1h}}",
        );
        field.plane.apply(&reserving)?;
        field.plane.apply(&service("a", 80, ""))?;
        field.until_external_ip("default", "a", "10.9.0.0")?;

        field.plane.kubectl("delete service a")?;
        until("the pool keeps it", PATIENCE, || {
            let kept = field.condition("ciliumloadbalancerippool all", RESERVATIONS)?;
            let kept = kept.unwrap_or_default();
            ensure!(
                kept.starts_with("True Reserved: 10.9.0.0 for default/a until "),
                "{kept}"
            );
            Ok(())
        })?;
        first.kill()?;
        let mut second = field.operator(1, &SHORT)?;
        second.until_leading()?;
        field.plane.apply(&service("b", 80, ""))?;
        field.until_external_ip("default", "b", "10.9.0.1")?;
        field.plane.apply(&service("a", 80, ""))?;

        field.until_external_ip("default", "a", "10.9.0.0")?;
        until("the pool keeps nothing more", PATIENCE, || {
            let kept = field.condition("ciliumloadbalancerippool all", RESERVATIONS)?;
            ensure!(kept.is_none(), "{kept:?}");
            Ok(())
        })
    });
}

#[test]
fn an_address_that_no_pool_has_leaves_after_its_notice_whoever_leads() {
    run(|lab| {
        let field = &Field::build(lab, 2)?;
        let mut first = field.operator(0, &SHORT)?;
        first.until_leading()?;
        field.plane.apply(&pool("old", "10.9.0.0/29"))?;
        field.plane.apply(&service("a", 80, ""))?;
        field.until_external_ip("default", "a", "10.9.0.0")?;

        field.plane.apply(&pool("new", "10.10.0.0/29"))?;
        field.plane.kubectl("delete ciliumloadbalancerippool old")?;
        let said = || field.condition("service a", LEAVING);
        until("the service is told", PATIENCE, || {
            ensure!(
                said()?
                    .unwrap_or_default()
                    .starts_with("True NoPool: 10.9.0.0 until ")
            );
            Ok(())
        })?;
        let notice = said()?;
        first.kill()?;
        let mut second = field.operator(1, &SHORT)?;
        second.until_leading()?;

        ensure!(said()? == notice, "the next leader has begun the time anew");
        ensure!(field.external_ip("default", "a")? == "10.9.0.0");
        let satisfied = field.condition("service a", SATISFIED)?;
        ensure!(
            satisfied.as_deref() == Some("True satisfied: "),
            "{satisfied:?}"
        );
        field.plane.apply(&pool("old", "10.9.0.0/29"))?;
        until("the notice is taken back", PATIENCE, || {
            ensure!(said()?.is_none());
            Ok(())
        })?;
        ensure!(field.external_ip("default", "a")? == "10.9.0.0");
        Ok(())
    });
}

#[test]
fn services_share_an_address_by_the_rules_and_say_which_one_is_broken() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        let mut operator = field.operator(0, &SHORT)?;
        operator.until_leading()?;
        field.plane.apply(&pool("all", "10.9.0.0/32"))?;
        let key = "lbipam.cilium.io/sharing-key: web";

        field.plane.apply(&service("a", 80, key))?;
        field.until_external_ip("default", "a", "10.9.0.0")?;
        field.plane.apply(&service("b", 81, key))?;
        field.until_external_ip("default", "b", "10.9.0.0")?;
        let asking = format!("{key}, lbipam.cilium.io/ips: 10.9.0.0");
        field.plane.apply(&service("c", 80, &asking))?;

        field.until_condition(
            "service c",
            SATISFIED,
            "False already_allocated_incompatible_service: The IP '10.9.0.0' is already allocated \
             to an incompatible service. Reason: same port and protocol",
        )?;
        field.plane.apply(&service("c", 82, &asking))?;
        field.until_external_ip("default", "c", "10.9.0.0")?;
        let used = field.condition("ciliumloadbalancerippool all", "cilium.io/IPsUsed")?;
        ensure!(used.as_deref() == Some("Unknown noreason: 1"), "{used:?}");
        Ok(())
    });
}

fn service(name: &str, port: u16, annotations: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\n\
         spec: {{type: LoadBalancer, ports: [{{port: {port}}}]}}\n"
    )
}
