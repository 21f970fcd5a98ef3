//! The role `balancer`: everything is started here, and wired together.

mod api;
mod conditions;
mod node;
mod problems;
mod views;
mod wiring;

pub(crate) use node::run;
pub(crate) use views::{interfaces, verdicts};
