//! The lab: hosts as network namespaces, real routers, real traffic.
//!
//! A lab lives in PID, mount and network namespaces of its own, with its own `/run/netns` and
//! bpffs. However it ends, the kernel ends its processes and frees its interfaces and maps.
//!
//! - [`lab`]: hosts, links and switches.
//! - [`bench`]: measurements, as ratios against a floor or a peer of the same run.
//! - [`cluster`]: a Kubernetes cluster of Kubernetes' own programs.
//! - [`daemons`]: BIRD, FRR and the programs under test.
//! - [`traffic`]: the HTTP server and clients that tests look through.
//! - [`demo`]: the whole product on one screen, as a program and as a test.
//! - [`topology`]: networks that more than one test uses.

pub mod bench;
pub mod cluster;
pub mod daemons;
pub mod demo;
pub mod lab;
mod programs;
pub mod topology;
pub mod traffic;
mod wait;

pub use programs::Passing;
pub use wait::{Patience, until};
