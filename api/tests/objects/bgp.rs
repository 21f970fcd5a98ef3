//! What the BGP resources mean.

use api::bgp::{AdvertisementSource, LargeCommunity, ServiceAddress, SessionSettings};
use api::{Labels, Object};
use serde_json::json;
use types::{Asn, Family};

use crate::{cilium, read, secs};

#[test]
fn both_versions_and_older_spellings_of_bgp_resources_are_read() {
    for version in ["cilium.io/v2", "cilium.io/v2alpha1"] {
        let cluster = read(json!({
            "apiVersion": version, "kind": "CiliumBGPClusterConfig", "metadata": {"name": "rack"},
            "spec": {
                "nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "edge1"}},
                "bgpInstances": [{
                    "name": "one", "localASN": 4_200_000_001_u32, "localPort": 1790,
                    "peers": [
                        {"name": "tor", "peerASN": 65000, "peerAddress": "fe80::1%eth0",
                         "peerConfigRef": {"group": "cilium.io", "kind": "CiliumBGPPeerConfig", "name": "fast"}},
                        {"name": "any", "peerAddress": "192.0.2.1"},
                    ],
                }],
            },
        }));

        let Object::CiliumBGPClusterConfig(cluster) = cluster else {
            panic!("another kind");
        };

        let instance = &cluster.instances[0];
        assert_eq!(instance.local_asn, Asn::try_from(4_200_000_001).ok());
        assert_eq!(instance.local_port, Some(1790));
        let [tor, any] = &instance.peers[..] else {
            panic!("not two peers")
        };
        assert_eq!(tor.address.as_ref().unwrap().to_string(), "fe80::1%eth0");
        assert_eq!(tor.peer_config.as_deref(), Some("fast"));
        assert_eq!((any.asn, &any.peer_config), (None, &None));
        assert_eq!(cluster.unenforced, []);
    }
}

#[test]
fn an_empty_peer_config_has_ciliums_defaults() {
    let empty = read(cilium(
        "CiliumBGPPeerConfig",
        json!({"transport": {}, "timers": {}}),
    ));
    let restarting = read(cilium(
        "CiliumBGPPeerConfig",
        json!({"gracefulRestart": {"enabled": true}}),
    ));

    let (Object::CiliumBGPPeerConfig(empty), Object::CiliumBGPPeerConfig(restarting)) =
        (empty, restarting)
    else {
        panic!("other kinds");
    };

    assert_eq!(empty.session, SessionSettings::default());
    let session = &empty.session;
    assert_eq!((session.peer_port, session.multihop), (179, 1));
    assert_eq!(
        (session.connect_retry, session.hold, session.keepalive),
        (secs(120), secs(90), secs(30))
    );
    assert_eq!(session.families.len(), 2);
    assert!(
        session
            .families
            .iter()
            .all(|family| !family.selects(&Labels::new()))
    );
    assert_eq!(session.graceful_restart, None);
    assert_eq!(restarting.session.graceful_restart, Some(secs(120)));
}

#[test]
fn an_advertisement_carries_its_communities_as_numbers() {
    let object = read(cilium(
        "CiliumBGPAdvertisement",
        json!({"advertisements": [
            {"advertisementType": "Service",
             "service": {"addresses": ["LoadBalancerIP", "ExternalIP"], "aggregationLengthIPv4": 24},
             "selector": {"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["x"]}]},
             "attributes": {"localPreference": 200, "communities": {
                 "standard": ["65000:1", "42"], "wellKnown": ["no-export"], "large": ["1:2:3"]}}},
        ]}),
    ));

    let Object::CiliumBGPAdvertisement(object) = object else {
        panic!("another kind");
    };

    let entry = &object.advertisements[0];
    let AdvertisementSource::Service { addresses, .. } = &entry.source else {
        panic!("not of services")
    };
    assert!(addresses.contains(&ServiceAddress::ExternalIp) && addresses.len() == 2);
    assert_eq!(entry.source.aggregation(Family::V4), Some(24));
    assert_eq!(entry.source.aggregation(Family::V6), None);
    let attributes = &entry.attributes;
    assert_eq!(
        Vec::from_iter(attributes.communities.clone()),
        [42, 65000 << 16 | 1, 0xffff_ff01]
    );
    let large = LargeCommunity {
        global: 1,
        local1: 2,
        local2: 3,
    };
    assert!(attributes.large_communities.contains(&large));
    assert_eq!(attributes.local_preference, Some(200));
}
