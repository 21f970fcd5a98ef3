//! What the kernel holds, read from the pinned tables alone: it needs no agent, and no trust in one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use bpf_common::DropReason;
use bpf_user::{
    MapError, MappedArray, OutOfRange, PerCpu, PinDir, PinError, Table, TableError, XdpLink,
};
use types::{Protocol, Vip};
use xdp_l4lb_common::layout::{
    BACKEND_LIVE, BackendMode, BackendRecord, Bucket, Config, Counter, FlowKey, FlowState,
    LAYOUT_VERSION, Link, NextHop, SERVICE_REFUSE, ServiceRecord, Slot, SlotTable, Traffic,
    VipEntry, VipTable, sizes,
};

use crate::tables::{Sizes, Specs};

/// A service as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelService {
    /// Its index.
    pub index: u32,
    /// The address, also of records that stand for an address alone.
    pub addr: IpAddr,
    /// Port and protocol; `None` for an address alone.
    pub port: Option<(u16, Protocol)>,
    /// Whether packets are answered with "port unreachable" while there is no backend.
    pub refuses: bool,
    /// Its part of the slots.
    pub table: Option<SlotTable>,
    /// Slots in change.
    pub open_slots: u32,
    /// Slots per backend id, by where new flows go.
    pub slots: BTreeMap<u32, u32>,
    /// Slots per backend id, by where flows that are not remembered go.
    pub previous: BTreeMap<u32, u32>,
    /// What went through since the record was made.
    pub traffic: Traffic,
}

/// A backend's membership in a slot table as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelBackend {
    /// Its id.
    pub id: u32,
    /// Where packets are sent.
    pub addr: IpAddr,
    /// Whether it takes packets.
    pub live: bool,
    /// The largest packet on the way.
    pub mtu: u16,
    /// Interface index and station; `None` while the way is not known.
    pub next_hop: Option<(u32, [u8; 6])>,
    /// What went through since the id was given out.
    pub traffic: Traffic,
}

/// Counters of all packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Packets dropped, by reason.
    pub drops: Vec<(DropReason, u64)>,
    /// Everything else that is counted.
    pub others: Vec<(Counter, u64)>,
}

/// The pinned tables, opened for reading.
pub struct Inspector {
    pins: PinDir,
    vips: MappedArray<Bucket>,
    services: MappedArray<ServiceRecord>,
    slots: MappedArray<Slot>,
    backends: MappedArray<BackendRecord>,
    links: MappedArray<Link>,
    config: MappedArray<Config>,
    flows: Table<FlowKey, FlowState>,
    service_stats: PerCpu<Traffic>,
    backend_stats: PerCpu<Traffic>,
    drops: PerCpu<u64>,
    capacity: (u32, u32),
}

/// The tables cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Nothing is pinned, or not for us.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A table is not there or not as expected.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The tables contradict each other.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The kernel refused.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Inspector {
    /// Opens the tables that are pinned in a bpffs.
    ///
    /// # Errors
    /// If there are none, or they are of another version.
    pub fn open(bpffs: &Path) -> Result<Self, InspectError> {
        let pins = PinDir::at(bpffs, LAYOUT_VERSION)?;
        let specs = Specs::new(&Sizes::default());
        let services = specs.services.as_pinned(&pins)?;
        let backends = specs.backends.as_pinned(&pins)?;
        Ok(Self {
            vips: MappedArray::open_read_only(&specs.vips.as_pinned(&pins)?, &pins)?,
            services: MappedArray::open_read_only(&services, &pins)?,
            slots: MappedArray::open_read_only(&specs.slots.as_pinned(&pins)?, &pins)?,
            backends: MappedArray::open_read_only(&backends, &pins)?,
            links: MappedArray::open_read_only(&specs.links, &pins)?,
            config: MappedArray::open_read_only(&specs.config, &pins)?,
            flows: Table::open(&specs.flows.as_pinned(&pins)?, &pins)?,
            service_stats: PerCpu::open(&specs.service_stats.as_pinned(&pins)?, &pins)?,
            backend_stats: PerCpu::open(&specs.backend_stats.as_pinned(&pins)?, &pins)?,
            drops: PerCpu::open(&specs.drops, &pins)?,
            capacity: (services.max_entries, backends.max_entries),
            pins,
        })
    }

    /// The interfaces that have a link, and the interface's index unless it is gone.
    ///
    /// # Errors
    /// If the pins cannot be read.
    pub fn interfaces(&self) -> Result<Vec<(String, Option<u32>)>, InspectError> {
        let mut interfaces = Vec::new();
        for name in self.pins.linked_interfaces()? {
            if let Some(link) = XdpLink::open(&self.pins, &name)? {
                interfaces.push((name, link.ifindex()));
            }
        }
        Ok(interfaces)
    }

    /// Every service that a packet can find, by index; addresses alone included.
    ///
    /// # Errors
    /// If the tables cannot be read.
    pub fn services(&self) -> Result<Vec<KernelService>, InspectError> {
        let indexes = self.published()?;
        let traffic = read_traffic(&self.service_stats, self.capacity.0, &indexes)?;
        indexes
            .into_iter()
            .map(|index| self.service(index, traffic.get(&index).copied()))
            .collect()
    }

    /// Every backend that a slot of a service names, by id.
    ///
    /// # Errors
    /// If the tables cannot be read.
    pub fn backends(&self) -> Result<Vec<KernelBackend>, InspectError> {
        let mut ids = BTreeSet::new();
        for index in self.published()? {
            for slot in self.table(&self.services.load(index)?)? {
                ids.extend([slot.current(), slot.previous()]);
            }
        }
        ids.remove(&0);
        let traffic = read_traffic(&self.backend_stats, self.capacity.1, &ids)?;
        ids.into_iter()
            .map(|id| self.backend(id, traffic.get(&id).copied()))
            .collect()
    }

    /// The slots of a service in order; `None` if no packet finds such a service.
    ///
    /// # Errors
    /// If the tables cannot be read.
    pub fn maglev(&self, vip: &Vip) -> Result<Option<Vec<Slot>>, InspectError> {
        for index in self.published()? {
            let record = self.services.load(index)?;
            let port = port_of(&record)
                .map(|(port, protocol)| (unmapped(record.key.addr), port, protocol));
            if port == Some((vip.addr, vip.port, vip.protocol)) {
                return Ok(Some(self.table(&record)?));
            }
        }
        Ok(None)
    }

    /// How many flows are remembered.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn flows(&self) -> Result<usize, InspectError> {
        let (mut count, mut cursor) = (0, None);
        loop {
            let batch = self.flows.batch(cursor, 4096)?;
            count += batch.entries.len();
            match batch.next {
                Some(next) => cursor = Some(next),
                None => return Ok(count),
            }
        }
    }

    /// Drops by reason, and everything else that is counted for all packets.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn counters(&self) -> Result<Counters, InspectError> {
        let mut sums = BTreeMap::new();
        let count = u32::try_from(sizes::DROPS).unwrap_or(u32::MAX);
        self.drops.read(count, |index, cpus| {
            sums.insert(index, cpus.iter().sum::<u64>());
        })?;
        let sum = |index| sums.get(&index).copied().unwrap_or_default();
        Ok(Counters {
            drops: DropReason::ALL
                .iter()
                .map(|reason| (*reason, sum(reason.index())))
                .collect(),
            others: Counter::ALL
                .iter()
                .map(|counter| (*counter, sum(counter.index())))
                .collect(),
        })
    }

    /// The indexes that the published buckets name.
    fn published(&self) -> Result<BTreeSet<u32>, InspectError> {
        let table = VipTable::from_word(self.config.load(0)?.vip_table);
        let mut indexes = BTreeSet::new();
        if table.is_none() {
            return Ok(indexes);
        }
        for bucket in table.base()..=table.base().saturating_add(table.mask()) {
            let entries = self.vips.load(bucket)?.entries;
            indexes.extend(
                entries
                    .into_iter()
                    .map(VipEntry::from_word)
                    .filter(|entry| !entry.is_free())
                    .map(VipEntry::service),
            );
        }
        Ok(indexes)
    }

    fn service(&self, index: u32, traffic: Option<Traffic>) -> Result<KernelService, InspectError> {
        let record = self.services.load(index)?;
        let (mut slots, mut previous) = (BTreeMap::new(), BTreeMap::new());
        let mut open_slots = 0;
        for slot in self.table(&record)? {
            *slots.entry(slot.current()).or_insert(0) += 1;
            *previous.entry(slot.previous()).or_insert(0) += 1;
            open_slots += u32::from(slot.is_open());
        }
        let table = SlotTable::from_word(record.table);
        Ok(KernelService {
            index,
            addr: unmapped(record.key.addr),
            port: port_of(&record),
            refuses: record.flags & SERVICE_REFUSE != 0,
            table: Some(table).filter(|table| !table.is_none()),
            open_slots,
            slots,
            previous,
            traffic: traffic.unwrap_or_default(),
        })
    }

    fn backend(&self, id: u32, traffic: Option<Traffic>) -> Result<KernelBackend, InspectError> {
        let record = self.backends.load(id)?;
        let mode = BackendMode::from_word(record.mode);
        let hop = NextHop::from_word(record.next_hop);
        let next_hop = if hop == NextHop::NONE {
            None
        } else {
            Some((self.links.load(u32::from(hop.link()))?.ifindex, hop.mac()))
        };
        Ok(KernelBackend {
            id,
            addr: unmapped(record.addr),
            live: mode.has(BACKEND_LIVE),
            mtu: mode.mtu(),
            next_hop,
            traffic: traffic.unwrap_or_default(),
        })
    }

    fn table(&self, record: &ServiceRecord) -> Result<Vec<Slot>, InspectError> {
        let table = SlotTable::from_word(record.table);
        if table.is_none() {
            return Ok(Vec::new());
        }
        (table.base()..table.base().saturating_add(table.len()))
            .map(|index| Ok(self.slots.load(index)?))
            .collect()
    }
}

/// Sums over CPUs, for the elements that are wanted.
fn read_traffic(
    stats: &PerCpu<Traffic>,
    capacity: u32,
    wanted: &BTreeSet<u32>,
) -> Result<BTreeMap<u32, Traffic>, TableError> {
    let mut sums = BTreeMap::new();
    let count = wanted.last().map_or(0, |last| last.saturating_add(1));
    stats.read(count.min(capacity), |index, cpus| {
        if wanted.contains(&index) {
            sums.insert(index, sum(cpus));
        }
    })?;
    Ok(sums)
}

fn sum(cpus: &[Traffic]) -> Traffic {
    cpus.iter().fold(Traffic::default(), |sum, cpu| Traffic {
        packets: sum.packets.wrapping_add(cpu.packets),
        bytes: sum.bytes.wrapping_add(cpu.bytes),
    })
}

fn port_of(record: &ServiceRecord) -> Option<(u16, Protocol)> {
    let port = u16::from_be_bytes(record.key.port);
    [Protocol::Tcp, Protocol::Udp]
        .into_iter()
        .find(|protocol| protocol.number() == record.key.proto)
        .map(|protocol| (port, protocol))
}

fn unmapped(addr: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(addr).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_summed_over_cpus() {
        let cpu = |packets, bytes| Traffic { packets, bytes };

        assert_eq!(sum(&[cpu(1, 100), cpu(2, 300)]), cpu(3, 400));
    }

    #[test]
    fn a_v4_mapped_address_is_shown_as_ipv4() {
        let addr: Ipv6Addr = "::ffff:192.0.2.1".parse().unwrap();

        assert_eq!(unmapped(addr.octets()).to_string(), "192.0.2.1");
    }
}
