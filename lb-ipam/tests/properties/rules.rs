//! What a request and a pool mean, said once more and plainly.

use std::net::IpAddr;

use lb_ipam::{Block, FamilyPolicy, Pool, Request};
use types::Family;

use crate::random::{v4, v6};

pub(crate) fn may_keep(request: &Request, addr: IpAddr) -> bool {
    if request.requested.is_empty() {
        families(request).contains(&Family::of(addr))
    } else {
        request.requested.contains(&addr)
    }
}

pub(crate) fn families(request: &Request) -> Vec<Family> {
    let order = &request.families.order;
    match request.families.policy {
        FamilyPolicy::SingleStack => vec![order.first().copied().unwrap_or(Family::V4)],
        FamilyPolicy::PreferDualStack if order.is_empty() => Family::BOTH.to_vec(),
        FamilyPolicy::PreferDualStack => order.clone(),
        FamilyPolicy::RequireDualStack => Family::BOTH.to_vec(),
    }
}

pub(crate) fn selects(pool: &Pool, request: &Request) -> bool {
    pool.selector
        .match_labels
        .iter()
        .all(|(key, value)| request.labels.get(key) == Some(value))
}

pub(crate) fn ends(block: &Block) -> (IpAddr, IpAddr) {
    match block {
        Block::Cidr(prefix) => (prefix.addr(), prefix.last()),
        Block::Range(range) => (range.start(), range.stop()),
    }
}

pub(crate) fn addresses(block: &Block) -> impl Iterator<Item = IpAddr> + use<> {
    let (first, last) = ends(block);
    let one = if first.is_ipv6() { v6 } else { v4 };
    (0..32u8)
        .map(one)
        .filter(move |a| first <= *a && *a <= last)
}

pub(crate) fn usable(pool: &Pool) -> impl Iterator<Item = IpAddr> {
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
