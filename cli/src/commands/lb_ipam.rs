//! `sluice lb-ipam`.

use std::fmt::Write as _;

use agent_api::Allocation;
use anyhow::Result;

use crate::args::{LbIpamCommand, Output};
use crate::client::Client;
use crate::output::print;

/// The annotation that asks for addresses.
const REQUEST: &str = "lbipam.cilium.io/ips";

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
    let mut text = String::from(
        "# Merge each annotation into its Service's manifest: the address is then asked for,\n\
         # and a node that starts without a database gives the same one.\n",
    );
    for allocation in allocations {
        let addresses: Vec<String> = allocation
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {}\n  namespace: {}\n  \
             annotations:\n    {REQUEST}: \"{}\"\n",
            allocation.name,
            allocation.namespace,
            addresses.join(",")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_is_yaml_that_asks_for_the_addresses() {
        let text = render(&[Allocation {
            namespace: "shop".into(),
            name: "web".into(),
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        }]);

        assert!(text.ends_with(
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: shop\n  \
             annotations:\n    lbipam.cilium.io/ips: \"192.0.2.1,2001:db8::1\"\n"
        ));
    }
}
