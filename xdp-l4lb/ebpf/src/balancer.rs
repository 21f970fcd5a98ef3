//! The balancer: what `decide` says, done.

use aya_ebpf::bindings::{xdp_action, xdp_md};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use bpf_common::{DropReason, Packet as _};
use bpf_kernel::Xdp;
use wire::{Ethernet, Ipv4, Ipv6};
use xdp_l4lb_common::layout::Counter;
use xdp_l4lb_common::{
    Answer, Exit, Fast, Forward, Maps as _, PUSH_V4, PUSH_V6, Verdict, fast, general,
};

use crate::sys::{Tables, count};

/// Sends packets for VIPs to their backends and passes the others.
#[xdp(frags)]
pub fn sluice_l4lb(ctx: XdpContext) -> u32 {
    // SAFETY: this is the context the kernel gave.
    let packet = unsafe { Xdp::new(ctx.ctx) };
    let Some(tables) = Tables::open() else {
        return xdp_action::XDP_PASS;
    };
    match fast(&tables, &packet) {
        Fast::Pass(counter) => passed(counter),
        Fast::Drop(reason) => dropped(reason),
        Fast::Forward(forward) => send(&tables, &packet, &forward),
        Fast::Unsure => unusual(ctx.ctx),
    }
}

/// What is rare stays out of the way of what is not.
#[inline(never)]
fn unusual(ctx: *mut xdp_md) -> u32 {
    // SAFETY: this is the context the kernel gave.
    let packet = unsafe { Xdp::new(ctx) };
    let Some(tables) = Tables::open() else {
        return xdp_action::XDP_PASS;
    };
    let Some(work) = tables.work() else {
        return xdp_action::XDP_PASS;
    };
    general(&tables, &packet, work);
    act(&tables, &packet, &work.verdict)
}

#[inline(never)]
fn act(tables: &Tables, packet: &Xdp, verdict: &Verdict) -> u32 {
    match verdict {
        Verdict::Pass(counter) => passed(*counter),
        Verdict::Drop(reason) => dropped(*reason),
        Verdict::Forward(forward) => send(tables, packet, forward),
        Verdict::Answer(answer, counter) => match reply(packet, answer) {
            Ok(()) => {
                count(counter.index());
                xdp_action::XDP_TX
            }
            Err(reason) => dropped(reason),
        },
    }
}

#[inline(always)]
fn send(tables: &Tables, packet: &Xdp, forward: &Forward) -> u32 {
    if let Err(reason) = encapsulate(tables, packet, forward) {
        return dropped(reason);
    }
    tables.forwarded(forward);
    match forward.exit {
        Exit::Back => xdp_action::XDP_TX,
        Exit::Through(ifindex) => match tables.redirect(ifindex) {
            Some(action) => action,
            None => dropped(DropReason::NoDevice),
        },
    }
}

#[inline(always)]
fn encapsulate(tables: &Tables, packet: &Xdp, forward: &Forward) -> Result<(), DropReason> {
    if packet.first_len() != forward.frame_len() && !packet.cut(forward.frame_len()) {
        return Err(DropReason::NoRoom);
    }
    let done = if let Some(dst) = forward.addr.as_v4() {
        let head = forward.head_v4(tables.outer_v4().source(forward.hash), dst);
        packet.push(Ipv4::LEN) && packet.write(&head)
    } else {
        let head = forward.head_v6(tables.outer_v6());
        packet.push(Ipv6::LEN) && packet.write(&head)
    };
    if done {
        Ok(())
    } else {
        Err(DropReason::NoRoom)
    }
}

#[inline(always)]
fn reply(packet: &Xdp, answer: &Answer) -> Result<(), DropReason> {
    let done = match answer {
        Answer::EchoV4(head) => packet.write(&head.0),
        Answer::EchoV6(head) => packet.write(&head.0),
        Answer::ErrorV4 { head, quote } => {
            packet.cut(Ethernet::LEN + quote) && packet.push(PUSH_V4) && packet.write(&head.0)
        }
        Answer::ErrorV6 { head, quote } => {
            packet.cut(Ethernet::LEN + quote) && packet.push(PUSH_V6) && packet.write(&head.0)
        }
    };
    if done {
        Ok(())
    } else {
        Err(DropReason::NoRoom)
    }
}

#[inline(always)]
fn passed(counter: Counter) -> u32 {
    count(counter.index());
    xdp_action::XDP_PASS
}

#[inline(always)]
fn dropped(reason: DropReason) -> u32 {
    count(reason.index());
    xdp_action::XDP_DROP
}
