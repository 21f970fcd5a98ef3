//! What people are shown, copied out of the core.

use std::net::IpAddr;
use std::time::Duration;

use bgp_speaker_core::desired::{InstanceName, PeerName};
use bgp_speaker_core::{Advertised, PeerKey, PeerView, Route, SessionState, Speaker};
use bgp_speaker_packet::{Attributes, NextHop};
use types::{Asn, Family, Prefix, RouterId};

use crate::handle::RouteQuery;

/// One peer and its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its instance.
    pub instance: InstanceName,
    /// Its name in the instance.
    pub name: PeerName,
    /// Our AS.
    pub local_asn: Asn,
    /// Our identifier.
    pub router_id: RouterId,
    /// Its AS: from its OPEN while established, else as configured; `None` if any is accepted.
    pub peer_asn: Option<Asn>,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The session's state.
    pub state: SessionState,
    /// How long the session has been established.
    pub uptime: Option<Duration>,
    /// The hold time agreed on; zero if there is none.
    pub hold_time: Option<Duration>,
    /// The pause between two KEEPALIVEs.
    pub keepalive: Option<Duration>,
    /// Every configured family, IPv4 first.
    pub families: Vec<FamilyStatus>,
    /// Why the last session, or attempt at one, ended, and how long ago.
    pub last_error: Option<(String, Duration)>,
    /// Why its instance does not listen although it should.
    pub listen_error: Option<String>,
}

/// One family of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyStatus {
    /// Which.
    pub family: Family,
    /// Both sides speak it.
    pub negotiated: bool,
    /// Routes received.
    pub received: usize,
    /// Routes advertised.
    pub advertised: usize,
    /// The peer's End-of-RIB has come.
    pub end_of_rib_received: bool,
    /// Our End-of-RIB has gone out.
    pub end_of_rib_sent: bool,
    /// Why nothing can be advertised, if so.
    pub unreachable: Option<String>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteStatus {
    /// The instance.
    pub instance: InstanceName,
    /// Our AS.
    pub local_asn: Asn,
    /// The peer it is advertised to or was received from; `None` for an available one.
    pub peer: Option<IpAddr>,
    /// The prefix.
    pub prefix: Prefix,
    /// Where it leads; `None` where the session decides.
    pub next_hop: Option<NextHop>,
    /// For how long it has been what it is.
    pub age: Option<Duration>,
    /// The attributes in words: `{Origin: i}`.
    pub attributes: Vec<String>,
}

pub(crate) fn peers(core: &Speaker, now: Duration) -> Vec<PeerStatus> {
    core.peers().map(|view| peer(core, now, &view)).collect()
}

fn peer(core: &Speaker, now: Duration, view: &PeerView<'_>) -> PeerStatus {
    let session = view.session;
    PeerStatus {
        instance: view.key.instance.clone(),
        name: view.key.peer.clone(),
        local_asn: view.instance.local_asn,
        router_id: view.instance.router_id,
        peer_asn: session.map(|it| it.peer_asn).or(view.desired.asn),
        address: view.desired.address,
        port: view.desired.port,
        state: view.state,
        uptime: (view.state == SessionState::Established).then(|| now.saturating_sub(view.since)),
        hold_time: session.map(|it| it.hold.duration().unwrap_or_default()),
        keepalive: session.map(|it| it.keepalive),
        families: view.families.iter().map(family).collect(),
        last_error: view
            .last_error
            .map(|it| (it.reason.to_string(), now.saturating_sub(it.at))),
        listen_error: core.listen_error(&view.key.instance).map(ToOwned::to_owned),
    }
}

fn family(view: &bgp_speaker_core::FamilyView) -> FamilyStatus {
    FamilyStatus {
        family: view.family,
        negotiated: view.negotiated,
        received: view.received,
        advertised: view.advertised,
        end_of_rib_received: view.end_of_rib_received,
        end_of_rib_sent: view.end_of_rib_sent,
        unreachable: view.unreachable.map(|it| it.to_string()),
    }
}

/// The routes that a query asks for, by prefix within an instance and a peer.
pub(crate) fn routes(core: &Speaker, now: Duration, query: RouteQuery) -> Vec<RouteStatus> {
    let mut found = Vec::new();
    let mut instances = std::collections::BTreeMap::new();
    for view in core.peers() {
        instances.insert(view.key.instance.clone(), view.instance.local_asn);
        match query {
            RouteQuery::Available(_) => (),
            RouteQuery::Advertised(family) => {
                let routes = core.advertised(view.key, family);
                found.extend(routes.map(|route| advertised(now, &view, &route)));
            }
            RouteQuery::Received(family) => {
                let routes = core.received(view.key, family);
                found.extend(routes.map(|route| {
                    let peer = Some(view.desired.address);
                    copied(now, view.key, view.instance.local_asn, peer, &route)
                }));
            }
        }
    }
    if let RouteQuery::Available(family) = query {
        for (instance, asn) in instances {
            let routes = core.available(&instance, family);
            let key = PeerKey {
                instance: instance.clone(),
                peer: PeerName::from(""),
            };
            found.extend(routes.map(|route| copied(now, &key, asn, None, &route)));
        }
    }
    found.sort_by(|a, b| {
        let order = |it: &RouteStatus| (it.instance.clone(), it.peer, it.prefix);
        order(a).cmp(&order(b))
    });
    found
}

fn copied(
    now: Duration,
    key: &PeerKey,
    local_asn: Asn,
    peer: Option<IpAddr>,
    route: &Route<'_>,
) -> RouteStatus {
    RouteStatus {
        instance: key.instance.clone(),
        local_asn,
        peer,
        prefix: route.prefix,
        next_hop: route.next_hop,
        age: route.since.map(|since| now.saturating_sub(since)),
        attributes: words(route.attributes),
    }
}

fn advertised(now: Duration, view: &PeerView<'_>, route: &Advertised) -> RouteStatus {
    let mut canonical = Vec::new();
    route.attributes.write(&mut canonical);
    RouteStatus {
        instance: view.key.instance.clone(),
        local_asn: view.instance.local_asn,
        peer: Some(view.desired.address),
        prefix: route.prefix,
        next_hop: Some(route.next_hop),
        age: route.since.map(|since| now.saturating_sub(since)),
        attributes: words(Attributes::from_canonical(&canonical)),
    }
}

fn words(attributes: Attributes<'_>) -> Vec<String> {
    attributes.iter().map(|it| it.to_string()).collect()
}
