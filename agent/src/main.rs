//! The per-node daemon.

fn main() {}
