//! Allocations as requests: what to put into manifests, so that another node gives the same addresses.

use std::fmt::Write as _;
use std::net::IpAddr;

use types::ObjectName;

/// The annotation that requests addresses.
pub const ANNOTATION: &str = "lbipam.cilium.io/ips";

/// The annotation's value for these addresses.
#[must_use]
pub fn annotation_value(addresses: &[IpAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(",")
}

/// A YAML document for each service that has an address, to be merged into its manifest.
#[must_use]
pub fn manifests<'a>(allocations: impl Iterator<Item = (&'a ObjectName, &'a [IpAddr])>) -> String {
    let mut text = String::new();
    for (service, addresses) in allocations.filter(|(_, addresses)| !addresses.is_empty()) {
        let ObjectName { namespace, name } = service;
        let value = annotation_value(addresses);
        // Names are quoted: one that consists of digits would be read as a number.
        write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: \"{name}\"\n  \
             namespace: \"{namespace}\"\n  annotations:\n    {ANNOTATION}: \"{value}\"\n"
        )
        .expect("writing to a string does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_with_an_address_is_exported_as_a_request_for_it() {
        let names = ["7", "web"].map(|name| ObjectName::new("shop", name));
        let both = ["192.0.2.1", "2001:db8::"].map(|addr| addr.parse().unwrap());

        let text = manifests([(&names[0], &both[..]), (&names[1], &[])].into_iter());

        assert_eq!(
            text,
            "---\n\
             apiVersion: v1\n\
             kind: Service\n\
             metadata:\n  \
               name: \"7\"\n  \
               namespace: \"shop\"\n  \
               annotations:\n    \
                 lbipam.cilium.io/ips: \"192.0.2.1,2001:db8::\"\n"
        );
    }
}
