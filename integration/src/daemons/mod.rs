//! The programs that run on hosts: routers from Debian, and the ones under test.

mod agent;
mod bird;
mod frr;

pub use agent::Agent;
pub use bird::Bird;
pub use frr::Frr;
