//! The balancer and the backend side, beside what the host decides.

use std::collections::BTreeMap;

use crate::support::packets::between;
use crate::support::tables::{Tables, ip};
use crate::support::world::{CLIENT, CLIENT_6, VIP, VIP_6, World, corpus, port};
use crate::support::{Action, apply};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData, PerCpuArray};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, Pod};
use bpf_common::{DropReason, Layout};
use xdp_l4lb_common::decap::{Decap, Peers, decapsulate};
use xdp_l4lb_common::hash::AddrWords;
use xdp_l4lb_common::layout::{
    Counter, DecapCounter, FlowKey, FlowState, LAYOUT_VERSION, Traffic, maps, programs,
};
use xdp_l4lb_common::{Frame, Verdict, decide};

/// Test runs come from the loopback interface.
pub(crate) const INGRESS: u32 = 1;

/// Longer than any frame that comes back.
const LONGEST: usize = 16 << 10;

#[test]
fn the_balancer_decides_as_it_does_on_the_host() {
    let Some(mut kernel) = Kernel::load(programs::L4LB) else {
        return;
    };
    let world = World::new();
    kernel.fill(&world.tables);

    for (name, frame) in corpus() {
        if frame.len() < 14 {
            continue; // The kernel refuses to run those.
        }
        let verdict = decide(&world.tables, &whole(&frame));
        let (expected, mut packet) = apply(&world.tables, &verdict, &frame);

        let before = kernel.counters(maps::DROPS);
        let (action, mut out) = kernel.run(&frame);
        let after = kernel.counters(maps::DROPS);

        if expected == Action::Redirect {
            // There is no interface 2 here: the packet is written, and then it cannot leave.
            assert_eq!(action, Action::Drop as u32, "{name}");
            packet = frame.clone();
            out = frame.clone();
            assert!(
                counted(&before, &after, DropReason::NoDevice.index()),
                "{name}"
            );
        } else {
            assert_eq!(action, expected as u32, "{name}: {verdict:?}");
        }
        if expected != Action::Drop {
            assert_eq!(out, packet, "{name}: {verdict:?}");
        }
        match verdict {
            Verdict::Drop(reason) => {
                assert!(counted(&before, &after, reason.index()), "{name}: {reason}");
            }
            Verdict::Pass(counter) | Verdict::Answer(_, counter) => {
                assert!(counted(&before, &after, counter.index()), "{name}");
            }
            Verdict::Forward(_) => {}
        }
        packet.clear();
    }
    assert_eq!(kernel.flows(), *world.tables.flows.borrow());
    assert_eq!(kernel.touched(), *world.tables.touched.borrow());
}

#[test]
fn what_is_forwarded_is_counted_by_service_and_by_backend() {
    let Some(mut kernel) = Kernel::load(programs::L4LB) else {
        return;
    };
    let world = World::new();
    kernel.fill(&world.tables);
    let frame = between(CLIENT, VIP).udp((7, port::WEB), &[0; 100]);
    let Verdict::Forward(forward) = decide(&world.tables, &whole(&frame)) else {
        panic!("not forwarded");
    };

    for _ in 0..3 {
        kernel.run(&frame);
    }

    let expected = Traffic {
        packets: 3,
        bytes: 3 * 128,
    };
    assert_eq!(
        kernel.traffic(maps::SERVICE_STATS, forward.service),
        expected
    );
    assert_eq!(
        kernel.traffic(maps::BACKEND_STATS, forward.backend),
        expected
    );
}

#[test]
fn a_flow_opened_during_a_change_stays_where_it_was_opened() {
    let Some(mut kernel) = Kernel::load(programs::L4LB) else {
        return;
    };
    let world = World::new();
    kernel.fill(&world.tables);
    for (client, vip) in [(CLIENT, VIP), (CLIENT_6, VIP_6)] {
        let from = between(client, vip);
        let ports = (50_000, port::CHANGING);
        let station = |out: &[u8]| out[5];

        let (_, unknown) = kernel.run(&from.tcp(ports, 16, 900, &[]));
        let (_, opened) = kernel.run(&from.tcp(ports, 2, 77, &[]));
        let (_, again) = kernel.run(&from.tcp(ports, 2, 77, &[]));
        let (_, stray) = kernel.run(&from.tcp(ports, 16, 900, &[]));
        let (_, going) = kernel.run(&from.tcp(ports, 16, 78, &[]));
        let (_, later) = kernel.run(&from.tcp(ports, 16, 5000, &[]));

        assert_eq!(station(&unknown), 5);
        assert_eq!(station(&opened), 6);
        assert_eq!(station(&again), 6);
        assert_eq!(station(&stray), 5);
        assert_eq!(station(&going), 6);
        assert_eq!(station(&later), 6);
    }
    let flows = kernel.flows();
    assert!(flows.values().all(|state| state.confirmed == 1));
    assert!(flows.values().any(|state| state.backend == world.new));
    assert_eq!(kernel.traffic(maps::BACKEND_STATS, world.old).packets, 2);
}

#[test]
fn icmp_errors_are_limited_per_cpu() {
    let Some(mut kernel) = Kernel::load(programs::L4LB) else {
        return;
    };
    let mut world = World::new();
    world.tables.config.error_rate = 3;
    kernel.fill(&world.tables);
    let frame = between(CLIENT, VIP).udp((7, port::REFUSING), &[]);

    let sent = (0..2000)
        .filter(|_| kernel.run(&frame).0 == Action::Transmit as u32)
        .count();

    // Each CPU may have saved up three, and a slow machine lets more seconds pass.
    assert!((3..200).contains(&sent), "{sent}");
    let counters = kernel.counters(maps::DROPS);
    let limited = counters[&DropReason::RateLimited.index()];
    assert_eq!(limited, u64::try_from(2000 - sent).unwrap());
}

#[test]
fn a_backend_takes_packets_of_its_balancers_for_its_vips_only() {
    let Some(mut kernel) = Kernel::load(programs::DECAP) else {
        return;
    };
    let world = World::new();
    let peers = Side {
        balancers: vec![("10.200.0.0", 112), ("fd00:0:0:2000::", 64)],
        owned: vec![VIP, VIP_6],
    };
    kernel.fill_side(&peers);
    let mut decapsulated = 0;

    for (name, sent) in corpus() {
        if sent.len() < 14 {
            continue;
        }
        let verdict = decide(&world.tables, &whole(&sent));
        let (_, outer) = apply(&world.tables, &verdict, &sent);
        if outer.len() < 40 {
            continue;
        }
        let mut strange = outer.clone();
        strange[27] ^= 1; // Another source, of either family.
        for mut frame in [outer, strange] {
            for ecn in [0, 3] {
                let shift = if frame[12] == 0x86 { 4 } else { 0 };
                frame[15] = frame[15] & !(3 << shift) | ecn << shift;
                let verdict = decapsulate(&peers, &whole(&frame));
                let before = kernel.counters(maps::DECAP_DROPS);

                let (action, out) = kernel.run(&frame);

                let after = kernel.counters(maps::DECAP_DROPS);
                let (expected, packet, counter) = side_effect(&verdict, &frame);
                assert_eq!(action, expected as u32, "{name}: {verdict:?}");
                assert_eq!(out, packet, "{name}: {verdict:?}");
                assert!(counted(&before, &after, counter), "{name}: {verdict:?}");
                if matches!(verdict, Decap::Strip { .. }) && ecn == 0 {
                    assert_eq!(out[14..], sent[14..][..out.len() - 14], "{name}");
                    decapsulated += 1;
                }
            }
        }
    }
    assert!(decapsulated > 30, "{decapsulated}");
    assert_eq!(LAYOUT_VERSION, 1);
}

/// The backend side's tables in memory.
struct Side {
    balancers: Vec<(&'static str, u32)>,
    owned: Vec<&'static str>,
}

impl Peers for Side {
    fn is_balancer(&self, addr: AddrWords) -> bool {
        let addr = u128::from_be_bytes(addr.bytes());
        self.balancers
            .iter()
            .any(|(prefix, len)| (u128::from_be_bytes(ip(prefix)) ^ addr) >> (128 - len) == 0)
    }

    fn is_owned(&self, addr: AddrWords) -> bool {
        self.owned.iter().any(|owned| ip(owned) == addr.bytes())
    }
}

/// What the backend side's program does for a verdict.
fn side_effect(verdict: &Decap, frame: &[u8]) -> (Action, Vec<u8>, u32) {
    match verdict {
        Decap::Pass(counter) => (Action::Pass, frame.to_vec(), counter.index()),
        Decap::Drop(reason) => (Action::Drop, frame.to_vec(), reason.index()),
        Decap::Strip { cut, head } => {
            let mut out = frame[*cut..].to_vec();
            out[..head.len()].copy_from_slice(head);
            (Action::Pass, out, DecapCounter::Decapsulated.index())
        }
    }
}

/// A program in the kernel, with its tables.
pub(crate) struct Kernel {
    bpf: Ebpf,
    program: &'static str,
}

impl Kernel {
    /// `None` where that cannot be tried.
    pub(crate) fn load(program: &'static str) -> Option<Self> {
        let object = bpf_build::object("xdp-l4lb");
        let loaded = std::fs::read(&object)
            .map_err(|error| {
                format!(
                    "{}: {error}; run `cargo run -p bpf-build`",
                    object.display()
                )
            })
            .and_then(|bytes| {
                aya::EbpfLoader::new()
                    .map_max_entries(maps::SLOTS, 1 << 16)
                    .map_max_entries(maps::TOUCHED, 1 << 16)
                    .load(&bytes)
                    .map_err(|error| format!("loading needs root: {}", bpf_build::chain(&error)))
            });
        let mut bpf = match loaded {
            Ok(bpf) => bpf,
            Err(why) => {
                let required = std::env::var_os("SLUICE_TEST_REQUIRE").is_some_and(|v| v == "1");
                assert!(!required, "{why}");
                eprintln!("SKIPPED: {why}");
                return None;
            }
        };
        let xdp: &mut Xdp = bpf.program_mut(program).unwrap().try_into().unwrap();
        xdp.load().unwrap();
        Some(Self { bpf, program })
    }

    pub(crate) fn fill(&mut self, tables: &Tables) {
        let Tables {
            config,
            buckets,
            services,
            slots,
            backends,
            links,
            ..
        } = tables;
        self.store::<_, 64>(maps::CONFIG, &[*config]);
        self.store::<_, 64>(maps::VIPS, buckets);
        self.store::<_, 64>(maps::SERVICES, services);
        self.store::<_, 8>(maps::SLOTS, slots);
        self.store::<_, 64>(maps::BACKENDS, backends);
        self.store::<_, 16>(maps::LINKS, links);
    }

    fn store<T: Layout, const N: usize>(&mut self, name: &str, values: &[T]) {
        let mut array: Array<_, [u8; N]> = self.bpf.map_mut(name).unwrap().try_into().unwrap();
        for (index, value) in (0..).zip(values) {
            array.set(index, bytes::<T, N>(*value), 0).unwrap();
        }
    }

    fn fill_side(&mut self, side: &Side) {
        let map = self.bpf.map_mut(maps::BALANCERS).unwrap();
        let mut balancers: LpmTrie<_, [u8; 16], u32> = map.try_into().unwrap();
        for (prefix, len) in &side.balancers {
            balancers.insert(&Key::new(*len, ip(prefix)), 1, 0).unwrap();
        }
        let map = self.bpf.map_mut(maps::OWNED).unwrap();
        let mut owned: HashMap<_, [u8; 16], u32> = map.try_into().unwrap();
        for addr in &side.owned {
            owned.insert(ip(addr), 1, 0).unwrap();
        }
    }

    pub(crate) fn run(&mut self, frame: &[u8]) -> (u32, Vec<u8>) {
        let xdp: &mut Xdp = self
            .bpf
            .program_mut(self.program)
            .unwrap()
            .try_into()
            .unwrap();
        let mut out = vec![0; LONGEST];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        let result = xdp.test_run(options).unwrap();
        out.truncate(usize::try_from(result.data_size_out).unwrap());
        (result.return_value, out)
    }

    fn per_cpu<V: Pod>(&self, name: &str) -> PerCpuArray<&MapData, V> {
        self.bpf.map(name).unwrap().try_into().unwrap()
    }

    fn counters(&self, name: &str) -> BTreeMap<u32, u64> {
        let array = self.per_cpu::<u64>(name);
        (0..array.len())
            .map(|index| (index, array.get(&index, 0).unwrap().iter().sum()))
            .collect()
    }

    fn traffic(&self, name: &str, index: u32) -> Traffic {
        let array = self.per_cpu::<[u64; 2]>(name);
        let mut sum = Traffic::default();
        for [packets, bytes] in array.get(&index, 0).unwrap().iter() {
            sum.packets += packets;
            sum.bytes += bytes;
        }
        sum
    }

    fn flows(&self) -> BTreeMap<FlowKey, FlowState> {
        let map = self.bpf.map(maps::FLOWS).unwrap();
        let flows: HashMap<_, [u8; 24], [u32; 4]> = map.try_into().unwrap();
        let mut found = BTreeMap::new();
        for entry in &flows {
            let (key, [backend, isn, seen, confirmed]) = entry.unwrap();
            let key = FlowKey {
                service: u32::from_ne_bytes(key[..4].try_into().unwrap()),
                addr: key[4..20].try_into().unwrap(),
                port: key[20..22].try_into().unwrap(),
                pad: key[22..].try_into().unwrap(),
            };
            let state = FlowState {
                backend,
                isn,
                seen,
                confirmed,
            };
            found.insert(key, state);
        }
        found
    }

    fn touched(&self) -> BTreeMap<u32, u32> {
        let array: Array<_, u32> = self.bpf.map(maps::TOUCHED).unwrap().try_into().unwrap();
        (0..)
            .zip(array.iter())
            .map(|(index, epoch)| (index, epoch.unwrap()))
            .filter(|(_, epoch)| *epoch != 0)
            .collect()
    }
}

fn whole(frame: &[u8]) -> Frame<'_> {
    Frame {
        bytes: frame,
        first: frame.len(),
        ingress: INGRESS,
    }
}

/// Whether exactly one packet was counted, and there.
fn counted(before: &BTreeMap<u32, u64>, after: &BTreeMap<u32, u64>, index: u32) -> bool {
    let side = [
        Counter::FlowRemembered,
        Counter::FlowDeferred,
        Counter::ErrorSteered,
    ]
    .map(Counter::index);
    after.iter().all(|(place, count)| {
        let more = count - before[place];
        more == u64::from(*place == index) || side.contains(place)
    })
}

/// A layout's bytes.
#[expect(
    unsafe_code,
    reason = "a Layout is its bytes; this is what it promises"
)]
fn bytes<T: Layout, const N: usize>(value: T) -> [u8; N] {
    assert_eq!(size_of::<T>(), N);
    // SAFETY: a Layout has no padding, and it is as large as the array.
    unsafe { std::mem::transmute_copy(&value) }
}
