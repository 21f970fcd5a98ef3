//! Turns what the parts know into what people are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use agent_api as shown;
use api::{Key, Kind, Object};
use bgp_speaker::{PeerStatus, RouteStatus};
use bgp_speaker_core::SessionState;
use bgp_speaker_packet::NextHop;
use store::Faults;
use store::manifest::Subject;
use types::{BackendAddr, NodeName, ObjectName, Vip};
use xdp_l4lb::{LinkState, State};
use xdp_l4lb_core::desired::ServiceKey;
use xdp_l4lb_core::{Role, ServiceStatus};

use super::conditions::remark;
use super::node::Told;

pub(super) fn counts(snapshot: &store::Snapshot) -> Vec<shown::KindCount> {
    let counts = snapshot.counts().into_iter();
    counts
        .map(|(kind, count)| shown::KindCount {
            kind: kind.to_string(),
            count,
        })
        .collect()
}

pub(super) fn refused(faults: &Faults) -> Vec<shown::Refused> {
    let one = |fault: &store::manifest::FileFault| {
        let (object, reason) = match &fault.subject {
            Subject::Whole => (String::new(), fault.reason.clone()),
            Subject::Field { object, path } => {
                let field = path.to_string();
                let reason = if field.is_empty() {
                    fault.reason.clone()
                } else {
                    format!("{field}: {}", fault.reason)
                };
                (object.clone(), reason)
            }
        };
        shown::Refused {
            place: Some(format!("{}:{}", fault.file, fault.line)),
            object,
            reason,
        }
    };
    faults.iter().map(one).collect()
}

pub(crate) fn interfaces(states: &BTreeMap<String, LinkState>) -> Vec<shown::Interface> {
    states
        .iter()
        .map(|(name, state)| {
            let (mode, reason) = match state {
                LinkState::Native => ("native", None),
                LinkState::Generic => ("generic", None),
                LinkState::Absent => ("absent", None),
                LinkState::Refused(why) => ("refused", Some(why.clone())),
            };
            shown::Interface {
                name: name.clone(),
                mode: mode.to_owned(),
                reason,
            }
        })
        .collect()
}

pub(super) fn bgp(peers: &[PeerStatus], prefixes: usize) -> shown::Bgp {
    let established = peers
        .iter()
        .filter(|peer| peer.state == SessionState::Established)
        .count();
    shown::Bgp {
        peers: peers.len(),
        established,
        prefixes,
    }
}

pub(super) fn ipam(report: &operator::Report) -> shown::Ipam {
    let services = report.services.values();
    shown::Ipam {
        services: services.len(),
        unsatisfied: services.filter(|(_, held)| !held.is_satisfied()).count(),
    }
}

pub(super) fn pools(snapshot: &store::Snapshot, report: &operator::Report) -> Vec<shown::Pool> {
    let disabled = |name: &ObjectName| {
        let key = Key::new(Kind::CiliumLoadBalancerIPPool, name.clone());
        match snapshot.objects.get(&key) {
            Some(Object::CiliumLoadBalancerIPPool(pool)) => pool.disabled,
            Some(_) | None => false,
        }
    };
    let pools = report.pools.iter().map(|(name, pool)| shown::Pool {
        name: name.name.to_string(),
        disabled: disabled(name),
        conflicting: pool.conflict.is_some(),
        total: pool.total.to_string(),
        available: pool.available.to_string(),
        used: pool.used.to_string(),
        message: pool
            .conflict
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
    });
    pools.collect()
}

/// How many VIPs are in place, and how many are asked for.
pub(super) fn in_place(told: &Told, state: &State) -> (usize, usize) {
    let services = told.services.values();
    let wanted: BTreeSet<&Vip> = services.flat_map(|service| &service.frontends).collect();
    let ready = wanted.iter().filter(|vip| state.ready.contains(vip));
    (ready.count(), wanted.len())
}

/// Every LoadBalancer service, with addresses or without.
pub(super) fn services(
    snapshot: &store::Snapshot,
    planned: &BTreeMap<ServiceKey, ServiceStatus>,
    state: &State,
    told: &Told,
    report: &operator::Report,
) -> Vec<shown::Service> {
    let mut services: BTreeMap<ObjectName, shown::Service> = BTreeMap::new();
    for (Key { kind, name }, object) in &snapshot.objects {
        if *kind == Kind::Service && is_load_balancer(object) {
            let mut service = empty(name);
            service.notes = object.conditions().iter().filter_map(remark).collect();
            services.insert(name.clone(), service);
        }
    }
    for (name, (_, satisfaction)) in &report.services {
        let service = services.entry(name.clone()).or_insert_with(|| empty(name));
        let note = satisfaction.to_string();
        // The condition that says so may be there already.
        if !satisfaction.is_satisfied() && !service.notes.contains(&note) {
            service.notes.push(note);
        }
    }
    for (key, status) in planned {
        let service = services
            .entry(key.object.clone())
            .or_insert_with(|| empty(&key.object));
        let checked = told
            .services
            .get(key)
            .is_some_and(|service| service.check.is_some());
        service
            .vips
            .extend(status.frontends.iter().map(|(vip, _)| *vip));
        service
            .notes
            .extend(status.faults.iter().map(ToString::to_string));
        if state.alarms.contains(key) {
            service
                .notes
                .push("more than half fail their checks: none is taken out".to_owned());
        }
        for (address, role) in &status.backends {
            if let Some(why) = state.failing.get(&(key.clone(), *address)) {
                service
                    .notes
                    .push(format!("{address} fails its check: {why}"));
            }

            let weight = told
                .services
                .get(key)
                .and_then(|service| service.backends.get(address))
                .map_or(0, |backend| backend.weight);
            service
                .backends
                .push(backend(*address, *role, weight, checked));
        }
    }
    for service in services.values_mut() {
        service.vips.sort();
        service.vips.dedup();
        service.backends.sort_by_key(|backend| backend.address);
        service.backends.dedup_by_key(|backend| backend.address);
        service.ready =
            !service.vips.is_empty() && service.vips.iter().all(|vip| state.ready.contains(vip));
    }
    services.into_values().collect()
}

fn is_load_balancer(object: &Object) -> bool {
    matches!(object, Object::Service(service) if service.kind == api::ServiceType::LoadBalancer)
}

fn empty(name: &ObjectName) -> shown::Service {
    shown::Service {
        namespace: name.namespace.to_string(),
        name: name.name.to_string(),
        vips: Vec::new(),
        ready: false,
        notes: Vec::new(),
        backends: Vec::new(),
    }
}

fn backend(address: BackendAddr, role: Role, weight: u16, checked: bool) -> shown::Backend {
    use shown::{BackendHealth as Health, BackendState as State};

    let known = if checked {
        Health::Up
    } else {
        Health::Unchecked
    };
    let unknown = if checked {
        Health::Unknown
    } else {
        Health::Unchecked
    };
    let (state, health) = match role {
        Role::Active => (State::Active, known),
        Role::Pending => (State::Active, unknown),
        Role::Terminating => (State::Draining, unknown),
        Role::Quarantined | Role::Gone => (State::Quarantined, Health::Down),
        Role::Maintenance => (State::Maintenance, unknown),
    };
    shown::Backend {
        address,
        weight,
        state,
        health,
    }
}

pub(super) fn peer(node: &NodeName, peer: &PeerStatus) -> shown::Peer {
    let mut notes: Vec<String> = peer.listen_error.iter().cloned().collect();
    if let Some((why, ago)) = &peer.last_error {
        notes.push(format!("{} s ago: {why}", ago.as_secs()));
    }
    for family in &peer.families {
        if let Some(why) = &family.unreachable {
            notes.push(format!("{}: {why}", family.family));
        }
    }
    shown::Peer {
        node: node.clone(),
        instance: peer.instance.to_string(),
        name: peer.name.to_string(),
        local_asn: peer.local_asn,
        peer_asn: peer.peer_asn.map_or(0, types::Asn::get),
        address: peer.address,
        port: peer.port,
        state: session_state(peer.state),
        uptime_secs: peer.uptime.map(|uptime| uptime.as_secs()),
        hold_time_secs: peer.hold_time.map(|time| time.as_secs()),
        keepalive_secs: peer.keepalive.map(|time| time.as_secs()),
        families: peer
            .families
            .iter()
            .map(|family| shown::FamilyRoutes {
                family: family.family,
                received: family.received as u64,
                advertised: family.advertised as u64,
            })
            .collect(),
        notes,
    }
}

/// The word for a session's state.
pub(super) fn state_word(state: SessionState) -> &'static str {
    session_state(state).as_str()
}

fn session_state(state: SessionState) -> shown::SessionState {
    match state {
        SessionState::Idle => shown::SessionState::Idle,
        SessionState::Connect => shown::SessionState::Connect,
        SessionState::Active => shown::SessionState::Active,
        SessionState::OpenSent => shown::SessionState::OpenSent,
        SessionState::OpenConfirm => shown::SessionState::OpenConfirm,
        SessionState::Established => shown::SessionState::Established,
    }
}

pub(super) fn route(node: &NodeName, route: &RouteStatus) -> shown::Route {
    shown::Route {
        node: node.clone(),
        vrouter: route.local_asn,
        peer: route.peer,
        prefix: route.prefix,
        next_hop: route
            .next_hop
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), next_hop),
        age_secs: route.age.map_or(0, |age| age.as_secs()),
        attrs: route.attributes.clone(),
    }
}

fn next_hop(hop: NextHop) -> IpAddr {
    match hop {
        NextHop::V4(addr) => addr.into(),
        NextHop::V6 { global, .. } => global.into(),
    }
}
