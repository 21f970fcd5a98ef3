//! Keys that Cilium's users have and that have no effect here, with what is so instead.

use crate::{Remark, value};

/// A key, or the beginning of keys if it ends with `*`.
struct Missing {
    key: &'static str,
    /// Values that ask for nothing.
    quiet: &'static [&'static str],
    /// What is so instead.
    instead: &'static str,
}

const OFF: &[&str] = &["false", "disabled", "0", ""];
/// Remarked upon whatever the value.
const ALWAYS: &[&str] = &[""];
/// Asks for nothing that is missing.
const NEVER: &str = "";

const CNI: &str = "pods keep the addresses and routes that the cluster's CNI gives them";
const KUBE_PROXY: &str = "another program, such as kube-proxy, balances inside the cluster";
const FLOWS: &str = "flows are not observed";
const L2: &str = "addresses are announced by BGP only";
const EGRESS: &str = "egress traffic is left alone";
const ENCRYPTION: &str = "traffic between nodes is not encrypted here";
const INGRESS: &str = "Ingress objects are left to another controller";
const POLICY: &str = "network policies are not enforced here";
const MESH: &str = "clusters are not connected to each other";

const fn key(key: &'static str, quiet: &'static [&'static str], instead: &'static str) -> Missing {
    Missing {
        key,
        quiet,
        instead,
    }
}

/// The first that matches decides.
const MISSING: &[Missing] = &[
    key(
        "kube-proxy-replacement",
        &["false", "disabled", ""],
        KUBE_PROXY,
    ),
    key("kube-proxy-replacement-*", ALWAYS, KUBE_PROXY),
    key("enable-node-port", OFF, KUBE_PROXY),
    key("node-port-*", ALWAYS, KUBE_PROXY),
    key("bpf-lb-*", OFF, KUBE_PROXY),
    key("ipam", &["", "delegated-plugin"], CNI),
    key("cluster-pool-*", ALWAYS, CNI),
    key("k8s-require-ipv4-pod-cidr", OFF, CNI),
    key("k8s-require-ipv6-pod-cidr", OFF, CNI),
    key("ipv4-native-routing-cidr", ALWAYS, CNI),
    key("ipv6-native-routing-cidr", ALWAYS, CNI),
    key("routing-mode", ALWAYS, CNI),
    key("tunnel", &["disabled", ""], CNI),
    key("tunnel-*", ALWAYS, CNI),
    key("auto-direct-node-routes", OFF, CNI),
    key("direct-routing-skip-unreachable", OFF, CNI),
    key("enable-bpf-masquerade", OFF, CNI),
    key("enable-ipv4-masquerade", OFF, CNI),
    key("enable-ipv6-masquerade", OFF, CNI),
    key("install-no-conntrack-iptables-rules", OFF, CNI),
    key("cni-chaining-mode", &["none", ""], CNI),
    key("cni-install", OFF, CNI),
    key("cni-exclusive", OFF, CNI),
    key("cni-*", ALWAYS, CNI),
    key("write-cni-conf-when-ready", ALWAYS, CNI),
    key("enable-l2-announcements", OFF, L2),
    key("enable-l2-pod-announcements", OFF, L2),
    key("l2-*", ALWAYS, L2),
    key("enable-egress-gateway", OFF, EGRESS),
    key("enable-ipv4-egress-gateway", OFF, EGRESS),
    key("egress-gateway-*", ALWAYS, EGRESS),
    key("enable-hubble", OFF, FLOWS),
    key("enable-hubble-*", OFF, FLOWS),
    key("hubble-*", OFF, FLOWS),
    key("enable-wireguard", OFF, ENCRYPTION),
    key("enable-ipsec", OFF, ENCRYPTION),
    key("encrypt-node", OFF, ENCRYPTION),
    key("enable-encryption-strict-mode*", OFF, ENCRYPTION),
    key("enable-ingress-controller", OFF, INGRESS),
    key("enable-gateway-api", OFF, INGRESS),
    key("ingress-*", ALWAYS, INGRESS),
    key("enable-policy", &["never", ""], POLICY),
    key("enable-host-firewall", OFF, POLICY),
    key("cluster-id", &["0", ""], MESH),
    key("clustermesh-*", ALWAYS, MESH),
    key(
        "enable-bgp-legacy-origin-attribute",
        OFF,
        "routes have the origin IGP",
    ),
    // They name things, or switch what is always so.
    key("cluster-name", ALWAYS, NEVER),
    key("enable-metrics", ALWAYS, NEVER),
    key("agent-not-ready-taint-key", ALWAYS, NEVER),
    key("identity-allocation-mode", &["crd", ""], POLICY),
];

/// What is to be said of a key that has no effect.
pub(crate) fn remarks(key: &str, value: &str) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if key.ends_with("-native-routing-cidr") {
        remarks.extend(corrected(key, value));
    }
    match MISSING.iter().find(|missing| matches(missing.key, key)) {
        None => remarks.push(Remark::Unknown {
            key: key.to_owned(),
        }),
        Some(missing) if missing.instead == NEVER || missing.quiet.contains(&value) => {}
        Some(missing) => remarks.push(Remark::NotImplemented {
            key: key.to_owned(),
            value: value.to_owned(),
            instead: missing.instead.to_owned(),
        }),
    }
    remarks
}

/// Cilium's users write a node's address for the prefix that it is in.
fn corrected(key: &str, value: &str) -> Option<Remark> {
    let (net, had_host_bits) = value::prefix(value).ok()?;
    had_host_bits.then(|| Remark::Corrected {
        key: key.to_owned(),
        value: value.to_owned(),
        used: net.to_string(),
        why: "has host bits set",
    })
}

fn matches(pattern: &str, key: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => pattern == key,
    }
}
