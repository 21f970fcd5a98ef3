//! Random pools, requests and edits: few names and addresses, so that they meet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use lb_ipam::{
    Block, Families, FamilyPolicy, Grant, Listener, Pool, Quotas, Range, Request, Selector,
    Sharing, Shown, Traffic,
};
use proptest::prelude::*;
use types::{Family, Prefix, Protocol};

use super::Change;

pub(crate) fn v4(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, n).into()
}

pub(crate) fn v6(n: u8) -> IpAddr {
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

fn labels() -> impl Strategy<Value = BTreeMap<Arc<str>, Arc<str>>> {
    prop_oneof![
        Just(BTreeMap::new()),
        Just(BTreeMap::from([("app".into(), "web".into())])),
        Just(BTreeMap::from([("app".into(), "db".into())])),
    ]
}

pub(crate) fn pool() -> impl Strategy<Value = Pool> {
    let quota = || prop::option::weighted(0.2, 0u64..4);
    (
        0u64..3,
        prop::collection::vec(block(), 0..4),
        labels(),
        any::<bool>(),
        prop::bool::weighted(0.2),
        -1i32..2,
        (quota(), quota()),
        prop::option::weighted(0.4, (1u64..20).prop_map(Duration::from_secs)),
    )
        .prop_map(
            |(created, blocks, match_labels, first_last, disabled, priority, quotas, reserve)| {
                let of_one = quotas.0.map(|limit| ("n0".into(), limit));
                Pool {
                    created,
                    blocks,
                    selector: Selector {
                        match_labels,
                        ..Selector::default()
                    },
                    allow_first_last: first_last,
                    disabled,
                    priority,
                    quotas: Quotas {
                        by_namespace: of_one.into_iter().collect(),
                        others: quotas.1,
                    },
                    reserve,
                    reserved: Vec::new(),
                }
            },
        )
}

fn sharing() -> impl Strategy<Value = Sharing> {
    let listener = (80u16..84, any::<bool>()).prop_map(|(port, udp)| Listener {
        port,
        protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
    });
    let grant = prop_oneof![
        Just(Grant::These(BTreeSet::new())),
        Just(Grant::These(["n0".into()].into())),
        Just(Grant::All),
    ];
    let local = Traffic::Local {
        pods: [("app".into(), "web".into())].into(),
        permits_others: false,
    };
    (
        prop_oneof![4 => Just("key"), 1 => Just("other")],
        grant,
        prop::collection::btree_set(listener, 1..3),
        prop_oneof![4 => Just(Traffic::Cluster), 1 => Just(local)],
    )
        .prop_map(|(key, grant, listeners, traffic)| Sharing {
            key: key.into(),
            grant,
            listeners,
            traffic,
        })
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
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
    let sharing = prop::option::weighted(0.4, sharing().prop_map(Arc::new));
    (0u64..3, labels(), order, policy, requested, sharing).prop_map(
        |(created, labels, order, policy, requested, sharing)| Request {
            created,
            labels,
            families: Families { order, policy },
            requested,
            sharing,
            shown: Shown::default(),
        },
    )
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let pools = prop::collection::btree_map(0u8..5, prop::option::weighted(0.8, pool()), 0..3);
    let services =
        prop::collection::btree_map(0u8..14, prop::option::weighted(0.8, request()), 0..6);
    (0u64..8, pools, services).prop_map(|(after, pools, services)| Change {
        after,
        pools,
        services,
    })
}
