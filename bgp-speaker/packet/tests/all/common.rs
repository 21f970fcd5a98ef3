//! Values that the tests of this crate make up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp_speaker_packet::{
    Dialect, Families, GracefulFamily, GracefulRestart, MessageLimit, NextHop, Offer, Origin,
    PathAttributes, Peering,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use types::{Asn, Family, Prefix, RouterId};

pub(crate) fn dialect() -> Dialect {
    Dialect {
        peering: Peering::External,
        four_octet_as: true,
        families: Families::BOTH,
        extended_next_hop: true,
        limit: MessageLimit::Standard,
    }
}

pub(crate) fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1u32..=65535, 1..=u32::MAX].prop_map(|asn| Asn::try_from(asn).unwrap())
}

pub(crate) fn router_id() -> impl Strategy<Value = RouterId> {
    (1..=u32::MAX).prop_map(|id| RouterId::try_from(id).unwrap())
}

pub(crate) fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

pub(crate) fn prefix(family: Family) -> BoxedStrategy<Prefix> {
    match family {
        Family::V4 => (any::<u32>(), 0u8..=32)
            .prop_map(|(bits, len)| prefix_of(Ipv4Addr::from(bits).into(), len))
            .boxed(),
        Family::V6 => (any::<u128>(), 0u8..=128)
            .prop_map(|(bits, len)| prefix_of(Ipv6Addr::from(bits).into(), len))
            .boxed(),
    }
}

fn prefix_of(addr: IpAddr, len: u8) -> Prefix {
    Prefix::containing(addr, len).unwrap()
}

pub(crate) fn next_hop(family: Family) -> BoxedStrategy<NextHop> {
    let v6 = (any::<u64>(), option::of(any::<u64>())).prop_map(|(host, link_local)| {
        let addr = |net: u128, host: u64| Ipv6Addr::from((net << 112) | u128::from(host));
        NextHop::V6 {
            global: addr(0x2001, host),
            link_local: link_local.map(|host| addr(0xfe80, host)),
        }
    });
    let v4 =
        any::<u16>().prop_map(|host| NextHop::V4(Ipv4Addr::from(0x0a00_0000 | u32::from(host))));
    match family {
        Family::V4 => prop_oneof![v4, v6].boxed(),
        Family::V6 => v6.boxed(),
    }
}

fn restart() -> impl Strategy<Value = GracefulRestart> {
    let entry = |family| {
        option::of(any::<bool>()).prop_map(move |kept| {
            kept.map(|forwarding_kept| GracefulFamily {
                family,
                forwarding_kept,
            })
        })
    };
    let flags = (any::<bool>(), any::<bool>(), 0u16..4096);
    (flags, entry(Family::V4), entry(Family::V6)).prop_map(|(flags, v4, v6)| GracefulRestart {
        restarted: flags.0,
        notification: flags.1,
        restart_time_secs: flags.2,
        families: [v4, v6].into_iter().flatten().collect(),
    })
}

pub(crate) fn offer() -> impl Strategy<Value = Offer> {
    let who = (asn(), router_id(), prop_oneof![Just(0u16), 3..=65535u16]);
    let families = prop_oneof![
        Just(vec![Family::V4]),
        Just(vec![Family::V6]),
        Just(vec![Family::V4, Family::V6]),
    ];
    let flags = any::<[bool; 5]>();
    (who, families, flags, option::of(restart())).prop_map(|(who, families, flags, restart)| {
        let (asn, router_id, hold_time_secs) = who;
        let [four, next_hop, refresh, enhanced, extended] = flags;
        // Without the capability, a number of four octets is lost in the OPEN.
        let four_octet_as = four || asn.get() > 65535;
        Offer {
            families: families.into_iter().collect(),
            four_octet_as,
            extended_next_hop: next_hop,
            route_refresh: refresh,
            enhanced_route_refresh: enhanced,
            extended_message: extended,
            graceful_restart: restart,
            ..Offer::new(asn, router_id, hold_time_secs)
        }
    })
}

pub(crate) fn path_attributes() -> impl Strategy<Value = PathAttributes> {
    let origin = prop_oneof![
        Just(Origin::Igp),
        Just(Origin::Egp),
        Just(Origin::Incomplete)
    ];
    let numbers = (option::of(any::<u32>()), option::of(any::<u32>()));
    let lists = (
        vec(any::<u32>(), 0..80),
        vec(any::<[u8; 8]>(), 0..4),
        vec(any::<[u32; 3]>(), 0..4),
    );
    (origin, vec(asn(), 0..300), numbers, lists).prop_map(|(origin, as_path, numbers, lists)| {
        PathAttributes {
            origin,
            as_path,
            med: numbers.0,
            local_pref: numbers.1,
            communities: lists.0,
            extended_communities: lists.1,
            large_communities: lists.2,
        }
    })
}
