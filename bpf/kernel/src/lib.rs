#![no_std]
//! What every kernel program does with a packet.
