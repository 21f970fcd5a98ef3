//! Development commands: dependency direction, demo, benchmarks.

fn main() {}
