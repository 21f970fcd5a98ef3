//! The balancer's tables in the kernel: opened or made, stored into, read back.
//!
//! This decides nothing. It carries out the planner's steps in the order they come, one aligned
//! store at a time, so that whatever the planner proved about a prefix of its steps holds for the
//! kernel at every moment.

mod apply;
mod filter;
mod migration;
mod readback;
mod spec;

use std::fs::File;
use std::io::{self, Read};
use std::mem::offset_of;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use bpf_user::{
    LoadError, MapError, MappedArray, MigrateError, Object, OutOfRange, PerCpu, PinDir, PinError,
    Program, Table, TableError,
};
use xdp_l4lb_common::hash::DEFAULT_FLOW_SEED;
use xdp_l4lb_common::layout::{
    BackendRecord, Bucket, Config, FlowKey, FlowState, LAYOUT_VERSION, Link, OuterV4,
    ServiceRecord, Slot, Traffic, maps, programs,
};
use xdp_l4lb_core::{Capacity, Way};

pub use migration::ConvertError;
pub use spec::Sizes;
pub(crate) use spec::{BackendSpecs, Device, Specs};

use crate::next_hops::{Hop, LinkSlots, NoLinkLeft};

/// What holds for all packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Source of outer IPv4 headers: this prefix, the rest from the flow.
    pub v4: (Ipv4Addr, u8),
    /// Source of outer IPv6 headers: its first 64 bits, the rest from the flow.
    pub v6: Ipv6Addr,
    /// ICMP errors a second that each CPU may generate.
    pub error_rate: u32,
}

/// The tables of a balancer, and its program.
pub struct Tables {
    pins: PinDir,
    program: Program,
    capacity: Capacity,
    vips: MappedArray<Bucket>,
    services: MappedArray<ServiceRecord>,
    slots: MappedArray<Slot>,
    touched: MappedArray<u32>,
    backends: MappedArray<BackendRecord>,
    links: MappedArray<Link>,
    config: MappedArray<Config>,
    flows: Table<FlowKey, FlowState>,
    devices: Table<u32, Device>,
    service_stats: PerCpu<Traffic>,
    backend_stats: PerCpu<Traffic>,
    slots_of_links: LinkSlots,
    stores: u64,
}

/// The tables are not there.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The kernel programs were not built.
    #[error("{0}")]
    NoObject(&'static str),
    /// The pins cannot be used.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The program cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A table cannot be opened.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The version before could not be taken over.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The first configuration cannot be stored.
    #[error("configuring the tables")]
    Configure(#[from] ApplyError),
    /// No seed for the table of VIPs.
    #[error("drawing a random seed")]
    Seed(#[source] io::Error),
}

/// A step was not carried out, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The step names something past the end of a table.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The kernel refused.
    #[error(transparent)]
    Table(#[from] TableError),
    /// There are more interfaces than links.
    #[error(transparent)]
    NoLinkLeft(#[from] NoLinkLeft),
}

impl Tables {
    /// Opens what is pinned, or makes it; takes over what another version left.
    ///
    /// # Errors
    /// If the programs were not built, the kernel refuses, or what is pinned is not as expected.
    pub fn open(bpffs: &Path, sizes: &Sizes, outer: &Outer) -> Result<Self, OpenError> {
        let elf = crate::OBJECT.map_err(OpenError::NoObject)?;
        let specs = Specs::new(sizes);
        let all = specs.all();
        let object = Object {
            elf,
            maps: &all,
            others: &[maps::BALANCERS, maps::OWNED, maps::DECAP_DROPS],
        };
        let pins = PinDir::at(bpffs, LAYOUT_VERSION)?;
        let program = bpf_user::load(&object, programs::L4LB, &pins)?;
        bpf_user::migrate(&pins, &program, &[&migration::FromZero::default()])?;
        let links = MappedArray::open(&specs.links, &pins)?;
        let mut tables = Self {
            capacity: sizes.capacity,
            vips: MappedArray::open(&specs.vips, &pins)?,
            services: MappedArray::open(&specs.services, &pins)?,
            slots: MappedArray::open(&specs.slots, &pins)?,
            touched: MappedArray::open(&specs.touched, &pins)?,
            backends: MappedArray::open(&specs.backends, &pins)?,
            slots_of_links: LinkSlots::read((0..links.len()).map_while(|i| links.load(i).ok())),
            links,
            config: MappedArray::open(&specs.config, &pins)?,
            flows: Table::open(&specs.flows, &pins)?,
            devices: Table::open(&specs.devices, &pins)?,
            service_stats: PerCpu::open(&specs.service_stats, &pins)?,
            backend_stats: PerCpu::open(&specs.backend_stats, &pins)?,
            pins,
            program,
            stores: 0,
        };
        tables.configure(outer)?;
        tables.raise_filter()?;
        Ok(tables)
    }

    /// Where everything is pinned.
    #[must_use]
    pub const fn pins(&self) -> &PinDir {
        &self.pins
    }

    /// The balancer's program.
    #[must_use]
    pub const fn program(&self) -> &Program {
        &self.program
    }

    /// The sizes of the tables.
    #[must_use]
    pub const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Words and entries changed since these tables were opened, the clock's ticks aside.
    #[must_use]
    pub const fn stores(&self) -> u64 {
        self.stores
    }

    /// What holds for all packets, as the kernel has it.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.load(0).unwrap_or(UNSET)
    }

    /// A way in the words of the tables; makes a place for its interface if that is new.
    ///
    /// # Errors
    /// If there are too many interfaces.
    pub fn way(&mut self, now: Duration, hop: &Hop) -> Result<Way, ApplyError> {
        use xdp_l4lb_common::layout::NextHop;

        let (place, record) = self.slots_of_links.assign(now, (hop.ifindex, hop.source))?;
        if let Some(record) = record {
            self.links.write(u32::from(place), &record)?;
            self.stores += 1;
        }
        self.add_device(hop.ifindex)?;
        Ok(Way {
            next_hop: NextHop::new(place, hop.station),
            mtu: hop.mtu,
            off_link: hop.off_link,
        })
    }

    /// Only these interfaces are named by next hops from now on.
    pub(crate) fn retain_links(
        &mut self,
        now: Duration,
        used: &std::collections::BTreeSet<(u32, [u8; 6])>,
    ) {
        self.slots_of_links.retain(now, used);
    }

    /// The kernel forgets a device when its interface goes.
    fn add_device(&mut self, ifindex: u32) -> Result<(), ApplyError> {
        if self.devices.get(&ifindex)?.is_none() {
            self.devices.put(&ifindex, &[ifindex, 0])?;
            self.stores += 1;
        }
        Ok(())
    }

    /// Stores what differs. The seeds are drawn or set once, as flows depend on them.
    fn configure(&mut self, outer: &Outer) -> Result<(), OpenError> {
        let before = self.config();
        if before.vip_seed == 0 {
            let seed = random_seed().map_err(OpenError::Seed)?;
            self.store_config(offset_of!(Config, flow_seed), DEFAULT_FLOW_SEED)?;
            self.store_config(offset_of!(Config, vip_seed), seed)?;
        }
        let v4 = OuterV4::new(outer.v4.0, outer.v4.1).word();
        if before.outer_v4 != v4 {
            self.store_config(offset_of!(Config, outer_v4), v4)?;
        }
        let [a, b, c, d, e, f, g, h, ..] = outer.v6.octets();
        let v6 = [a, b, c, d, e, f, g, h];
        if before.outer_v6 != v6 {
            self.store_config(offset_of!(Config, outer_v6), u64::from_ne_bytes(v6))?;
        }
        if before.error_rate != outer.error_rate {
            self.config
                .store_half(0, offset_of!(Config, error_rate), outer.error_rate)
                .map_err(ApplyError::from)?;
            self.stores += 1;
        }
        Ok(())
    }

    fn store_config(&mut self, offset: usize, word: u64) -> Result<(), ApplyError> {
        self.config.store_word(0, offset, word)?;
        self.stores += 1;
        Ok(())
    }
}

/// What a table that was never configured holds.
const UNSET: Config = Config {
    vip_table: 0,
    vip_seed: 0,
    flow_seed: 0,
    outer_v4: 0,
    outer_v6: [0; 8],
    epoch: 0,
    error_rate: 0,
    no_vip: [0; 2],
};

/// A seed that nobody outside can guess; zero would mean that there is none yet.
fn random_seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes).max(1))
}
