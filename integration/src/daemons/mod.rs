//! The programs that run on hosts: routers from Debian, and the ones under test.

mod agent;
mod bird;
mod frr;
mod operator;

pub use agent::Agent;
pub use bird::Bird;
pub use frr::Frr;
pub use operator::start_operator;
