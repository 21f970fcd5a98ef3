//! What differs between two outcomes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp_speaker_core::desired::{Attributes, Instance, Peer};
use lb_ipam::{PoolConditions, Satisfaction};
use types::{NodeName, ObjectName, Prefix};
use xdp_l4lb_core::desired::{BackendState, Service};

use super::node::NodeState;
use super::report::{
    AddressChange, AddressFate, Plan, PoolChange, PoolState, Route, RouteChange, ServiceChange,
    SessionChange, SessionFate, Step,
};
use super::{Assumptions, Outcome};

/// The same change on some nodes, without them.
type OnNodes<T> = BTreeMap<T, Vec<NodeName>>;

pub(super) fn plan(was: &Outcome, becomes: &Outcome, assumptions: &Assumptions) -> Plan {
    let nodes: BTreeSet<&NodeName> = was.nodes.keys().chain(becomes.nodes.keys()).collect();
    let nothing = NodeState::default();
    let mut sessions = OnNodes::new();
    let mut routes = OnNodes::new();
    let mut services = OnNodes::new();
    let mut left_out = OnNodes::new();
    for node in nodes {
        let [old, new] = [was, becomes].map(|outcome| outcome.nodes.get(node).unwrap_or(&nothing));
        note(&mut sessions, node, session_changes(old, new));
        note(&mut routes, node, route_changes(old, new));
        note(&mut services, node, service_changes(old, new));
        let words = new.left_out.iter().map(ToString::to_string);
        note(&mut left_out, node, words.collect());
    }
    Plan {
        cuts: Vec::new(),
        addresses: address_changes(was, becomes, assumptions),
        pools: pool_changes(was, becomes),
        sessions: on_nodes(sessions, |change, nodes| change.nodes = nodes),
        routes: on_nodes(routes, |change, nodes| change.nodes = nodes),
        services: on_nodes(services, |change, nodes| change.nodes = nodes),
        left_out: left_out
            .into_iter()
            .map(|(words, nodes)| format!("{words} (on {})", list(&nodes)))
            .collect(),
        refused: Vec::new(),
    }
}

/// Names, separated by commas.
pub(super) fn list<T: ToString>(names: &[T]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn note<T: Ord>(all: &mut OnNodes<T>, node: &NodeName, changes: Vec<T>) {
    for change in changes {
        all.entry(change).or_default().push(node.clone());
    }
}

fn on_nodes<T>(all: OnNodes<T>, set: impl Fn(&mut T, Vec<NodeName>)) -> Vec<T> {
    let all = all.into_iter();
    all.map(|(mut change, nodes)| {
        set(&mut change, nodes);
        change
    })
    .collect()
}

fn address_changes(
    was: &Outcome,
    becomes: &Outcome,
    assumptions: &Assumptions,
) -> Vec<AddressChange> {
    let [said, says] = [was, becomes].map(|outcome| outcome.addresses.satisfaction());
    let [old, new] = [was, becomes].map(|outcome| &outcome.addresses.shown);
    let names: BTreeSet<&ObjectName> = old
        .keys()
        .chain(new.keys())
        .chain(says.keys().copied())
        .collect();
    let mut changes = Vec::new();
    for name in names {
        let [had, has] = [old, new].map(|shown| shown.get(name).cloned().unwrap_or_default());
        let wants_more = says.get(name).filter(|says| !says.is_satisfied());
        let Some(fate) = fate(&had, &has, wants_more, said.get(name)) else {
            continue;
        };
        let noticed = becomes.addresses.noticed.get(name).into_iter().flatten();
        let lost = noticed.filter(|(addr, _)| !has.contains(addr));
        let after = lost.map(|(_, until)| until.saturating_sub(assumptions.now).as_secs());
        let after_secs = after.max();
        changes.push(AddressChange {
            service: name.to_string(),
            fate,
            was: had,
            becomes: has,
            after_secs,
            reason: wants_more.map(|says| says.reason()),
            message: wants_more.map(|says| says.message()),
        });
    }
    changes
}

fn fate(
    had: &[IpAddr],
    has: &[IpAddr],
    wants_more: Option<&Satisfaction>,
    said: Option<&Satisfaction>,
) -> Option<AddressFate> {
    let keeps = had.iter().all(|addr| has.contains(addr));
    let gains = has.iter().any(|addr| !had.contains(addr));
    match (keeps, gains) {
        (true, true) => Some(AddressFate::Given),
        (false, true) => Some(AddressFate::Moved),
        (false, false) => Some(AddressFate::Lost),
        (true, false) => {
            (wants_more.is_some() && wants_more != said).then_some(AddressFate::Refused)
        }
    }
}

fn pool_changes(was: &Outcome, becomes: &Outcome) -> Vec<PoolChange> {
    let [old, new] = [was, becomes].map(|outcome| -> BTreeMap<&ObjectName, PoolConditions> {
        outcome.addresses.allocator.pools().collect()
    });
    let names: BTreeSet<&&ObjectName> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| PoolChange {
            pool: name.to_string(),
            was: old.get(name).map(pool_state),
            becomes: new.get(name).map(pool_state),
        })
        .collect()
}

fn pool_state(conditions: &PoolConditions) -> PoolState {
    PoolState {
        total: conditions.total.to_string(),
        available: conditions.available.to_string(),
        used: conditions.used.to_string(),
        conflict: conditions.conflict.as_ref().map(ToString::to_string),
    }
}

fn session_changes(was: &NodeState, becomes: &NodeState) -> Vec<SessionChange> {
    let [old, new] = [was, becomes].map(|state| -> BTreeMap<_, _> {
        let peers = state.peers();
        peers
            .map(|(id, instance, peer)| (id, (instance, peer)))
            .collect()
    });
    let ids: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut changes = Vec::new();
    for id in ids {
        let (fate, why, peer) = match (old.get(id), new.get(id)) {
            (None, Some((_, peer))) => (SessionFate::Opened, Vec::new(), peer),
            (Some((_, peer)), None) => (SessionFate::Closed, Vec::new(), peer),
            (Some(old), Some(new)) => {
                let Some((fate, why)) = session_fate(old, new) else {
                    continue;
                };
                (fate, why, &new.1)
            }
            (None, None) => continue,
        };
        let (instance, name) = id;
        changes.push(SessionChange {
            instance: instance.to_string(),
            peer: name.to_string(),
            address: peer.address,
            fate,
            why,
            nodes: Vec::new(),
        });
    }
    changes
}

/// What a change does to a session, and what is different.
fn session_fate(
    old: &(&Instance, &Peer),
    new: &(&Instance, &Peer),
) -> Option<(SessionFate, Vec<String>)> {
    let ((old_instance, old), (new_instance, new)) = (old, new);
    let mut resets = Vec::new();
    let mut reset = |what: &str, was: String, is: String| {
        if was != is {
            resets.push(format!("{what} {was} becomes {is}"));
        }
    };
    let port = |instance: &Instance| {
        instance
            .local_port
            .map_or("none".into(), |port| port.to_string())
    };
    let asn = |peer: &Peer| peer.asn.map_or("any".into(), |asn| asn.to_string());
    let secs = |peer: &Peer| peer.timers.hold.secs().to_string();
    let keepalive = |peer: &Peer| peer.timers.keepalive.as_secs().to_string();
    reset(
        "local AS",
        old_instance.local_asn.to_string(),
        new_instance.local_asn.to_string(),
    );
    reset(
        "router ID",
        old_instance.router_id.to_string(),
        new_instance.router_id.to_string(),
    );
    reset("local port", port(old_instance), port(new_instance));
    reset("address", old.address.to_string(), new.address.to_string());
    reset("peer port", old.port.to_string(), new.port.to_string());
    reset("peer AS", asn(old), asn(new));
    reset("hold time", secs(old), secs(new));
    reset("keepalive", keepalive(old), keepalive(new));
    if !resets.is_empty() {
        return Some((SessionFate::Reset, resets));
    }
    let rows = [
        ("password", old.password == new.password),
        (
            "graceful restart",
            old.graceful_restart == new.graceful_restart,
        ),
        ("multihop", old.ebgp_multihop == new.ebgp_multihop),
        ("local address", old.local_address == new.local_address),
        (
            "connect retry",
            old.timers.connect_retry == new.timers.connect_retry,
        ),
        ("families", old.families.keys().eq(new.families.keys())),
    ];
    let updates = rows.into_iter().filter(|(_, same)| !same);
    let updates: Vec<String> = updates.map(|(what, _)| what.to_owned()).collect();
    (!updates.is_empty()).then_some((SessionFate::Updated, updates))
}

fn route_changes(was: &NodeState, becomes: &NodeState) -> Vec<RouteChange> {
    let [old, new] = [was, becomes].map(|state| -> BTreeMap<_, _> {
        let routes = state.routes();
        routes
            .map(|(id, _, peer, prefix, attributes)| ((prefix, id), route(peer, attributes)))
            .collect()
    });
    let ids: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut changes = Vec::new();
    for id in ids {
        let (was, becomes) = (old.get(id).cloned(), new.get(id).cloned());
        if was == becomes {
            continue;
        }
        let (prefix, (instance, peer)): &(Prefix, _) = id;
        changes.push(RouteChange {
            prefix: *prefix,
            instance: instance.to_string(),
            peer: peer.to_string(),
            step: step(was.is_some(), becomes.is_some()),
            was,
            becomes,
            nodes: Vec::new(),
        });
    }
    changes
}

/// What a peer is told of a route.
pub(super) fn route(peer: &Peer, attributes: &Attributes) -> Route {
    let communities = attributes.communities.iter();
    let large = attributes.large.iter();
    Route {
        next_hop: peer
            .local_address
            .map_or_else(|| "self".to_owned(), |addr| addr.to_string()),
        local_preference: attributes.local_pref,
        communities: communities
            .map(|community| format!("{}:{}", community >> 16, community & 0xffff))
            .collect(),
        large_communities: large.map(|(a, b, c)| format!("{a}:{b}:{c}")).collect(),
    }
}

fn service_changes(was: &NodeState, becomes: &NodeState) -> Vec<ServiceChange> {
    let keys: BTreeSet<_> = was.services.keys().chain(becomes.services.keys()).collect();
    let nothing = Service::default();
    let mut changes = Vec::new();
    for key in keys {
        let (old, new) = (was.services.get(key), becomes.services.get(key));
        if old == new {
            continue;
        }
        let step = step(old.is_some(), new.is_some());
        let [old, new] = [old, new].map(|service| service.unwrap_or(&nothing));
        let [old_backends, new_backends] = [old, new].map(backends);
        changes.push(ServiceChange {
            service: key.to_string(),
            step,
            frontends_added: words(new.frontends.difference(&old.frontends)),
            frontends_removed: words(old.frontends.difference(&new.frontends)),
            backends_added: words(new_backends.difference(&old_backends)),
            backends_removed: words(old_backends.difference(&new_backends)),
            nodes: Vec::new(),
        });
    }
    changes
}

fn backends(service: &Service) -> BTreeSet<String> {
    let backends = service.backends.iter();
    backends
        .map(|(addr, backend)| match backend.state {
            BackendState::Active => format!("{addr} weight {}", backend.weight),
            BackendState::Draining => format!("{addr} weight {} draining", backend.weight),
        })
        .collect()
}

fn words<T: ToString>(of: impl Iterator<Item = T>) -> Vec<String> {
    of.map(|it| it.to_string()).collect()
}

const fn step(was: bool, is: bool) -> Step {
    match (was, is) {
        (false, _) => Step::Added,
        (true, true) => Step::Changed,
        (true, false) => Step::Removed,
    }
}
