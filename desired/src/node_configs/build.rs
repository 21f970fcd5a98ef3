//! One node's part of a CiliumBGPClusterConfig.

use std::collections::BTreeMap;

use api::bgp::{
    BgpClusterConfig, BgpInstance, BgpPeer, InstanceOverride, NodeConfigOverride, NodeInstance,
    NodePeer, NodeSpec,
};
use api::{Kind, Owner};
use types::RouterId;

/// The router IDs that a node's instances have by their overrides, each by the instance's name.
pub(super) type Wanted<'c> = BTreeMap<&'c str, Option<RouterId>>;

/// What a node is to run. `assign` turns the router IDs that are asked for into those that it gets.
pub(super) fn spec<'c>(
    config: &'c BgpClusterConfig,
    differs: Option<&NodeConfigOverride>,
    assign: impl FnOnce(Wanted<'c>) -> BTreeMap<&'c str, RouterId>,
) -> NodeSpec {
    let instances: Vec<(&BgpInstance, Option<&InstanceOverride>)> = config
        .instances
        .iter()
        .map(|instance| (instance, differs.and_then(|of| named(of, &instance.name))))
        .collect();
    let wanted = instances.iter().map(|(instance, differs)| {
        let router_id = differs.and_then(|differs| differs.router_id);
        (instance.name.as_str(), router_id)
    });
    let router_ids = assign(wanted.collect());
    NodeSpec {
        owner: Some(Owner {
            kind: Kind::CiliumBGPClusterConfig,
            name: config.meta.name.name.as_ref().to_owned(),
            uid: config.meta.uid.clone(),
        }),
        instances: instances
            .into_iter()
            .map(|(instance, differs)| {
                let router_id = router_ids.get(instance.name.as_str()).copied();
                build(instance, differs, router_id)
            })
            .collect(),
    }
}

fn named<'o>(differs: &'o NodeConfigOverride, name: &str) -> Option<&'o InstanceOverride> {
    let mut instances = differs.instances.iter();
    instances.find(|instance| instance.name == name)
}

fn build(
    instance: &BgpInstance,
    differs: Option<&InstanceOverride>,
    router_id: Option<RouterId>,
) -> NodeInstance {
    let asn = differs.and_then(|differs| differs.local_asn);
    let port = differs.and_then(|differs| differs.local_port);
    let peers = instance.peers.iter();
    NodeInstance {
        name: instance.name.clone(),
        local_asn: asn.or(instance.local_asn),
        router_id,
        local_port: port.or(instance.local_port),
        peers: peers.map(|peer| with_address(peer, differs)).collect(),
    }
}

fn with_address(peer: &BgpPeer, differs: Option<&InstanceOverride>) -> NodePeer {
    let mut differing = differs.iter().flat_map(|differs| &differs.peers);
    let found = differing.find(|differing| differing.name == peer.name);
    NodePeer {
        peer: peer.clone(),
        local_address: found.and_then(|found| found.local_address),
    }
}
