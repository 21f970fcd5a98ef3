//! The L4 load balancer's maps, links, next hops and probes.
//!
//! `xdp_l4lb_core` decides; this carries out what it decided and tells it what happened.

mod blackholes;
mod links;
mod netlink;
mod next_hops;
mod probes;
mod tables;

/// The kernel programs, or why they are not there.
static OBJECT: Result<&[u8], &str> = include!(concat!(env!("OUT_DIR"), "/xdp-l4lb.rs"));

pub use links::LinkState;
pub use netlink::NetlinkError;
pub use next_hops::{NoLinkLeft, Unresolved};
pub use probes::{Probe, ProbeError, ProbeResult, Prober, Sources};
pub use tables::{ApplyError, ConvertError, OpenError, Outer, Sizes, Tables};
