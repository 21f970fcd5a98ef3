//! `sluice bgp peers` of a cluster: what every agent wrote into the status of its CiliumBGPNodeConfig.

use agent_api::{FamilyRoutes, Peer, SessionState};
use anyhow::{Context as _, Result};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde::Deserialize;
use serde_json::Value;
use types::Family;

/// BGP's own; a status has no port.
const PORT: u16 = 179;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    bgp_instances: Vec<Instance>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Instance {
    name: String,
    #[serde(rename = "localASN")]
    local_asn: u32,
    peers: Vec<Session>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Session {
    name: String,
    peer_address: String,
    #[serde(rename = "peerASN")]
    peer_asn: u32,
    peering_state: String,
    established_time: Option<Timestamp>,
    timers: Timers,
    route_count: Vec<Routes>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Timers {
    applied_hold_time_seconds: Option<u64>,
    applied_keepalive_seconds: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Routes {
    afi: String,
    #[serde(default)]
    received: u64,
    #[serde(default)]
    advertised: u64,
}

/// Sessions of every node, by node.
///
/// # Errors
/// If the API server cannot be asked, or refuses.
pub(super) async fn of_cluster(client: Client) -> Result<Vec<Peer>> {
    let kind = GroupVersionKind::gvk("cilium.io", "v2", "CiliumBGPNodeConfig");
    let configs = Api::<DynamicObject>::all_with(client, &ApiResource::from_gvk(&kind));
    let configs = configs.list(&ListParams::default()).await;
    let mut configs = configs
        .context("asking the API server for CiliumBGPNodeConfigs")?
        .items;
    configs.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let now = Timestamp::now();
    let mut peers = Vec::new();
    for config in configs {
        let node = config.metadata.name.unwrap_or_default();
        let status = config.data.get("status").unwrap_or(&Value::Null);
        let status = of_node(&node, status, now);
        peers.extend(status.with_context(|| format!("reading the status of {node}"))?);
    }
    Ok(peers)
}

/// Sessions of one node. Without a status there are none.
fn of_node(node: &str, status: &Value, now: Timestamp) -> Result<Vec<Peer>> {
    let status: Option<Status> = serde_json::from_value(status.clone())?;
    let mut peers = Vec::new();
    for instance in status.unwrap_or_default().bgp_instances {
        for session in &instance.peers {
            peers.push(peer(node, &instance, session, now)?);
        }
    }
    Ok(peers)
}

fn peer(node: &str, instance: &Instance, session: &Session, now: Timestamp) -> Result<Peer> {
    let state = Value::String(session.peering_state.clone());
    let state: Option<SessionState> = serde_json::from_value(state).ok();
    let unknown = state.is_none().then(|| {
        let state = &session.peering_state;
        format!("the state \"{state}\" is not known")
    });
    let age = |since: Timestamp| u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0);
    Ok(Peer {
        node: node.parse().context("its name")?,
        instance: instance.name.clone(),
        name: session.name.clone(),
        local_asn: instance.local_asn.to_string().parse().context("localASN")?,
        peer_asn: session.peer_asn,
        address: session.peer_address.parse().context("peerAddress")?,
        port: PORT,
        state: state.unwrap_or(SessionState::Idle),
        uptime_secs: session.established_time.map(age),
        hold_time_secs: session.timers.applied_hold_time_seconds,
        keepalive_secs: session.timers.applied_keepalive_seconds,
        families: session.route_count.iter().filter_map(routes).collect(),
        notes: unknown.into_iter().collect(),
    })
}

fn routes(count: &Routes) -> Option<FamilyRoutes> {
    let family = match count.afi.as_str() {
        "ipv4" => Family::V4,
        "ipv6" => Family::V6,
        _ => return None,
    };
    Some(FamilyRoutes {
        family,
        received: count.received,
        advertised: count.advertised,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_status_becomes_the_sessions_of_its_node() {
        let status = json!({"bgpInstances": [{
            "name": "edge", "localASN": 65001,
            "peers": [{
                "name": "tor", "peerAddress": "fd00::1", "peerASN": 65000,
                "peeringState": "established", "establishedTime": "2026-11-20T11:59:00Z",
                "timers": {"appliedHoldTimeSeconds": 90, "appliedKeepaliveSeconds": 30},
                "routeCount": [
                    {"afi": "ipv4", "safi": "unicast", "received": 3, "advertised": 1},
                    {"afi": "ipv6", "safi": "unicast", "advertised": 2},
                ],
            }],
        }]});

        let peers = of_node("n1", &status, now()).unwrap();

        let family = |family, received, advertised| FamilyRoutes {
            family,
            received,
            advertised,
        };
        assert_eq!(
            peers,
            [Peer {
                node: "n1".parse().unwrap(),
                instance: "edge".into(),
                name: "tor".into(),
                local_asn: "65001".parse().unwrap(),
                peer_asn: 65000,
                address: "fd00::1".parse().unwrap(),
                port: 179,
                state: SessionState::Established,
                uptime_secs: Some(60),
                hold_time_secs: Some(90),
                keepalive_secs: Some(30),
                families: vec![family(Family::V4, 3, 1), family(Family::V6, 0, 2)],
                notes: vec![],
            }]
        );
    }

    #[test]
    fn a_node_that_wrote_nothing_yet_has_no_sessions() {
        assert_eq!(of_node("n1", &Value::Null, now()).unwrap(), []);
        assert_eq!(of_node("n1", &json!({}), now()).unwrap(), []);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_a_session() {
        let status = |address: &str, state: &str| {
            json!({"bgpInstances": [{"name": "e", "localASN": 1, "peers": [
                {"name": "t", "peerAddress": address, "peeringState": state}
            ]}]})
        };

        assert!(of_node("n1", &status("x", "idle"), now()).is_err());
        let odd = of_node("n1", &status("10.0.0.1", "odd"), now()).unwrap();
        assert_eq!(odd[0].notes, ["the state \"odd\" is not known"]);
    }
}
