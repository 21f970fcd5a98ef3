//! What every kernel program does with a packet: bounded reads and writes, room for headers.
#![no_std]

mod xdp;

pub use xdp::Xdp;
