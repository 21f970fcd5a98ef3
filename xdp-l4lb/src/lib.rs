//! The L4 load balancer's maps, links, next hops and probes.
//!
//! `xdp_l4lb_core` decides; this carries out what it decided and tells it what happened.

mod backend_role;
mod balancer;
mod blackholes;
mod clock;
mod decap_counters;
mod inspect;
mod links;
mod netlink;
mod next_hops;
mod probes;
mod tables;

/// The kernel programs, or why they are not there.
static OBJECT: Result<&[u8], &str> = include!(concat!(env!("OUT_DIR"), "/xdp-l4lb.rs"));

/// The object that holds the kernel programs.
///
/// # Errors
/// Why it was not built.
pub const fn object() -> Result<&'static [u8], &'static str> {
    OBJECT
}

pub use bpf_user::AttachMode;

pub use backend_role::{BackendDesired, BackendRole, BackendRoleError};
pub use balancer::{Balancer, BalancerConfig, StartError, State, Stopped};
pub use decap_counters::DecapCounters;
pub use inspect::{Counters, InspectError, Inspector, KernelBackend, KernelService};
pub use links::LinkState;
pub use netlink::NetlinkError;
pub use next_hops::{Hop, NoLinkLeft, Unresolved};
pub use probes::{Probe, ProbeError, ProbeResult, Prober, Sources};
pub use tables::{ApplyError, ConvertError, OpenError, Outer, Sizes, Tables};
