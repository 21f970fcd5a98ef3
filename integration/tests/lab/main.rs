//! Everything that runs in the lab, in one binary. Each test says in one sentence what it proves.

mod addresses;
mod bad_manifests;
mod demo;
mod network;
mod node;
