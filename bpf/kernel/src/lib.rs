//! What every kernel program does with a packet: bounded reads and writes, room for headers.
#![no_std]
#![feature(asm_experimental_arch)]

mod memory;
mod xdp;

pub use xdp::Xdp;
