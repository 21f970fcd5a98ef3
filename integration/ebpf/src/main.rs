//! The benchmark's programs.
//!
//! `BPF_PROG_TEST_RUN` repeats a program on one packet and never puts it back, so a program that
//! encapsulates would see its own output. `bench_restore` is repeated instead: it puts the packet
//! back, varies the flow if told to, and enters the program under test by a tail call made from a
//! function of its own, which, unlike one from the program itself, returns here.
//!
//! The others are measured the same way: `bench_empty` costs nothing, `bench_head` moves the
//! packet's head once, and `bench_floor` does the least that an encapsulation can: parses IPv4 and
//! TCP, makes room, writes an outer header.
//!
//! All are of the balancer's kind (they take frames in parts): a tail call leads to no other.

#![feature(asm_experimental_arch)]
#![no_std]
#![no_main]

use core::arch::asm;
use core::mem::size_of;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::btf_maps::{Array, ProgramArray};
use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use integration_common::Bench;

const MMAPABLE: usize = 1 << 10;

/// The run's state; user space maps it.
#[btf_map]
static BENCH: Array<Bench, 1, MMAPABLE> = Array::new();

/// The program under test.
#[btf_map]
static TARGET: ProgramArray<1> = ProgramArray::new();

/// Headers of an IPv4 frame and of an IPv6 frame that are put back.
const SHORT: usize = 62;
const LONG: usize = 94;

const ETHERNET: usize = 14;
const IPV4: usize = 20;

/// More fragments, and a fragment's place.
const FRAGMENT: u16 = 0x3fff;

/// Puts the packet back, enters the program under test and counts what it returned.
#[xdp(frags)]
pub fn bench_restore(ctx: XdpContext) -> u32 {
    restore(&ctx).unwrap_or(xdp_action::XDP_ABORTED)
}

/// Lets the packet pass.
#[xdp(frags)]
pub fn bench_empty(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Moves the packet's head, and nothing else.
#[xdp(frags)]
pub fn bench_head(ctx: XdpContext) -> u32 {
    // SAFETY: the context is this program's own.
    match unsafe { bpf_xdp_adjust_head(ctx.ctx, -(IPV4 as i32)) } {
        0 => xdp_action::XDP_TX,
        _ => xdp_action::XDP_ABORTED,
    }
}

/// Parses IPv4 and TCP and puts an IPv4 header in front.
#[xdp(frags)]
pub fn bench_floor(ctx: XdpContext) -> u32 {
    encapsulate(&ctx).unwrap_or(xdp_action::XDP_ABORTED)
}

fn restore(ctx: &XdpContext) -> Option<u32> {
    let bench = BENCH.get_ptr_mut(0)?;
    // SAFETY: the map's one element, which only this program and its owner use, one at a time.
    let (runs, moved, cut) = unsafe {
        // Through the map and back, so that the verifier sees numbers and not pointers.
        let runs = read_volatile(&raw const (*bench).runs);
        if runs == 0 {
            write_volatile(&raw mut (*bench).start, ctx.data() as u64);
            write_volatile(&raw mut (*bench).end, ctx.data_end() as u64);
            write_volatile(&raw mut (*bench).began, bpf_ktime_get_ns());
            (0, 0, 0)
        } else {
            let start = read_volatile(&raw const (*bench).start);
            let end = read_volatile(&raw const (*bench).end);
            write_volatile(&raw mut (*bench).start, ctx.data() as u64);
            write_volatile(&raw mut (*bench).end, ctx.data_end() as u64);
            let now_start = read_volatile(&raw const (*bench).start);
            let now_end = read_volatile(&raw const (*bench).end);
            write_volatile(&raw mut (*bench).start, start);
            write_volatile(&raw mut (*bench).end, end);
            (runs, start.wrapping_sub(now_start) as i32, end.wrapping_sub(now_end) as i32)
        }
    };
    // SAFETY: the context is this program's own; a distance out of range is refused.
    unsafe {
        if moved != 0 && bpf_xdp_adjust_head(ctx.ctx, moved) != 0 {
            return None;
        }
        if cut != 0 && bpf_xdp_adjust_tail(ctx.ctx, cut) != 0 {
            return None;
        }
    }
    write_frame(ctx, bench)?;
    vary(ctx, bench, runs)?;
    fence(bench);
    let action = enter(ctx.ctx);
    // SAFETY: as above; the index is one of eight.
    unsafe {
        let count = (&raw mut (*bench).actions).cast::<u64>().add((action & 7) as usize);
        write_volatile(count, read_volatile(count) + 1);
        write_volatile(&raw mut (*bench).runs, runs + 1);
        if runs + 1 == read_volatile(&raw const (*bench).last) {
            write_volatile(&raw mut (*bench).ended, bpf_ktime_get_ns());
        }
    }
    Some(action)
}

/// Writes the frame back in words that start where the network header does, so that no field a
/// program loads lies across two stores.
#[inline(always)]
fn write_frame(ctx: &XdpContext, bench: *mut Bench) -> Option<()> {
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + SHORT > end {
        return None;
    }
    // SAFETY: the frame's source is within the map's element; the check above and the one below
    // are the verifier's proof that the target is within the packet.
    unsafe {
        let from = (&raw const (*bench).frame).cast::<u8>();
        let to = data as *mut u8;
        copy::<u64>(from, to, 0);
        copy::<u32>(from, to, 8);
        copy::<u16>(from, to, 12);
        let mut at = ETHERNET;
        while at < SHORT {
            copy::<u32>(from, to, at);
            at += 4;
        }
        if data + LONG <= end {
            while at < LONG {
                copy::<u32>(from, to, at);
                at += 4;
            }
        }
    }
    Some(())
}

/// # Safety
/// Both `from` and `to` have a `T` at `at`.
#[inline(always)]
unsafe fn copy<T: Copy>(from: *const u8, to: *mut u8, at: usize) {
    // SAFETY: the caller's.
    unsafe {
        let value = read_volatile(from.add(at).cast::<T>());
        write_volatile(to.add(at).cast::<T>(), value);
    }
}

#[inline(always)]
fn vary(ctx: &XdpContext, bench: *mut Bench, runs: u64) -> Option<()> {
    // SAFETY: the map's one element.
    let (at, values, base) = unsafe {
        (
            read_volatile(&raw const (*bench).vary_at),
            read_volatile(&raw const (*bench).vary_count),
            read_volatile(&raw const (*bench).vary_base),
        )
    };
    if at == 0 {
        return Some(());
    }
    let mut x = (runs as u32).wrapping_mul(0x9e37_79b1);
    x ^= x >> 16;
    x = x.wrapping_mul(0x85eb_ca6b);
    x ^= x >> 13;
    let word = base.wrapping_add(((u64::from(x) * u64::from(values)) >> 32) as u32).to_be();
    let place = ctx.data() + (at as usize & 63);
    if place + size_of::<u32>() > ctx.data_end() {
        return None;
    }
    // SAFETY: within the packet, as just checked.
    unsafe { write_volatile(place as *mut u32, word) };
    Some(())
}

/// Waits until the stores above have left for the cache, as if the frame had come from a device: a
/// load that spans two stores which are still under way would wait for both.
#[inline(always)]
fn fence(bench: *mut Bench) {
    // SAFETY: the map's one element, aligned to eight. The compiler has no atomics for this target.
    unsafe {
        asm!(
            "lock *(u64 *)({word} + 0) += {one}",
            word = in(reg) &raw mut (*bench).fence,
            one = in(reg) 1_u64,
        );
    }
}

/// A function of its own: a tail call from here comes back to the caller. What is returned when
/// there is no program is read from the map, so that no compiler can take it for granted.
#[unsafe(no_mangle)]
#[inline(never)]
fn enter(ctx: *mut aya_ebpf::bindings::xdp_md) -> u32 {
    let Some(bench) = BENCH.get_ptr(0) else { return 0 };
    let ctx = XdpContext::new(ctx);
    // SAFETY: the program in the array is of this type; the map's element is valid.
    unsafe {
        let absent = read_volatile(&raw const (*bench).absent);
        TARGET.tail_call(&ctx, 0);
        absent
    }
}

fn encapsulate(ctx: &XdpContext) -> Option<u32> {
    let data = ctx.data();
    if data + ETHERNET + IPV4 + 20 > ctx.data_end() {
        return None;
    }
    // SAFETY: within the packet, as just checked.
    let (total, class, hash, own) = unsafe {
        let ip = (data + ETHERNET) as *const u8;
        if read_volatile((data + 12) as *const u16) != 0x0800_u16.to_be()
            || read_volatile(ip) != 0x45
            || read_volatile(ip.add(9)) != 6
            || read_volatile(ip.add(6).cast::<u16>()) & FRAGMENT.to_be() != 0
            || read_volatile(ip.add(22).cast::<u16>()) != 80_u16.to_be()
        {
            return None;
        }
        let source = read_volatile(ip.add(12).cast::<u32>());
        let ports = read_volatile(ip.add(20).cast::<u32>());
        (
            u16::from_be(read_volatile(ip.add(2).cast::<u16>())),
            read_volatile(ip.add(1)),
            (source ^ ports).wrapping_mul(0x9e37_79b1),
            [0, 1, 2].map(|at| read_volatile((data as *const u16).add(at))),
        )
    };
    // SAFETY: the context is this program's own.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, -(IPV4 as i32)) } != 0 {
        return None;
    }
    let data = ctx.data();
    if data + ETHERNET + IPV4 > ctx.data_end() {
        return None;
    }
    let length = total + IPV4 as u16;
    let source = 0x0afe_0000 | (hash & 0xffff);
    let first = 0x4500_0000 | u32::from(class) << 16 | u32::from(length);
    let words: [u32; 5] = [first, 0, 0x4004_0000, source, 0x0a03_0015];
    let mut sum = 0_u32;
    for word in words {
        sum += (word >> 16) + (word & 0xffff);
    }
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    // SAFETY: within the packet, as just checked.
    unsafe {
        let frame = data as *mut u8;
        write_volatile(frame.cast::<u32>(), 0x0000_0002);
        write_volatile(frame.add(4).cast::<u16>(), 0x0300);
        for (at, half) in own.into_iter().enumerate() {
            write_volatile(frame.cast::<u16>().add(3 + at), half);
        }
        write_volatile(frame.add(12).cast::<u16>(), 0x0800_u16.to_be());
        let ip = frame.add(ETHERNET).cast::<u32>();
        write_volatile(ip, words[0].to_be());
        write_volatile(ip.add(1), words[1].to_be());
        write_volatile(ip.add(2), (words[2] | (!sum & 0xffff)).to_be());
        write_volatile(ip.add(3), words[3].to_be());
        write_volatile(ip.add(4), words[4].to_be());
    }
    Some(xdp_action::XDP_TX)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: every index above is checked, so the verifier refuses a program that gets here.
    loop {}
}

/// The kernel gives GPL-only helpers to programs that say so.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
