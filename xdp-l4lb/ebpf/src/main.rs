//! The L4 load balancer's programs: the balancer, and the backend side.
//!
//! They read, ask `xdp-l4lb-common` to decide, count and act.
#![no_std]
#![no_main]

mod balancer;
mod decap;
mod sys;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// No helper in use is for programs under the GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 11] = *b"Apache-2.0\0";
