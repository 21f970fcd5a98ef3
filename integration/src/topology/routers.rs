//! The routers' configurations: eBGP to both edge nodes, ECMP, graceful restart helpers.

use std::fmt::Write as _;

/// The first router, BIRD: one IPv6 session an edge node, both families on it.
#[must_use]
pub fn bird_config() -> String {
    let mut config = "\
log stderr all;
router id 10.255.0.1;
protocol device { scan time 1; }
protocol direct { ipv4; ipv6; }
protocol kernel k4 { ipv4 { import none; export where source = RTS_BGP; }; merge paths on; }
protocol kernel k6 { ipv6 { import none; export where source = RTS_BGP; }; merge paths on; }
"
    .to_owned();
    for e in [1, 2] {
        // Writing to a String cannot fail.
        let _ = writeln!(
            config,
            "protocol bgp edge{e} {{
  local fd00:2:1{e}::1 as 65001;
  neighbor fd00:2:1{e}::2 as 65010;
  hold time 3; keepalive time 1; connect delay time 1; connect retry time 1;
  error wait time 1, 2;
  ipv4 {{ import all; export none; extended next hop on; }};
  ipv6 {{ import all; export none; }};
}}"
        );
    }
    config
}

/// The second router, FRR: one IPv4 session an edge node, both families on it.
#[must_use]
pub fn frr_config() -> String {
    let mut config = "\
hostname tor2
log stdout informational
router bgp 65002
 bgp router-id 10.255.0.2
 no bgp ebgp-requires-policy
 no bgp network import-check
 timers bgp 1 3
"
    .to_owned();
    for e in [1, 2] {
        // Writing to a String cannot fail.
        let _ = writeln!(
            config,
            " neighbor 10.2.2{e}.2 remote-as 65010\n neighbor 10.2.2{e}.2 timers connect 1"
        );
    }
    for family in ["ipv4", "ipv6"] {
        let _ = writeln!(
            config,
            " address-family {family} unicast\n  maximum-paths 4"
        );
        for e in [1, 2] {
            let _ = writeln!(config, "  neighbor 10.2.2{e}.2 activate");
        }
        config.push_str(" exit-address-family\n");
    }
    config
}
