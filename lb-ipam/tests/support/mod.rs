//! Reads the words that transcripts are written in, and writes actions in them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use std::time::Duration;

use lb_ipam::{
    Action, Block, Delta, FamilyPolicy, Grant, Inputs, Listener, Pool, Range, Request, Reservation,
    Service, Sharing, Time, Traffic,
};
use types::{Family, ObjectName};

/// Adds one input line to a delta.
pub(crate) fn read(line: &str, delta: &mut Delta) {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["inputs", "incomplete"] => delta.inputs = Some(Inputs::Incomplete),
        ["inputs", "faulty"] => delta.inputs = Some(Inputs::Faulty),
        ["inputs", "complete"] => delta.inputs = Some(Inputs::Complete),
        ["no", "pool", name] => drop(delta.pools.insert(ObjectName::of_cluster(name), None)),
        ["no", "service", name] => drop(delta.services.insert(service_name(name), None)),
        ["pool", name, rest @ ..] => {
            let name = ObjectName::of_cluster(name);
            delta.pools.insert(name, Some(pool(rest)));
        }
        ["service", name, rest @ ..] => {
            let service = Service::Request(request(rest));
            delta.services.insert(service_name(name), Some(service));
        }
        ["foreign", name, rest @ ..] => {
            let service = Service::Foreign(request(rest).shown);
            delta.services.insert(service_name(name), Some(service));
        }
        ["unreadable", name, rest @ ..] => {
            let current = request(rest).shown.addresses;
            let service = Service::Unreadable { current };
            delta.services.insert(service_name(name), Some(service));
        }
        _ => panic!("cannot read {line:?}"),
    }
}

/// One line for an action.
pub(crate) fn write(action: &Action) -> String {
    match action {
        Action::SetIngress { service, addresses } => {
            format!("{service} ingress {}", list(addresses))
        }
        Action::SetServiceCondition {
            service,
            satisfaction,
        } => {
            let message = match satisfaction.to_string() {
                message if message.is_empty() => message,
                message => format!(": {message}"),
            };
            format!("{service} {}{message}", satisfaction.reason())
        }
        Action::SetNotices { service, notices } => {
            let leaving = notices.leaving.iter();
            let leaving = leaving.map(|(addr, at)| format!(" {addr} leaves at {}s", at.as_secs()));
            let foreign = notices.foreign.iter();
            let foreign = foreign.map(|addr| format!(" {addr} is foreign"));
            let notices: Vec<String> = leaving.chain(foreign).collect();
            format!("{service} notices{}", or_none(notices.join(",")))
        }
        Action::SetReservations { pool, reservations } => {
            let waits = reservations.iter().map(|kept| {
                let (addr, until) = (kept.addr, kept.until.as_secs());
                format!(" {addr} for {} until {until}s", kept.service)
            });
            let waits: Vec<String> = waits.collect();
            format!("pool {pool} keeps{}", or_none(waits.join(",")))
        }
        Action::ClearService { service, addresses } => {
            format!("{service} clear {}", list(addresses))
        }
        Action::SetPoolConditions { pool, conditions } => {
            let conflict = conditions.conflict.as_ref();
            let conflict = conflict.map(|c| format!(": {c}")).unwrap_or_default();
            format!(
                "pool {pool} total={} available={} used={}{conflict}",
                conditions.total, conditions.available, conditions.used
            )
        }
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        " none".into()
    } else {
        text
    }
}

fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "none".into();
    }
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(",")
}

fn service_name(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').expect("NAMESPACE/NAME");
    ObjectName::new(namespace, name)
}

fn pool(words: &[&str]) -> Pool {
    let mut pool = Pool::default();
    for word in words {
        match word.split_once('=') {
            Some(("created", seconds)) => pool.created = seconds.parse().unwrap(),
            Some(("select", pairs)) => pool.selector.match_labels = labels(pairs),
            Some(("priority", number)) => pool.priority = number.parse().unwrap(),
            Some(("quota", pairs)) => {
                for (namespace, limit) in pairs.split(',').map(pair) {
                    let limit = limit.parse().unwrap();
                    match namespace {
                        "*" => pool.quotas.others = Some(limit),
                        name => drop(pool.quotas.by_namespace.insert(name.into(), limit)),
                    }
                }
            }
            Some(("reserve", time)) => pool.reserve = Some(self::time(time)),
            Some(("keeps", list)) => pool.reserved.extend(list.split(',').map(reservation)),
            Some(_) => panic!("cannot read {word:?}"),
            None => match *word {
                "no-first-last" => pool.allow_first_last = false,
                "disabled" => pool.disabled = true,
                block => pool.blocks.push(self::block(block)),
            },
        }
    }
    pool
}

/// `ADDRESS@NAMESPACE/NAME@TIME`.
fn reservation(text: &str) -> Reservation {
    let [addr, service, until]: [&str; 3] = text.split('@').collect::<Vec<_>>().try_into().unwrap();
    Reservation {
        addr: addr.parse().unwrap(),
        service: service_name(service),
        until: time(until),
    }
}

/// `60s`.
pub(crate) fn time(text: &str) -> Time {
    let seconds = text.strip_suffix('s').expect("seconds");
    Duration::from_secs(seconds.parse().unwrap())
}

fn block(text: &str) -> Block {
    if text.contains('/') {
        return Block::Cidr(text.parse().unwrap());
    }
    match text.split_once('-') {
        Some((start, stop)) => {
            Block::Range(Range::new(start.parse().unwrap(), stop.parse().unwrap()).unwrap())
        }
        None => Block::Range(Range::single(text.parse().unwrap())),
    }
}

fn request(words: &[&str]) -> Request {
    let mut request = Request::default();
    for word in words {
        match word.split_once('=') {
            Some(("created", seconds)) => request.created = seconds.parse().unwrap(),
            Some(("labels", pairs)) => request.labels = labels(pairs),
            Some(("ask", list)) => request.requested = addresses(list),
            Some(("has", list)) => request.shown.addresses = addresses(list),
            Some(("leaving", list)) => {
                let leaving = list.split(',').map(|text| {
                    let (addr, at) = text.split_once('@').expect("ADDRESS@TIME");
                    (addr.parse().unwrap(), time(at))
                });
                request.shown.notices.leaving = leaving.collect();
            }
            Some(("foreign", list)) => {
                request.shown.notices.foreign = addresses(list).into_iter().collect();
            }
            Some(("families", list)) => {
                request.families.order = list.split(',').map(family).collect();
            }
            Some(("policy", "prefer")) => request.families.policy = FamilyPolicy::PreferDualStack,
            Some(("policy", "require")) => request.families.policy = FamilyPolicy::RequireDualStack,
            Some(("share", text)) => request.sharing = Some(Arc::new(sharing(text))),
            None if *word == "marked" => request.shown.marked = true,
            Some(_) | None => panic!("cannot read {word:?}"),
        }
    }
    request
}

/// `KEY;80/TCP,53/UDP;grant=bank,mint;local=app:web;permit`, in any order after the ports.
fn sharing(text: &str) -> Sharing {
    let mut parts = text.split(';');
    let key = parts.next().unwrap().into();
    let listeners = parts.next().unwrap().split(',').map(|text| {
        let (port, protocol) = text.split_once('/').expect("PORT/PROTOCOL");
        Listener {
            port: port.parse().unwrap(),
            protocol: protocol.parse().unwrap(),
        }
    });
    let listeners = listeners.collect();
    let mut grant = Grant::These([].into());
    let mut local = None;
    let mut permits_others = false;
    for part in parts {
        match part.split_once('=') {
            Some(("grant", "*")) => grant = Grant::All,
            Some(("grant", list)) => grant = Grant::These(list.split(',').map(Arc::from).collect()),
            Some(("local", "")) => local = Some(BTreeMap::new()),
            Some(("local", pairs)) => local = Some(labels(pairs)),
            None if part == "permit" => permits_others = true,
            Some(_) | None => panic!("cannot read {part:?}"),
        }
    }
    Sharing {
        key,
        grant,
        listeners,
        traffic: match local {
            None => Traffic::Cluster,
            Some(pods) => Traffic::Local {
                pods,
                permits_others,
            },
        },
    }
}

fn family(text: &str) -> Family {
    match text {
        "v4" => Family::V4,
        "v6" => Family::V6,
        _ => panic!("cannot read {text:?}"),
    }
}

fn addresses(text: &str) -> Vec<IpAddr> {
    text.split(',').map(|addr| addr.parse().unwrap()).collect()
}

fn labels(text: &str) -> BTreeMap<Arc<str>, Arc<str>> {
    text.split(',')
        .map(pair)
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

fn pair(text: &str) -> (&str, &str) {
    text.split_once(':').expect("KEY:VALUE")
}
