//! Single stories, each told to the end.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use types::Vip;
use xdp_l4lb_common::layout::{Slot, SlotTable};
use xdp_l4lb_core::desired::{
    Backend, BackendState, Health, PrimeSize, Service, TableSize, WhenEmpty,
};
use xdp_l4lb_core::{Capacity, Fault, Readback, Role, Tables};

use crate::changes::{check, key, vips};
use crate::clients::backend;
use crate::node::{CAPACITY, Node};
use crate::rng::Rng;

#[test]
fn a_restart_changes_nothing_that_was_right() {
    let mut lab = Lab::new();
    lab.tell(0, Some(service(&[0, 1], 3)));
    lab.tell(1, Some(service(&[2], 2)));
    lab.tell(1, Some(service(&[2], 4)));
    let before = lab.node.kernel.snapshot();

    lab.node.crash(&mut lab.rng);
    lab.settle();

    assert!(lab.node.kernel.snapshot() == before);
    assert_eq!(lab.node.ready.len(), 3);
}

#[test]
fn frontends_of_a_service_share_one_table() {
    let mut lab = Lab::new();

    lab.tell(0, Some(service(&[0, 1, 2], 2)));

    let tables: BTreeSet<u64> = (0..3).map(|vip| lab.table(vip).word()).collect();
    assert_eq!(tables.len(), 1);
    assert_eq!(lab.backends_used(), 2);
}

#[test]
fn a_vip_stays_announced_while_its_last_backend_keeps_flows() {
    let mut lab = Lab::new();
    let mut drained = service(&[0], 1);
    for backend in drained.backends.values_mut() {
        backend.weight = 0;
    }
    lab.tell(0, Some(drained.clone()));
    assert!(!lab.is_ready(0), "it never had a flow here");
    lab.tell(0, Some(service(&[0], 1)));

    lab.tell(0, Some(drained));
    assert!(lab.is_ready(0));
    lab.node.crash(&mut lab.rng);
    lab.settle();

    assert!(lab.is_ready(0), "nor does a restart cut its flows");
    lab.tell(0, Some(service(&[0], 0)));
    assert!(!lab.is_ready(0), "it is gone, and so are its flows");
}

#[test]
fn a_service_without_backends_is_withdrawn_or_refuses() {
    for (when_empty, ready) in [(WhenEmpty::Withdraw, false), (WhenEmpty::Refuse, true)] {
        let mut lab = Lab::new();
        let empty = Service {
            when_empty,
            ..service(&[0], 0)
        };

        lab.tell(0, Some(empty.clone()));
        assert_eq!(lab.is_ready(0), ready);
        lab.tell(0, Some(service(&[0], 2)));
        assert!(lab.is_ready(0));
        lab.tell(0, Some(empty));
        assert_eq!(lab.is_ready(0), ready);
    }
}

#[test]
fn a_vip_waits_until_every_backend_was_checked_once() {
    let mut lab = Lab::new();
    let checked = Service {
        check: Some(check()),
        ..service(&[0], 2)
    };

    lab.tell(0, Some(checked));
    assert!(!lab.is_ready(0));
    lab.judge(0, 0, Health::Up);
    assert!(!lab.is_ready(0));
    lab.judge(0, 1, Health::Down);

    assert!(lab.is_ready(0));
    assert_eq!(lab.currents(0), BTreeSet::from([backend(0).addr]));
}

#[test]
fn a_failing_backend_keeps_its_flows_for_its_grace_and_no_longer() {
    let mut lab = Lab::new();
    let checked = Service {
        check: Some(check()),
        unhealthy_grace: Duration::from_secs(30),
        ..service(&[0], 2)
    };
    lab.tell(0, Some(checked));
    lab.judge(0, 0, Health::Up);
    lab.judge(0, 1, Health::Up);

    lab.judge(0, 1, Health::Down);
    assert_eq!(lab.currents(0), BTreeSet::from([backend(0).addr]));
    assert_eq!(lab.previous(0).len(), 2);
    assert_eq!(lab.role(0, 1), Role::Quarantined);
    lab.pass(31);

    assert_eq!(lab.previous(0), BTreeSet::from([backend(0).addr]));
    assert_eq!(lab.role(0, 1), Role::Gone);
}

#[test]
fn a_backend_that_is_a_vip_or_this_node_is_refused_until_it_is_not() {
    let mut lab = Lab::new();
    let IpAddr::V4(vip) = vips()[3].addr else {
        panic!("the model's VIPs are IPv4");
    };
    let mut looping = service(&[0], 2);
    let mut bad = backend(0);
    bad.addr = vip.into();
    looping.backends.insert(bad, Backend::default());
    lab.node
        .planner
        .on_local_addrs(BTreeSet::from([backend(1).addr]));
    lab.tell(1, Some(service(&[3], 1)));

    lab.tell(0, Some(looping));

    assert_eq!(lab.currents(0), BTreeSet::from([backend(0).addr]));
    let faults = lab.node.planner.status(&key(0)).unwrap().faults;
    assert_eq!(
        faults,
        [Fault::BackendIsLocal(backend(1)), Fault::BackendIsVip(bad)]
    );
    lab.node.planner.on_local_addrs(BTreeSet::new());
    lab.tell(1, None);
    assert_eq!(lab.currents(0).len(), 3);
}

#[test]
fn a_table_doubles_and_never_shrinks() {
    let mut lab = Lab::new();
    let sizes = [2, 3, 6, 2].map(|count| {
        lab.tell(0, Some(service(&[0], count)));
        lab.table(0).log2()
    });

    assert_eq!(sizes, [6, 9, 10, 10]);
    lab.pass(5);
    assert_eq!(lab.node.ready.len(), 1);
}

#[test]
fn a_table_that_was_doubled_for_one_frontend_only_is_doubled_for_all() {
    let mut lab = Lab::new();
    lab.tell(0, Some(service(&[0, 1], 2)));
    let clients: Vec<_> = (1..60)
        .map(|at| (Ipv4Addr::new(10, 9, 1, at), 1000))
        .collect();
    let send = |lab: &Lab, syn, seq| -> Vec<_> {
        let sent = clients.iter().zip(vips().into_iter().take(2).cycle());
        sent.map(|(client, vip)| lab.node.packet(*client, &vip, syn, seq))
            .collect()
    };
    let opened = send(&lab, true, 7);

    lab.node.tell(&key(0), Some(service(&[0, 1], 3)));
    while lab.table(0) == lab.table(1) {
        lab.node.work(&mut lab.rng);
    }
    lab.node.crash(&mut lab.rng);
    lab.settle();

    assert_eq!(lab.table(0), lab.table(1));
    assert_eq!(lab.table(0).log2(), 9);
    assert_eq!(send(&lab, false, 8), opened);
}

#[test]
fn a_prime_table_is_as_large_as_it_was_asked_for() {
    let mut lab = Lab::new();
    let prime = PrimeSize::try_from(1021).unwrap();

    lab.tell(
        0,
        Some(Service {
            table_size: TableSize::Fixed(prime),
            ..service(&[0], 2)
        }),
    );

    assert_eq!(lab.table(0).log2(), 10);
    assert_eq!(lab.word(0, 1021), lab.word(0, 0));
}

#[test]
fn nodes_with_other_histories_send_new_flows_alike() {
    let mut old = Lab::new();
    let mut new = Lab::new();
    for count in [6, 1, 4, 2] {
        old.tell(0, Some(service(&[0], count)));
    }

    new.tell(0, Some(service(&[0], 2)));

    assert_ne!(old.table(0).log2(), new.table(0).log2());
    for slot in 0..1 << old.table(0).log2() {
        let there = old.node.addr_of(old.word(0, slot).current());
        let here = new.node.addr_of(new.word(0, slot % 64).current());
        assert_eq!(there, here, "slot {slot}");
    }
}

#[test]
fn a_cold_node_sends_flows_of_others_to_draining_backends() {
    let mut warm = Lab::new();
    warm.tell(0, Some(service(&[0], 2)));
    let before: Vec<_> = (0..64)
        .map(|slot| warm.node.addr_of(warm.word(0, slot).current()))
        .collect();
    let mut draining = service(&[0], 2);
    draining.backends.get_mut(&backend(1)).unwrap().state = BackendState::Draining;

    let mut cold = Lab::new();
    cold.tell(0, Some(draining));

    assert_eq!(cold.currents(0), BTreeSet::from([backend(0).addr]));
    for (slot, addr) in (0..64).zip(before) {
        assert_eq!(cold.node.addr_of(cold.word(0, slot).previous()), addr);
    }
}

#[test]
fn draining_backends_take_new_flows_when_nobody_else_is_left() {
    let mut lab = Lab::new();
    let mut draining = service(&[0], 2);
    for entry in draining.backends.values_mut() {
        entry.state = BackendState::Draining;
    }

    lab.tell(0, Some(draining));

    assert_eq!(lab.currents(0).len(), 2);
    assert!(lab.is_ready(0));
}

#[test]
fn a_vip_without_a_way_to_any_backend_is_withdrawn() {
    let mut lab = Lab::new();
    lab.tell(0, Some(service(&[0], 2)));
    assert!(lab.is_ready(0));

    lab.node.planner.on_next_hop(backend(0).addr, None);
    lab.settle();
    assert!(lab.is_ready(0));
    lab.node.planner.on_next_hop(backend(1).addr, None);
    lab.settle();

    assert!(!lab.is_ready(0));
    let faults = lab.node.planner.status(&key(0)).unwrap().faults;
    assert_eq!(faults, [Fault::Unreachable]);
}

#[test]
fn a_contested_frontend_belongs_to_the_first_by_name_whoever_came_first() {
    let mut lab = Lab::new();
    lab.tell(1, Some(service(&[0], 3)));
    lab.tell(0, Some(service(&[0], 2)));

    assert_eq!(lab.currents(0).len(), 2);
    let taken = Fault::FrontendTaken(vips()[0], key(0));
    assert_eq!(lab.node.planner.status(&key(1)).unwrap().faults, [taken]);
    lab.tell(0, None);

    assert_eq!(lab.currents(0).len(), 3);
}

#[test]
fn a_frontend_takes_its_flows_along_to_another_service() {
    let mut lab = Lab::new();
    lab.tell(0, Some(service(&[0, 1], 2)));
    let client = (Ipv4Addr::new(10, 9, 0, 1), 1000);
    let vip = vips()[1];
    let was = lab.node.packet(client, &vip, true, 7);
    lab.node.packet(client, &vip, false, 8);

    // The first keeps one frontend and one backend; the other takes the rest.
    lab.node.tell(&key(1), Some(service(&[1], 4)));
    let other = if was == Some(backend(0).addr) { 1 } else { 0 };
    let mut one = service(&[0], 2);
    one.backends.retain(|addr, _| *addr == backend(other));
    lab.tell(0, Some(one));

    assert_ne!(lab.table(0), lab.table(1));
    assert_eq!(lab.node.packet(client, &vip, false, 9), was);
    assert_eq!(lab.currents(0), BTreeSet::from([backend(other).addr]));
}

#[test]
fn remembered_flows_outlive_the_ids_of_the_table_that_they_came_from() {
    let mut lab = Lab::new();
    lab.tell(0, Some(service(&[0, 1], 2)));
    lab.tell(0, Some(service(&[0, 1], 4)));
    let vip = vips()[1];
    let clients: Vec<_> = (1..60)
        .map(|at| (Ipv4Addr::new(10, 9, 1, at), 1000))
        .collect();
    let send = |lab: &Lab, syn, seq| -> Vec<_> {
        let sent = clients.iter();
        sent.map(|client| lab.node.packet(*client, &vip, syn, seq))
            .collect()
    };
    let opened = send(&lab, true, 7);
    assert_eq!(send(&lab, false, 8), opened);

    lab.node.tell(&key(1), Some(service(&[1], 4)));
    lab.tell(0, Some(service(&[0], 4)));
    lab.tell(0, Some(service(&[0], 1)));

    for _ in 0..20 {
        assert_eq!(send(&lab, false, 9), opened);
        lab.pass(4);
    }
    // The ids that those flows still name are no longer any table's: a restart finds that out.
    lab.node.crash(&mut lab.rng);
    for _ in 0..20 {
        lab.pass(4);
        assert_eq!(send(&lab, false, 9), opened);
    }
}

#[test]
fn everything_comes_back_once_nobody_uses_it() {
    let mut lab = Lab::new();
    let blank = lab.node.kernel.snapshot().zeroes;
    for round in 0..30 {
        lab.tell(
            round % 2,
            Some(service(&[round % 2, 2 + round % 2], 1 + round % 5)),
        );
        for client in 0..4 {
            let client = (Ipv4Addr::new(10, 9, 0, client), 1000);
            lab.node.packet(client, &vips()[0], true, 1);
        }
        // Ids are few: a round of the collector has to free what the last changes left.
        lab.pass(13);
    }

    lab.tell(0, None);
    lab.tell(1, None);
    lab.pass(100);

    assert_eq!(lab.node.kernel.snapshot().zeroes, blank);
    assert_eq!(lab.node.kernel.flows.borrow().len(), 0);
}

#[test]
fn an_idle_table_settles_and_closes() {
    let mut lab = Lab::new();
    lab.tell(0, Some(service(&[0], 2)));
    lab.tell(0, Some(service(&[0], 4)));
    let open = |lab: &Lab| (0..512).filter(|slot| lab.word(0, *slot).is_open()).count();
    assert!(open(&lab) > 100);

    lab.pass(39);
    assert!(open(&lab) > 100);
    lab.pass(45);

    assert_eq!(open(&lab), 0);
    assert_eq!(lab.currents(0).len(), 4);
}

#[test]
fn when_ids_run_out_the_others_serve_until_there_are_some() {
    let mut lab = Lab::new();
    let crowd = |count: usize| {
        let mut service = Service {
            // The automatic size would be too large for the model's slots.
            table_size: TableSize::Fixed(PrimeSize::try_from(509).unwrap()),
            ..service(&[0], 0)
        };
        for at in 0..count {
            service.backends.insert(backend(at), Backend::default());
        }
        service
    };
    let most = CAPACITY.backends as usize - 1;

    lab.tell(0, Some(crowd(most + 3)));
    assert_eq!(lab.currents(0).len(), most);
    assert!(lab.is_ready(0));
    let faults = lab.node.planner.status(&key(0)).unwrap().faults;
    assert_eq!(faults, [Fault::NoRoom]);
    lab.tell(0, Some(crowd(5)));
    lab.pass(30);
    lab.tell(0, Some(crowd(most)));

    assert_eq!(lab.currents(0).len(), most);
}

#[test]
fn buckets_grow_once_a_grace_however_many_vips_there_are() {
    let capacity = Capacity {
        buckets: 1024,
        services: 4096,
        ..CAPACITY
    };
    let mut lab = Lab::with(Node::sized(capacity, 10));
    let dialled = |ports: u16| Service {
        frontends: (1..=ports).map(|port| Vip { port, ..vips()[0] }).collect(),
        ..service(&[], 2)
    };

    lab.tell(0, Some(dialled(1)));
    lab.pass(2);
    for ports in [300, 500, 520] {
        lab.tell(0, Some(dialled(ports)));
        assert_eq!(lab.node.ready.len(), usize::from(ports));
    }
    let before = Readback::vip_table(&lab.node.kernel);
    lab.pass(2);
    lab.tell(0, Some(dialled(701)));

    let after = Readback::vip_table(&lab.node.kernel);
    assert_eq!((before.log2(), after.log2()), (7, 8));
    assert_eq!(lab.node.ready.len(), 701);
}

#[test]
fn a_table_that_cannot_grow_shares_out_the_slots_it_has() {
    let mut lab = Lab::new();
    let large = Service {
        table_size: TableSize::Fixed(PrimeSize::try_from(8191).unwrap()),
        ..service(&[0], 4)
    };
    lab.tell(0, Some(service(&[0], 2)));
    lab.tell(1, Some(service(&[3], 2)));

    lab.tell(0, Some(large));

    assert_eq!(lab.table(0).log2(), 6);
    assert_eq!(lab.currents(0).len(), 4);
    let faults = lab.node.planner.status(&key(0)).unwrap().faults;
    assert_eq!(faults, [Fault::NoRoom]);
    assert!(lab.is_ready(0));
}

/// A node and what to do with it.
struct Lab {
    node: Node,
    rng: Rng,
}

impl Lab {
    fn new() -> Self {
        Self::with(Node::new(1000))
    }

    fn with(node: Node) -> Self {
        let mut lab = Self { node, rng: Rng(3) };
        lab.node.is_flaky = false;
        lab.settle();
        lab
    }

    fn tell(&mut self, number: usize, service: Option<Service>) {
        self.node.tell(&key(number), service);
        self.settle();
    }

    fn judge(&mut self, number: usize, at: usize, health: Health) {
        self.node.judge(&key(number), backend(at), health);
        self.settle();
    }

    fn settle(&mut self) {
        self.node.settle(&mut self.rng);
        self.node.assert_sound();
    }

    /// Seconds pass, one by one.
    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.node.now += Duration::from_secs(1);
            self.settle();
        }
    }

    fn is_ready(&self, vip: usize) -> bool {
        self.node.ready.contains(&vips()[vip])
    }

    fn role(&self, number: usize, at: usize) -> Role {
        let status = self.node.planner.status(&key(number)).unwrap();
        status.backends[at].1
    }

    fn table(&self, vip: usize) -> SlotTable {
        let (_, table) = self.node.record(&vips()[vip]).expect("it has a table");
        table
    }

    fn word(&self, vip: usize, slot: u32) -> Slot {
        Tables::slot(&self.node.kernel, self.table(vip).base() + slot)
    }

    fn currents(&self, vip: usize) -> BTreeSet<IpAddr> {
        self.addrs(vip, Slot::current)
    }

    fn previous(&self, vip: usize) -> BTreeSet<IpAddr> {
        self.addrs(vip, Slot::previous)
    }

    fn addrs(&self, vip: usize, field: impl Fn(Slot) -> u32) -> BTreeSet<IpAddr> {
        (0..self.table(vip).len())
            .map(|slot| self.node.addr_of(field(self.word(vip, slot))))
            .collect()
    }

    fn backends_used(&self) -> usize {
        (0..CAPACITY.backends)
            .filter(|id| Readback::backend(&self.node.kernel, *id).addr != [0; 16])
            .count()
    }
}

fn service(frontends: &[usize], backends: usize) -> Service {
    let frontends: BTreeSet<Vip> = frontends.iter().map(|at| vips()[*at]).collect();
    Service {
        frontends,
        backends: (0..backends)
            .map(|at| (backend(at), Backend::default()))
            .collect(),
        idle: Duration::from_secs(40),
        ..Service::default()
    }
}
