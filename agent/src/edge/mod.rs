//! A node that announces, and balances unless another program does: everything is started here, and
//! wired together.

mod announced;
mod api;
mod boot;
mod conditions;
mod end_of_rib;
#[cfg(feature = "etcd")]
mod fleet;
mod gate;
mod guide;
mod kernel_views;
mod leader;
mod node;
mod origin;
mod problems;
mod remote;
mod report;
mod views;
mod wiring;

pub(crate) use kernel_views::verdicts;
pub(crate) use node::run;
pub(crate) use views::interfaces;
