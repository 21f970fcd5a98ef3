//! What the L4 load balancer's kernel boundary shares, and what happens to one packet.
//!
//! User space writes the tables, the program only reads them (`flows`, `touched` and the counters
//! aside). A packet takes one path through them, and each arrow is one bounded load:
//!
//! ```text
//!  destination address --> no_vip (128 bits of config): passed at once, or
//!  destination address, port, protocol
//!     |  vip_hash (private seed)                 flow_hash (fleet-wide seed) of both ends
//!     v                                                             |
//!  vips      [ e e e e e e e e ] 64-byte buckets, two a key         |
//!     |        e = fingerprint:32 | service:32                      |
//!     v                                                             v
//!  services  [ VipKey | flags | table = base:32, log2:8 ] --> base + (hash & (2^log2 - 1))
//!     |                                                             |
//!     | index: service_stats, FlowKey                               v
//!     |                        slots     [ OPEN:1 | 0:1 | previous:31 | current:31 ]
//!     |                        touched   [ epoch:32 ]  same index   |
//!     |                                                             v  backend id
//!     +-- slot OPEN, TCP --> flows { backend, isn, seen, confirmed }
//!                                                                   |
//!                              backends  [ addr | mode | next_hop = link:16, MAC:48 ]
//!                                 |  index: backend_stats           |
//!                                 v                                 v
//!                              outer header                links    [ ifindex | MAC ] -> devices
//! ```
//!
//! Publication: what is pointed at is written first, then one aligned store publishes it. An index
//! is reused only after a grace period. Every field that changes while packets flow is one aligned
//! `u64` or `u32`: a `vips` entry, [`layout::ServiceRecord::table`], a slot,
//! [`layout::BackendRecord::mode`], [`layout::BackendRecord::next_hop`], and each field of
//! [`layout::Config`].
#![cfg_attr(not(test), no_std)]

mod access;
mod answer;
pub mod decap;
mod fast;
mod forward;
mod general;
pub mod hash;
mod headers;
pub mod layout;
mod limit;
mod lookup;
mod steer;
mod verdict;
mod words;

pub use bpf_common::{Frame, Packet};

pub use access::{Backend, Maps, Port, Remembered, Service};
pub use answer::{Answer, ECHO_V4, ECHO_V6, Head, MAX_QUOTE, PUSH_V4, PUSH_V6};
pub use fast::fast;
pub use forward::{Exit, Forward, HEAD_V4, HEAD_V6, Inner};
pub use general::{Work, general};
pub use verdict::{Fast, Verdict};

/// What happens to a packet. The program calls the two halves itself, so that the second stays out
/// of the first one's way.
pub fn decide(maps: &impl Maps, packet: &impl Packet) -> Verdict {
    match fast(maps, packet) {
        Fast::Pass(counter) => Verdict::Pass(counter),
        Fast::Drop(reason) => Verdict::Drop(reason),
        Fast::Forward(forward) => Verdict::Forward(forward),
        Fast::Unsure => {
            let mut work = Work::NEW;
            general(maps, packet, &mut work);
            work.verdict
        }
    }
}
