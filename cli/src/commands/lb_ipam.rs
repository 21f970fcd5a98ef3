//! `sluice lb-ipam`.

use std::net::IpAddr;

use agent_api::Allocation;
use anyhow::Result;
use lb_ipam::export;
use types::ObjectName;

use crate::args::{LbIpamCommand, Output};
use crate::client::Client;
use crate::output::print;

/// What is said above an export.
const PREFACE: &str = "# Merge each annotation into its Service's manifest: the address is then asked for,\n\
     # and a node that starts without a database gives the same one.\n";

pub(super) fn run(client: &Client<'_>, output: Output, command: &LbIpamCommand) -> Result<bool> {
    match command {
        LbIpamCommand::Export => {
            let allocations: Vec<Allocation> = client.get("/v1/lb-ipam/allocations")?;
            print(output, &allocations, |allocations, _| render(allocations))?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
