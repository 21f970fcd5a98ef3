//! Times the allocator alone: `cargo run --release -p lb-ipam --example allocate [SERVICES]`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lb_ipam::{
    Action, Allocator, Block, Delta, Families, FamilyPolicy, Inputs, Pool, Request, Selector,
    Service, Shown, Time,
};
use types::{Family, ObjectName, Prefix};

const PREFIXES: [&str; 2] = ["10.0.0.0/8", "2001:db8::/64"];

fn main() {
    let count = std::env::args().nth(1);
    let count: usize = count.map_or(100_000, |count| {
        count.parse().expect("a number of services")
    });
    let names: Vec<ObjectName> = (0..count)
        .map(|n| ObjectName::new(&format!("namespace-{}", n % 100), &format!("service-{n}")))
        .collect();
    println!("{count} dual-stack services, 101 pools that select them by label");

    let mut allocator = Allocator::new(&Family::BOTH);
    let fresh = everything(&names, &BTreeMap::new());
    let (given, took) = timed(&mut allocator, fresh);
    println!("from nothing:                 {took:>10.2?}");

    let current = ingress(given);
    let mut restarted = Allocator::new(&Family::BOTH);
    let (kept, took) = timed(&mut restarted, everything(&names, &current));
    assert!(ingress(kept) == current, "a restart moved an address");
    println!("restart with all addresses:   {took:>10.2?}");

    let echo = services(&names, &current);
    let (nothing, took) = timed(&mut allocator, echo);
    assert!(nothing.is_empty(), "showing what was given is no news");
    println!("the source shows all of them: {took:>10.2?}");

    let middle = names.get(count / 2).into_iter().cloned();
    let gone = Delta {
        services: middle.map(|name| (name, None)).collect(),
        ..Delta::default()
    };
    let (_, took) = timed(&mut allocator, gone);
    println!("one service goes:             {took:>10.2?}");
    let new = services(&[ObjectName::new("new", "new")], &BTreeMap::new());
    let (_, took) = timed(&mut allocator, new);
    println!("one service comes:            {took:>10.2?}");

    let shut = Delta {
        pools: [(ObjectName::of_cluster("pool"), None)].into(),
        ..Delta::default()
    };
    let (_, took) = timed(&mut allocator, shut);
    println!("the pool goes under them all: {took:>10.2?}");
    let back = pools().next().map(|(name, pool)| (name, Some(pool)));
    let back = Delta {
        pools: back.into_iter().collect(),
        ..Delta::default()
    };
    let (_, took) = timed(&mut allocator, back);
    println!("and comes back:               {took:>10.2?}");
}

fn timed(allocator: &mut Allocator, delta: Delta) -> (Vec<Action>, Duration) {
    let start = Instant::now();
    let actions = allocator.on_change(Time::ZERO, delta);
    (actions, start.elapsed())
}

fn ingress(actions: Vec<Action>) -> BTreeMap<ObjectName, Vec<IpAddr>> {
    let of = |action| match action {
        Action::SetIngress { service, addresses } => Some((service, addresses)),
        Action::SetServiceCondition { .. }
        | Action::SetNotices { .. }
        | Action::SetReservations { .. }
        | Action::ClearService { .. }
        | Action::SetPoolConditions { .. } => None,
    };
    actions.into_iter().filter_map(of).collect()
}

fn everything(names: &[ObjectName], current: &BTreeMap<ObjectName, Vec<IpAddr>>) -> Delta {
    Delta {
        pools: pools().map(|(name, pool)| (name, Some(pool))).collect(),
        inputs: Some(Inputs::Complete),
        ..services(names, current)
    }
}

/// The pool that serves, first, and a hundred others.
fn pools() -> impl Iterator<Item = (ObjectName, Pool)> {
    let blocks = PREFIXES.map(|prefix| prefix.parse().expect("a prefix"));
    let serving = (ObjectName::of_cluster("pool"), pool(&blocks, "web"));
    let others = (0..100).map(|n| {
        let block = Prefix::containing(IpAddr::from([172, 16, n, 0]), 24).expect("a length");
        let name = ObjectName::of_cluster(&format!("other-{n}"));
        (name, pool(&[block], &format!("other-{n}")))
    });
    std::iter::once(serving).chain(others)
}

fn pool(blocks: &[Prefix], app: &str) -> Pool {
    Pool {
        blocks: blocks.iter().copied().map(Block::Cidr).collect(),
        selector: Selector {
            match_labels: [("app".into(), app.into())].into(),
            ..Selector::default()
        },
        ..Pool::default()
    }
}

fn services(names: &[ObjectName], current: &BTreeMap<ObjectName, Vec<IpAddr>>) -> Delta {
    let services = names.iter().map(|name| {
        let request = Request {
            labels: [("app".into(), "web".into()), ("tier".into(), "edge".into())].into(),
            families: Families {
                order: Family::BOTH.to_vec(),
                policy: FamilyPolicy::RequireDualStack,
            },
            shown: Shown {
                addresses: current.get(name).cloned().unwrap_or_default(),
                marked: current.contains_key(name),
                ..Shown::default()
            },
            ..Request::default()
        };
        (name.clone(), Some(Service::Request(request)))
    });
    Delta {
        services: services.collect(),
        ..Delta::default()
    }
}
