//! The backend side: takes packets of configured balancers out of their outer header.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use bpf_common::DropReason;
use bpf_kernel::Xdp;
use xdp_l4lb_common::decap::{Decap, decapsulate};
use xdp_l4lb_common::layout::DecapCounter;

use crate::sys::{PeerTables, count_decap};

/// Passes everything, some of it without its outer header.
#[xdp(frags)]
pub fn sluice_decap(ctx: XdpContext) -> u32 {
    // SAFETY: this is the context the kernel gave.
    let packet = unsafe { Xdp::new(ctx.ctx) };
    let reason = match decapsulate(&PeerTables, &packet) {
        Decap::Pass(counter) => {
            count_decap(counter.index());
            return xdp_action::XDP_PASS;
        }
        Decap::Drop(reason) => reason,
        Decap::Strip { cut, head } => {
            if packet.pull(cut) && packet.write(&head) {
                count_decap(DecapCounter::Decapsulated.index());
                return xdp_action::XDP_PASS;
            }
            DropReason::NoRoom
        }
    };
    count_decap(reason.index());
    xdp_action::XDP_DROP
}
