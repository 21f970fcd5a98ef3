//! Frames of several parts, as jumbo frames and merged segments come from a driver.

use std::net::IpAddr;

use xdp_l4lb_common::layout::{
    BACKEND_LIVE, BackendMode, ENCAP_IP, NextHop, PROTO_TCP, PROTO_UDP, Slot, programs,
};
use xdp_l4lb_common::{Answer, Frame, Verdict, decide};

use crate::programs::{INGRESS, Kernel};
use crate::support::packets::{From, between};
use crate::support::tables::Tables;
use crate::support::world::{CLIENT, CLIENT_6, NEAR, VIP, VIP_6};
use crate::support::{Action, apply};

/// What a test run puts into a frame's first part: a page without its head room and tail.
const FIRST: usize = 4096 - 256 - 320;

/// Ports by the way behind them.
const WIDE: u16 = 80;
const NARROW: u16 = 81;

// One test for all: to load the program takes an emulated kernel seconds.
#[test]
fn frames_of_several_parts_are_forwarded_answered_and_passed() {
    let Some(mut kernel) = Kernel::load(programs::L4LB) else {
        return;
    };
    let tables = tables();
    kernel.fill(&tables);
    for (client, vip) in [(CLIENT, VIP), (CLIENT_6, VIP_6)] {
        let from = between(client, vip);
        a_jumbo_frame_is_forwarded_whole(&mut kernel, &tables, &from);
        a_jumbo_frame_for_a_narrow_way_is_answered_with_its_start(&mut kernel, &tables, &from);
        a_jumbo_frame_for_nobody_is_passed_as_it_came(&mut kernel, &tables, from);
    }
}

fn a_jumbo_frame_is_forwarded_whole(kernel: &mut Kernel, tables: &Tables, from: &From<'_>) {
    for frame in [
        from.tcp((40_000, WIDE), 16, 7, &payload(5000)),
        from.udp((40_000, WIDE), &payload(8800)),
        from.tcp((40_000, WIDE), 2, 7, &payload(3466)),
    ] {
        let (verdict, out) = compared(kernel, tables, &frame, Action::Transmit);

        assert!(matches!(verdict, Verdict::Forward(_)));
        assert!(out.len() > frame.len());
        assert_eq!(out[out.len() - 3000..], frame[frame.len() - 3000..]);
    }
}

fn a_jumbo_frame_for_a_narrow_way_is_answered_with_its_start(
    kernel: &mut Kernel,
    tables: &Tables,
    from: &From<'_>,
) {
    let frame = from.tcp((40_000, NARROW), 16, 7, &payload(6000));

    let (verdict, out) = compared(kernel, tables, &frame, Action::Transmit);

    assert!(matches!(
        verdict,
        Verdict::Answer(Answer::ErrorV4 { .. } | Answer::ErrorV6 { .. }, _)
    ));
    assert!(out.len() < 1400, "{}", out.len());
}

fn a_jumbo_frame_for_nobody_is_passed_as_it_came(
    kernel: &mut Kernel,
    tables: &Tables,
    mut from: From<'_>,
) {
    let v6 = matches!(from.dst.parse(), Ok(IpAddr::V6(_)));
    from.dst = if v6 { "2001:db8::99" } else { "192.0.2.99" };
    let frame = from.udp((40_000, WIDE), &payload(7000));

    let (_, out) = compared(kernel, tables, &frame, Action::Pass);

    assert_eq!(out, frame);
}

/// Each family's VIP, with a way for jumbo frames and one for usual ones.
fn tables() -> Tables {
    let mut tables = Tables::new();
    for (vip, addr) in [(VIP, "10.1.0.5"), (VIP_6, "fd01::5")] {
        for (port, mtu) in [(WIDE, 9000), (NARROW, 1500)] {
            let mode = BackendMode::new(BACKEND_LIVE, ENCAP_IP, mtu);
            let id = tables.backend(addr, mode, NextHop::new(1, NEAR));
            let table = tables.table(&[Slot::settled(id)]);
            for proto in [PROTO_TCP, PROTO_UDP] {
                tables.service(vip, port, proto, 0, table);
            }
        }
    }
    tables
}

/// What the host decides, and what the kernel made of the frame, which has to be that.
fn compared(
    kernel: &mut Kernel,
    tables: &Tables,
    frame: &[u8],
    expected: Action,
) -> (Verdict, Vec<u8>) {
    let parts = Frame {
        bytes: frame,
        first: FIRST.min(frame.len()),
        ingress: INGRESS,
    };
    let verdict = decide(tables, &parts);
    let (action, packet) = apply(tables, &verdict, frame);
    assert_eq!(action, expected, "{verdict:?}");

    let (done, out) = kernel.run(frame);

    assert_eq!(done, expected as u32, "{verdict:?}");
    assert_eq!(out, packet, "{verdict:?}");
    (verdict, out)
}

/// Bytes of which no two neighbours are the same.
fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251).to_le_bytes()[0]).collect()
}
