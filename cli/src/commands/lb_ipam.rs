//! `sluice lb-ipam`.

use std::net::IpAddr;

use agent_api::{Allocation, Pool};
use anyhow::Result;
use lb_ipam::export;
use types::ObjectName;

use crate::args::{LbIpamCommand, Output};
use crate::client::Client;
use crate::output::print;
use crate::table::Table;

/// What is said above an export.
const PREFACE: &str = "# Merge each annotation into its Service's manifest: the address is then asked for,\n\
     # and a node that starts without a database gives the same one.\n";

pub(super) fn run(client: &Client<'_>, output: Output, command: &LbIpamCommand) -> Result<bool> {
    match command {
        LbIpamCommand::Export => {
            let allocations: Vec<Allocation> = client.get("/v1/lb-ipam/allocations")?;
            print(output, &allocations, |allocations, _| render(allocations))?;
        }
        LbIpamCommand::Pools => {
            let pools: Vec<Pool> = client.get("/v1/lb-ipam/pools")?;
            print(output, &pools, |pools, wide| render_pools(pools, wide))?;
        }
        // These ask objects, not the agent.
        LbIpamCommand::Show(_) | LbIpamCommand::Why(_) | LbIpamCommand::Simulate(_) => {}
    }
    Ok(true)
}

/// The metadata to merge into each Service's manifest, as YAML.
fn render(allocations: &[Allocation]) -> String {
    let held: Vec<(ObjectName, &[IpAddr])> = allocations
        .iter()
        .map(|held| {
            let name = ObjectName::new(&held.namespace, &held.name);
            (name, held.addresses.as_slice())
        })
        .collect();
    let held = held.iter().map(|(name, addresses)| (name, *addresses));
    format!("{PREFACE}{}", export::manifests(held))
}

/// The columns that `kubectl get ippools` has.
fn render_pools(pools: &[Pool], wide: bool) -> String {
    let mut table = if wide {
        let (name, disabled) = ("Name", "Disabled");
        Table::new([
            name,
            disabled,
            "Conflicting",
            "IPs Available",
            "Total",
            "Used",
        ])
    } else {
        Table::new(["Name", "Disabled", "Conflicting", "IPs Available"])
    };
    for pool in pools {
        let conflicting = if pool.conflicting { "True" } else { "False" };
        let [name, disabled, conflicting, available] = [
            pool.name.clone(),
            pool.disabled.to_string(),
            conflicting.to_owned(),
            pool.available.clone(),
        ];
        if wide {
            let (total, used) = (pool.total.clone(), pool.used.clone());
            table.row([name, disabled, conflicting, available, total, used]);
        } else {
            table.row([name, disabled, conflicting, available]);
        }
    }
    let mut text = table.render("No pools.");
    for pool in pools.iter().filter(|pool| !pool.message.is_empty()) {
        text.push_str(&format!("{}: {}\n", pool.name, pool.message));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_have_ciliums_columns_and_say_what_they_conflict_with() {
        let pool = |name: &str, conflicting| Pool {
            name: name.into(),
            disabled: false,
            conflicting,
            total: "18446744073709551616".into(),
            available: "18446744073709551614".into(),
            used: "2".into(),
            message: if conflicting {
                "overlaps".into()
            } else {
                String::new()
            },
        };
        let pools = [pool("a", false), pool("b", true)];

        assert_eq!(
            render_pools(&pools, false),
            "Name   Disabled   Conflicting   IPs Available\n\
             a      false      False         18446744073709551614\n\
             b      false      True          18446744073709551614\n\
             b: overlaps\n"
        );
        assert!(render_pools(&pools, true).contains("IPs Available          Total"));
    }

    #[test]
    fn an_export_is_yaml_that_asks_for_the_addresses() {
        let text = render(&[Allocation {
            namespace: "shop".into(),
            name: "7".into(),
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        }]);

        assert!(text.ends_with(
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: \"7\"\n  \
             namespace: \"shop\"\n  annotations:\n    \
             lbipam.cilium.io/ips: \"192.0.2.1,2001:db8::1\"\n"
        ));
    }
}
