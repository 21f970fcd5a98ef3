//! Packet headers and checksums, without std.
//!
//! A header is parsed from an array of its fixed length, so that whoever reads packets bounds each
//! read once, and is written as such an array. Numbers are in host order; addresses are bytes.
#![cfg_attr(not(test), no_std)]

mod arp;
mod array;
mod checksum;
mod ether;
mod icmp;
mod ipv4;
mod ipv6;
mod transport;

pub use arp::{Arp, BadArp, Operation};
pub use array::{part, put};
pub use checksum::{Checksum, pseudo_v4, pseudo_v6, replaced};
pub use ether::{Ethernet, VlanTag, ethertype};
pub use icmp::{Icmp, icmp_v4, icmp_v6};
pub use ipv4::{BadIpv4, Ipv4};
pub use ipv6::{BadIpv6, Ipv6, MAX_EXTENSIONS, Upper, Walk, WalkError, next_header};
pub use transport::{Tcp, Udp, tcp_flags};
