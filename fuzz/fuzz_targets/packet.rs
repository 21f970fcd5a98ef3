//! A frame from the wire: what the balancer and the backend side decide about it.
#![no_main]

use bpf_common::Frame;
use libfuzzer_sys::fuzz_target;
use xdp_l4lb_common::decap::{Peers, decapsulate};
use xdp_l4lb_common::hash::{AddrWords, DEFAULT_FLOW_SEED};
use xdp_l4lb_common::layout::{
    BACKEND_LIVE, BackendMode, Counter, FlowKey, FlowState, NextHop, OuterV4, Slot, SlotTable,
    VipKey, VipTable, mapped,
};
use xdp_l4lb_common::{Backend, Maps, Port, Remembered, Service, decide};

const VIPS: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const BACKENDS: [&str; 2] = ["10.0.0.1", "fd00::1"];

/// Tables in which every packet that reaches them finds something, chosen by the input.
struct Tables {
    choice: u8,
}

struct Flow(FlowState);

impl Remembered for Flow {
    fn state(&self) -> FlowState {
        self.0
    }

    fn confirm(&self, _: u32) {}
}

fn addr(text: &str) -> [u8; 16] {
    mapped(text.parse().expect("an address"))
}

impl Maps for Tables {
    fn vip_table(&self) -> VipTable {
        VipTable::new(0, 4, 1)
    }

    fn vip_seed(&self) -> u64 {
        1
    }

    fn flow_seed(&self) -> u64 {
        DEFAULT_FLOW_SEED
    }

    fn outer_v4(&self) -> OuterV4 {
        OuterV4::new([10, 254, 0, 0].into(), 16)
    }

    fn outer_v6(&self) -> [u8; 8] {
        [0xfd, 0, 0, 0xfe, 0, 0, 0, 0]
    }

    fn epoch(&self) -> u32 {
        7
    }

    fn bucket(&self, _: u32) -> Option<impl Fn(usize) -> u64> {
        Some(|_| 0)
    }

    fn probe(&self, _: u32, _: u32) -> u32 {
        1 + u32::from(self.choice & 1)
    }

    fn service(&self, index: u32) -> Option<Service> {
        let vip = addr(VIPS.get(index as usize - 1)?);
        let proto = if self.choice & 2 == 0 { 6 } else { 17 };
        let key = match self.choice & 4 {
            0 => VipKey::new(vip, 80, proto),
            _ => VipKey::address_only(vip),
        };
        Some(Service {
            addr: AddrWords::new(vip),
            tail: u32::from_ne_bytes(key.tail()),
            flags: self.choice >> 3 & 1,
            table: SlotTable::new(0, 6),
        })
    }

    fn slot(&self, _: u32) -> Option<Slot> {
        let open = Slot::settled(1).with_current(2).with_open(true);
        Some(if self.choice & 16 == 0 { Slot::settled(1) } else { open })
    }

    fn touch(&self, _: u32, _: u32) {}

    fn backend(&self, id: u32) -> Option<Backend> {
        Some(Backend {
            addr: AddrWords::new(addr(BACKENDS.get(id as usize % 2)?)),
            mode: BackendMode::new(BACKEND_LIVE, 0, 1500),
            next_hop: NextHop::new(1, [2, 0, 0, 0, 0, 1]),
        })
    }

    fn link(&self, _: u16) -> Option<Port> {
        Some(Port { ifindex: 1 + u32::from(self.choice >> 5 & 1), mac: [2, 0, 0, 0, 0, 2] })
    }

    fn flow(&self, _: &FlowKey) -> Option<impl Remembered> {
        let state = FlowState { backend: 2, isn: 1, seen: 6, confirmed: 0 };
        (self.choice & 64 != 0).then_some(Flow(state))
    }

    fn remember(&self, _: &FlowKey, _: &FlowState) -> bool {
        self.choice & 128 == 0
    }

    fn count(&self, _: Counter) {}

    fn allow_error(&self) -> bool {
        true
    }
}

impl Peers for Tables {
    fn is_balancer(&self, _: AddrWords) -> bool {
        self.choice & 1 == 0
    }

    fn is_owned(&self, _: AddrWords) -> bool {
        self.choice & 2 == 0
    }
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (choice, mut bytes) = input;
    // Frames to other addresses leave at once; make every one concern a VIP.
    let (at, vip) = match bytes.get(12..14) {
        Some([0x08, 0x00]) => (30, &addr(VIPS[0])[12..]),
        Some([0x86, 0xdd]) => (38, &addr(VIPS[1])[..]),
        Some(_) | None => (0, &[][..]),
    };
    if let Some(to) = bytes.get_mut(at..at + vip.len()) {
        to.copy_from_slice(vip);
    }
    let tables = Tables { choice };
    let frame = Frame { bytes: &bytes, first: bytes.len(), ingress: 1 };
    let _ = decide(&tables, &frame);
    let _ = decapsulate(&tables, &frame);
});
