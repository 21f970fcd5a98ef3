//! The per-node daemon.

mod config;
mod http;
mod log;

fn main() {}
