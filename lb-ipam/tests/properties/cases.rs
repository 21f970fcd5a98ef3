//! Edits that once broke a promise.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lb_ipam::{
    Block, Families, FamilyPolicy, Grant, Listener, Pool, Quotas, Range, Request, Selector,
    Sharing, Traffic,
};
use types::{Family, Protocol};

use crate::{Change, World};

/// Who asks for a reserved address waits for it; once its owner is back and shares it, both have it.
#[test]
fn a_reserved_address_is_shared_once_its_owner_is_back() {
    let mut world = World::new();
    world.apply(pool(0, "10.0.0.12", None));
    world.apply(pool(1, "10.0.0.12", Some(Duration::from_secs(9))));
    world.apply(service(10, Some(Request::default())));
    let asks = Request {
        requested: vec![addr("10.0.0.12")],
        sharing: sharing(Protocol::Udp),
        created: 1,
        ..Request::default()
    };
    world.apply(service(6, Some(asks)));
    world.apply(service(10, None));
    assert!(world.addresses("n0", "s6").is_empty());

    let shares = Request {
        families: Families {
            order: vec![Family::V4],
            policy: FamilyPolicy::SingleStack,
        },
        sharing: sharing(Protocol::Tcp),
        ..Request::default()
    };
    world.apply(service(10, Some(shares)));

    assert_eq!(world.addresses("n0", "s10"), [addr("10.0.0.12")]);
    assert_eq!(world.addresses("n0", "s6"), [addr("10.0.0.12")]);
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pool(name: u8, only: &str, reserve: Option<Duration>) -> Change {
    let pool = Pool {
        created: name.into(),
        blocks: vec![Block::Range(Range::single(addr(only)))],
        selector: Selector::default(),
        allow_first_last: true,
        disabled: false,
        priority: 0,
        quotas: Quotas::default(),
        reserve,
        reserved: Vec::new(),
    };
    Change {
        pools: [(name, Some(pool))].into(),
        ..Change::default()
    }
}

fn service(name: u8, request: Option<Request>) -> Change {
    Change {
        services: [(name, request)].into(),
        ..Change::default()
    }
}

fn sharing(protocol: Protocol) -> Option<Arc<Sharing>> {
    Some(Arc::new(Sharing {
        key: "key".into(),
        grant: Grant::These([].into()),
        listeners: [Listener { port: 80, protocol }].into(),
        traffic: Traffic::Cluster,
    }))
}
