//! What works and would not any more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::{EndpointSlice, Object, Service};
use types::{ObjectName, Prefix, Vip};

use super::differ::list;
use super::report::{AddressFate, Cut, CutKind, Plan, SessionFate};
use super::{Outcome, Situation};

/// By kind and name. What follows from an address that is lost is not said again.
pub(super) fn cuts(was: &Outcome, becomes: &Outcome, plan: &Plan) -> Vec<Cut> {
    let mut cuts = BTreeSet::new();
    let lost = addresses(becomes, plan, &mut cuts);
    vips(was, becomes, &lost, &mut cuts);
    routes(was, becomes, &lost, &mut cuts);
    sessions(plan, &mut cuts);
    cuts.into_iter().collect()
}

/// Addresses that Services lose.
fn addresses(becomes: &Outcome, plan: &Plan, cuts: &mut BTreeSet<Cut>) -> BTreeSet<IpAddr> {
    let held: BTreeSet<IpAddr> = becomes
        .addresses
        .shown
        .values()
        .flatten()
        .copied()
        .collect();
    let mut lost = BTreeSet::new();
    for change in &plan.addresses {
        let gone = change
            .was
            .iter()
            .filter(|addr| !change.becomes.contains(addr));
        for addr in gone {
            let when = match change.after_secs {
                Some(seconds) => format!(" after {seconds} s"),
                None => String::new(),
            };
            let why = match change.fate {
                AddressFate::Moved => format!(
                    "{} has {} instead{when}",
                    change.service,
                    list(&change.becomes)
                ),
                AddressFate::Lost | AddressFate::Given | AddressFate::Refused => {
                    format!("{} loses it{when}", change.service)
                }
            };
            let shared = if held.contains(addr) {
                "; other Services keep it"
            } else {
                lost.insert(*addr);
                ""
            };
            cuts.insert(Cut {
                kind: CutKind::Address,
                what: addr.to_string(),
                why: format!("{why}{shared}"),
            });
        }
    }
    lost
}

/// What clients dial with success, and would not any more.
fn vips(was: &Outcome, becomes: &Outcome, lost: &BTreeSet<IpAddr>, cuts: &mut BTreeSet<Cut>) {
    let served = served(&was.objects);
    let would_be = served_or_not(&becomes.objects);
    for (vip, service) in served {
        let why = match would_be.get(&vip) {
            Some((_, true)) => continue,
            None if lost.contains(&vip.addr) => continue,
            Some((service, false)) => format!("{service} has no ready endpoint"),
            None => format!("{service} does not have it any more"),
        };
        cuts.insert(Cut {
            kind: CutKind::Vip,
            what: vip.to_string(),
            why,
        });
    }
}

fn served(objects: &Situation) -> BTreeMap<Vip, ObjectName> {
    let all = served_or_not(objects).into_iter();
    all.filter(|(_, (_, served))| *served)
        .map(|(vip, (service, _))| (vip, service))
        .collect()
}

/// Every VIP, with its Service, and whether that has a ready endpoint.
fn served_or_not(objects: &Situation) -> BTreeMap<Vip, (ObjectName, bool)> {
    let mut ready = BTreeSet::new();
    for object in objects.values() {
        if let Object::EndpointSlice(slice) = object
            && has_ready(slice)
        {
            ready.extend(slice.service.clone());
        }
    }
    let mut vips = BTreeMap::new();
    for object in objects.values() {
        if let Object::Service(service) = object {
            let served = ready.contains(service.name());
            let of_service = vips_of(service).map(|vip| (vip, (service.name().clone(), served)));
            vips.extend(of_service);
        }
    }
    vips
}

pub(super) fn has_ready(slice: &EndpointSlice) -> bool {
    let mut endpoints = slice.endpoints.iter();
    endpoints.any(|endpoint| endpoint.ready && !endpoint.terminating)
}

fn vips_of(service: &Service) -> impl Iterator<Item = Vip> {
    service.ingress_ips().flat_map(|addr| {
        service.ports.iter().map(move |port| Vip {
            addr,
            port: port.port,
            protocol: port.protocol,
        })
    })
}

/// Prefixes that somebody announces, and nobody would.
fn routes(was: &Outcome, becomes: &Outcome, lost: &BTreeSet<IpAddr>, cuts: &mut BTreeSet<Cut>) {
    let [old, new] = [was, becomes].map(|outcome| -> BTreeSet<Prefix> {
        let nodes = outcome.nodes.values();
        nodes.flat_map(super::node::NodeState::prefixes).collect()
    });
    for prefix in old.difference(&new) {
        let is_host = prefix.addr() == prefix.last();
        if is_host && lost.contains(&prefix.addr()) {
            continue;
        }
        cuts.insert(Cut {
            kind: CutKind::Route,
            what: prefix.to_string(),
            why: "no node announces it any more".to_owned(),
        });
    }
}

fn sessions(plan: &Plan, cuts: &mut BTreeSet<Cut>) {
    for change in &plan.sessions {
        let why = match change.fate {
            SessionFate::Closed => "it is closed".to_owned(),
            SessionFate::Reset => format!("it is reset: {}", change.why.join(", ")),
            SessionFate::Opened | SessionFate::Updated => continue,
        };
        cuts.insert(Cut {
            kind: CutKind::Session,
            what: format!("{}/{} {}", change.instance, change.peer, change.address),
            why: format!("{why} (on {})", list(&change.nodes)),
        });
    }
}
