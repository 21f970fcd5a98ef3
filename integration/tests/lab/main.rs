//! Everything that runs in the lab, in one binary. Each test says in one sentence what it proves.

mod addresses;
mod agents;
mod backends;
mod bad_manifests;
mod command_line;
mod demo;
mod examples;
mod icmp;
mod interfaces;
mod kernel;
mod network;
mod node;
mod peers;
