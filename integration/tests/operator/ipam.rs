//! Addresses of LoadBalancer Services, as a person with kubectl sees them.

use anyhow::{Result, ensure};
use integration::until;

use crate::field::{Field, PATIENCE, SHORT, run};
use crate::watchman::Watchman;

/// As a user of Cilium has it.
const EMPIRE: &str = r#"
apiVersion: "cilium.io/v2alpha1"
kind: CiliumLoadBalancerIPPool
metadata:
  name: "empire-ip-pool"
spec:
  blocks:
    - cidr: "172.18.255.200/29"
    - cidr: "2001:db8:dead:beef::0/64"
  serviceSelector:
    matchLabels:
      org: empire
---
apiVersion: v1
kind: Namespace
metadata: {name: batuu}
---
apiVersion: v1
kind: Service
metadata:
  name: deathstar
  namespace: batuu
  labels: {org: empire}
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  ipFamilies: [IPv4, IPv6]
  selector: {org: empire, class: deathstar}
  ports:
    - port: 80
"#;

const SATISFIED: &str = "cilium.io/IPAMRequestSatisfied";

#[test]
fn a_pool_and_a_service_come_out_to_the_letter() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        // Nothing is installed: the operator brings the definitions.
        let mut operator = field.operator(0, &[])?;
        operator.until_leading()?;

        field.plane.apply(EMPIRE)?;

        let ips = "172.18.255.200,2001:db8:dead:beef::";
        field.until_external_ip("batuu", "deathstar", ips)?;
        let satisfied = field.condition("service deathstar -n batuu", SATISFIED)?;
        ensure!(
            satisfied.as_deref() == Some("True satisfied: "),
            "{satisfied:?}"
        );
        until("the pool counts", PATIENCE, || {
            let pools = field.plane.kubectl("get ciliumloadbalancerippools")?;
            let rows: Vec<Vec<&str>> = pools.lines().map(cells).collect();
            let [head, pool] = rows.as_slice() else {
                anyhow::bail!("{pools}");
            };
            ensure!(
                head == &["NAME", "DISABLED", "CONFLICTING", "IPS AVAILABLE", "AGE"],
                "{pools}"
            );
            ensure!(
                pool.get(..4)
                    == Some(&["empire-ip-pool", "false", "False", "18446744073709551622"]),
                "{pools}"
            );
            Ok(())
        })?;
        quiet(field, &operator)?;
        ensure!(
            operator.metric("sluice_operator_writes_total{kind=\"Service\"}")? == 1.0,
            "one write a service: {:?}",
            operator.get("/metrics")?
        );
        ensure!(operator.metric("cilium_operator_lbipam_services_matching")? == 1.0);
        ensure!(
            operator.metric("cilium_operator_lbipam_ips_used{pool=\"empire-ip-pool\"}")? == 2.0
        );
        Ok(())
    });
}

#[test]
fn addresses_stay_through_a_pool_that_is_deleted_and_restored() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        let mut operator = field.operator(0, &SHORT)?;
        operator.until_leading()?;
        field.plane.apply(&pool("all", "10.9.0.0/22"))?;
        field.plane.apply(&services(0..300))?;
        let mut watchman = Watchman::default();
        until("every service has an address", PATIENCE, || {
            ensure!(watchman.look(&field.plane)? == 300);
            Ok(())
        })?;

        field.plane.kubectl("delete ciliumloadbalancerippool all")?;
        field.plane.apply(&pool("all", "10.9.0.0/22"))?;
        until("the pool counts again", PATIENCE, || {
            let used = field.condition("ciliumloadbalancerippool all", "cilium.io/IPsUsed")?;
            ensure!(used.as_deref() == Some("Unknown noreason: 300"), "{used:?}");
            Ok(())
        })?;

        // The watchman fails if one has moved.
        until("every service has its address", PATIENCE, || {
            ensure!(watchman.look(&field.plane)? == 300);
            Ok(())
        })?;
        quiet(field, &operator)
    });
}

#[test]
fn a_service_that_is_none_of_ours_any_more_gives_its_address_back() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        let mut operator = field.operator(0, &SHORT)?;
        operator.until_leading()?;
        field.plane.apply(&pool("one", "10.9.0.1/32"))?;
        field.plane.apply(&service("first", "type: LoadBalancer"))?;
        field.until_external_ip("default", "first", "10.9.0.1")?;

        field
            .plane
            .apply(&service("second", "type: LoadBalancer"))?;
        let out = "False out_of_ips: All enabled CiliumLoadBalancerIPPools that match this service \
                   ran out of allocatable IPs";
        field.until_condition("service second", SATISFIED, out)?;
        field.plane.apply(&service("first", "type: ClusterIP"))?;

        field.until_external_ip("default", "second", "10.9.0.1")?;
        field.until_condition("service second", SATISFIED, "True satisfied: ")?;
        until("the first says nothing of addresses", PATIENCE, || {
            let said = field.condition("service first", SATISFIED)?;
            ensure!(said.is_none(), "{said:?}");
            Ok(())
        })?;
        // And back: somebody else has it now.
        field.plane.apply(&service("first", "type: LoadBalancer"))?;
        field.until_condition("service first", SATISFIED, out)?;
        ensure!(field.external_ip("default", "first")? == "<pending>");
        ensure!(field.external_ip("default", "second")? == "10.9.0.1");
        Ok(())
    });
}

#[test]
fn of_two_services_that_fight_for_an_address_one_has_it() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        let mut operator = field.operator(0, &SHORT)?;
        operator.until_leading()?;
        let wants = "type: LoadBalancer\n  loadBalancerIP: 10.9.0.7";

        // Created by one command, and nobody has the address before there is a pool.
        let both = service("b", wants) + &service("a", wants);
        field.plane.apply(&both)?;
        field.plane.apply(&pool("all", "10.9.0.0/24"))?;

        let born = |name: &str| -> Result<String> {
            let service = field.plane.json(&format!("get service {name}"))?;
            Ok(service["metadata"]["creationTimestamp"].to_string())
        };
        // Where one second has passed between them the older one wins, else the first name.
        let (wins, loses) = if born("a")? == born("b")? {
            ("a", "b")
        } else {
            ("b", "a")
        };
        field.until_external_ip("default", wins, "10.9.0.7")?;
        let taken =
            "False already_allocated: The IP '10.9.0.7' is already allocated to another service";
        field.until_condition(&format!("service {loses}"), SATISFIED, taken)?;
        ensure!(field.external_ip("default", loses)? == "<pending>");
        quiet(field, &operator)
    });
}

/// A pool for any service.
pub(crate) fn pool(name: &str, cidr: &str) -> String {
    format!(
        "---\napiVersion: cilium.io/v2\nkind: CiliumLoadBalancerIPPool\n\
         metadata: {{name: {name}}}\nspec: {{blocks: [{{cidr: {cidr}}}]}}\n"
    )
}

/// Services `s0`, `s1` and so on.
pub(crate) fn services(numbers: impl IntoIterator<Item = usize>) -> String {
    let numbers = numbers.into_iter();
    numbers
        .map(|number| service(&format!("s{number}"), "type: LoadBalancer"))
        .collect()
}

/// A service with these lines in its spec.
pub(crate) fn service(name: &str, lines: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
         spec:\n  {lines}\n  allocateLoadBalancerNodePorts: false\n  ports: [{{port: 80}}]\n"
    )
    .replace(
        "type: ClusterIP\n  allocateLoadBalancerNodePorts: false",
        "type: ClusterIP",
    )
}

/// Nothing is written while nothing changes, however often the lease is renewed.
pub(crate) fn quiet(field: &Field, operator: &crate::field::Operator<'_>) -> Result<()> {
    until("the queue is empty", PATIENCE, || {
        ensure!(operator.metric("sluice_operator_queue")? == 0.0);
        Ok(())
    })?;
    let writes = || operator.metric("sluice_operator_writes_total");
    let before = writes()?;
    let mut renewals = std::collections::BTreeSet::new();
    until("the lease was renewed three times", PATIENCE, || {
        let lease = field.lease()?;
        renewals.insert(lease.get("renewTime").map(ToString::to_string));
        ensure!(renewals.len() > 3);
        Ok(())
    })?;
    let after = writes()?;
    ensure!(before == after, "{before} writes, and then {after}");
    Ok(())
}

/// The cells of a line that kubectl printed.
fn cells(line: &str) -> Vec<&str> {
    let cells = line.split("  ").map(str::trim);
    cells.filter(|cell| !cell.is_empty()).collect()
}
