//! How long planning takes: Maglev tables, 27,000 services at once, and one change among them.
//!
//! `cargo run --release -p xdp-l4lb-core --example planning`

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use types::{BackendAddr, ObjectName, Protocol, Vip};
use xdp_l4lb_common::layout::{NextHop, Slot};
use xdp_l4lb_core::desired::{Backend, BackendState, Delta, Service, ServiceKey};
use xdp_l4lb_core::maglev::{self, Candidate, Size};
use xdp_l4lb_core::{Capacity, Planner, Settings, Step, Tables, Way};

const SERVICES: u32 = 27_000;
const RUNS: usize = 11;

/// As much of the kernel's tables as a planner reads.
struct Slots {
    words: Vec<Slot>,
    touched: Vec<u32>,
}

fn main() {
    println!("{:<44} {:>10} {:>10}", "case", "min us", "median us");
    for count in [1u32, 100, 10_000] {
        let candidates: Vec<Candidate> = (0..count)
            .map(|at| Candidate {
                backend: backend(at),
                weight: 1,
            })
            .collect();
        let size = Size::automatic(candidates.iter().map(|candidate| candidate.weight));
        let case = format!("maglev {count} backends, {} slots", 1u32 << size.log2());
        report(&case, || {
            let start = Instant::now();
            let table = maglev::build(7, size, &candidates);
            assert_eq!(table.len(), 1 << size.log2());
            start.elapsed()
        });
    }
    changes();
}

/// Everything at once, and then one backend of one service, again and again.
fn changes() {
    let capacity = Capacity::default();
    let mut slots = Slots {
        words: vec![Slot::default(); capacity.slots as usize],
        touched: vec![0; capacity.slots as usize],
    };
    let mut planner = Planner::new(Settings {
        capacity,
        vip_seed: 1,
        flow_seed: 2,
        maglev_seed: 3,
    });
    planner.on_synced();
    let services: BTreeMap<_, _> = (0..SERVICES)
        .map(|at| (key(at), Some(service(at, BackendState::Active))))
        .collect();
    let mut now = Duration::from_secs(1);
    let start = Instant::now();
    planner.on_change(Delta { services });
    let steps = carry_out(&mut planner, &mut slots, &mut now);
    let took = start.elapsed().as_micros();
    println!(
        "{:<44} {took:>10} {took:>10}",
        "27,000 services of 2 backends at once"
    );
    println!("({steps} steps, {} VIPs ready)", planner.ready().count());

    let mut drained = false;
    report("one backend drained among 27,000 services", || {
        drained = !drained;
        let state = if drained {
            BackendState::Draining
        } else {
            BackendState::Active
        };
        let services = BTreeMap::from([(key(13_000), Some(service(13_000, state)))]);
        let start = Instant::now();
        planner.on_change(Delta { services });
        carry_out(&mut planner, &mut slots, &mut now);
        start.elapsed()
    });
}

/// Carries out steps until none is due. Gives their number.
fn carry_out(planner: &mut Planner, slots: &mut Slots, now: &mut Duration) -> usize {
    let mut count = 0;
    loop {
        let steps = planner.plan(*now, slots);
        count += steps.len();
        for step in &steps {
            slots.carry_out(planner, step);
        }
        if steps.is_empty() && planner.next_deadline().is_none_or(|at| at > *now) {
            return count;
        }
    }
}

impl Slots {
    fn carry_out(&mut self, planner: &mut Planner, step: &Step) {
        match step {
            Step::WriteSlots { base, epoch, words } => {
                for (index, word) in (*base..).zip(words) {
                    self.store(index, *word, Some(*epoch));
                }
            }
            Step::StoreSlots { epoch, stores } => {
                for store in stores {
                    self.store(store.index, store.word, store.restart.then_some(*epoch));
                }
            }
            Step::Resolve(addr) => {
                let way = Way {
                    next_hop: NextHop::new(1, [2, 0, 0, 0, 0, 1]),
                    mtu: 1500,
                    off_link: false,
                };
                planner.on_next_hop(*addr, Some(way));
            }
            // Planning does not read back what these store.
            Step::WriteVips { .. }
            | Step::StoreVipTable(_)
            | Step::StoreVip { .. }
            | Step::WriteService { .. }
            | Step::StoreServiceFlags { .. }
            | Step::StoreTable { .. }
            | Step::WriteBackend { .. }
            | Step::StoreBackendMode { .. }
            | Step::StoreNextHop { .. }
            | Step::StoreEpoch(_)
            | Step::DeleteFlows(_)
            | Step::ScanFlows
            | Step::VipReady(_)
            | Step::VipNotReady(_)
            | Step::Forget(_) => {}
        }
    }

    fn store(&mut self, index: u32, word: Slot, epoch: Option<u32>) {
        if let Some(slot) = self.words.get_mut(index as usize) {
            *slot = word;
        }
        if let (Some(touched), Some(epoch)) = (self.touched.get_mut(index as usize), epoch) {
            *touched = epoch;
        }
    }
}

impl Tables for Slots {
    fn slot(&self, index: u32) -> Slot {
        self.words.get(index as usize).copied().unwrap_or_default()
    }

    fn touched(&self, index: u32) -> u32 {
        self.touched
            .get(index as usize)
            .copied()
            .unwrap_or_default()
    }
}

fn report(case: &str, mut run: impl FnMut() -> Duration) {
    let mut took: Vec<Duration> = (0..RUNS).map(|_| run()).collect();
    took.sort_unstable();
    let at = |place: usize| took.get(place).map_or(0, Duration::as_micros);
    println!("{case:<44} {:>10} {:>10}", at(0), at(RUNS / 2));
}

fn key(at: u32) -> ServiceKey {
    ServiceKey {
        object: ObjectName::new("shop", &format!("web{at}")),
        port: "http".into(),
    }
}

fn service(at: u32, second: BackendState) -> Service {
    let vip = Vip {
        addr: Ipv4Addr::from(0xc612_0000 + at).into(),
        port: 80,
        protocol: Protocol::Tcp,
    };
    let entry = |state| Backend { weight: 1, state };
    Service {
        frontends: [vip].into(),
        backends: BTreeMap::from([
            (backend(2 * at), entry(BackendState::Active)),
            (backend(2 * at + 1), entry(second)),
        ]),
        ..Service::default()
    }
}

fn backend(at: u32) -> BackendAddr {
    BackendAddr {
        addr: Ipv4Addr::from(0x0a00_0001 + at).into(),
        port: 8080,
    }
}
