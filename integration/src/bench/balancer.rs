//! A balancer whose tables are filled by the real planner, without an agent around it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use aya::programs::{ProgramFd, Xdp};
use aya_obj::programs::XdpAttachType;
use types::{BackendAddr, ObjectName, Protocol, Vip};
use xdp_l4lb::{Hop, Outer, Sizes, Tables};
use xdp_l4lb_core::desired::{Backend, Delta, Service, ServiceKey};
use xdp_l4lb_core::{Planner, Settings, Step};

/// The kernel's test runs say that packets came in here: `lo` of the namespace.
const IFINDEX: u32 = 1;

/// The tables, and the planner that fills them.
pub(super) struct Balancer {
    tables: Tables,
    planner: Planner,
    started: Instant,
}

impl Balancer {
    /// Empty tables of the usual sizes.
    ///
    /// # Errors
    /// If the kernel refuses, or the build has no kernel programs.
    pub(super) fn new(bpffs: &Path) -> Result<Self> {
        let outer = Outer {
            v4: (Ipv4Addr::new(10, 254, 0, 0), 16),
            v6: Ipv6Addr::new(0xfd00, 0xfe, 0, 0, 0, 0, 0, 0),
            error_rate: 100,
        };
        let tables = Tables::open(bpffs, &Sizes::default(), &outer)?;
        let config = tables.config();
        let planner = Planner::new(Settings {
            capacity: tables.capacity(),
            vip_seed: config.vip_seed,
            flow_seed: config.flow_seed,
            maglev_seed: 1,
        });
        let mut balancer = Self {
            tables,
            planner,
            started: Instant::now(),
        };
        balancer.planner.on_synced();
        Ok(balancer)
    }

    /// Puts services in place, or changes them.
    pub(super) fn change(&mut self, services: BTreeMap<ServiceKey, Option<Service>>) -> Result<()> {
        self.planner.on_change(Delta { services });
        self.carry_out()
    }

    /// Carries out every step there is now.
    pub(super) fn carry_out(&mut self) -> Result<()> {
        loop {
            let steps = self.planner.plan(self.started.elapsed(), &self.tables);
            if steps.is_empty() {
                return Ok(());
            }
            for step in &steps {
                if let Step::Resolve(addr) = step {
                    self.resolve(*addr)?;
                } else {
                    self.tables.apply(step)?;
                }
            }
        }
    }

    /// VIPs that packets find now.
    pub(super) fn ready(&self) -> usize {
        self.planner.ready().count()
    }

    /// The loaded program.
    pub(super) fn program(&self) -> Result<ProgramFd> {
        let folder = self.tables.pins().path().join("programs");
        let pin = std::fs::read_dir(&folder)?
            .next()
            .with_context(|| format!("no program in {}", folder.display()))??
            .path();
        let program = Xdp::from_pin(&pin, XdpAttachType::Interface)
            .with_context(|| format!("opening {}", pin.display()))?;
        Ok(program.fd()?.try_clone()?)
    }

    /// The same station for every backend, on the interface that packets come in from.
    fn resolve(&mut self, addr: IpAddr) -> Result<()> {
        let hop = Hop {
            ifindex: IFINDEX,
            source: [2, 0, 0, 0, 0, 1],
            station: [2, 0, 0, 0, 0, 3],
            mtu: 1600,
            off_link: false,
        };
        let way = self.tables.way(self.started.elapsed(), &hop)?;
        self.planner.on_next_hop(addr, Some(way));
        Ok(())
    }
}

/// The key of a service that a number stands for.
pub(super) fn key(number: u32) -> ServiceKey {
    ServiceKey {
        object: ObjectName::new("bench", &format!("s{number}")),
        port: "80".into(),
    }
}

/// A service at one address, with backends of that family numbered from `first` on.
pub(super) fn service(addr: IpAddr, protocol: Protocol, first: u32, backends: u32) -> Service {
    Service {
        frontends: [Vip {
            addr,
            port: 80,
            protocol,
        }]
        .into(),
        backends: (first..first + backends)
            .map(|number| (backend(addr, number), Backend::default()))
            .collect(),
        ..Service::default()
    }
}

fn backend(vip: IpAddr, number: u32) -> BackendAddr {
    let addr = match vip {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::from(0x0ac8_0001 + number)),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::from(
            (0xfd00_00c8_u128 << 96) + 1 + u128::from(number),
        )),
    };
    BackendAddr { addr, port: 80 }
}

/// How long a call takes, in microseconds.
pub(super) fn micros(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(Duration::as_secs_f64(&started.elapsed()) * 1e6)
}
