//! The rule of slots, case by case: which backend a TCP packet belongs to.

use crate::support::packets::between;
use crate::support::world::{CLIENT, VIP, World, port};
use wire::tcp_flags::{ACK, FIN, RST, SYN};
use xdp_l4lb_common::layout::{BACKEND_LIVE, BackendMode, Counter, FlowState, Slot};
use xdp_l4lb_common::{Frame, Verdict, decide};

#[test]
fn in_a_settled_slot_nothing_is_remembered() {
    let mut world = World::new();
    world.set(|slot| slot.with_open(false));

    assert_eq!(world.sent(SYN, 1), world.new);
    assert_eq!(world.sent(ACK, 2), world.new);
    assert!(world.tables.flows.borrow().is_empty());
    assert!(world.tables.touched.borrow().is_empty());
}

#[test]
fn in_an_open_slot_new_flows_go_to_current_and_others_to_previous() {
    let world = World::new();

    assert_eq!(world.sent(ACK, 500), world.old);
    assert_eq!(world.tables.touched.borrow().values().count(), 1);
    assert_eq!(world.sent(SYN, 10), world.new);
    assert_eq!(world.state().unwrap(), state(world.new, 10, 0));
    assert_eq!(world.counted(Counter::FlowRemembered), 1);
}

#[test]
fn a_flow_is_confirmed_by_the_number_that_follows_its_syn() {
    let world = World::new();
    world.sent(SYN, u32::MAX);

    assert_eq!(world.sent(ACK, 400), world.old);
    assert_eq!(world.state().unwrap().confirmed, 0);
    assert_eq!(world.sent(ACK, 0), world.new);
    assert_eq!(world.state().unwrap(), state(world.new, u32::MAX, 1));
    for flags in [ACK, FIN | ACK, RST, SYN | ACK] {
        assert_eq!(world.sent(flags, 99_999), world.new);
    }
}

#[test]
fn a_repeated_syn_goes_where_the_first_one_went() {
    let mut world = World::new();
    world.sent(SYN, 10);
    let (old, new) = (world.old, world.new);
    world.set(|slot| slot.with_current(old).with_previous(new));

    assert_eq!(world.sent(SYN, 10), new);
    assert_eq!(world.sent(SYN, 11), old);
    assert_eq!(world.state().unwrap(), state(old, 11, 0));
}

#[test]
fn a_full_table_defers_new_flows_to_previous() {
    let mut world = World::new();
    world.tables.room = 0;

    assert_eq!(world.sent(SYN, 10), world.old);
    assert_eq!(world.counted(Counter::FlowDeferred), 1);
    assert_eq!(world.tables.touched.borrow().values().count(), 1);
}

#[test]
fn where_current_is_previous_only_what_is_known_is_overwritten() {
    let mut world = World::new();
    let new = world.new;
    world.set(|slot| slot.with_previous(new));

    assert_eq!(world.sent(SYN, 10), new);
    assert_eq!(world.state(), None);

    world.set(|slot| slot.with_previous(7));
    world.sent(SYN, 10);
    world.set(|slot| slot.with_previous(new));
    assert_eq!(world.sent(SYN, 20), new);
    assert_eq!(world.state().unwrap(), state(new, 20, 0));
}

#[test]
fn a_backend_that_is_gone_is_forgotten() {
    let mut world = World::new();
    world.sent(SYN, 10);
    world.sent(ACK, 11);
    let new = usize::try_from(world.new).unwrap();
    let mode = BackendMode::from_word(world.tables.backends[new].mode);
    world.tables.backends[new].mode = mode.with(BACKEND_LIVE, false).word();

    assert_eq!(world.sent(ACK, 12), world.old);
}

#[test]
fn udp_in_an_open_slot_goes_to_current() {
    let world = World::new();
    let frame = between(CLIENT, VIP).udp((1, port::CHANGING), &[]);

    assert_eq!(world.backend_of(&frame), world.new);
    assert!(world.tables.flows.borrow().is_empty());
}

#[test]
fn without_a_current_backend_nothing_is_remembered() {
    let mut world = World::new();
    world.set(|slot| slot.with_current(0));

    let syn = between(CLIENT, VIP).tcp((9, port::CHANGING), SYN, 1, &[]);
    let frame = Frame {
        bytes: &syn,
        first: syn.len(),
        ingress: 1,
    };
    assert!(matches!(decide(&world.tables, &frame), Verdict::Drop(_)));
    assert!(world.tables.flows.borrow().is_empty());
    assert_eq!(world.sent(ACK, 2), world.old);
}

#[test]
fn an_icmp_error_follows_a_confirmed_flow_only() {
    let world = World::new();
    let error = crate::support::world::error_about(CLIENT, VIP, (port::CHANGING, 9));

    world.sent(SYN, 10);
    assert_eq!(world.backend_of(&error), world.old);
    world.sent(ACK, 11);
    assert_eq!(world.backend_of(&error), world.new);
}

fn state(backend: u32, isn: u32, confirmed: u32) -> FlowState {
    FlowState {
        backend,
        isn,
        seen: 7,
        confirmed,
    }
}

impl World {
    /// Changes all slots that are in change.
    fn set(&mut self, change: impl Fn(Slot) -> Slot) {
        for slot in self.tables.slots.iter_mut().filter(|slot| slot.is_open()) {
            *slot = change(*slot);
        }
    }

    /// The backend of a segment of one flow.
    fn sent(&self, flags: u8, seq: u32) -> u32 {
        self.backend_of(&between(CLIENT, VIP).tcp((9, port::CHANGING), flags, seq, &[]))
    }

    fn backend_of(&self, frame: &[u8]) -> u32 {
        let frame = Frame {
            bytes: frame,
            first: frame.len(),
            ingress: 1,
        };
        let verdict = decide(&self.tables, &frame);
        let Verdict::Forward(forward) = verdict else {
            panic!("{verdict:?}");
        };
        forward.backend
    }

    fn state(&self) -> Option<FlowState> {
        self.tables.flows.borrow().values().next().copied()
    }

    fn counted(&self, counter: Counter) -> u32 {
        self.tables
            .counted
            .borrow()
            .get(&counter)
            .copied()
            .unwrap_or(0)
    }
}
