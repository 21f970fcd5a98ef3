//! Reads the words that transcripts are written in, and writes actions in them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lb_ipam::{
    Action, Block, Delta, Families, FamilyPolicy, Inputs, Pool, Range, Request, Selector, Service,
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
            let service = Service::Foreign {
                current: request(rest).current,
                marked: rest.contains(&"marked"),
            };
            delta.services.insert(service_name(name), Some(service));
        }
        ["unreadable", name, rest @ ..] => {
            let current = request(rest).current;
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
    let mut pool = Pool {
        created: 0,
        blocks: Vec::new(),
        selector: Selector::default(),
        allow_first_last: true,
        disabled: false,
    };
    for word in words {
        match word.split_once('=') {
            Some(("created", seconds)) => pool.created = seconds.parse().unwrap(),
            Some(("select", pairs)) => pool.selector.match_labels = labels(pairs),
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
    let mut request = Request {
        families: Families {
            order: Vec::new(),
            policy: FamilyPolicy::SingleStack,
        },
        ..Request::default()
    };
    for word in words {
        match word.split_once('=') {
            Some(("labels", pairs)) => request.labels = labels(pairs),
            Some(("ask", list)) => request.requested = addresses(list),
            Some(("has", list)) => request.current = addresses(list),
            Some(("families", list)) => {
                request.families.order = list.split(',').map(family).collect();
            }
            Some(("policy", "prefer")) => request.families.policy = FamilyPolicy::PreferDualStack,
            Some(("policy", "require")) => request.families.policy = FamilyPolicy::RequireDualStack,
            None if *word == "marked" => {}
            Some(_) | None => panic!("cannot read {word:?}"),
        }
    }
    request
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
        .map(|pair| {
            let (key, value) = pair.split_once(':').expect("KEY:VALUE");
            (key.into(), value.into())
        })
        .collect()
}
