//! What the kernel holds, in the words of the local API.

use std::collections::{BTreeMap, BTreeSet};

use agent_api as shown;
use anyhow::Result;
use bpf_common::DropReason;
use types::{BackendAddr, Vip};
use xdp_l4lb::{Inspector, KernelBackend, KernelService, State};

/// What the kernel holds; only the age of changes is the agent's word.
pub(super) fn lb(inspector: &Inspector, state: &State) -> Result<shown::Lb> {
    let backends: BTreeMap<u32, KernelBackend> = inspector
        .backends()?
        .into_iter()
        .map(|backend| (backend.id, backend))
        .collect();
    let mut services: Vec<shown::LbService> = inspector
        .services()?
        .iter()
        .filter_map(|service| lb_service(service, &backends))
        .collect();
    services.sort_by_key(|service| service.vip);
    let counters = inspector.counters()?;
    let deferred = counters
        .others
        .iter()
        .find(|(counter, _)| *counter == xdp_l4lb_common::layout::Counter::FlowDeferred);
    let others = counters.others.iter();
    let others = others.map(|(counter, count)| (counter.name(), *count));
    Ok(shown::Lb {
        role: shown::Role::Balancer,
        transitions: shown::Transitions {
            slots: services
                .iter()
                .map(|service| u64::from(service.slots_in_change))
                .sum(),
            flows: inspector.flows()? as u64,
            syns_deferred: deferred.map_or(0, |(_, count)| *count),
            oldest_secs: state.oldest_change.map(|age| age.as_secs()),
        },
        services,
        verdicts: verdicts(&counters.drops, others),
    })
}

/// Drops by reason, and what else became of packets.
pub(crate) fn verdicts<'c>(
    drops: &[(DropReason, u64)],
    others: impl Iterator<Item = (&'c str, u64)>,
) -> Vec<(String, u64)> {
    let drops = drops.iter().map(|(reason, count)| (reason.name(), *count));
    drops
        .chain(others)
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

/// A record of an address alone is not shown: it balances nothing.
fn lb_service(
    service: &KernelService,
    backends: &BTreeMap<u32, KernelBackend>,
) -> Option<shown::LbService> {
    let (port, protocol) = service.port?;
    let ids: BTreeSet<u32> = service
        .slots
        .keys()
        .chain(service.previous.keys())
        .copied()
        .collect();
    let shares = ids
        .iter()
        .filter_map(|id| backends.get(id))
        .map(|backend| shown::LbBackend {
            id: backend.id,
            address: backend.addr,
            live: backend.live,
            resolved: backend.next_hop.is_some(),
            current: service.slots.get(&backend.id).copied().unwrap_or_default(),
            previous: service
                .previous
                .get(&backend.id)
                .copied()
                .unwrap_or_default(),
            counters: shown::Counters {
                packets: backend.traffic.packets,
                bytes: backend.traffic.bytes,
            },
        });
    Some(shown::LbService {
        vip: Vip {
            addr: service.addr,
            port,
            protocol,
        },
        slots: service
            .table
            .map_or(0, xdp_l4lb_common::layout::SlotTable::len),
        slots_in_change: service.open_slots,
        counters: shown::Counters {
            packets: service.traffic.packets,
            bytes: service.traffic.bytes,
        },
        backends: shares.collect(),
    })
}

pub(super) fn maglev(inspector: &Inspector, vip: Vip) -> Result<Option<shown::Maglev>> {
    let Some(slots) = inspector.maglev(&vip)? else {
        return Ok(None);
    };
    let mut shares: Vec<(u32, shown::Share)> = inspector
        .backends()?
        .iter()
        .filter(|backend| slots.iter().any(|slot| slot.current() == backend.id))
        .map(|backend| {
            let address = BackendAddr {
                addr: backend.addr,
                port: vip.port,
            };
            (
                backend.id,
                shown::Share {
                    backend: address,
                    slots: 0,
                },
            )
        })
        .collect();
    shares.sort_by_key(|(_, share)| share.backend);
    let places: BTreeMap<u32, u32> = (0..).zip(&shares).map(|(at, (id, _))| (*id, at)).collect();
    let table: Vec<Option<u32>> = slots
        .iter()
        .map(|slot| places.get(&slot.current()).copied())
        .collect();
    for (id, share) in &mut shares {
        let own = slots.iter().filter(|slot| slot.current() == *id).count();
        share.slots = u32::try_from(own).unwrap_or(u32::MAX);
    }
    let shares = shares.into_iter().map(|(_, share)| share).collect();
    Ok(Some(shown::Maglev { vip, shares, table }))
}
