//! Finds the service that a packet is for.

use crate::access::{Maps, Service};
use crate::hash::{AddrWords, vip_candidates};
use crate::layout::{BUCKET_ENTRIES, VipEntry};

/// A service and its index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Index of the record.
    pub(crate) index: u32,
    /// The record.
    pub(crate) service: Service,
}

/// The end of a key for a port (as it lies in memory) and a protocol.
#[inline(always)]
pub(crate) const fn tail(port: u16, proto: u8) -> u32 {
    port as u32 | (proto as u32) << 16
}

/// The end of an address-only key.
pub(crate) const ADDRESS_ONLY: u32 = 0;

/// What [`glance`] found.
pub(crate) enum Glance {
    /// The service with this key.
    Found(Found),
    /// There is none.
    Nothing,
    /// Another key has the same fingerprint: [`find`] has to look.
    Unclear,
}

/// Looks for a service at the first place where it may be, and nowhere else.
#[inline(always)]
pub(crate) fn glance(maps: &impl Maps, addr: AddrWords, tail: u32) -> Glance {
    let table = maps.vip_table();
    if table.is_none() {
        return Glance::Nothing;
    }
    let at = vip_candidates(maps.vip_seed(), table, addr, tail);
    let mut index = maps.probe(at.bucket_a, at.fingerprint);
    if index == 0 {
        index = maps.probe(at.bucket_b, at.fingerprint);
    }
    if index == 0 {
        return Glance::Nothing;
    }
    match maps.service(index) {
        Some(service) if service.addr == addr && service.tail == tail => {
            Glance::Found(Found { index, service })
        }
        Some(_) | None => Glance::Unclear,
    }
}

/// The service with this key.
#[inline(always)]
pub(crate) fn find(maps: &impl Maps, addr: AddrWords, tail: u32) -> Option<Found> {
    let table = maps.vip_table();
    if table.is_none() {
        return None;
    }
    let at = vip_candidates(maps.vip_seed(), table, addr, tail);
    scan(maps, at.bucket_a, at.fingerprint, addr, tail)
        .or_else(|| scan(maps, at.bucket_b, at.fingerprint, addr, tail))
}

#[inline(always)]
fn scan(
    maps: &impl Maps,
    bucket: u32,
    fingerprint: u32,
    addr: AddrWords,
    tail: u32,
) -> Option<Found> {
    let word = maps.bucket(bucket)?;
    for place in 0..BUCKET_ENTRIES {
        let entry = VipEntry::from_word(word(place));
        if entry.fingerprint() != fingerprint {
            continue;
        }
        // Another key may have the same fingerprint; and a free place reads as record 0, whose key
        // is nobody's address.
        let index = entry.service();
        if let Some(service) = maps.service(index)
            && service.addr == addr
            && service.tail == tail
        {
            return Some(Found { index, service });
        }
    }
    None
}
