//! Feeds the allocator random edits of pools and services and checks what must hold after each.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_ipam::{
    Action, Allocator, Block, Delta, Families, FamilyPolicy, Inputs, Pool, PoolConditions, Range,
    Request, Satisfaction, Selector, Service,
};
use proptest::prelude::*;
use types::{Family, ObjectName, Prefix};

proptest! {
    #[test]
    fn random_edits_break_no_promise(changes in prop::collection::vec(change(), 1..40)) {
        let mut world = World::new();
        for change in changes {
            let before = world.said.ingress.clone();
            let edited = world.apply(change);

            world.check_alone();
            world.check_nothing_idle();
            world.check_counts();
            world.check_unaffected(&before, &edited);
            world.check_restart();
        }
    }

    #[test]
    fn fresh_allocators_agree_however_they_come_to_know(
        pools in prop::collection::btree_map(0u8..4, pool(), 1..4),
        services in prop::collection::btree_map(0u8..10, request(), 1..10),
        keys in prop::collection::vec(any::<u32>(), 14),
    ) {
        let mut one = World::new();
        let mut at_once = Change::default();
        at_once.pools.extend(pools.into_iter().map(|(name, pool)| (name, Some(pool))));
        at_once.services.extend(services.into_iter().map(|(name, request)| (name, Some(request))));
        one.apply(at_once.clone());

        let mut allocator = Allocator::new(&Family::BOTH);
        let mut parts: Vec<Delta> = at_once.delta(&Said::default()).split();
        let mut order: Vec<(u32, Delta)> = keys.into_iter().cycle().zip(parts.drain(..)).collect();
        order.sort_by_key(|(key, _)| *key);
        for (_, part) in order {
            prop_assert_eq!(allocator.on_change(part), []);
        }
        let mut said = Said::default();
        said.hear(allocator.on_change(Delta { inputs: Some(Inputs::Complete), ..Delta::default() }));

        prop_assert_eq!(said, one.said);
    }
}

/// Some edits at once. Names are small numbers, so that edits meet.
#[derive(Clone, Debug, Default)]
struct Change {
    pools: BTreeMap<u8, Option<Pool>>,
    services: BTreeMap<u8, Option<Request>>,
}

/// What has been put in, and what came out.
struct World {
    allocator: Allocator,
    pools: BTreeMap<ObjectName, Pool>,
    services: BTreeMap<ObjectName, Request>,
    said: Said,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    ingress: BTreeMap<ObjectName, Vec<IpAddr>>,
    conditions: BTreeMap<ObjectName, Satisfaction>,
    pools: BTreeMap<ObjectName, PoolConditions>,
}

impl World {
    fn new() -> Self {
        let mut allocator = Allocator::new(&Family::BOTH);
        allocator.on_change(Delta {
            inputs: Some(Inputs::Complete),
            ..Delta::default()
        });
        Self {
            allocator,
            pools: BTreeMap::new(),
            services: BTreeMap::new(),
            said: Said::default(),
        }
    }

    /// Returns the services that were edited.
    fn apply(&mut self, change: Change) -> BTreeSet<ObjectName> {
        let delta = change.delta(&self.said);
        for (name, pool) in delta.pools.clone() {
            self.said
                .pools
                .retain(|told, _| pool.is_some() || *told != name);
            set(&mut self.pools, name, pool);
        }
        for (name, service) in delta.services.clone() {
            if service.is_none() {
                self.said.ingress.remove(&name);
                self.said.conditions.remove(&name);
            }
            let request = service.map(|service| match service {
                Service::Request(request) => request,
                Service::Foreign { .. } | Service::Unreadable { .. } => unreachable!(),
            });
            set(&mut self.services, name, request);
        }
        let edited = delta.services.keys().cloned().collect();
        self.said.hear(self.allocator.on_change(delta));
        assert_eq!(self.allocator.is_dormant(), self.pools.is_empty());
        if !self.allocator.is_dormant() {
            let held = Said::of(&self.allocator);
            assert_eq!(self.said, held, "actions differ from what is held");
        }
        edited
    }

    /// An allocator that starts from the statuses as they are has nothing new to say.
    fn check_restart(&self) {
        let services = self.services.iter().map(|(name, request)| {
            let current = self.said.ingress.get(name).cloned().unwrap_or_default();
            let request = Request {
                current,
                ..request.clone()
            };
            (name.clone(), Some(Service::Request(request)))
        });
        let pools = self
            .pools
            .iter()
            .map(|(name, pool)| (name.clone(), Some(pool.clone())));
        let mut said = Said::default();
        said.hear(Allocator::new(&Family::BOTH).on_change(Delta {
            pools: pools.collect(),
            services: services.collect(),
            inputs: Some(Inputs::Complete),
        }));
        let expected = if self.pools.is_empty() {
            Said::default()
        } else {
            self.said.clone()
        };
        assert_eq!(said, expected, "a restart changes something");
    }

    /// No address is held twice, and each by who may have it.
    fn check_alone(&self) {
        let mut seen = BTreeSet::new();
        for (name, addresses) in &self.said.ingress {
            for addr in addresses {
                assert!(seen.insert(addr), "{addr} is held twice");
                let request = &self.services[name];
                assert!(may_keep(request, *addr), "{name} does not want {addr}");
                assert!(self.covers(name, *addr), "no pool has {addr} for {name}");
            }
        }
    }

    /// Nobody lacks what could be had, and everybody says so truly.
    fn check_nothing_idle(&self) {
        if self.pools.is_empty() {
            return;
        }
        let taken: BTreeSet<&IpAddr> = self.said.ingress.values().flatten().collect();
        for (name, request) in &self.services {
            let held = &self.said.ingress[name];
            let lacks_requested = request.requested.iter().any(|addr| !held.contains(addr));
            let lacks_family = request.requested.is_empty()
                && families(request)
                    .iter()
                    .any(|family| !held.iter().any(|a| Family::of(*a) == *family));
            let satisfied = self.said.conditions[name] == Satisfaction::Satisfied;
            assert_eq!(satisfied, !lacks_requested && !lacks_family, "{name}");
            for addr in self.givable(name) {
                let wanted = if request.requested.is_empty() {
                    let family = Family::of(addr);
                    families(request).contains(&family)
                        && !held.iter().any(|a| Family::of(*a) == family)
                } else {
                    request.requested.contains(&addr)
                };
                assert!(!wanted || taken.contains(&addr), "{name} could have {addr}");
            }
        }
    }

    fn check_counts(&self) {
        let taken: BTreeSet<IpAddr> = self.said.ingress.values().flatten().copied().collect();
        for (name, pool) in &self.pools {
            let told = &self.said.pools[name];
            let all: BTreeSet<IpAddr> = pool.blocks.iter().flat_map(addresses).collect();
            let usable: BTreeSet<IpAddr> = usable(pool).collect();
            let used = all.intersection(&taken).count() as u128;
            let available = usable.difference(&taken).count() as u128;
            assert_eq!(told.used.as_u128(), Some(used), "{name} used");
            assert_eq!(
                told.available.as_u128(),
                Some(available),
                "{name} available"
            );
            assert_eq!(told.total.as_u128(), Some(used + available), "{name} total");
            assert_eq!(
                told.conflict.is_some(),
                self.conflicts(name),
                "{name} conflict"
            );
        }
    }

    fn covers(&self, service: &ObjectName, addr: IpAddr) -> bool {
        self.pools.values().any(|pool| {
            selects(pool, &self.services[service])
                && pool
                    .blocks
                    .iter()
                    .any(|block| addresses(block).any(|a| a == addr))
        })
    }

    /// What the pools would give the service if nothing were taken.
    fn givable(&self, service: &ObjectName) -> impl Iterator<Item = IpAddr> {
        self.pools
            .iter()
            .filter(|(name, pool)| {
                !pool.disabled && !self.conflicts(name) && selects(pool, &self.services[service])
            })
            .flat_map(|(_, pool)| usable(pool))
    }

    fn conflicts(&self, name: &ObjectName) -> bool {
        let pool = &self.pools[name];
        let overlap = |a: &Block, b: &Block| {
            let ((a, z), (first, last)) = (ends(a), ends(b));
            a <= last && first <= z
        };
        let meets = |other: &Pool| {
            let mut others = other.blocks.iter();
            others.any(|theirs| pool.blocks.iter().any(|own| overlap(own, theirs)))
        };
        let itself = (1..pool.blocks.len()).any(|i| {
            pool.blocks[..i]
                .iter()
                .any(|other| overlap(&pool.blocks[i], other))
        });
        let is_older =
            |(other, elder): &(&ObjectName, &Pool)| (elder.created, *other) < (pool.created, name);
        itself
            || self
                .pools
                .iter()
                .filter(is_older)
                .any(|(_, elder)| meets(elder))
    }

    /// Who was not edited and has a pool for each address still, keeps them all.
    fn check_unaffected(
        &self,
        before: &BTreeMap<ObjectName, Vec<IpAddr>>,
        edited: &BTreeSet<ObjectName>,
    ) {
        for (name, held) in before.iter().filter(|(name, _)| !edited.contains(name)) {
            if held.iter().all(|addr| self.covers(name, *addr)) {
                let now = &self.said.ingress[name];
                assert!(
                    held.iter().all(|addr| now.contains(addr)),
                    "{name}: {held:?} became {now:?}"
                );
            }
        }
    }
}

impl Said {
    fn of(allocator: &Allocator) -> Self {
        let mut said = Self::default();
        for allocation in allocator.allocations() {
            let name = allocation.service.clone();
            said.ingress
                .insert(name.clone(), allocation.addresses.to_vec());
            said.conditions.insert(name, allocation.satisfaction);
        }
        said.pools = allocator
            .pools()
            .map(|(name, told)| (name.clone(), told))
            .collect();
        said
    }

    fn hear(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::SetIngress { service, addresses } => {
                    self.ingress.insert(service, addresses);
                }
                Action::SetServiceCondition {
                    service,
                    satisfaction,
                } => {
                    self.conditions.insert(service, satisfaction);
                }
                Action::SetPoolConditions { pool, conditions } => {
                    self.pools.insert(pool, conditions);
                }
                Action::ClearService { .. } => unreachable!("no service leaves"),
            }
        }
    }
}

impl Change {
    /// The change as a source tells it: services with their status as last written.
    fn delta(self, said: &Said) -> Delta {
        let pools = self
            .pools
            .into_iter()
            .map(|(name, pool)| (ObjectName::of_cluster(&format!("p{name}")), pool));
        let services = self.services.into_iter().map(|(name, request)| {
            let name = ObjectName::new("ns", &format!("s{name}"));
            let shown = said.ingress.get(&name);
            let service = request.map(|mut request| {
                request.current = shown.cloned().unwrap_or_default();
                Service::Request(request)
            });
            (name, service)
        });
        Delta {
            pools: pools.collect(),
            services: services.collect(),
            inputs: None,
        }
    }
}

trait Split {
    fn split(self) -> Vec<Delta>;
}

impl Split for Delta {
    /// One delta for each object.
    fn split(self) -> Vec<Delta> {
        let pools = self.pools.into_iter().map(|pool| Delta {
            pools: [pool].into(),
            ..Delta::default()
        });
        let services = self.services.into_iter().map(|service| Delta {
            services: [service].into(),
            ..Delta::default()
        });
        pools.chain(services).collect()
    }
}

fn set<V>(map: &mut BTreeMap<ObjectName, V>, name: ObjectName, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(name, value)),
        None => drop(map.remove(&name)),
    }
}

fn may_keep(request: &Request, addr: IpAddr) -> bool {
    if request.requested.is_empty() {
        families(request).contains(&Family::of(addr))
    } else {
        request.requested.contains(&addr)
    }
}

fn families(request: &Request) -> Vec<Family> {
    let order = &request.families.order;
    match request.families.policy {
        FamilyPolicy::SingleStack => vec![order.first().copied().unwrap_or(Family::V4)],
        FamilyPolicy::PreferDualStack if order.is_empty() => Family::BOTH.to_vec(),
        FamilyPolicy::PreferDualStack => order.clone(),
        FamilyPolicy::RequireDualStack => Family::BOTH.to_vec(),
    }
}

fn selects(pool: &Pool, request: &Request) -> bool {
    pool.selector
        .match_labels
        .iter()
        .all(|(key, value)| request.labels.get(key) == Some(value))
}

fn ends(block: &Block) -> (IpAddr, IpAddr) {
    match block {
        Block::Cidr(prefix) => (prefix.addr(), prefix.last()),
        Block::Range(range) => (range.start(), range.stop()),
    }
}

fn addresses(block: &Block) -> impl Iterator<Item = IpAddr> + use<> {
    let (first, last) = ends(block);
    let one = if first.is_ipv6() { v6 } else { v4 };
    (0..32u8)
        .map(one)
        .filter(move |a| first <= *a && *a <= last)
}

fn usable(pool: &Pool) -> impl Iterator<Item = IpAddr> {
    pool.blocks.iter().flat_map(|block| {
        let all: Vec<IpAddr> = addresses(block).collect();
        let keeps_back = matches!(block, Block::Cidr(_)) && !pool.allow_first_last && all.len() > 2;
        let range = if keeps_back {
            1..all.len() - 1
        } else {
            0..all.len()
        };
        all[range].to_vec()
    })
}

fn v4(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, n).into()
}

fn v6(n: u8) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into()).into()
}

fn addr() -> impl Strategy<Value = IpAddr> {
    (any::<bool>(), 0u8..32).prop_map(|(six, n)| if six { v6(n) } else { v4(n) })
}

fn block() -> impl Strategy<Value = Block> {
    let cidr = (addr(), 0u8..4).prop_map(|(addr, host_bits)| {
        let len = Family::of(addr).bits() - host_bits;
        Block::Cidr(Prefix::containing(addr, len).unwrap())
    });
    let range = (any::<bool>(), 0u8..28, 0u8..4).prop_map(|(six, n, more)| {
        let [start, stop] = [n, n + more].map(|n| if six { v6(n) } else { v4(n) });
        Block::Range(Range::new(start, stop).unwrap())
    });
    prop_oneof![cidr, range]
}

fn labels() -> impl Strategy<Value = BTreeMap<std::sync::Arc<str>, std::sync::Arc<str>>> {
    prop_oneof![
        Just(BTreeMap::new()),
        Just(BTreeMap::from([("app".into(), "web".into())])),
        Just(BTreeMap::from([("app".into(), "db".into())])),
    ]
}

fn pool() -> impl Strategy<Value = Pool> {
    (
        0u64..3,
        prop::collection::vec(block(), 0..4),
        labels(),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(created, blocks, match_labels, allow_first_last, disabled)| Pool {
                created,
                blocks,
                selector: Selector {
                    match_labels,
                    ..Selector::default()
                },
                allow_first_last,
                disabled,
            },
        )
}

fn request() -> impl Strategy<Value = Request> {
    let order = prop_oneof![
        Just(vec![]),
        Just(vec![Family::V4]),
        Just(vec![Family::V6]),
        Just(vec![Family::V6, Family::V4]),
    ];
    let policy = prop_oneof![
        Just(FamilyPolicy::SingleStack),
        Just(FamilyPolicy::PreferDualStack),
        Just(FamilyPolicy::RequireDualStack),
    ];
    let requested = prop_oneof![
        3 => Just(vec![]),
        1 => prop::collection::vec(addr(), 1..4),
    ];
    (labels(), order, policy, requested).prop_map(|(labels, order, policy, requested)| Request {
        labels,
        families: Families { order, policy },
        requested,
        current: Vec::new(),
    })
}

fn change() -> impl Strategy<Value = Change> {
    let pools = prop::collection::btree_map(0u8..5, prop::option::weighted(0.8, pool()), 0..3);
    let services =
        prop::collection::btree_map(0u8..14, prop::option::weighted(0.8, request()), 0..6);
    (pools, services).prop_map(|(pools, services)| Change { pools, services })
}
