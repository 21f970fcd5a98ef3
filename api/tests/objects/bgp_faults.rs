//! Every fault of the BGP resources.

use serde_json::{Value, json};

use crate::{cilium, table};

#[test]
fn faults_of_a_bgp_cluster_config_are_found() {
    let cluster = |spec| cilium("CiliumBGPClusterConfig", spec);
    let instance = |instance: Value| cluster(json!({"bgpInstances": [instance]}));
    let peer = |peer: Value| instance(json!({"name": "i", "localASN": 1, "peers": [peer]}));
    let seventeen: Vec<Value> = (0..17).map(|n| json!({"name": n.to_string()})).collect();
    table(&[
        (
            cluster(json!({})),
            &["spec.bgpInstances: must have 1 to 16 items, not 0"],
        ),
        (
            cluster(json!({"bgpInstances": seventeen})),
            &["spec.bgpInstances: must have 1 to 16 items, not 17"],
        ),
        (
            cluster(json!({"bgpInstances": [{"name": "a"}, {"name": "a"}]})),
            &["spec.bgpInstances[1].name: \"a\" is there twice"],
        ),
        (
            instance(json!({"localASN": 0, "localPort": 0})),
            &[
                "spec.bgpInstances[0].name: is required",
                "spec.bgpInstances[0].localASN: 0 is not between 1 and 4294967295",
                "spec.bgpInstances[0].localPort: 0 is not between 1 and 65535",
            ],
        ),
        (
            instance(json!({"name": "", "localASN": 4_294_967_296_i64})),
            &[
                "spec.bgpInstances[0].name: must have 1 to 255 characters",
                "spec.bgpInstances[0].localASN: 4294967296 is not between 1 and 4294967295",
            ],
        ),
        (
            peer(json!({"name": "p", "peerASN": 4_294_967_296_i64})),
            &["spec.bgpInstances[0].peers[0].peerASN: 4294967296 is not between 0 and 4294967295"],
        ),
        (
            peer(json!({"name": "p", "peerAddress": "10.0.0.0/8"})),
            &["spec.bgpInstances[0].peers[0].peerAddress: \"10.0.0.0/8\" is not an IP address"],
        ),
        (
            peer(json!({"name": "p", "peerAddress": "10.0.0.1%eth0"})),
            &["spec.bgpInstances[0].peers[0].peerAddress: an IPv4 address has no zone"],
        ),
        (
            peer(json!({"name": "p", "peerAddress": "fe80::1%"})),
            &["spec.bgpInstances[0].peers[0].peerAddress: the zone after % is empty"],
        ),
        (
            peer(json!({"name": "p", "peerConfigRef": {"group": "x", "kind": "y"}})),
            &[
                "spec.bgpInstances[0].peers[0].peerConfigRef.group: \"x\" is not one of cilium.io",
                "spec.bgpInstances[0].peers[0].peerConfigRef.kind: \"y\" is not one of CiliumBGPPeerConfig",
                "spec.bgpInstances[0].peers[0].peerConfigRef.name: is required",
            ],
        ),
        (
            peer(json!({"name": "p", "autoDiscovery": {"mode": "DefaultGateway"}})),
            &["spec.bgpInstances[0].peers[0].autoDiscovery.defaultGateway: is required"],
        ),
        (
            peer(json!({"name": "p", "autoDiscovery": {"mode": "Unnumbered"}})),
            &[
                "spec.bgpInstances[0].peers[0].autoDiscovery.mode: \"Unnumbered\" is not one of DefaultGateway",
            ],
        ),
        (
            peer(
                json!({"name": "p", "autoDiscovery": {"mode": "DefaultGateway", "defaultGateway": {"addressFamily": "v4"}}}),
            ),
            &[
                "spec.bgpInstances[0].peers[0].autoDiscovery.defaultGateway.addressFamily: \"v4\" is not one of ipv4, ipv6",
            ],
        ),
    ]);
}

#[test]
fn faults_of_a_bgp_peer_config_are_found() {
    let peer = |spec| cilium("CiliumBGPPeerConfig", spec);
    table(&[
        (
            peer(json!({"transport": {"peerPort": 0}, "ebgpMultihop": 256})),
            &[
                "spec.transport.peerPort: 0 is not between 1 and 65535",
                "spec.ebgpMultihop: 256 is not between 1 and 255",
            ],
        ),
        (
            peer(json!({"timers": {"holdTimeSeconds": 9, "keepAliveTimeSeconds": 10}})),
            &["spec.timers.keepAliveTimeSeconds: 10 is larger than holdTimeSeconds, 9"],
        ),
        (
            peer(json!({"timers": {"holdTimeSeconds": 3}})),
            &["spec.timers.keepAliveTimeSeconds: 30 is larger than holdTimeSeconds, 3"],
        ),
        (
            peer(
                json!({"timers": {"holdTimeSeconds": 2, "keepAliveTimeSeconds": 1, "connectRetryTimeSeconds": 0}}),
            ),
            &[
                "spec.timers.connectRetryTimeSeconds: 0 is not between 1 and 2147483647",
                "spec.timers.holdTimeSeconds: 2 is not between 3 and 65535",
            ],
        ),
        (
            peer(json!({"gracefulRestart": {}})),
            &["spec.gracefulRestart.enabled: is required"],
        ),
        (
            peer(json!({"gracefulRestart": {"enabled": true, "restartTimeSeconds": 4096}})),
            &["spec.gracefulRestart.restartTimeSeconds: 4096 is not between 1 and 4095"],
        ),
        (
            peer(json!({"families": [{"afi": "ipv5"}, {"safi": "unicast"}]})),
            &[
                "spec.families[0].afi: \"ipv5\" is not one of ipv4, ipv6, l2vpn, ls, opaque",
                "spec.families[0].safi: is required",
                "spec.families[1].afi: is required",
            ],
        ),
        (
            peer(json!({"timers": {"holdTimeSeconds": "9"}})),
            &["spec.timers.holdTimeSeconds: invalid type: string \"9\", expected a number"],
        ),
    ]);
}

#[test]
fn faults_of_a_bgp_advertisement_are_found() {
    let entry = |entry: Value| cilium("CiliumBGPAdvertisement", json!({"advertisements": [entry]}));
    let service = |service| entry(json!({"advertisementType": "Service", "service": service}));
    let communities = |communities| {
        entry(json!({
            "advertisementType": "PodCIDR", "attributes": {"communities": communities},
        }))
    };
    table(&[
        (
            cilium("CiliumBGPAdvertisement", json!({"advertisements": []})),
            &["spec.advertisements: must have at least one item"],
        ),
        (
            entry(json!({})),
            &["spec.advertisements[0].advertisementType: is required"],
        ),
        (
            entry(json!({"advertisementType": "Service"})),
            &["spec.advertisements[0].service: is required for this type"],
        ),
        (
            entry(json!({"advertisementType": "Interface"})),
            &["spec.advertisements[0].interface: is required for this type"],
        ),
        (
            entry(json!({"advertisementType": "Interface", "interface": {}})),
            &["spec.advertisements[0].interface.name: is required"],
        ),
        (
            entry(
                json!({"advertisementType": "PodCIDR", "selector": {}, "interface": {"name": "lo"}, "service": {"addresses": ["ExternalIP"]}}),
            ),
            &[
                "spec.advertisements[0].service: is not allowed for this type",
                "spec.advertisements[0].interface: is not allowed for this type",
                "spec.advertisements[0].selector: is not allowed for this type",
            ],
        ),
        (
            service(json!({})),
            &["spec.advertisements[0].service.addresses: must have at least one item"],
        ),
        (
            service(
                json!({"addresses": ["PodIP"], "aggregationLengthIPv4": 32, "aggregationLengthIPv6": 128}),
            ),
            &[
                "spec.advertisements[0].service.addresses[0]: \"PodIP\" is not one of LoadBalancerIP, ClusterIP, ExternalIP",
                "spec.advertisements[0].service.aggregationLengthIPv4: 32 is not between 0 and 31",
                "spec.advertisements[0].service.aggregationLengthIPv6: 128 is not between 0 and 127",
            ],
        ),
        (
            communities(
                json!({"standard": ["65536:1"], "wellKnown": ["no-such"], "large": ["1:2"]}),
            ),
            &[
                "spec.advertisements[0].attributes.communities.standard[0]: \"65536:1\" is not a community: expected A:B with halves of 16 bits, or one number of 32 bits",
                "spec.advertisements[0].attributes.communities.wellKnown[0]: \"no-such\" is not one of internet, planned-shut, accept-own, route-filter-translated-v4, route-filter-v4, route-filter-translated-v6, route-filter-v6, llgr-stale, no-llgr, blackhole, no-export, no-advertise, no-export-subconfed, no-peer",
                "spec.advertisements[0].attributes.communities.large[0]: \"1:2\" is not a large community: expected A:B:C, each of 32 bits",
            ],
        ),
        (
            entry(json!({"advertisementType": "PodCIDR", "attributes": {"localPreference": -1}})),
            &[
                "spec.advertisements[0].attributes.localPreference: -1 is not between 0 and 4294967295",
            ],
        ),
    ]);
}
